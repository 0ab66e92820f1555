//! Snapshot files: a header, and frames behind it: the head, items in chunks, and an end that
//! counts them. What goes over the network is the frames; the receiver puts its own header before
//! them.
//!
//! A snapshot is read and written piece by piece: it may be larger than what memory has left.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::header;
use crate::storage::{Owner, Wrong};

/// Items of a frame, in bytes; the item that passes it is its last.
const CHUNK_BYTES: usize = 64 * 1024;

/// No frame is longer: a chunk, and the longest key and value; or the table of sessions.
const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

/// When so many snapshots of one kind were written since the last of the other, it may be the other
/// protocol that holds up the log on the disk, though it has hardly anything in it. Not at the first
/// one, or two that are both busy would write twice as many as they need.
pub(crate) const PASSED_MAX: u32 = 2;

/// Of a file's header, which the frames follow.
pub const HEADER_BYTES: usize = header::HEADER_BYTES;

/// Bytes that are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Reading failed.
    #[error(transparent)]
    Io(io::Error),
    /// Another node's, or a later version's.
    #[error("{0}")]
    Foreign(&'static str),
    /// It ends too early, or its checksums are wrong.
    #[error("damaged: {0}")]
    Damaged(&'static str),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Damaged("it ends too early");
        }
        Self::Io(error)
    }
}

/// Of which protocol's state a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lab 3's, up to an index of its log.
    Raft,
    /// Lab 2's, up to a position of its steps.
    Causal,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Raft, Self::Causal];

    /// What the names of its files begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Raft => "snapshot-",
            Self::Causal => "causal-",
        }
    }

    fn of_file(self) -> header::Kind {
        let (magic, format) = match self {
            Self::Raft => (*b"dist-sn", 2),
            Self::Causal => (*b"dist-cs", 1),
        };
        header::Kind { magic, format, format_min: format }
    }

    /// The name of the file of a snapshot up to `mark`.
    pub fn name(self, mark: u64) -> String {
        format!("{}{mark:016x}", self.prefix())
    }

    /// How far the snapshot in a file goes, by its name; none if it is no such file.
    pub fn mark_of(self, file: &str) -> Option<u64> {
        // Only as we spell it: what else lies there is somebody else's.
        let mark = u64::from_str_radix(file.strip_prefix(self.prefix())?, 16).ok()?;
        (self.name(mark) == file).then_some(mark)
    }

    /// What a file of `owner` begins with.
    pub fn header(self, owner: Owner) -> [u8; HEADER_BYTES] {
        header::encode(self.of_file(), owner, [0, 0])
    }

    /// Checks what a file of `owner` begins with.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]
    pub fn check_header(self, input: &mut impl Read, owner: Owner) -> Result<(), SnapshotError> {
        let mut bytes = [0; HEADER_BYTES];
        input.read_exact(&mut bytes)?;
        match header::decode(self.of_file(), owner, &bytes) {
            Ok(_) => Ok(()),
            Err(Wrong::Foreign(what)) => Err(SnapshotError::Foreign(what)),
            Err(Wrong::Damaged(what)) => Err(SnapshotError::Damaged(what)),
        }
    }
}

/// A state that a snapshot file holds.
pub trait Content: Sized {
    /// Of which protocol.
    const KIND: Kind;

    /// How far the state goes.
    fn mark(&self) -> u64;

    /// The frames of its file, one at a time.
    fn frames(&self) -> impl Iterator<Item = Vec<u8>>;

    /// Reads the frames of a file.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`], also where its parts do not belong together.
    fn read(input: &mut impl Read) -> Result<Self, SnapshotError>;
}

/// The frames of a snapshot, one at a time.
pub(crate) fn frames<H: Serialize, I: Serialize, S: Iterator<Item = I>>(
    head: H,
    items: S,
) -> impl Iterator<Item = Vec<u8>> + use<H, I, S> {
    let head = frame(postcard::to_stdvec(&head).expect("a head has no unsized part"));
    let mut items = items;
    let mut count: Option<u64> = Some(0);
    let rest = std::iter::from_fn(move || {
        let so_far = count?;
        let mut chunk = Vec::new();
        let mut taken = 0;
        while chunk.len() < CHUNK_BYTES {
            let Some(item) = items.next() else { break };
            chunk = postcard::to_extend(&item, chunk).expect("an item has no unsized part");
            taken += 1;
        }
        if taken == 0 {
            count = None;
            return Some([0_u32.to_le_bytes().as_slice(), &so_far.to_le_bytes()].concat());
        }
        count = Some(so_far + taken);
        Some(frame(chunk))
    });
    std::iter::once(head).chain(rest)
}

fn frame(payload: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is bounded");
    let crc = crc32fast::hash(&payload);
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc.to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// Reads the frames of a snapshot: the head, and each item in order.
///
/// # Errors
///
/// [`SnapshotError`]; the items that were read before are of no use then.
pub(crate) fn read<H: DeserializeOwned, I: DeserializeOwned>(
    input: &mut impl Read,
    mut each: impl FnMut(I),
) -> Result<H, SnapshotError> {
    let mut payload = Vec::new();
    if !read_frame(input, &mut payload)? {
        return Err(SnapshotError::Damaged("it has no head"));
    }
    let head = postcard::from_bytes(&payload).map_err(|_| SnapshotError::Damaged("the head"))?;
    let mut count = 0_u64;
    while read_frame(input, &mut payload)? {
        let mut rest = payload.as_slice();
        while !rest.is_empty() {
            let (item, behind) = postcard::take_from_bytes(rest)
                .map_err(|_| SnapshotError::Damaged("an item can't be read"))?;
            each(item);
            count += 1;
            rest = behind;
        }
    }
    let mut expected = [0; 8];
    input.read_exact(&mut expected)?;
    if u64::from_le_bytes(expected) != count {
        return Err(SnapshotError::Damaged("items are missing"));
    }
    Ok(head)
}

/// Whether there was another frame: the end has a length of zero.
fn read_frame(input: &mut impl Read, payload: &mut Vec<u8>) -> Result<bool, SnapshotError> {
    let mut word = [0; 4];
    input.read_exact(&mut word)?;
    let length = u32::from_le_bytes(word) as usize;
    if length == 0 {
        return Ok(false);
    }
    if length > FRAME_BYTES_MAX {
        return Err(SnapshotError::Damaged("a frame is too long"));
    }
    input.read_exact(&mut word)?;
    payload.clear();
    // As it comes: a peer that tells of more than it sends takes no memory for it.
    if input.take(length as u64).read_to_end(payload)? < length {
        return Err(SnapshotError::Damaged("it ends too early"));
    }
    if crc32fast::hash(payload) != u32::from_le_bytes(word) {
        return Err(SnapshotError::Damaged("a checksum is wrong"));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(String, Vec<(u64, String)>), SnapshotError>;

    fn bytes() -> Vec<u8> {
        let items = (0..5_000_u64).map(|n| (n, format!("value {n} of a snapshot")));
        frames("head".to_owned(), items).flatten().collect()
    }

    fn restored(bytes: &[u8]) -> Outcome {
        let mut items = Vec::new();
        let head = read(&mut &*bytes, |item| items.push(item))?;
        Ok((head, items))
    }

    #[test]
    fn a_snapshot_comes_back_whole_or_not_at_all() {
        let bytes = bytes();
        let (head, items) = restored(&bytes).expect("sound");
        assert_eq!((head.as_str(), items.len()), ("head", 5_000));
        for length in [0, 3, 20, bytes.len() / 2, bytes.len() - 1] {
            assert!(restored(&bytes[..length]).is_err(), "{length} bytes");
        }
        for at in (0..bytes.len()).step_by(997) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(restored(&damaged).is_err(), "byte {at}");
        }
    }

    /// Whoever says that much is to come, and sends no more, takes no memory for it.
    #[test]
    fn a_frame_takes_the_memory_of_what_has_come() {
        let told = u32::try_from(FRAME_BYTES_MAX).expect("short").to_le_bytes();
        let bytes = [told.as_slice(), &[0; 1_000]].concat();
        let mut payload = Vec::new();
        let outcome = read_frame(&mut bytes.as_slice(), &mut payload);
        assert!(matches!(outcome, Err(SnapshotError::Damaged("it ends too early"))));
        assert!(payload.capacity() < 10_000, "{}", payload.capacity());
    }

    #[test]
    fn a_file_that_is_named_in_another_way_is_none_of_ours() {
        for kind in Kind::ALL {
            assert_eq!(kind.mark_of(&kind.name(0x5a)), Some(0x5a));
            for other in ["5a", "+00000000000005a", "000000000000005A", ""] {
                assert_eq!(kind.mark_of(&format!("{}{other}", kind.prefix())), None, "{other}");
            }
        }
    }
}

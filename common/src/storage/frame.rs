//! A frame of the log: what one commit wrote, and whether all of it is there.
//!
//! ```text
//! u32 length · u32 crc of the payload · u64 sequence · u64 ones · u32 blank · u32 crc of the head · payload
//! ```
//!
//! Frames begin at multiples of eight bytes; the payload is filled up to there with zeros. The
//! crc of the head covers also where the frame is: owner, segment and offset. So the bytes of a
//! frame that somebody has put into a value are no frame there. Where the ones are, format 1 of the
//! log had a number, which its payload tells as well; see rule 2 for why they are not zeros.
//!
//! # Torn or damaged
//!
//! A frame is written into zeros, and the next one only after it was synced. What is left of one
//! that was being written when the power failed is any subset of its sectors, the others still
//! zeros. Nobody has been promised anything by it: it is *torn*, and cut. In every other case what
//! can't be read was synced and perhaps promised: it is *damaged*, and the node must not speak.
//!
//! The two are told apart by these rules:
//!
//! 1. Behind a torn frame all is zeros.
//! 2. Of a torn frame one sector at least is zeros that was not so when it was written. The head
//!    is never zeros in either sector that it may lie in; `blank` counts the sectors of the
//!    frame that are. More of them than that: torn. As many: each was written, so damaged.
//! 3. Where the head itself is missing it is not known where the frame ends, and a later frame is
//!    looked for in all that follows: if there is one, damaged.
//!
//! What can't be told from a torn frame is a synced last frame of which the disk has later lost a
//! whole sector, to zeros. A flipped bit, or a sector of something else, is damage.

use std::ops::Range;

use crate::storage::Owner;

pub(super) const HEAD_BYTES: usize = 32;
pub(super) const ALIGNMENT: usize = 8;
/// What a disk writes as a whole, or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

/// In which segment a frame is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) owner: Owner,
    pub(super) segment: u64,
}

impl Place {
    /// The checksum of a frame's head at `offset`.
    fn crc(self, offset: usize, head: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&head[..HEAD_BYTES - 4]);
        for word in [self.owner.cluster.0, self.owner.node.0, self.segment, offset as u64] {
            hasher.update(&word.to_le_bytes());
        }
        hasher.finalize()
    }
}

/// Makes the frame of a payload that stands behind room for a head.
pub(super) fn seal(frame: &mut Vec<u8>, place: Place, offset: usize, sequence: u64) {
    let length = u32::try_from(frame.len() - HEAD_BYTES).expect("a record is bounded");
    frame.resize(frame.len().next_multiple_of(ALIGNMENT), 0);
    let crc = crc32fast::hash(&frame[HEAD_BYTES..]);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    frame[16..24].fill(0xff);
    frame[24..28].fill(0);
    let blank = blank_sectors(frame, offset);
    frame[24..28].copy_from_slice(&blank.to_le_bytes());
    let crc = place.crc(offset, frame);
    frame[28..32].copy_from_slice(&crc.to_le_bytes());
}

/// What is at some offset of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole frame.
    Frame { payload: Range<usize>, end: usize },
    /// Nothing: zeros up to the end of the segment.
    End,
    /// What is left of a frame that was never synced.
    Torn,
    /// What was synced, and can't be read.
    Damaged(&'static str),
}

/// The head of a frame, its checksum being right.
struct Head {
    length: usize,
    crc: u32,
    sequence: u64,
    blank: u32,
}

/// What is at `offset` of a segment; a frame there must have the `expected` sequence.
pub(super) fn read(bytes: &[u8], place: Place, offset: usize, expected: u64) -> Found {
    let rest = &bytes[offset.min(bytes.len())..];
    if rest.len() < HEAD_BYTES || is_blank(rest) {
        return Found::End;
    }
    let Some(head) = head(rest, place, offset) else {
        return without_head(bytes, place, offset, expected);
    };
    let start = offset + HEAD_BYTES;
    let end = (start + head.length).next_multiple_of(ALIGNMENT);
    let Some(payload) = bytes.get(start..end) else {
        return Found::Damaged("a frame is longer than its file");
    };
    if crc32fast::hash(payload) == head.crc {
        if head.sequence != expected {
            return Found::Damaged("a frame is out of sequence");
        }
        let payload = start..start + head.length;
        return Found::Frame { payload, end };
    }
    if !is_blank(&bytes[end..]) {
        return Found::Damaged("a frame with others behind it is not whole");
    }
    if blank_sectors(&bytes[offset..end], offset) > head.blank {
        return Found::Torn;
    }
    Found::Damaged("the checksum of a frame is wrong")
}

/// The head that `bytes` begin with, if it is one, and at its place.
fn head(bytes: &[u8], place: Place, offset: usize) -> Option<Head> {
    let bytes = bytes.first_chunk::<HEAD_BYTES>()?;
    (short(bytes, 28) == place.crc(offset, bytes)).then(|| Head {
        length: short(bytes, 0) as usize,
        crc: short(bytes, 4),
        sequence: long(bytes, 8),
        blank: short(bytes, 24),
    })
}

fn short(head: &[u8; HEAD_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(*head[at..].first_chunk().expect("in the head"))
}

fn long(head: &[u8; HEAD_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(*head[at..].first_chunk().expect("in the head"))
}

/// What is at `offset`, where no head is, and something behind.
fn without_head(bytes: &[u8], place: Place, offset: usize, expected: u64) -> Found {
    let head = &bytes[offset..offset + HEAD_BYTES];
    if blank_sectors(head, offset) == 0 {
        return Found::Damaged("the checksum of a frame's head is wrong");
    }
    if has_frame(bytes, place, offset + ALIGNMENT, expected + 1) {
        return Found::Damaged("a frame with others behind it is not whole");
    }
    Found::Torn
}

/// Whether a frame of at least that sequence begins anywhere from `offset` on.
pub(super) fn has_frame(bytes: &[u8], place: Place, offset: usize, sequence: u64) -> bool {
    // Random bytes have a right checksum once in 2^32; that the sequence is one, too, never.
    let sequences = sequence..sequence.saturating_add((bytes.len() / HEAD_BYTES) as u64);
    let mut offsets = (offset.next_multiple_of(ALIGNMENT)..bytes.len()).step_by(ALIGNMENT);
    offsets.any(|at| {
        let found = bytes[at..].first_chunk::<HEAD_BYTES>();
        found.is_some_and(|found| {
            sequences.contains(&long(found, 8)) && head(found, place, at).is_some()
        })
    })
}

/// How many sectors of what stands at `offset` are zeros, those at its ends only in part its.
fn blank_sectors(bytes: &[u8], offset: usize) -> u32 {
    let first = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
    let (first, rest) = bytes.split_at(first);
    let sectors = std::iter::once(first).chain(rest.chunks(SECTOR_BYTES));
    u32::try_from(sectors.filter(|sector| is_blank(sector)).count()).expect("a record is bounded")
}

/// Whether all bytes are zeros.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4_096] = [0; 4_096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

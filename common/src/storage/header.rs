//! What every file but the record begins with: what it is, and whose.

use crate::storage::{Owner, Wrong};

/// Of a header.
pub(crate) const HEADER_BYTES: usize = 64;

/// A kind of file: its magic, the format that this version writes, and the oldest that it reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) magic: [u8; 7],
    pub(crate) format: u8,
    pub(crate) format_min: u8,
}

/// What a header tells beside its file's kind and owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) format: u8,
    /// What they mean is the kind's own.
    pub(crate) numbers: [u64; 2],
}

/// The header of a file: magic, format, cluster, node, two numbers of the kind's own, CRC-32, and
/// zeros.
pub(crate) fn encode(kind: Kind, owner: Owner, numbers: [u64; 2]) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..7].copy_from_slice(&kind.magic);
    bytes[7] = kind.format;
    let words = [owner.cluster.0, owner.node.0, numbers[0], numbers[1]];
    for (at, word) in (8..).step_by(8).zip(words) {
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[..40]);
    bytes[40..44].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What a header tells, if it is one of `kind` and of `owner`.
pub(crate) fn decode(
    kind: Kind,
    owner: Owner,
    bytes: &[u8; HEADER_BYTES],
) -> Result<Header, Wrong> {
    if bytes[..7] != kind.magic {
        return Err(Wrong::Damaged("it does not begin as a file of distdb does"));
    }
    // Before the checksum: a later version may have it elsewhere.
    let format = bytes[7];
    if !(kind.format_min..=kind.format).contains(&format) {
        return Err(Wrong::Foreign("its format is not one that this version reads"));
    }
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("in the header"));
    let numbers = [word(24), word(32)];
    let sound = encode(Kind { format, ..kind }, owner, numbers);
    if *bytes == sound {
        return Ok(Header { format, numbers });
    }
    if bytes[40..44] == crc32fast::hash(&bytes[..40]).to_le_bytes() && bytes[44..] == [0; 20] {
        return Err(Wrong::Foreign("it belongs to another node"));
    }
    Err(Wrong::Damaged("the header's checksum is wrong"))
}

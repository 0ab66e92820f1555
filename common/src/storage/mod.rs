//! What a node must find again after a restart.
//!
//! In Lab 1 that is who it is and who its peers are; the keys are in memory. It is one small
//! record, replaced as a whole.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where a node keeps its record. Implemented by the data directory and by the simulator's disk.
pub trait Disk {
    /// Replaces the record, durably and at once: after a crash there is the old one or the new
    /// one, whole, and after a return of `Ok` there is the new one.
    ///
    /// # Errors
    ///
    /// It is not known which of the two is there. The node must not go on.
    fn replace(&mut self, record: &[u8]) -> io::Result<()>;
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by something else.
    #[error("it does not begin as a record of distdb does")]
    Magic,
    /// Written by a later version.
    #[error("its format is {0}; this version reads {FORMAT}")]
    Format(u8),
    /// Damaged.
    #[error("its checksum or its length is wrong")]
    Damaged,
}

const MAGIC: [u8; 7] = *b"distdb\0";
const FORMAT: u8 = 1;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4;

/// The bytes of `record`: magic, format, CRC-32, postcard.
pub fn encode<R: Serialize>(record: &R) -> Vec<u8> {
    let body = postcard::to_stdvec(record).expect("a record has no unsized part");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(MAGIC);
    bytes.push(FORMAT);
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The record in `bytes`.
///
/// # Errors
///
/// [`RecordError`]; nothing is guessed.
pub fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, RecordError> {
    let (magic, rest) = bytes.split_at_checked(MAGIC.len()).ok_or(RecordError::Magic)?;
    if magic != MAGIC {
        return Err(RecordError::Magic);
    }
    let (format, rest) = rest.split_first().ok_or(RecordError::Damaged)?;
    if *format != FORMAT {
        return Err(RecordError::Format(*format));
    }
    let (crc, body) = rest.split_first_chunk::<4>().ok_or(RecordError::Damaged)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(RecordError::Damaged);
    }
    postcard::from_bytes(body).map_err(|_| RecordError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(&(7_u64, "node1"));
        assert_eq!(decode::<(u64, String)>(&bytes), Ok((7, "node1".to_owned())));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<(u64, String)>(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode::<(u64, String)>(&bytes[..length]).is_err(), "length {length}");
        }
    }
}

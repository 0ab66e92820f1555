//! The record: one small file that says who the node is, and is replaced as a whole.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::Wrong;

const MAGIC: [u8; 7] = *b"distdb\0";
const FORMAT: u8 = 2;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4;

/// The bytes of `record`: magic, format, CRC-32, postcard.
pub(super) fn encode<R: Serialize>(record: &R) -> Vec<u8> {
    let body = postcard::to_stdvec(record).expect("a record has no unsized part");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(MAGIC);
    bytes.push(FORMAT);
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The record in `bytes`; nothing is guessed.
pub(super) fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, Wrong> {
    let is_ours = bytes.starts_with(&MAGIC);
    let Some((format, rest)) = bytes.get(MAGIC.len()..).and_then(<[u8]>::split_first) else {
        return Err(Wrong::Damaged("it is too short"));
    };
    if !is_ours {
        return Err(Wrong::Foreign("it does not begin as a record of distdb does"));
    }
    if *format != FORMAT {
        return Err(Wrong::Foreign("its format is not one that this version reads"));
    }
    let damaged = Wrong::Damaged("its checksum or its length is wrong");
    let (crc, body) = rest.split_first_chunk::<4>().ok_or(damaged)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(damaged);
    }
    postcard::from_bytes(body).map_err(|_| damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D8: a bit or a byte that is missing is noticed, wherever it is.
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

//! Frames: `u32 length, u32 crc, u8 version, u8 kind, payload`, numbers little-endian. The length
//! counts what follows it; the CRC-32 covers what follows it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame. A chunk of a sync ends with the entry that passes its bound, so it may hold
/// that bound and the longest value.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The version of the frames' layout.
const VERSION: u8 = 1;

const LENGTH_BYTES: usize = 4;
/// CRC, version and kind.
const HEAD_BYTES: usize = 6;

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`crate::peer::hello::Hello`], in JSON.
    Hello = 0,
    /// [`crate::peer::hello::Refused`], in JSON.
    Refused = 1,
    /// [`crate::node::Message`], in postcard.
    Message = 2,
    /// [`crate::peer::hello::Received`], in JSON.
    Received = 3,
    /// The sender's Lamport clock when it sent the messages that follow, in postcard.
    Clock = 4,
}

/// Bytes that are no frame. The connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Past the bound, or too short to be one.
    #[error("a frame of {0} bytes")]
    Length(usize),
    /// Damaged on the way.
    #[error("a frame with a wrong checksum")]
    Checksum,
    /// From another time.
    #[error("a frame of version {0}")]
    Version(u8),
    /// Unknown.
    #[error("a frame of kind {0}")]
    Kind(u8),
    /// Its payload is not what its kind says.
    #[error("a frame with a payload that can't be read")]
    Payload,
}

/// A frame inside a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: Kind,
    /// The carried bytes.
    pub payload: &'a [u8],
    /// What it took of the buffer.
    pub length: usize,
}

/// Appends a frame with `message` in postcard.
pub fn encode<M: Serialize>(message: &M, out: &mut Vec<u8>) {
    encode_with(Kind::Message, out, |out| {
        *out = postcard::to_extend(message, std::mem::take(out))
            .expect("a message has no unsized part");
    });
}

/// Appends a frame with the sender's Lamport clock.
pub fn encode_clock(clock: u64, out: &mut Vec<u8>) {
    encode_with(Kind::Clock, out, |out| {
        *out = postcard::to_extend(&clock, std::mem::take(out)).expect("a number has no parts");
    });
}

/// Appends a frame with `message` in JSON.
pub fn encode_json<M: Serialize>(kind: Kind, message: &M, out: &mut Vec<u8>) {
    encode_with(kind, out, |out| {
        serde_json::to_writer(out, message).expect("strings and numbers serialize");
    });
}

fn encode_with(kind: Kind, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; LENGTH_BYTES + 4]);
    out.extend([VERSION, kind as u8]);
    payload(out);
    let length = out.len() - start - LENGTH_BYTES;
    assert!(length <= FRAME_BYTES_MAX, "a message of {length} bytes was built");
    let checked = start + LENGTH_BYTES + 4;
    let crc = crc32fast::hash(&out[checked..]);
    let length = u32::try_from(length).expect("below the bound");
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    out[start + LENGTH_BYTES..checked].copy_from_slice(&crc.to_le_bytes());
}

/// The frame that `buffer` begins with, or none while it is not whole.
///
/// # Errors
///
/// [`FrameError`]: what follows can't be told apart any more.
pub fn decode(buffer: &[u8], bytes_max: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let Some((length, rest)) = buffer.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if !(HEAD_BYTES..=bytes_max).contains(&length) {
        return Err(FrameError::Length(length));
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let (crc, checked) = body.split_first_chunk::<4>().ok_or(FrameError::Length(length))?;
    if crc32fast::hash(checked) != u32::from_le_bytes(*crc) {
        return Err(FrameError::Checksum);
    }
    let [version, kind, payload @ ..] = checked else {
        return Err(FrameError::Length(length));
    };
    if *version != VERSION {
        return Err(FrameError::Version(*version));
    }
    let kind = match kind {
        0 => Kind::Hello,
        1 => Kind::Refused,
        2 => Kind::Message,
        3 => Kind::Received,
        4 => Kind::Clock,
        other => return Err(FrameError::Kind(*other)),
    };
    Ok(Some(Frame { kind, payload, length: LENGTH_BYTES + length }))
}

impl Frame<'_> {
    /// The message inside.
    ///
    /// # Errors
    ///
    /// [`FrameError::Payload`] where it is none.
    pub fn message<M: DeserializeOwned>(&self) -> Result<M, FrameError> {
        postcard::from_bytes(self.payload).map_err(|_| FrameError::Payload)
    }

    /// The JSON inside.
    ///
    /// # Errors
    ///
    /// [`FrameError::Payload`] where it is none.
    pub fn json<M: DeserializeOwned>(&self) -> Result<M, FrameError> {
        serde_json::from_slice(self.payload).map_err(|_| FrameError::Payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_read_once_it_is_whole() {
        let mut bytes = Vec::new();
        encode(&(1_u8, "abc"), &mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length], FRAME_BYTES_MAX), Ok(None), "length {length}");
        }
        let frame = decode(&bytes, FRAME_BYTES_MAX).expect("sound").expect("whole");
        assert_eq!(frame.length, bytes.len());
        assert_eq!(frame.message(), Ok((1_u8, "abc".to_owned())));
    }

    /// P14: what is on the port of a peer need not be a peer.
    #[test]
    fn a_request_of_http_is_no_frame() {
        let request = b"GET / HTTP/1.1\r\n\r\n";
        assert_eq!(decode(request, 4_096), Err(FrameError::Length(0x2054_4547)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some(frame)) = decode(&bytes, FRAME_BYTES_MAX) {
                let _ = frame.message::<crate::node::Message>();
            }
        }

        #[test]
        fn a_flipped_bit_is_noticed(payload: Vec<u8>, bit: prop::sample::Index) {
            let mut bytes = Vec::new();
            encode(&payload, &mut bytes);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = decode(&bytes, FRAME_BYTES_MAX);
            prop_assert!(matches!(read, Err(_) | Ok(None)), "{read:?}");
        }
    }
}

//! Bytes in JSON: `"value":"text"` where they are UTF-8, else `"value_b64":"..."`.
//!
//! A struct of the wire has both members side by side; [`split`] fills one of them and [`join`]
//! reads whichever came.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::control::failure::{ErrorCode, Failure};
use crate::kv::value::Value;

/// What a text may grow to by JSON's escapes before it is sent as base64 instead, so that a line
/// with the longest value stays below the line limit.
const ESCAPED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Bytes that are UTF-8, as a JSON string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextBytes(Bytes);

/// Any bytes, as a JSON string of base64 (RFC 4648 §4, padded).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64Bytes(Bytes);

impl TextBytes {
    /// How many bytes these are.
    pub fn byte_count(&self) -> usize {
        self.0.len()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it came from a text, or split checked that")
    }
}

impl From<String> for TextBytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Base64Bytes {
    /// How many bytes these are.
    pub fn byte_count(&self) -> usize {
        self.0.len()
    }
}

/// The two members for `value`: just one of them is there.
pub fn split(value: Value) -> (Option<TextBytes>, Option<Base64Bytes>) {
    let bytes = Bytes::from(value);
    match std::str::from_utf8(&bytes) {
        Ok(text) if escaped_bytes_at_most(text) <= ESCAPED_BYTES_MAX => {
            (Some(TextBytes(bytes)), None)
        }
        Ok(_) | Err(_) => (None, Some(Base64Bytes(bytes))),
    }
}

/// The value that the two members carry, if either is there.
///
/// # Errors
///
/// `bad_request` where both are there, `too_large` where the value is.
pub fn join(
    text: Option<TextBytes>,
    base64: Option<Base64Bytes>,
) -> Result<Option<Value>, Failure> {
    let bytes = match (text, base64) {
        (Some(_), Some(_)) => {
            return Err(Failure::bad_request("value and value_b64 stand side by side; give one"));
        }
        (Some(TextBytes(bytes)), None) | (None, Some(Base64Bytes(bytes))) => bytes,
        (None, None) => return Ok(None),
    };
    let value = Value::try_from(bytes);
    value.map(Some).map_err(|error| Failure::new(ErrorCode::TooLarge, error.to_string()))
}

/// The length of `text` in JSON; no more than counted where it can't matter.
fn escaped_bytes_at_most(text: &str) -> usize {
    if text.len() * 6 <= ESCAPED_BYTES_MAX {
        return text.len();
    }
    text.bytes()
        .map(|byte| if byte < 0x20 { 6 } else { 1 + usize::from(byte == b'"' || byte == b'\\') })
        .sum()
}

impl Serialize for TextBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Base64Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for TextBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_str(StrVisitor)?;
        STANDARD.decode(&text).map(|bytes| Self(Bytes::from(bytes))).map_err(D::Error::custom)
    }
}

/// Copies a JSON string once, from the line into the bytes that the store will hold.
struct StrVisitor;

impl Visitor<'_> for StrVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn visit_string<E>(self, text: String) -> Result<Bytes, E> {
        Ok(Bytes::from(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_come_back_as_they_were(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let value = Value::try_from(bytes).expect("short");
            let (text, base64) = split(value.clone());
            let json = serde_json::to_string(&(text, base64)).expect("serializes");
            let (text, base64) = serde_json::from_str(&json).expect("parses");
            prop_assert_eq!(join(text, base64), Ok(Some(value)));
        }
    }

    /// The longest value must fit into a line, whatever its bytes are.
    #[test]
    fn a_text_of_control_characters_goes_as_base64() {
        let value = Value::try_from(vec![1_u8; 1024 * 1024]).expect("just allowed");
        let (text, base64) = split(value);
        assert!(text.is_none() && base64.is_some());
    }
}

//! Values: any bytes, shared between store, peers and replies without a copy.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;

/// What a key stands for: any bytes, at most 1 MiB.
///
/// Invariant: no longer than [`VALUE_BYTES_MAX`]. A clone shares the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct Value(Bytes);

/// A value past [`VALUE_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("value has {0} bytes; it takes at most 1,048,576")]
pub struct ValueTooLong(usize);

impl Value {
    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Bytes> for Value {
    type Error = ValueTooLong;

    fn try_from(bytes: Bytes) -> Result<Self, ValueTooLong> {
        if bytes.len() > VALUE_BYTES_MAX { Err(ValueTooLong(bytes.len())) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<Vec<u8>> for Value {
    type Error = ValueTooLong;

    fn try_from(bytes: Vec<u8>) -> Result<Self, ValueTooLong> {
        Self::try_from(Bytes::from(bytes))
    }
}

impl From<Value> for Bytes {
    fn from(value: Value) -> Self {
        value.0
    }
}

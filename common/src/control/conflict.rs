//! What a node answers of values that stand side by side under a key.

use serde::{Deserialize, Serialize};

use crate::causal::clock::Dot;
use crate::control::bytes::{self, Base64Bytes, TextBytes};
use crate::identity::NodeId;
use crate::kv::key::Key;
use crate::kv::value::Value;

/// One of the values of a key in causal mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// It, where it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TextBytes>,
    /// It, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_b64: Option<Base64Bytes>,
    /// The node that took the write.
    pub node: NodeId,
    /// The how manieth of that node it was.
    pub counter: u64,
    /// When, in milliseconds since 1970, by that node's hybrid clock.
    pub time_ms: u64,
}

impl Sibling {
    /// The sibling that was written at that time.
    pub fn new(value: Value, dot: Dot, time_ms: u64) -> Self {
        let (value, value_b64) = bytes::split(value);
        Self { value, value_b64, node: dot.node, counter: dot.counter, time_ms }
    }

    /// The write that it is of.
    pub fn dot(&self) -> Dot {
        Dot { node: self.node, counter: self.counter }
    }
}

/// A page of keys with siblings that somebody has to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflicts {
    /// In the order of the keys' bytes.
    pub items: Vec<ConflictingKey>,
    /// Whether there may be more behind this page.
    pub more: bool,
    /// The `start` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Key>,
    /// What the node has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// A key with siblings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictingKey {
    /// Which.
    pub key: Key,
    /// How many there are; `get` shows them.
    pub siblings: u64,
}

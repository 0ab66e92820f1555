//! What a node says to who follows changes.

use serde::{Deserialize, Serialize};

use crate::control::Id;
use crate::control::bytes::{Base64Bytes, TextBytes};
use crate::control::failure::Failure;
use crate::kv::key::Key;

/// A watch has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchBegun {
    /// All from this revision on comes.
    pub from: u64,
}

/// A line of a watch after its first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WatchLine {
    /// All changes of one revision.
    Events {
        /// The watch's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// In the order of their keys.
        events: Vec<WatchEvent>,
        /// Theirs.
        revision: u64,
    },
    /// All up to this revision has been delivered.
    Progress {
        /// The watch's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// The revision.
        progress: u64,
    },
    /// Nothing more comes.
    End {
        /// The watch's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// Always true.
        end: bool,
        /// The `from` of a watch that misses nothing, where history is kept.
        resume: u64,
        /// Why; nothing where the client wanted it so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
    },
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// To which key.
    pub key: Key,
    /// The new value of a put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_b64: Option<Base64Bytes>,
    /// The value before, where the watch asked for it and there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_b64: Option<Base64Bytes>,
    /// Of the change.
    pub revision: u64,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was stored.
    Put,
    /// It was removed.
    Delete,
    /// It ended with its lease.
    Expire,
}

impl EventKind {
    /// The kind as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Expire => "expire",
        }
    }
}

//! What clients have the replicated state do, as the log keeps it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causal::clock::Dot;
use crate::control::request::RequestTag;
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::modes::{Mode, Rule};

/// A change of the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Command {
    /// Stores a value.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Value,
    },
    /// Removes a key.
    Delete(Key),
    /// Removes all keys that begin so.
    DeletePrefix(String),
    /// Gives the keys of a prefix to a mode, if there are none.
    SetMode {
        /// What they begin with.
        prefix: String,
        /// How they are to be replicated.
        rule: Rule,
    },
}

/// Which client's how manieth write: what makes a retry recognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// 128 random bits.
    pub client: u128,
    /// Counted up by the client.
    pub seq: u64,
}

impl Tag {
    /// The tag of a request; the line has been checked.
    pub fn of(tag: &RequestTag) -> Option<Self> {
        let client = u128::from_str_radix(&tag.client, 16).ok()?;
        Some(Self { client, seq: tag.seq })
    }
}

/// A command on its way through the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// Of the request, if it has one.
    pub tag: Option<Tag>,
    /// What to do.
    pub command: Command,
}

/// A proposal inside its bytes: postcard lays out both alike.
#[derive(Debug, Deserialize)]
pub struct Encoded<'a> {
    /// Of the request, if it has one.
    pub tag: Option<Tag>,
    /// What to do.
    #[serde(borrow)]
    pub command: EncodedCommand<'a>,
}

/// A [`Command`] inside its bytes.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "they are those of Command")]
pub enum EncodedCommand<'a> {
    Put { key: &'a str, value: &'a [u8] },
    Delete(&'a str),
    DeletePrefix(&'a str),
    SetMode { prefix: &'a str, rule: Rule },
}

impl Proposal {
    /// The bytes that go through the log.
    pub fn encode(&self) -> Bytes {
        let bytes = postcard::to_stdvec(self).expect("a proposal has no unsized part");
        // The log keeps it: without the room that the vector has left.
        bytes.into_boxed_slice().into()
    }
}

impl<'a> Encoded<'a> {
    /// The proposal in `bytes`, if there is one that this version knows.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// What a command did; the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The value is stored.
    Put {
        /// Of the write.
        revision: u64,
    },
    /// So many keys were removed.
    Deleted {
        /// How many there were.
        deleted: u64,
        /// Of the removal; without one, the latest.
        revision: u64,
    },
    /// The prefix has the mode.
    ModeSet,
    /// Nothing was done.
    Refused(Refused),
    /// In causal mode: the last write that was made for it.
    Originated {
        /// The write.
        dot: Dot,
        /// Its revision.
        revision: u64,
        /// How many keys or elements were removed.
        deleted: u64,
    },
}

/// Why a command did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// The prefix has keys.
    HasKeys,
    /// The key belongs to another mode by now.
    OtherMode(Mode),
    /// The same client and seq came before with another command.
    OtherCommand,
    /// The client's seq is too far behind its latest ones to tell whether it was executed.
    Forgotten,
    /// The table has as many rows as it takes.
    TooManyModes,
    /// The bytes are no command that this version knows.
    Unreadable,
}

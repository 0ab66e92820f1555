//! What clients have the replicated state do, as the log keeps it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::control::kv::{Claimant, OnceId, PutOptions, Txn};
use crate::control::request::{RequestTag, Selection};
use crate::identity::LeaseId;
use crate::kv::condition::Conditions;
use crate::kv::key::Key;
use crate::kv::lock::Claim;
use crate::kv::value::Value;
use crate::modes::Rule;

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
    /// What a user asked for.
    By {
        /// Who, as the kernel of the node that was asked said.
        uid: Option<u32>,
        /// It is done once in a day under this id.
        once: Option<OnceId>,
        /// What, as bytes: another command.
        command: Bytes,
    },
    /// What takes more words than a put or a deletion.
    More(Box<More>),
}

/// The commands of the data model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum More {
    /// Stores a value under conditions, or with a lease.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// When, and what goes with it.
        options: PutOptions,
    },
    /// Removes keys under conditions.
    Delete {
        /// Which.
        selection: Selection,
        /// When.
        conditions: Conditions,
        /// Whether the outcome has the value before.
        previous: bool,
    },
    /// Adds to a number.
    Incr {
        /// Which.
        key: Key,
        /// How much.
        delta: i64,
    },
    /// Several operations at once.
    Txn(Txn),
    /// Forgets what was before a revision.
    Compact(u64),
    /// Forgets what is older than so many milliseconds.
    CompactOlder(u64),
    /// Begins a lease.
    Grant {
        /// Its name, if the client has one for it.
        lease: Option<LeaseId>,
        /// How long it lasts without being kept alive.
        ttl_ms: u64,
    },
    /// Ends a lease.
    Revoke(LeaseId),
    /// Lets a lease last for its whole time from here on.
    KeepAlive(LeaseId),
    /// Claims a lock.
    Lock {
        /// Which.
        name: Key,
        /// The claim.
        claim: Claim,
        /// Whether to give up rather than to wait.
        no_wait: bool,
    },
    /// Gives a lock back.
    Unlock {
        /// Which.
        name: Key,
        /// Whose.
        by: Claimant,
    },
    /// Nothing but the time.
    Tick,
    /// Gives up a claim to a lock that still waits. One that is granted by now stays: whoever holds it
    /// may know of it by another request.
    Withdraw {
        /// Which lock.
        name: Key,
        /// Whose claim.
        token: u64,
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
    By { uid: Option<u32>, once: Option<OnceId>, command: &'a [u8] },
    More(Box<More>),
}

impl<'a> EncodedCommand<'a> {
    /// The command in `bytes`, if there is one that this version knows.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

impl Command {
    /// The same, asked for by a user.
    pub fn by(self, uid: Option<u32>, once: Option<OnceId>) -> Self {
        let command = postcard::to_stdvec(&self).expect("a command has no unsized part");
        Self::By { uid, once, command: command.into() }
    }
}

impl From<More> for Command {
    fn from(more: More) -> Self {
        Self::More(Box::new(more))
    }
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

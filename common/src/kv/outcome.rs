//! What commands do, as clients and the table of sessions are told.

use serde::{Deserialize, Serialize};

use crate::causal::clock::Dot;
use crate::identity::LeaseId;
use crate::kv::key::Key;
use crate::kv::store::Item;
use crate::kv::value::Value;
use crate::modes::Mode;

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
    /// The value is stored, and there is more to say.
    Written {
        /// Of the write.
        revision: u64,
        /// What the key held.
        previous: Option<Value>,
        /// The lease that was made for it.
        lease: Option<LeaseId>,
    },
    /// The key is removed.
    Removed {
        /// How many there were.
        deleted: u64,
        /// Of the removal; without one, the latest.
        revision: u64,
        /// What the key held.
        previous: Option<Value>,
    },
    /// The number was added to.
    Counted {
        /// What it is at.
        value: i64,
        /// Of the write.
        revision: u64,
    },
    /// The transaction is done.
    Txn {
        /// Whether its conditions held.
        succeeded: bool,
        /// What its operations did.
        results: Vec<OpOutcome>,
        /// Of all its writes; without one, the latest.
        revision: u64,
    },
    /// History begins there.
    Compacted {
        /// The first revision that can be told.
        floor: u64,
    },
    /// The lease runs.
    Leased {
        /// Which.
        lease: LeaseId,
        /// How long it lasts from here on.
        ttl_ms: u64,
        /// How many keys end with it.
        keys: u64,
    },
    /// The lease has ended.
    Revoked {
        /// How many keys ended with it.
        deleted: u64,
        /// Of their removal; without one, the latest.
        revision: u64,
    },
    /// The lock is claimed.
    Claimed {
        /// The token.
        token: u64,
        /// Whether it is held under it at once.
        is_granted: bool,
    },
    /// The lock is given back.
    Unlocked {
        /// Whether there was such a claim.
        released: bool,
    },
    /// The time was told.
    Ticked,
}

impl Outcome {
    /// The revision of what was written, or of the state that nothing was written to; 0 where there
    /// is none to tell.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Put { revision }
            | Self::Deleted { revision, .. }
            | Self::Originated { revision, .. }
            | Self::Written { revision, .. }
            | Self::Removed { revision, .. }
            | Self::Counted { revision, .. }
            | Self::Txn { revision, .. }
            | Self::Revoked { revision, .. }
            | Self::Claimed { token: revision, .. } => *revision,
            Self::ModeSet
            | Self::Refused(_)
            | Self::Compacted { .. }
            | Self::Leased { .. }
            | Self::Unlocked { .. }
            | Self::Ticked => 0,
        }
    }
}

/// What an operation of a transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpOutcome {
    /// The value is stored.
    Put {
        /// What the key held.
        previous: Option<Value>,
    },
    /// Keys are removed.
    Delete {
        /// How many there were.
        deleted: u64,
        /// What the key held.
        previous: Option<Value>,
    },
    /// What the key holds.
    Get {
        /// Which key.
        key: Key,
        /// None if it does not exist.
        item: Option<Item>,
    },
    /// What the first keys hold.
    List {
        /// In the order of their bytes.
        items: Vec<(Key, Item)>,
        /// The first key behind these.
        next: Option<Key>,
    },
    /// What the number is at.
    Incr {
        /// Just that.
        value: i64,
    },
}

impl Outcome {
    /// What it takes to remember it, in bytes: about.
    pub fn weight(&self) -> u64 {
        const BASE: u64 = 64;
        let of = |value: &Option<Value>| value.as_ref().map_or(0, |v| v.as_bytes().len() as u64);
        let rest = match self {
            Self::Written { previous, .. } | Self::Removed { previous, .. } => of(previous),
            Self::Txn { results, .. } => results.iter().map(OpOutcome::weight).sum(),
            Self::Put { .. }
            | Self::Deleted { .. }
            | Self::ModeSet
            | Self::Refused(_)
            | Self::Originated { .. }
            | Self::Counted { .. }
            | Self::Compacted { .. }
            | Self::Leased { .. }
            | Self::Revoked { .. }
            | Self::Claimed { .. }
            | Self::Unlocked { .. }
            | Self::Ticked => 0,
        };
        BASE + rest
    }
}

impl OpOutcome {
    /// What it takes, in bytes: about.
    pub fn weight(&self) -> u64 {
        const BASE: u64 = 64;
        let item = |key: &Key, item: &Item| (key.as_str().len() + item.bytes().len()) as u64 + BASE;
        BASE + match self {
            Self::Put { previous } | Self::Delete { previous, .. } => {
                previous.as_ref().map_or(0, |value| value.as_bytes().len() as u64)
            }
            Self::Get { key, item: held } => held.as_ref().map_or(0, |held| item(key, held)),
            Self::List { items, .. } => items.iter().map(|(key, held)| item(key, held)).sum(),
            Self::Incr { .. } => 0,
        }
    }
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
    /// The condition was false.
    Condition {
        /// The revision that wrote the key last; 0 where it does not exist.
        mod_revision: u64,
    },
    /// Somebody has got the lock after the holder with that token.
    Fenced,
    /// There is no such lease, or its time is over.
    NoLease,
    /// There is a lease with that name.
    LeaseExists,
    /// There are as many leases, or claims to the lock, as are taken.
    TooMany,
    /// What the key holds is no number.
    NotANumber,
    /// The sum is beyond 64 bits.
    Overflow,
    /// What is read at once is too much for an answer.
    TooLarge,
    /// The lock is not free.
    Busy,
    /// The same `once` came before with another command.
    OtherOnce,
    /// As many `once` ids are remembered as are taken.
    TooManyOnce,
    /// That revision is yet to come.
    Future,
}

//! What a client asks of the keys in raft mode beyond putting, getting, deleting and listing:
//! conditions, transactions, history, leases and locks. Other modes refuse all of it.

pub mod reply;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::request::{Range, Read, Selection};
use crate::identity::LeaseId;
use crate::kv::condition::{Compare, Conditions};
use crate::kv::key::Key;
use crate::kv::value::Value;

/// The operations that take a consensus.
#[derive(Debug, Clone, PartialEq)]
pub enum Kv {
    /// A put that is more than one.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// When, and what goes with it.
        options: PutOptions,
    },
    /// A deletion that is more than one.
    Delete {
        /// Which keys.
        selection: Selection,
        /// When. Of a prefix only a fence is taken.
        conditions: Conditions,
        /// Whether the answer has the value before; of one key only.
        previous: bool,
    },
    /// What a key held.
    Get {
        /// Which.
        key: Key,
        /// When.
        at: Moment,
        /// How fresh the node must be.
        read: Option<Read>,
    },
    /// What keys held.
    List {
        /// Which.
        range: Range,
        /// When.
        at: Moment,
    },
    /// All versions of a key that are kept.
    History {
        /// Which key.
        key: Key,
        /// From this revision on; without it, from the oldest.
        from: Option<u64>,
        /// At most so many.
        limit: Option<u64>,
        /// How fresh the node must be.
        read: Option<Read>,
    },
    /// Which keys hold something else at `to` than at `from`.
    Diff {
        /// What the keys begin with.
        prefix: String,
        /// The older state.
        from: u64,
        /// The newer; without it, the latest.
        to: Option<u64>,
        /// The first key that counts.
        start: Option<String>,
        /// At most so many keys.
        limit: Option<u64>,
        /// How fresh the node must be.
        read: Option<Read>,
    },
    /// Forgets history.
    Compact(Keep),
    /// Several operations at once.
    Txn(Txn),
    /// Begins a lease.
    LeaseGrant {
        /// How long it lasts without being kept alive.
        ttl: Duration,
        /// What it is to be called; without it, the cluster finds a name.
        lease: Option<LeaseId>,
    },
    /// Ends a lease, and removes its keys.
    LeaseRevoke(LeaseId),
    /// Lets a lease last for its whole time from here on.
    LeaseKeepAlive(LeaseId),
    /// How long a lease lasts, and which keys it has.
    LeaseShow(LeaseId),
    /// All leases.
    LeaseList,
    /// Claims a lock, and waits for its turn. An election is a lock whose holder leads.
    Lock(Lock),
    /// Gives a lock back, or the claim to it.
    Unlock {
        /// Which.
        name: Key,
        /// Whose.
        by: Claimant,
    },
    /// Who holds a lock or leads.
    Leader {
        /// Which.
        name: Key,
        /// Waits until it is held under another token than this.
        after: Option<u64>,
        /// How fresh the node must be.
        read: Option<Read>,
    },
}

/// A point of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After this revision.
    Revision(u64),
    /// At this time, in milliseconds since 1970, by the clocks of the leaders.
    UnixMs(u64),
}

/// What a put is done under, and what else it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOptions {
    /// When it is done.
    pub conditions: Conditions,
    /// The lease with which the key ends.
    pub lease: Option<LeaseId>,
    /// A lease of its own, of so many milliseconds.
    pub ttl_ms: Option<u64>,
    /// Whether the answer has the value before.
    pub previous: bool,
}

/// Which history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// From this revision on.
    From(u64),
    /// As long as it is no older than so.
    Age(Duration),
}

/// Operations that are done at once, at one revision, or others in their place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// All of these must hold.
    pub compares: Vec<Compare>,
    /// What is done then.
    pub then: Vec<TxnOp>,
    /// What is done else.
    pub otherwise: Vec<TxnOp>,
}

/// An operation of a transaction. Each sees what those before it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOp {
    /// Stores a value. A transaction stores no key twice.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// The lease with which the key ends.
        lease: Option<LeaseId>,
        /// Whether the result has the value before.
        previous: bool,
    },
    /// Removes keys.
    Delete {
        /// Which.
        selection: Selection,
        /// Whether the result has the value before; of one key only.
        previous: bool,
    },
    /// Reads a key.
    Get(Key),
    /// Reads the first keys of a prefix.
    List {
        /// What they begin with.
        prefix: String,
        /// At most so many.
        limit: Option<u64>,
    },
    /// Adds to a number.
    Incr {
        /// Which.
        key: Key,
        /// How much.
        delta: i64,
    },
}

/// The operations of a transaction, then and else together.
pub const TXN_OPS_MAX: usize = 256;

/// A claim to a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Of which lock. It belongs to a mode as a key does, but is none.
    pub name: Key,
    /// The claim ends with it.
    pub lease: LeaseId,
    /// With whom it may be held.
    pub sharing: Sharing,
    /// What others are told of the holder: of an election, who leads.
    pub value: Value,
    /// Whether to give up rather than to wait.
    pub no_wait: bool,
    /// Whether it is called an election.
    pub is_election: bool,
}

/// With whom a lock may be held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// With nobody.
    #[default]
    Exclusive,
    /// With others who share it.
    Shared,
    /// By so many at a time.
    Slots(u32),
}

/// Whose claim to a lock is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claimant {
    /// The one with this token.
    Token(u64),
    /// That of this lease.
    Lease(LeaseId),
}

/// The longest `once` id, in bytes.
pub const ONCE_BYTES_MAX: usize = 256;

/// What makes a write happen once in a day, whoever sends it, however often.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OnceId(Arc<str>);

impl OnceId {
    /// The id, if it is one: 1 to 256 bytes.
    pub fn new(text: Arc<str>) -> Option<Self> {
        (1..=ONCE_BYTES_MAX).contains(&text.len()).then_some(Self(text))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Kv {
    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Put { .. }
            | Self::Delete { .. }
            | Self::Compact(_)
            | Self::Txn(_)
            | Self::LeaseGrant { .. }
            | Self::LeaseRevoke(_)
            | Self::LeaseKeepAlive(_)
            | Self::Lock(_)
            | Self::Unlock { .. } => true,
            Self::Get { .. }
            | Self::List { .. }
            | Self::History { .. }
            | Self::Diff { .. }
            | Self::LeaseShow(_)
            | Self::LeaseList
            | Self::Leader { .. } => false,
        }
    }

    /// Whether it may take as long as it likes.
    pub fn is_long(&self) -> bool {
        match self {
            Self::Lock(lock) => !lock.no_wait,
            Self::Leader { after, .. } => after.is_some(),
            Self::Put { .. }
            | Self::Delete { .. }
            | Self::Get { .. }
            | Self::List { .. }
            | Self::History { .. }
            | Self::Diff { .. }
            | Self::Compact(_)
            | Self::Txn(_)
            | Self::LeaseGrant { .. }
            | Self::LeaseRevoke(_)
            | Self::LeaseKeepAlive(_)
            | Self::LeaseShow(_)
            | Self::LeaseList
            | Self::Unlock { .. } => false,
        }
    }

    /// What it names: each must be in raft mode.
    pub fn selections(&self) -> Vec<Selection> {
        let key = |key: &Key| vec![Selection::Key(key.clone())];
        match self {
            Self::Put { key: one, .. }
            | Self::Get { key: one, .. }
            | Self::History { key: one, .. } => key(one),
            Self::Delete { selection, .. } => vec![selection.clone()],
            Self::List { range, .. } => vec![Selection::Prefix(range.prefix.clone())],
            Self::Diff { prefix, .. } => vec![Selection::Prefix(prefix.clone())],
            Self::Txn(txn) => txn.selections(),
            Self::Lock(lock) => key(&lock.name),
            Self::Unlock { name, .. } | Self::Leader { name, .. } => key(name),
            Self::Compact(_)
            | Self::LeaseGrant { .. }
            | Self::LeaseRevoke(_)
            | Self::LeaseKeepAlive(_)
            | Self::LeaseShow(_)
            | Self::LeaseList => Vec::new(),
        }
    }
}

impl TxnOp {
    /// Whether it stores something.
    pub fn stores(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Incr { .. })
    }
}

impl Txn {
    fn selections(&self) -> Vec<Selection> {
        let compared = self.compares.iter().map(|compare| Selection::Key(compare.key.clone()));
        let named = self.then.iter().chain(&self.otherwise).map(|op| match op {
            TxnOp::Put { key, .. } | TxnOp::Get(key) | TxnOp::Incr { key, .. } => {
                Selection::Key(key.clone())
            }
            TxnOp::Delete { selection, .. } => selection.clone(),
            TxnOp::List { prefix, .. } => Selection::Prefix(prefix.clone()),
        });
        compared.chain(named).collect()
    }
}

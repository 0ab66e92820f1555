//! What a client asks of a node.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::causal::context::Context;
use crate::control::Id;
use crate::control::acks::Acks;
use crate::control::condition::Condition;
use crate::control::fault::Fault;
use crate::control::kv::{Kv, OnceId};
use crate::control::trace::Recent;
use crate::control::watching::EventKind;
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::modes::Rule;

/// One line of a client, parsed and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Echoed in the reply; without one, the reply precedes the next line's reading.
    pub id: Option<Id>,
    /// After which the client waits no longer.
    pub timeout: Option<Duration>,
    /// Makes a retry of a write in raft mode harmless. Broadcast mode keeps no table of these: its
    /// writes of a value are idempotent by themselves.
    pub tag: Option<RequestTag>,
    /// Makes a write in raft mode happen once in a day, whoever sends it.
    pub once: Option<OnceId>,
    /// Who asks, as the kernel says; told by the daemon, never by the line.
    pub uid: Option<u32>,
    /// The operation.
    pub request: Request,
}

impl Call {
    /// A call without what may go with it.
    pub fn new(request: Request) -> Self {
        Self { id: None, timeout: None, tag: None, once: None, uid: None, request }
    }
}

/// The `request` member: one client's number for one write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestTag {
    /// 128 random bits, as 32 hexadecimal digits.
    pub client: String,
    /// Counted up by the client.
    pub seq: u64,
}

/// The operations of this node.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Who is there, and what it can do.
    Hello,
    /// Stores a value.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// In causal mode: who must have it before it is answered.
        acks: Acks,
        /// In causal mode: what the client has seen. The write takes the place of the versions in
        /// it; without one, of all that the node holds.
        context: Option<Context>,
    },
    /// Reads a key.
    Get {
        /// Which.
        key: Key,
        /// How fresh.
        read: Option<Read>,
        /// In causal mode: what the node must have seen.
        context: Option<Context>,
        /// In raft mode, of a session: the revision that the node must have reached.
        min_revision: Option<u64>,
    },
    /// Removes keys.
    Delete {
        /// Which.
        selection: Selection,
        /// As of [`Request::Put`].
        acks: Acks,
        /// As of [`Request::Put`].
        context: Option<Context>,
    },
    /// Adds to a counter.
    Incr {
        /// Which.
        key: Key,
        /// How much; less than 0 to take away.
        delta: i64,
        /// As of [`Request::Put`].
        acks: Acks,
        /// What the node must have seen.
        context: Option<Context>,
    },
    /// Adds an element to a set.
    Add {
        /// Which set.
        key: Key,
        /// The element.
        value: Value,
        /// As of [`Request::Put`].
        acks: Acks,
        /// What the node must have seen.
        context: Option<Context>,
    },
    /// Takes an element out of a set.
    Remove {
        /// Which set.
        key: Key,
        /// The element.
        value: Value,
        /// As of [`Request::Put`].
        acks: Acks,
        /// What the node must have seen.
        context: Option<Context>,
    },
    /// The keys with siblings that somebody has to resolve.
    Conflicts {
        /// What they begin with.
        prefix: String,
        /// The first key that counts.
        start: Option<String>,
        /// At most so many.
        limit: Option<u64>,
        /// What the node must have seen.
        context: Option<Context>,
    },
    /// Puts one value in the place of siblings.
    Resolve {
        /// Of which key.
        key: Key,
        /// The value.
        value: Value,
        /// What the client has seen, as of [`Request::Put`].
        context: Option<Context>,
    },
    /// What raft mode alone can do.
    Kv(Box<Kv>),
    /// Reads a range of keys, in the order of their bytes.
    List(Range),
    /// Follows changes.
    Watch {
        /// Of which keys.
        selection: Selection,
        /// From which revision on; without one, from here on.
        from: Option<u64>,
        /// Whether events carry the value before.
        previous: bool,
        /// What is told; all, where it is left out.
        only: Option<Vec<EventKind>>,
        /// How often a quiet watch says how far it is.
        progress: Option<Duration>,
    },
    /// Ends a watch or a wait of the same connection.
    Cancel {
        /// Its id.
        target: Id,
    },
    /// What the node knows of itself and its peers.
    Status,
    /// The members of the cluster.
    Members,
    /// Waits until something is so.
    Wait(Condition),
    /// Whether the process works at all.
    Live,
    /// Whether the node serves.
    Ready,
    /// Whether node and cluster are whole.
    Health,
    /// Takes the state of every connected peer once more, and merges it.
    Sync {
        /// Of which keys; of all where it is left out.
        prefix: Option<String>,
        /// Tells what would change, and changes nothing.
        dry_run: bool,
    },
    /// Sets, clears or tells the faults of this node's own links, disk and clock.
    Fault(Option<Fault>),
    /// What the node has observed of late.
    Trace(Recent),
    /// Changes who belongs to the cluster.
    Member {
        /// How.
        change: MemberChange,
        /// Whom, by name or id.
        member: String,
        /// Tells what would be, and changes nothing.
        dry_run: bool,
    },
    /// Hands leadership over.
    TransferLeader {
        /// To whom, by name or id; to the best where none is named.
        member: Option<String>,
    },
    /// Gives the keys of a prefix to a mode.
    ModeSet {
        /// What the keys begin with.
        prefix: String,
        /// How they are to be replicated.
        rule: Rule,
        /// Tells whether it could be done, and changes nothing.
        dry_run: bool,
    },
    /// The mode table.
    Modes,
    /// Why reads or writes work, or don't.
    Explain {
        /// Of which key; without one, of the default mode.
        key: Option<Key>,
        /// Which of the two; both where it is left open.
        purpose: Option<Purpose>,
    },
}

/// How the members change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// It is one no longer.
    Remove,
    /// A learner becomes a voter.
    Promote,
}

/// What `explain` explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Linearizable reads.
    Read,
    /// Writes.
    Write,
}

impl Request {
    /// Stores a value; what causal mode can be asked for besides is left out.
    pub fn put(key: Key, value: Value) -> Self {
        Self::Put { key, value, acks: Acks::default(), context: None }
    }

    /// Reads a key; what a session asks for besides is left out.
    pub fn get(key: Key, read: Option<Read>) -> Self {
        Self::Get { key, read, context: None, min_revision: None }
    }

    /// Removes keys; what causal mode can be asked for besides is left out.
    pub fn delete(selection: Selection) -> Self {
        Self::Delete { selection, acks: Acks::default(), context: None }
    }

    /// Syncs all keys.
    pub fn sync() -> Self {
        Self::Sync { prefix: None, dry_run: false }
    }

    /// In causal mode: what the client has seen, and the node must have.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are about no keys")]
    pub fn context(&self) -> Option<&Context> {
        match self {
            Self::Put { context, .. }
            | Self::Get { context, .. }
            | Self::Delete { context, .. }
            | Self::Incr { context, .. }
            | Self::Add { context, .. }
            | Self::Remove { context, .. }
            | Self::Conflicts { context, .. }
            | Self::Resolve { context, .. } => context.as_ref(),
            Self::List(range) => range.context.as_ref(),
            _ => None,
        }
    }

    /// In causal mode: who must have a write before it is answered.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others take none")]
    pub fn acks(&self) -> Acks {
        match self {
            Self::Put { acks, .. }
            | Self::Delete { acks, .. }
            | Self::Incr { acks, .. }
            | Self::Add { acks, .. }
            | Self::Remove { acks, .. } => *acks,
            _ => Acks::default(),
        }
    }

    /// Whether it may take as long as it likes.
    pub fn is_long(&self) -> bool {
        matches!(self, Self::Watch { .. } | Self::Wait(_))
            || matches!(self, Self::Kv(kv) if kv.is_long())
    }

    /// Whether it may change keys.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Put { .. }
            | Self::Delete { .. }
            | Self::Incr { .. }
            | Self::Add { .. }
            | Self::Remove { .. }
            | Self::Resolve { .. } => true,
            Self::Kv(kv) => kv.is_write(),
            Self::ModeSet { dry_run, .. } => !dry_run,
            Self::Hello
            | Self::Get { .. }
            | Self::Conflicts { .. }
            | Self::List(_)
            | Self::Watch { .. }
            | Self::Cancel { .. }
            | Self::Status
            | Self::Members
            | Self::Wait(_)
            | Self::Live
            | Self::Ready
            | Self::Health
            | Self::Sync { .. }
            | Self::Fault(_)
            | Self::Trace(_)
            | Self::Member { .. }
            | Self::TransferLeader { .. }
            | Self::Modes
            | Self::Explain { .. } => false,
        }
    }
}

/// How fresh a read must be; linearizable in raft mode where nothing is said. Broadcast mode reads
/// locally, and says so in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// As if there were one copy.
    Linearizable,
    /// No older than what the session has seen.
    Session,
    /// Whatever this node holds.
    Stale,
}

/// One key, or all keys with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Selection {
    /// Just this one.
    Key(Key),
    /// All that begin with it.
    Prefix(String),
}

impl Selection {
    /// Whether `key` belongs to it.
    pub fn contains(&self, key: &Key) -> bool {
        match self {
            Self::Key(one) => one == key,
            Self::Prefix(prefix) => key.as_str().starts_with(prefix.as_str()),
        }
    }
}

/// Keys with `prefix` that are at least `start` and below `end`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// What the keys begin with; empty for all.
    pub prefix: String,
    /// The first key that counts.
    pub start: Option<String>,
    /// The first key that no longer counts.
    pub end: Option<String>,
    /// At most so many items.
    pub limit: Option<u64>,
    /// Without values.
    pub keys_only: bool,
    /// Without items.
    pub count_only: bool,
    /// How fresh.
    pub read: Option<Read>,
    /// In causal mode: what the node must have seen.
    pub context: Option<Context>,
    /// In raft mode, of a session: the revision that the node must have reached.
    pub min_revision: Option<u64>,
}

//! What a client asks of a node.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::Id;
use crate::control::condition::Condition;
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::modes::Mode;

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
    /// The operation.
    pub request: Request,
}

impl Call {
    /// A call without id, timeout and tag.
    pub fn new(request: Request) -> Self {
        Self { id: None, timeout: None, tag: None, request }
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
    },
    /// Reads a key.
    Get {
        /// Which.
        key: Key,
        /// How fresh.
        read: Option<Read>,
    },
    /// Removes keys.
    Delete(Selection),
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
    Sync,
    /// Sets, clears or tells the faults of this node's own links and disk.
    Fault(Option<Fault>),
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
        mode: Mode,
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
    /// Whether it may change keys.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Delete(_) | Self::ModeSet { dry_run: false, .. })
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// One change of a node's faults, on its own links or its disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What happens to frames.
    pub kind: FaultKind,
    /// On the links to these peers, by name; to all where empty.
    pub peers: Vec<String>,
    /// Which way.
    pub direction: Direction,
}

/// What happens to the frames of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// All links are cut.
    Isolate,
    /// The links are cut.
    Partition,
    /// A frame is lost with this probability, 0 to 1.
    Drop(f64),
    /// Frames are so much later.
    Delay(Duration),
    /// A frame comes twice with this probability, 0 to 1.
    Duplicate(f64),
    /// Each sync of this node's own disk takes so much longer. It names no peers.
    Disk(Duration),
    /// All is well again, the disk too.
    Heal,
}

/// Which way a fault works, seen from the node that has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// What the peer sends.
    In,
    /// What the peer is sent.
    Out,
}

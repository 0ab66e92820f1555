//! What a node answers.

use serde::{Deserialize, Serialize};

use crate::control::Id;
use crate::control::bytes::{self, Base64Bytes, TextBytes};
use crate::control::cluster::{Explain, MemberChanged, Modes, Transferred};
use crate::control::conflict::{Conflicts, Sibling};
use crate::control::failure::Failure;
use crate::control::fault::Faults;
use crate::control::kv::reply::KvReply;
use crate::control::status::{Check, Hello, Members, Status};
use crate::control::trace::Trace;
use crate::control::watching::WatchBegun;
use crate::identity::{LeaseId, NodeName};
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::modes::Mode;

/// One line of a node.
///
/// `R` is [`Reply`] on the node's side, and the struct of the operation on the client's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyLine<R> {
    /// The request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// Whether there is a result, or an error.
    pub ok: bool,
    /// Who answers, and from where in its history.
    pub header: Header,
    /// Where `ok`.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub result: Option<R>,
    /// Where not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// serde's own default would ask for `R: Default`.
fn none<R>() -> Option<R> {
    None
}

impl<R> ReplyLine<R> {
    /// The line for `outcome`.
    pub fn new(id: Option<Id>, header: Header, outcome: Result<R, Failure>) -> Self {
        let ok = outcome.is_ok();
        let (result, error) = match outcome {
            Ok(result) => (Some(result), None),
            Err(failure) => (None, Some(failure)),
        };
        Self { id, ok, header, result, error }
    }
}

/// Who answers; the other members only where they mean something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The node that answers.
    pub node: NodeName,
    /// The mode of the keys in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// In raft mode: the term that the node is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// In raft mode the revision of the state that answers, and for a write no less than the write's
    /// own; in the others the node's Lamport clock for these. None of reads ever goes back while the
    /// node runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Of a read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
}

impl Header {
    /// That of an answer that is about no keys.
    pub fn of(node: NodeName) -> Self {
        Self { node, mode: None, term: None, revision: None, served: None }
    }
}

/// What a read can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Served {
    /// As if there were one copy.
    Linearizable,
    /// No older than what the session has seen.
    Session,
    /// An old state, as was asked for.
    Stale,
    /// This node's own copy, which may differ from others'.
    Local,
}

/// The results, one struct for each operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// Of `hello`.
    Hello(Box<Hello>),
    /// Of `put`, `add`, `remove` and `resolve`.
    Put(Put),
    /// Of `get`.
    Get(Box<Get>),
    /// Of `delete`.
    Delete(Delete),
    /// Of `list`.
    List(List),
    /// Of `incr`.
    Count(Count),
    /// Of `conflicts`.
    Conflicts(Conflicts),
    /// Of `watch`: it has begun.
    Watch(WatchBegun),
    /// Of `cancel`.
    Cancel(Cancelled),
    /// Of `status`.
    Status(Box<Status>),
    /// Of `members`.
    Members(Members),
    /// Of `wait`.
    Wait(Waited),
    /// Of `live`, `ready` and `health`.
    Check(Check),
    /// Of `sync`.
    Sync(Synced),
    /// Of `fault`.
    Fault(Faults),
    /// Of `trace`.
    Trace(Trace),
    /// Of `member_remove` and `member_promote`.
    MemberChanged(MemberChanged),
    /// Of `transfer_leader`.
    Transferred(Transferred),
    /// Of `mode_set` and `modes`.
    Modes(Modes),
    /// Of `explain`.
    Explain(Box<Explain>),
    /// Of what raft mode alone can do.
    Kv(Box<KvReply>),
}

/// A value was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Of the write.
    pub revision: u64,
    /// In broadcast mode: to how many peers it was sent; nobody says that it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<usize>,
    /// In causal mode: who has it on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acks: Option<Vec<NodeName>>,
    /// In causal mode: what the node has seen, this write included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The value before, where it was asked for and there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_b64: Option<Base64Bytes>,
    /// The lease with which the key ends, where it got one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// Whether it had been executed before, under the same `request` or `once`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

impl Put {
    /// A write that was made here and of which there is nothing else to say.
    pub fn of(revision: u64) -> Self {
        Self {
            revision,
            sent_to: None,
            acks: None,
            context: None,
            previous: None,
            previous_b64: None,
            lease: None,
            duplicate: false,
        }
    }
}

/// Keys were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// How many were there.
    pub deleted: u64,
    /// Of the last removal; where nothing was removed, the latest.
    pub revision: u64,
    /// In broadcast mode: to how many peers it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<usize>,
    /// In causal mode: who has it on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acks: Option<Vec<NodeName>>,
    /// In causal mode: what the node has seen, this write included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The value before, where it was asked for and there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_b64: Option<Base64Bytes>,
    /// Whether it had been executed before, under the same `request` or `once`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

impl Delete {
    /// A removal that was made here and of which there is nothing else to say.
    pub fn of(deleted: u64, revision: u64) -> Self {
        Self {
            deleted,
            revision,
            sent_to: None,
            acks: None,
            context: None,
            previous: None,
            previous_b64: None,
            duplicate: false,
        }
    }
}

/// A counter was added to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What it is at, as this node knows.
    pub value: i64,
    /// Of the write.
    pub revision: u64,
    /// Who has it on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acks: Option<Vec<NodeName>>,
    /// What the node has seen, this write included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Whether it had been executed before, under the same `request`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

impl Count {
    /// What a number is at, and of which nothing else is to be said.
    pub fn of(value: i64, revision: u64) -> Self {
        Self { value, revision, acks: None, context: None, duplicate: false }
    }
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// Whether the key exists.
    pub found: bool,
    /// If so. In causal mode the value is the winner's, or what the resolver makes of all.
    #[serde(flatten)]
    pub item: Option<Item>,
    /// In causal mode: whether somebody has to resolve the siblings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conflict: bool,
    /// In causal mode: what stands side by side, where there is a conflict, or a set; the winner
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Sibling>,
    /// In causal mode: what the node has seen. A write that carries it takes the place of the
    /// siblings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl Get {
    /// The answer of a mode in which a key has one value at most.
    pub fn of(item: Option<Item>) -> Self {
        Self { found: item.is_some(), item, conflict: false, siblings: Vec::new(), context: None }
    }
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Which key.
    pub key: Key,
    /// Its value where that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TextBytes>,
    /// Its value where that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_b64: Option<Base64Bytes>,
    /// When the key came to be.
    pub create_revision: u64,
    /// When it was last written.
    pub mod_revision: u64,
    /// How often it has been written since it came to be.
    pub version: u64,
    /// In raft mode: the lease with which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
}

impl Item {
    /// An item with `value`, or without.
    pub fn new(key: Key, value: Option<Value>, create: u64, modified: u64, version: u64) -> Self {
        let (text, base64) = value.map_or((None, None), bytes::split);
        Self {
            key,
            value: text,
            value_b64: base64,
            create_revision: create,
            mod_revision: modified,
            version,
            lease: None,
        }
    }
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// In the order of the keys' bytes; empty with `count_only`.
    pub items: Vec<Item>,
    /// How many keys this page has, or with `count_only` the range.
    pub count: u64,
    /// Whether the range goes on behind this page.
    pub more: bool,
    /// The `start` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Key>,
    /// In causal mode: what the node has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// A watch or wait was asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Whether there was one of that id.
    pub cancelled: bool,
}

/// What `wait` waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// What became true.
    pub became: String,
}

/// The state of all connected peers was merged, or compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// Whose state.
    pub from: Vec<NodeName>,
    /// How many keys changed here, or would.
    pub changed: u64,
    /// Of a dry run: the keys that would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differing: Option<Vec<Key>>,
}

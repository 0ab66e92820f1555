//! What a node answers about itself, its peers, and its protocol.

use serde::{Deserialize, Serialize};

use crate::identity::{ClusterId, NodeId, NodeName};
use crate::modes::ModeRow;

/// Who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::control::PROTOCOL`].
    pub protocol: u32,
    /// Of the daemon.
    pub version: String,
    /// Its name.
    pub node: NodeName,
    /// Its cluster, once it has one.
    pub cluster: Option<ClusterId>,
    /// What it can do: its replication modes, and `faults` where these are enabled.
    pub features: Vec<String>,
    /// The bounds it keeps.
    pub limits: Limits,
    /// Who the kernel says is asking.
    pub peer: Option<PeerCredentials>,
}

/// The bounds of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of a line.
    pub line_bytes: usize,
    /// Of JSON in a line.
    pub nesting: usize,
    /// Requests of a connection without a reply.
    pub outstanding: usize,
    /// Of a key.
    pub key_bytes: usize,
    /// Of a value.
    pub value_bytes: usize,
}

/// `SO_PEERCRED`, read at connect. For the record, not for authorisation: the socket's mode and
/// group decide who may connect, and a pid may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCredentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process.
    pub pid: i32,
}

/// What a node knows of itself and its peers; answered at any time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub node: NodeName,
    /// Its id.
    pub id: NodeId,
    /// Its cluster, once it has one.
    pub cluster: Option<ClusterId>,
    /// Where its peers reach it.
    pub address: String,
    /// How often it has started with its data directory.
    pub incarnation: u64,
    /// `leader`, `follower`, `candidate` or `learner`; `none` in a cluster founded in broadcast
    /// mode, which has no roles.
    pub role: String,
    /// Who leads, as far as this node knows; none after an election timeout without a word of it.
    pub leader: Option<NodeName>,
    /// How long ago this node last heard of the leader; none of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_contact_ms: Option<u64>,
    /// The term; 0 without a log.
    pub term: u64,
    /// All up to here is committed; 0 without a log.
    pub commit_index: u64,
    /// All up to here is in the state; 0 without a log.
    pub applied_index: u64,
    /// The last entry of the log; 0 without one.
    #[serde(default)]
    pub last_index: u64,
    /// The last entry in the newest snapshot.
    #[serde(default)]
    pub snapshot_index: u64,
    /// Of the state: counts modifying operations. In broadcast mode the node's Lamport clock.
    pub revision: u64,
    /// 16 hexadecimal digits, equal on two nodes that hold the same state.
    pub state_hash: String,
    /// Whether it serves.
    pub ready: bool,
    /// Why it does, or not yet.
    pub reason: String,
    /// Which keys are replicated how.
    pub modes: Vec<ModeRow>,
    /// All other members, in the order of their names.
    pub peers: Vec<PeerStatus>,
    /// Keys that exist.
    pub keys: u64,
    /// Deleted keys whose deletion is remembered.
    pub tombstones: u64,
    /// What keys and values take, in bytes, without the map around them.
    pub stored_bytes: u64,
    /// What the log takes in memory, in bytes.
    #[serde(default)]
    pub log_bytes: u64,
    /// What the log's files take on the disk, in bytes.
    #[serde(default)]
    pub wal_bytes: u64,
    /// Whether the disk has room for writes.
    #[serde(default)]
    pub disk_full: bool,
    /// Where causal mode runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causal: Option<CausalStatus>,
    /// Where raft mode runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raft: Option<RaftStatus>,
}

/// What a node holds in raft mode beside keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftStatus {
    /// What was before this revision is not kept.
    pub floor: u64,
    /// Changes that are kept.
    pub history_events: u64,
    /// What they take beyond the keys as they are, in bytes.
    pub history_bytes: u64,
    /// What keys and history may take together, in bytes; none without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Leases that run.
    pub leases: u64,
    /// Claims to locks, granted or not.
    pub claims: u64,
    /// Ids of `once` that are remembered.
    pub once_ids: u64,
    /// The clock that leases go by, in milliseconds: it stands still while nothing is written and
    /// there is no lease.
    pub log_ms: u64,
}

/// What a node knows of a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: NodeName,
    /// Where it is reached.
    pub address: String,
    /// As this node sees it.
    pub state: PeerState,
    /// Since its last frame; none since this node's start if there was none.
    pub last_contact_ms: Option<u64>,
    /// In broadcast mode: writes that the peer made in this incarnation and this node did not get
    /// from it, on their way or lost; syncing sets it to 0. In raft mode, at the leader: entries
    /// that the peer does not have yet.
    pub lag: u64,
    /// Why it is down, where that is known: `connection refused`, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where causal mode runs: whether it seems to have failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicion: Option<Suspicion>,
    /// Where causal mode runs: writes that this node keeps for it until it has acknowledged them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unacked: Option<u64>,
}

/// What the failure detector makes of a peer. It changes no data: it only has others pass on what
/// the peer may not be able to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspicion {
    /// Phi: the peer is suspected wrongly with a probability of one to ten to the power of this.
    pub level: f64,
    /// Whether it is suspected.
    pub suspected: bool,
    /// For how long it has been so, or not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Whether it hears this node, as far as it has said so: if not, the link works one way, or did
    /// before the connection was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hears_us: Option<bool>,
}

/// What a node holds in causal mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CausalStatus {
    /// The writes that it has seen: the `context` of its answers.
    pub clock: String,
    /// The Lamport clock: the revision of causal mode.
    pub lamport: u64,
    /// Keys that exist.
    pub keys: u64,
    /// Keys with siblings that someone has to resolve.
    pub conflicts: u64,
    /// Writes that are kept because a member has not acknowledged them yet.
    pub log_writes: u64,
    /// What these take, in bytes.
    pub log_bytes: u64,
    /// Writes that wait for others which they depend on.
    pub waiting: u64,
    /// Whose state it takes over at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syncing: Option<NodeName>,
}

/// How a member looks from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// Connected, and it serves.
    Up,
    /// Connected, and it does not serve yet.
    Syncing,
    /// Not connected.
    Down,
}

impl PeerState {
    /// The state as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Syncing => "syncing",
            Self::Down => "down",
        }
    }
}

/// The members of the cluster, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// This node among them.
    pub members: Vec<MemberStatus>,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Where its peers reach it.
    pub address: String,
    /// `leader`, `follower` or `learner`; `none` in a cluster founded in broadcast mode.
    pub role: String,
    /// As this node sees it.
    pub state: PeerState,
}

/// The answer of `live`, `ready` and `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Whether all is well.
    pub ok: bool,
    /// Why.
    pub reason: String,
}

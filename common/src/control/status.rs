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
    /// `none`: broadcast mode has no roles.
    pub role: String,
    /// None: broadcast mode has no leader.
    pub leader: Option<NodeName>,
    /// 0: broadcast mode has no terms.
    pub term: u64,
    /// 0: broadcast mode has no log.
    pub commit_index: u64,
    /// 0: broadcast mode has no log.
    pub applied_index: u64,
    /// The node's Lamport clock.
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
    /// Writes that the peer made in this incarnation and this node did not get from it: on their
    /// way, or lost. Syncing sets it to 0.
    pub lag: u64,
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
    /// `none`: broadcast mode has no roles.
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

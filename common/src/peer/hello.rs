//! The handshake: who is there, and whether we talk.

use serde::{Deserialize, Serialize};

use crate::identity::{ClusterId, Incarnation, NodeId, NodeName};
use crate::modes::Mode;

/// The version of the peer protocol that this node speaks, and the only one.
pub const PROTOCOL: u32 = 2;

/// A hello is small; a longer first frame is garbage.
pub const HELLO_BYTES_MAX: usize = 4_096;

/// The first frame of each side, in JSON, so that any two versions understand it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The oldest protocol version it speaks.
    pub protocol_min: u32,
    /// The newest.
    pub protocol_max: u32,
    /// Its cluster; none while it joins its first.
    pub cluster: Option<ClusterId>,
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Where it is dialled.
    pub address: String,
    /// Its start.
    pub incarnation: Incarnation,
    /// Counts its starts and addresses; see [`crate::broadcast::members::Member::epoch`].
    pub epoch: u64,
    /// In which mode its cluster was founded. Nodes that know but broadcast mode don't say.
    #[serde(default = "broadcast")]
    pub mode: Mode,
    /// What the connection is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// The Lamport clock of whoever sends it, when it does.
    #[serde(default)]
    pub clock: u64,
}

fn broadcast() -> Mode {
    Mode::Broadcast
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Messages, for as long as both live.
    #[default]
    Messages,
    /// To see who answers there; then it ends.
    Verify,
    /// One snapshot, from the dialler; then it ends.
    Snapshot,
}

/// The answer to a hello that is not accepted, in place of a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For the log of the other side.
    pub reason: String,
}

/// The answer to a snapshot that has come whole, and is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The last entry that it stands for.
    pub index: u64,
}

/// Why a hello is not accepted. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// No version in common.
    #[error("it speaks peer protocol {0} to {1}, this node speaks {PROTOCOL}")]
    Version(u32, u32),
    /// A wrong address leads back to this node.
    #[error("it is this node itself")]
    Itself,
    /// Another data directory claims the name of this node.
    #[error("it calls itself {0}, as this node does")]
    SameName(NodeName),
    /// A connected member has its name.
    #[error("a connected member is called {0} already")]
    NameTaken(NodeName),
    /// A stranger.
    #[error("it belongs to cluster {theirs}, this node to {ours}")]
    Cluster {
        /// Its own.
        theirs: ClusterId,
        /// This node's.
        ours: ClusterId,
    },
    /// Neither knows a cluster to join.
    #[error("neither of the two nodes has joined a cluster")]
    NoCluster,
    /// It can't be dialled.
    #[error("its address {0:?} is not HOST:PORT")]
    Address(String),
}

impl Hello {
    /// Whether a node that says `theirs` is one that the node with this hello talks to.
    ///
    /// # Errors
    ///
    /// [`HelloError`], which is told to the other side.
    pub fn check(&self, theirs: &Self) -> Result<(), HelloError> {
        if theirs.protocol_min > PROTOCOL || theirs.protocol_max < PROTOCOL {
            return Err(HelloError::Version(theirs.protocol_min, theirs.protocol_max));
        }
        if theirs.node == self.node {
            return Err(HelloError::Itself);
        }
        if theirs.name == self.name {
            return Err(HelloError::SameName(theirs.name.clone()));
        }
        if !is_address(&theirs.address) {
            return Err(HelloError::Address(theirs.address.chars().take(80).collect()));
        }
        match (self.cluster, theirs.cluster) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err(HelloError::Cluster { theirs, ours })
            }
            (None, None) => Err(HelloError::NoCluster),
            (Some(_), _) | (None, Some(_)) => Ok(()),
        }
    }

    /// Whether this node dials `peer` for good, or is dialled by it.
    pub fn is_dialler_to(&self, peer: NodeId) -> bool {
        self.node < peer
    }
}

/// Whether `text` reads as `HOST:PORT`; a host may be a name, which the resolver judges later.
pub fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let plausible = !host.is_empty() && !host.contains(|c: char| c.is_whitespace());
        plausible && text.len() <= 255 && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(node: u64, name: &str, cluster: Option<u64>) -> Hello {
        Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            cluster: cluster.map(ClusterId),
            node: NodeId(node),
            name: name.parse().expect("a name"),
            address: "127.0.0.1:7101".to_owned(),
            incarnation: Incarnation(1),
            epoch: 1,
            mode: Mode::Raft,
            purpose: Purpose::Messages,
            clock: 0,
        }
    }

    /// P14, P15, M10: strangers, impostors and oneself are refused.
    #[test]
    fn only_nodes_of_the_same_cluster_or_of_none_are_welcome() {
        let ours = hello(1, "a", Some(7));
        assert_eq!(ours.check(&hello(2, "b", Some(7))), Ok(()));
        assert_eq!(ours.check(&hello(2, "b", None)), Ok(()));
        assert_eq!(ours.check(&hello(1, "a", Some(7))), Err(HelloError::Itself));
        assert!(matches!(ours.check(&hello(2, "a", Some(7))), Err(HelloError::SameName(_))));
        assert!(matches!(ours.check(&hello(2, "b", Some(8))), Err(HelloError::Cluster { .. })));
        let joining = hello(1, "a", None);
        assert_eq!(joining.check(&hello(2, "b", None)), Err(HelloError::NoCluster));
    }

    #[test]
    fn a_later_protocol_is_refused_before_anything_else_is_read() {
        let later = Hello { protocol_min: 3, protocol_max: 4, ..hello(2, "b", Some(7)) };
        assert_eq!(hello(1, "a", Some(7)).check(&later), Err(HelloError::Version(3, 4)));
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:1", "[::1]:7101", "node1.example:65535"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", ":1", "a:0", "a:b", "a b:1", "a:70000"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}

//! Who is connected, as the driver knows it; no property, but what two of them need.

use std::collections::{BTreeMap, BTreeSet};

use common::identity::NodeId;
use common::protocol::Input;

use super::Batch;

/// The connections of every node.
#[derive(Debug, Default)]
pub(super) struct Peers {
    connected: BTreeMap<NodeId, BTreeSet<NodeId>>,
}

/// The peers of a node during one commit.
#[derive(Debug)]
pub(super) struct Connected {
    /// Those that were connected all the while.
    pub(super) throughout: BTreeSet<NodeId>,
    /// Those that were at some time of it.
    pub(super) sometimes: BTreeSet<NodeId>,
}

impl Peers {
    /// Follows a commit.
    pub(super) fn follow(&mut self, batch: &Batch<'_>) -> Connected {
        let peers = self.connected.entry(batch.node).or_default();
        let mut throughout = peers.clone();
        let mut sometimes = peers.clone();
        for input in batch.inputs {
            if let Input::PeerUp(hello) = input {
                throughout.remove(&hello.node);
                sometimes.insert(hello.node);
                peers.insert(hello.node);
            } else if let Input::PeerDown(peer) = input {
                throughout.remove(peer);
                peers.remove(peer);
            }
        }
        for peer in &batch.outbox.disconnects {
            throughout.remove(peer);
            peers.remove(peer);
        }
        Connected { throughout, sometimes }
    }

    /// The process of `node` has ended.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.connected.remove(&node);
    }
}

//! Links of a cluster that fail on request, in every shape that a network knows.

use common::control::fault::{Direction, Fault, FaultKind, Faults};
use common::control::request::Request;

use crate::cluster::{LocalCluster, eventually};

impl LocalCluster {
    /// Makes frames of a node's own links fail, both ways.
    pub fn fault(&self, node: usize, kind: FaultKind, peers: &[usize]) {
        self.fault_one_way(node, kind, peers, Direction::Both);
    }

    /// The same, one way.
    pub fn fault_one_way(
        &self,
        node: usize,
        kind: FaultKind,
        peers: &[usize],
        direction: Direction,
    ) {
        let peers = peers.iter().map(|peer| self.name(*peer).to_owned()).collect();
        let fault = Fault { kind, peers, direction };
        let set: Result<Faults, _> = self.client(node).ask(Request::Fault(Some(fault)));
        set.expect("faults are enabled");
    }

    /// Cuts the link between two nodes, and waits until both have noticed.
    pub fn partition(&self, one: usize, other: usize) {
        self.fault(one, FaultKind::Partition, &[other]);
        self.wait_down(one, other);
        self.wait_down(other, one);
    }

    /// Cuts all links between two groups, and waits until all have noticed.
    pub fn split(&self, some: &[usize], others: &[usize]) {
        for node in some {
            self.fault(*node, FaultKind::Partition, others);
        }
        for one in some {
            for other in others {
                self.wait_down(*one, *other);
                self.wait_down(*other, *one);
            }
        }
    }

    /// Waits until a node takes another for dead.
    pub fn wait_down(&self, node: usize, peer: usize) {
        eventually("the link is down", || {
            let status = self.client(node).status();
            let peer = status.peers.iter().find(|it| it.name.as_str() == self.name(peer));
            peer.is_some_and(|peer| peer.state.as_str() == "down")
        });
    }

    /// Ends all faults, and waits until all running nodes are connected.
    pub fn heal(&self) {
        for node in self.running() {
            self.fault(node, FaultKind::Heal, &[]);
        }
        self.wait_formed();
    }
}

//! What a cluster in raft mode agrees on: who votes, who leads, and what the state is.

use std::collections::BTreeMap;

use common::control::request::Request;
use common::control::status::{MemberStatus, Members};

use crate::cluster::{LocalCluster, eventually};

impl LocalCluster {
    /// Waits until all running nodes know of just so many voters.
    pub fn wait_voters(&self, count: usize) {
        for node in self.running() {
            eventually("all vote", || self.voters(node) == count);
        }
    }

    /// How many voters a node knows.
    pub fn voters(&self, node: usize) -> usize {
        let votes = |member: &&MemberStatus| {
            ["leader", "follower", "candidate"].contains(&member.role.as_str())
        };
        self.members(node).iter().filter(votes).count()
    }

    /// The members, as a node knows them.
    pub fn members(&self, node: usize) -> Vec<MemberStatus> {
        let members: Members =
            self.client(node).ask(Request::Members).expect("members are told always");
        members.members
    }

    /// Who leads, once all running nodes agree on it.
    pub fn leader(&self) -> usize {
        self.leader_of(&self.running().collect::<Vec<_>>())
    }

    /// Who of these nodes leads, once all of them agree on it.
    pub fn leader_of(&self, nodes: &[usize]) -> usize {
        let mut leader = None;
        eventually("they agree on a leader", || {
            let all: Vec<_> = nodes.iter().map(|node| self.client(*node).status()).collect();
            let first = &all[0];
            let agree = all.iter().all(|it| it.leader == first.leader && it.term == first.term);
            leader = all.iter().position(|it| it.role == "leader").filter(|_| agree);
            leader.is_some()
        });
        nodes[leader.expect("it was waited for")]
    }

    /// All running nodes but the leader.
    pub fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        self.running().filter(|node| *node != leader).collect()
    }

    /// The highest term that any of these nodes is in.
    pub fn term_of(&self, nodes: &[usize]) -> u64 {
        let terms = nodes.iter().map(|node| self.client(*node).status().term);
        terms.max().expect("there are some")
    }

    /// Waits until all running nodes have applied the same entries. Nodes that have must hold the
    /// same state, at any time (R20, R21).
    pub fn wait_applied_alike(&self) {
        let mut hashes: BTreeMap<u64, (usize, String)> = BTreeMap::new();
        eventually("all have applied the same entries", || {
            let mut applied = Vec::new();
            for node in self.running() {
                let status = self.client(node).status();
                let here = (node, status.state_hash);
                let known = hashes.entry(status.applied_index).or_insert_with(|| here.clone());
                let index = status.applied_index;
                assert_eq!(known.1, here.1, "nodes {} and {node} differ at {index}", known.0);
                applied.push(index);
            }
            applied.dedup();
            applied.len() == 1
        });
    }
}

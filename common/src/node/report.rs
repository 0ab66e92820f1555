//! What the node tells of itself and its cluster.

use crate::causal::Causal;
use crate::control::reply::Reply;
use crate::control::status::{Check, Hello, Limits, Members, PeerState, Status};
use crate::control::{self, line};
use crate::identity::NodeId;
use crate::kv::{key, value};
use crate::modes::Mode;
use crate::node::Node;
use crate::raft::Raft;
use crate::time::Time;

impl Node {
    pub(super) fn greet(&self) -> Reply {
        let features = match self.raft {
            Some(_) => [Mode::Broadcast, Mode::Causal, Mode::Raft].as_slice(),
            None => &[Mode::Broadcast],
        };
        let features = features.iter().map(|mode| mode.as_str().to_owned()).collect();
        Reply::Hello(Box::new(Hello {
            protocol: control::PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.config.name.clone(),
            cluster: self.cluster(),
            features,
            limits: Limits {
                line_bytes: line::LINE_BYTES_MAX,
                nesting: line::NESTING_MAX,
                outstanding: control::OUTSTANDING_MAX,
                key_bytes: key::KEY_BYTES_MAX,
                value_bytes: value::VALUE_BYTES_MAX,
            },
            peer: None,
        }))
    }

    pub(super) fn live(&self) -> Reply {
        Reply::Check(Check { ok: true, reason: format!("{} answers", self.config.name) })
    }

    pub(super) fn status(&self, now: Time) -> Status {
        let mut status = self.broadcast.status(now);
        let Some(raft) = &self.raft else { return status };
        raft.report(now, &mut status);
        // That of broadcast mode is zero as long as it has no keys.
        let causal_hash = self.causal.as_ref().map_or(0, |causal| causal.store().hash());
        let hash = raft.state_hash() ^ self.broadcast.store().hash() ^ causal_hash;
        status.state_hash = format!("{hash:016x}");
        for peer in &mut status.peers {
            if let Some(node) = raft.configuration().named(&peer.name) {
                peer.state = self.peer_state(raft, node);
                if let Some(causal) = &self.causal {
                    peer.suspicion = causal.suspicion_of(now, node);
                    peer.unacked = Some(causal.lag_of(node));
                }
            }
        }
        if let Some(causal) = &self.causal {
            status.keys += causal.store().keys();
            status.stored_bytes += causal.store().bytes();
            status.causal = Some(causal.status());
        }
        let Check { ok, reason } = self.readiness();
        (status.ready, status.reason) = (ok, reason);
        status
    }

    pub(super) fn members(&self) -> Members {
        let mut members = self.broadcast.members();
        if let Some(raft) = &self.raft {
            for member in &mut members.members {
                raft.role_of(member.id).clone_into(&mut member.role);
                member.state = match member.id == self.config.node {
                    true if self.is_ready() => PeerState::Up,
                    true => PeerState::Syncing,
                    false => self.peer_state(raft, member.id),
                };
            }
        }
        members
    }

    /// How another member looks from here, where Raft runs: it serves once it votes.
    pub(super) fn peer_state(&self, raft: &Raft, node: NodeId) -> PeerState {
        let is_behind = self.has_broadcast_keys() && !self.broadcast.is_peer_ready(node);
        match self.is_connected(node) {
            false => PeerState::Down,
            true if is_behind || !raft.configuration().is_voter(node) => PeerState::Syncing,
            true => PeerState::Up,
        }
    }

    pub(super) fn readiness(&self) -> Check {
        let broadcast = self.broadcast.readiness();
        let Some(raft) = &self.raft else { return broadcast };
        if self.has_broadcast_keys() && !broadcast.ok {
            return broadcast;
        }
        if let Err(failure) = self.check_causal() {
            return Check { ok: false, reason: failure.message };
        }
        match self.raft_readiness(raft) {
            Ok(reason) => {
                let (up, all) = self.members_up();
                Check { ok: true, reason: format!("{reason}; {up} of {all} members are up") }
            }
            Err(reason) => Check { ok: false, reason },
        }
    }

    /// Where no key can belong to raft mode, nothing needs a majority but changes of members and
    /// modes.
    pub(super) fn raft_readiness(&self, raft: &Raft) -> Result<String, String> {
        let needs_no_leader = !raft.state().modes.has(Mode::Raft)
            && raft.knows_modes()
            && raft.configuration().get(self.config.node).is_some()
            && raft.is_in_good_standing();
        raft.readiness().or_else(|reason| if needs_no_leader { Ok(reason) } else { Err(reason) })
    }

    /// Whole: this node serves, and so do all other members, connected to this one.
    pub(super) fn health(&self) -> Check {
        let Check { ok, reason } = self.readiness();
        let (up, all) = self.members_up();
        let is_full = self.raft.as_ref().is_some_and(Raft::is_disk_full);
        if is_full {
            return Check { ok: false, reason: format!("the disk is full; {reason}") };
        }
        let differing = self.causal.as_ref().and_then(Causal::differing_peer);
        if let Some(peer) = differing {
            let reason = format!("{peer} holds other causal keys than this node; {reason}");
            return Check { ok: false, reason };
        }
        Check { ok: ok && up == all, reason }
    }

    /// The state in a line, for `systemctl status`.
    pub fn summary(&self) -> String {
        let (up, all) = self.members_up();
        let Some(raft) = &self.raft else {
            let what = if self.is_ready() { "serves" } else { "does not serve yet" };
            return format!("{what}, {up} of {all} members up");
        };
        let leader = raft.leader().and_then(|leader| raft.configuration().get(leader));
        let leader =
            leader.map_or("no leader".to_owned(), |member| format!("leader {}", member.name));
        let (term, applied) = (raft.term(), raft.applied_index());
        format!("{leader}, term {term}, applied {applied}, {up} of {all} reachable")
    }
}

//! What the node tells operators of its part in the cluster.

use std::collections::BTreeSet;

use crate::control::status::{PeerStatus, RaftStatus, Status};
use crate::identity::NodeId;
use crate::kv::state::State;
use crate::modes::Mode;
use crate::raft::configuration::Configuration;
use crate::raft::log::{Index, Log};
use crate::raft::progress::Progress;
use crate::raft::{Raft, Role, Standing};
use crate::time::Time;

impl Raft {
    /// The state as far as it is applied here.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The members, as the latest configuration has them.
    pub fn configuration(&self) -> &Configuration {
        self.configurations.latest()
    }

    /// Who leads, if that is known: this node, or one that it is connected with.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(_) => Some(self.config.node),
            Role::Follower { leader } => *leader,
            Role::PreCandidate { .. } | Role::Candidate { .. } => None,
        }
    }

    /// Whether this node leads.
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The latest term seen.
    pub fn term(&self) -> u64 {
        self.term.0
    }

    /// For whom it voted in that term.
    pub fn voted_for(&self) -> Option<NodeId> {
        self.voted_for
    }

    /// The log, behind what was dropped of it.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How far the log is committed, as far as this node knows.
    pub fn commit_index(&self) -> u64 {
        self.commit_index.0
    }

    /// How far the state is.
    pub fn applied_index(&self) -> u64 {
        self.last_applied.0
    }

    /// Whether the mode of a key is known: the state has begun.
    pub fn knows_modes(&self) -> bool {
        self.last_applied > Index(0)
    }

    /// The mode of a key, or of all keys of a prefix that has no row below it.
    pub fn mode_of(&self, key: &str) -> Mode {
        self.state.modes.mode_of(key)
    }

    /// Who is connected.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.peers.iter().copied()
    }

    /// Who was a member and is none, if that is news since this was asked last.
    pub fn take_removed(&mut self) -> Option<BTreeSet<NodeId>> {
        let removed = self.configurations.at(self.commit_index).removed();
        let is_news = removed.len() != self.removed_told;
        self.removed_told = removed.len();
        is_news.then(|| removed.clone())
    }

    pub(super) fn is_member(&self) -> bool {
        self.configuration().get(self.config.node).is_some()
    }

    pub(super) fn is_sole_voter(&self) -> bool {
        let configuration = self.configuration();
        configuration.is_voter(self.config.node) && configuration.voters().count() == 1
    }

    /// What a member is, as far as this node knows.
    pub fn role_of(&self, node: NodeId) -> &'static str {
        let is_self = node == self.config.node;
        match self.configuration().get(node) {
            None => "none",
            Some(member) if !member.votes => "learner",
            Some(_) if self.leader() == Some(node) => "leader",
            Some(_) if is_self && self.is_candidate() => "candidate",
            Some(_) => "follower",
        }
    }

    fn is_candidate(&self) -> bool {
        matches!(self.role, Role::PreCandidate { .. } | Role::Candidate { .. })
    }

    /// Adds what is known of the log and its state.
    pub fn report(&self, now: Time, status: &mut Status) {
        let leader = self.leader().and_then(|leader| self.configuration().get(leader));
        status.role = self.role_of(self.config.node).to_owned();
        status.leader = leader.map(|member| member.name.clone());
        let milliseconds =
            |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        status.leader_contact_ms = self.leader_silence(now).map(milliseconds);
        status.term = self.term.0;
        status.commit_index = self.commit_index.0;
        status.applied_index = self.last_applied.0;
        status.last_index = self.log.last().index.0;
        status.snapshot_index = self.snapshots.index.0;
        status.revision = self.state.revision;
        status.modes = self.mode_rows();
        status.keys += self.state.store.keys();
        status.stored_bytes += self.state.store.bytes();
        status.log_bytes = self.log.bytes() as u64;
        status.disk_full = self.disk_full;
        status.raft = Some(self.raft_status());
        for peer in &mut status.peers {
            self.report_peer(peer);
        }
    }

    fn raft_status(&self) -> RaftStatus {
        let state = &self.state;
        RaftStatus {
            floor: state.history.floor(),
            history_events: state.history.len() as u64,
            history_bytes: state.history.bytes(),
            quota_bytes: self.config.keeping.quota_bytes,
            leases: state.leases.len() as u64,
            claims: state.locks.claims(),
            once_ids: state.once.len() as u64,
            log_ms: state.log_ms,
        }
    }

    /// Only a leader knows what others lack.
    fn report_peer(&self, peer: &mut PeerStatus) {
        let Role::Leader(leader) = &self.role else { return };
        let node = self.configuration().named(&peer.name);
        if let Some(progress) = node.and_then(|node| leader.progress.get(&node)) {
            peer.lag = self.log.last().index.0 - Progress::match_index(progress).0;
        }
    }

    /// The hash of the state.
    pub fn state_hash(&self) -> u64 {
        self.state.hash()
    }

    /// Whether the node takes part and has what it needs to serve, and why not.
    pub fn readiness(&self) -> Result<String, String> {
        let name = &self.config.name;
        if let Err(failure) = self.check_standing() {
            return Err(failure.message);
        }
        if !self.is_member() {
            let why = self.refusal.as_deref().unwrap_or("asks the leader to be taken in");
            return Err(format!("{name} is no member yet: {why}"));
        }
        let Some(leader) = self.leader() else {
            return Err("no leader is known, so there may be no majority".to_owned());
        };
        let leader = self.configuration().get(leader).map(|member| member.name.to_string());
        let leader = leader.unwrap_or_else(|| "another".to_owned());
        if self.last_applied == Index(0) {
            return Err(format!("{name} has not got the state of the cluster yet"));
        }
        Ok(format!("{leader} leads in term {}", self.term.0))
    }

    /// Whether the node serves.
    pub fn is_ready(&self) -> bool {
        self.readiness().is_ok()
    }

    /// Whether the node has not diverged from the others, and was not removed.
    pub fn is_in_good_standing(&self) -> bool {
        self.standing == Standing::Good
    }

    /// Whether the node hears of the cluster: then it has all, but for what is on its way.
    pub fn is_fresh(&self, now: Time) -> bool {
        let is_close = |silence| silence < self.config.election_timeout;
        self.is_ready() && (self.leads() || self.leader_silence(now).is_some_and(is_close))
    }

    /// Whether the disk takes nothing more.
    pub fn is_disk_full(&self) -> bool {
        self.disk_full
    }
}

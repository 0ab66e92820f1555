//! What the node tells operators of itself and its peers.

use crate::broadcast::Broadcast;
use crate::broadcast::members::Member;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::status::{Check, MemberStatus, Members, PeerState, PeerStatus, Status};
use crate::identity::NodeId;
use crate::modes::{ModeRow, Rule};
use crate::time::Time;

/// Broadcast mode has no roles.
const ROLE: &str = "none";

impl Broadcast {
    /// What this node knows of itself and its peers.
    pub fn status(&self, now: Time) -> Status {
        let peers = self.other_members().map(|member| self.peer_status(now, member));
        Status {
            node: self.config.name.clone(),
            id: self.config.node,
            cluster: self.cluster,
            address: self.config.address.clone(),
            incarnation: self.incarnation.0,
            role: ROLE.to_owned(),
            leader: None,
            leader_contact_ms: None,
            term: 0,
            commit_index: 0,
            applied_index: 0,
            last_index: 0,
            snapshot_index: 0,
            revision: self.clock,
            state_hash: format!("{:016x}", self.store.hash()),
            ready: self.ready,
            reason: self.reason(),
            modes: vec![ModeRow::new(String::new(), Rule::Broadcast)],
            peers: peers.collect(),
            keys: self.store.keys(),
            tombstones: self.store.tombstones(),
            stored_bytes: self.store.bytes(),
            log_bytes: 0,
            wal_bytes: 0,
            disk_full: false,
            causal: None,
            raft: None,
        }
    }

    fn peer_status(&self, now: Time, member: &Member) -> PeerStatus {
        let silence = self.links.silence(now, member.id);
        PeerStatus {
            name: member.name.clone(),
            address: member.address.clone(),
            state: self.peer_state(member.id),
            last_contact_ms: silence.map(|s| u64::try_from(s.as_millis()).unwrap_or(u64::MAX)),
            lag: self.links.missed(member.id),
            reason: None,
            suspicion: None,
            unacked: None,
        }
    }

    fn peer_state(&self, peer: NodeId) -> PeerState {
        match self.links.get(peer) {
            Some(link) if link.ready => PeerState::Up,
            Some(_) => PeerState::Syncing,
            None => PeerState::Down,
        }
    }

    /// All members, this node among them.
    pub fn members(&self) -> Members {
        let state = |id| match (id == self.config.node, self.ready) {
            (true, true) => PeerState::Up,
            (true, false) => PeerState::Syncing,
            (false, _) => self.peer_state(id),
        };
        let members = self.members.iter().map(|member| MemberStatus {
            id: member.id,
            name: member.name.clone(),
            address: member.address.clone(),
            role: ROLE.to_owned(),
            state: state(member.id),
        });
        Members { members: members.collect() }
    }

    /// How many members serve, this node among them, as far as it knows.
    pub fn members_up(&self) -> usize {
        self.links.ready().count() + usize::from(self.ready)
    }

    fn reason(&self) -> String {
        if self.ready {
            let (up, all) = (self.members_up(), self.members.len());
            format!("serves its own copy; {up} of {all} members are up")
        } else {
            self.sync_reason()
        }
    }

    /// Whether the node serves.
    pub fn readiness(&self) -> Check {
        Check { ok: self.ready, reason: self.reason() }
    }

    /// Refuses until the node is ready: half a state is never served.
    pub fn check_ready(&self) -> Result<(), Failure> {
        if self.ready {
            return Ok(());
        }
        let why = format!("{} does not serve yet: {}", self.config.name, self.sync_reason());
        let retry_after_ms = self.config.heartbeat_interval.as_millis();
        Err(Failure::new(ErrorCode::NotReady, why)
            .retry_after_ms(u64::try_from(retry_after_ms).unwrap_or(u64::MAX))
            .with_hint("distdbctl wait synced"))
    }

    /// Whether a peer is connected and serves.
    pub fn is_peer_ready(&self, peer: NodeId) -> bool {
        self.peer_state(peer) == PeerState::Up
    }
}

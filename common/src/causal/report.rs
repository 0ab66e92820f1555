//! What the node tells operators of causal mode.

use crate::causal::Causal;
use crate::causal::clock::VectorClock;
use crate::causal::detector::Detector;
use crate::causal::peer::Peer;
use crate::causal::store::Store;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::status::{CausalStatus, Suspicion};
use crate::identity::{NodeId, NodeName};
use crate::time::Time;

impl Causal {
    /// Refuses until the node serves: half a state is never served (S8).
    pub fn check_ready(&self) -> Result<(), Failure> {
        if self.ready {
            return Ok(());
        }
        let why = format!("{} does not serve yet: {}", self.config.name, self.unready_reason());
        Err(Failure::new(ErrorCode::NotReady, why)
            .retry_after_ms(100)
            .with_hint("distdbctl wait synced"))
    }

    fn unready_reason(&self) -> String {
        match self.donor().and_then(|donor| self.members.get(&donor)) {
            Some(donor) => format!("it takes over the causal keys of {donor}"),
            None => "no ready member is connected that could give it the causal keys".to_owned(),
        }
    }

    /// Whether the node serves causal keys.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether a connected peer says that it serves causal keys.
    pub fn is_peer_ready(&self, peer: NodeId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.ready)
    }

    /// What this node knows of itself.
    pub fn status(&self) -> CausalStatus {
        let donor = self.donor().and_then(|donor| self.members.get(&donor));
        CausalStatus {
            clock: self.context(),
            lamport: self.lamport,
            keys: self.store.keys(),
            conflicts: self.count_conflicts(),
            log_writes: self.log.len() as u64,
            log_bytes: self.log.bytes() as u64,
            waiting: self.incoming.len() as u64,
            syncing: donor.cloned(),
        }
    }

    /// How likely it is that a member has failed, where it was ever heard.
    pub fn suspicion_of(&self, now: Time, member: NodeId) -> Option<Suspicion> {
        let detector = self.detectors.get(&member)?;
        let since = detector.since().map(|since| now.since(since));
        let hears_us = self.peers.get(&member).and_then(Peer::hears_us);
        Some(Suspicion {
            level: detector.level(now),
            suspected: detector.is_suspected(),
            since_ms: since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            // A link that works one way is soon given up, and is to be told as such all the same.
            hears_us: hears_us.or_else(|| self.deaf.contains(&member).then_some(false)),
        })
    }

    /// Whether a member is taken for failed, however long it was not heard.
    pub fn is_suspected(&self, member: NodeId) -> bool {
        self.detectors.get(&member).is_some_and(Detector::is_suspected)
    }

    /// A connected member whose state differs though it has seen the same: one of the two has lost
    /// something.
    pub fn differing_peer(&self) -> Option<&NodeName> {
        let differing = self.peers.iter().find(|(_, peer)| peer.differs > 2);
        differing.and_then(|(id, _)| self.members.get(id))
    }

    /// The keys.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What this node has seen.
    pub fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// The Lamport clock, which serves as the revision.
    pub fn revision(&self) -> u64 {
        self.lamport
    }
}

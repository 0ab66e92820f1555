//! What a node knows of a member, and how far it has sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::causal::clock::{Dot, VectorClock};
use crate::identity::NodeId;
use crate::time::Time;

/// Writes of one writer on their way to a member without an acknowledgement, in bytes. More would
/// fill the connection, and what others have to say would wait behind it.
pub(super) const FLIGHT_BYTES_MAX: u64 = 1024 * 1024;

/// The first retry comes after so many heartbeats: an acknowledgement that nobody waits for may
/// come with the receiver's next one.
const RETRY_HEARTBEATS: u32 = 3;

/// The longest time between two retries, as a multiple of the first.
const BACKOFF_MAX: u32 = 8;

/// A member that is connected.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// What it said last that it has; nothing is sent before it has said so.
    pub(super) greeted: bool,
    /// What it holds back.
    pub(super) beyond: BTreeSet<Dot>,
    /// The last write that was sent of each writer, since the last retry.
    pub(super) sent: BTreeMap<NodeId, u64>,
    /// Whose writes it gets from here, beside this node's own.
    pub(super) relays: BTreeSet<NodeId>,
    /// Of writers of which it lacks something that is here: what it has, and for how many beats it
    /// has got no further.
    pub(super) lags: BTreeMap<NodeId, (u64, u32)>,
    pub(super) retry: Retry,
    /// Something was not acknowledged in time: a message at a time is sent, until it gets on.
    pub(super) is_probed: bool,
    /// Whom it hears.
    pub(super) hears: BTreeSet<NodeId>,
    /// Its wall clock, as of its last beat, and when that came.
    pub(super) wall: Option<(Time, u64)>,
    /// Whether it serves.
    pub(super) ready: bool,
    /// Writes that have come from it since it was sent an acknowledgement.
    pub(super) unacknowledged: u64,
    /// The same in bytes.
    pub(super) unacknowledged_bytes: u64,
    /// Whether it waits for one.
    pub(super) is_ack_urgent: bool,
    /// When it was told that it is behind.
    pub(super) told_behind: Option<Time>,
    /// For how many beats its state was another than this node's, though it has seen the same.
    pub(super) differs: u32,
}

/// When what was not acknowledged is sent again: exponential back-off with jitter.
#[derive(Debug, Default)]
pub(super) struct Retry {
    pub(super) at: Option<Time>,
    attempts: u32,
}

impl Retry {
    /// Something was sent.
    pub(super) fn arm(&mut self, now: Time, heartbeat: Duration, dice: &mut ChaCha8Rng) {
        if self.at.is_none() {
            let first = heartbeat * RETRY_HEARTBEATS;
            let pause = first * (1 << self.attempts.min(8)).min(BACKOFF_MAX);
            let jitter = pause.mul_f64(f64::from(dice.next_u32()) / f64::from(u32::MAX) / 4.0);
            self.at = Some(now + pause + jitter);
        }
    }

    /// It is time.
    pub(super) fn fire(&mut self) {
        self.at = None;
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The member has got on.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Peer {
    /// The last write of `node` that is on its way, or has arrived.
    pub(super) fn sent(&self, node: NodeId, acked: &VectorClock) -> u64 {
        let sent = self.sent.get(&node).copied().unwrap_or(0);
        sent.max(acked.get(node))
    }

    /// Whether anything is on its way.
    pub(super) fn is_owed(&self, acked: &VectorClock) -> bool {
        self.sent.iter().any(|(node, sent)| *sent > acked.get(*node))
    }
}

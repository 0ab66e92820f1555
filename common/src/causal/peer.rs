//! What a node knows of a member, and how far it has sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::causal::clock::{Dot, VectorClock};
use crate::causal::detector::Detector;
use crate::causal::{Causal, Effects};
use crate::identity::NodeId;
use crate::time::Time;

/// Writes of one writer on their way to a member without an acknowledgement, in bytes. More would
/// fill the connection, and what others have to say would wait behind it.
pub(super) const FLIGHT_BYTES_MAX: u64 = 1024 * 1024;

/// The longest time between two retries without success, in heartbeats.
const BACKOFF_MAX: u32 = 64;

/// Beats of which it is remembered what was sent before: more are not on their way, or are lost.
const MARKS_MAX: usize = 256;

/// A member hears nothing of this node if so many of its beats tell of no later one, though later
/// ones were sent. That is before either gives the connection up, unless that is told to be quick.
const DEAF_BEATS: u32 = 5;

/// A member that is connected.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// What it said last that it has; nothing is sent before it has said so.
    pub(super) greeted: bool,
    /// What it holds back.
    pub(super) beyond: BTreeSet<Dot>,
    /// The last write that was sent of each writer, as far as it was not lost.
    pub(super) sent: BTreeMap<NodeId, u64>,
    /// Whose writes it gets from here, beside this node's own.
    pub(super) relays: BTreeSet<NodeId>,
    /// Of writers of which it lacks something that is here: what it has, and for how many beats it
    /// has got no further.
    pub(super) lags: BTreeMap<NodeId, (u64, u32)>,
    pub(super) retry: Retry,
    /// What was sent before each beat of this node that it has not told to have.
    marks: VecDeque<(u64, BTreeMap<NodeId, u64>)>,
    /// The last beat that came from it.
    pub(super) beat: u64,
    /// Whom it hears.
    pub(super) hears: BTreeSet<NodeId>,
    /// The last beat of this node that came to it, and how many of its beats have told of that one
    /// while there were later ones.
    heard: (u64, u32),
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

/// When what was lost is sent again: exponential back-off with jitter.
#[derive(Debug, Default)]
pub(super) struct Retry {
    not_before: Option<Time>,
    attempts: u32,
}

impl Retry {
    /// Whether it is time, and if so, that it was done.
    pub(super) fn attempt(
        &mut self,
        now: Time,
        heartbeat: Duration,
        dice: &mut ChaCha8Rng,
    ) -> bool {
        if self.not_before.is_some_and(|at| now < at) {
            return false;
        }
        let pause = heartbeat * (1 << self.attempts.min(16)).min(BACKOFF_MAX);
        let jitter = pause.mul_f64(f64::from(dice.next_u32()) / f64::from(u32::MAX) / 4.0);
        self.not_before = Some(now + pause + jitter);
        self.attempts = self.attempts.saturating_add(1);
        true
    }

    /// The member has got on.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Peer {
    /// A beat with that number is sent, behind all that was sent so far.
    pub(super) fn mark(&mut self, number: u64) {
        self.marks.push_back((number, self.sent.clone()));
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_front();
        }
    }

    /// A beat of the member tells that beat `number` was the last of this node that came to it, which
    /// has sent `sent`; none, if it takes this node for failed.
    pub(super) fn note_heard(&mut self, number: Option<u64>, sent: u64) {
        self.heard = match number {
            None => (0, DEAF_BEATS),
            Some(number) if number == self.heard.0 && number < sent => {
                (number, self.heard.1.saturating_add(1))
            }
            Some(number) => (number, 0),
        };
    }

    /// Whether it hears this node, as far as it has said so.
    pub(super) fn hears_us(&self) -> Option<bool> {
        self.greeted.then_some(self.heard.1 < DEAF_BEATS)
    }

    /// The member has had this node's beat with that number, and so all that was sent before, as
    /// far as it has not been lost: whose writes were.
    pub(super) fn lost(&mut self, number: u64, acked: &VectorClock) -> Vec<NodeId> {
        let mut sent = BTreeMap::new();
        while self.marks.front().is_some_and(|(mark, _)| *mark <= number) {
            sent = self.marks.pop_front().map(|(_, sent)| sent).unwrap_or_default();
        }
        let is_lost = |(node, sent): &(NodeId, u64)| {
            let mut owed = acked.get(*node) + 1..=*sent;
            owed.any(|counter| !self.beyond.contains(&Dot { node: *node, counter }))
        };
        sent.into_iter().filter(is_lost).map(|(node, _)| node).collect()
    }

    /// The last write of `node` that is on its way, or has arrived.
    pub(super) fn sent(&self, node: NodeId, acked: &VectorClock) -> u64 {
        let sent = self.sent.get(&node).copied().unwrap_or(0);
        sent.max(acked.get(node))
    }
}

impl Causal {
    pub(super) fn on_peer_up(&mut self, now: Time, id: NodeId, effects: &mut Effects) {
        self.peers.insert(id, Peer::default());
        // It tells anew what it has: a disk may have lost something.
        self.known.remove(&id);
        let interval = self.config.heartbeat_interval;
        self.detectors.entry(id).or_insert_with(|| Detector::new(now, interval));
        effects.send(id, self.beat(now));
    }

    pub(super) fn on_peer_down(&mut self, now: Time, id: NodeId, effects: &mut Effects) {
        if self.peers.remove(&id).is_some_and(|peer| peer.hears_us() == Some(false)) {
            self.deaf.insert(id);
        }
        self.gifts.remove(&id);
        self.pinned.remove(&id);
        self.look_at_donor(now, effects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L14: it says so, or goes on telling of the same beat; not if there was no other.
    #[test]
    fn a_member_that_tells_of_no_later_beat_hears_nothing() {
        let mut peer = Peer { greeted: true, ..Peer::default() };
        for sent in 1..20 {
            peer.note_heard(Some(sent - 1), sent);
            assert_eq!(peer.hears_us(), Some(true), "a beat is on its way");
        }
        for _ in 0..20 {
            peer.note_heard(Some(19), 19);
        }
        assert_eq!(peer.hears_us(), Some(true), "this node stood still");
        for sent in 20..25 {
            peer.note_heard(Some(19), sent);
        }
        assert_eq!(peer.hears_us(), Some(false));
        peer.note_heard(Some(24), 25);
        assert_eq!(peer.hears_us(), Some(true));
        peer.note_heard(None, 25);
        assert_eq!(peer.hears_us(), Some(false));
    }
}

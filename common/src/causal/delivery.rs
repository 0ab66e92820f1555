//! Causal delivery: a write is applied once its past is here, and once (Cachin, Guerraoui,
//! Rodrigues 2011, §3.9.4: waiting causal broadcast).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::causal::clock::{Dot, NODES_MAX, VectorClock};
use crate::causal::record::Step;
use crate::causal::write::{LAMPORT_PEER_MAX, Write};
use crate::causal::{Causal, Effects};
use crate::control::watching::EventKind;
use crate::identity::NodeId;
use crate::kv::watch::Change;
use crate::observe::{CausalEvent, Way};
use crate::time::Time;

/// Writes that wait for their past. What is dropped beyond that comes again, because it is not
/// acknowledged.
const WAITING_MAX: usize = 8_192;

/// The same in bytes.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The writes that have come before their past.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    waiting: BTreeMap<Dot, Arc<Write>>,
    /// In the order in which they came; some may wait no longer.
    order: VecDeque<Dot>,
    bytes: usize,
}

impl Incoming {
    /// Those that wait, in order.
    pub(super) fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.waiting.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets a write wait. What waits longest makes room: it may wait for what nobody has any more.
    fn hold(&mut self, write: Arc<Write>) -> bool {
        if self.waiting.contains_key(&write.dot) {
            return false;
        }
        let is_full = |incoming: &Self| {
            incoming.waiting.len() >= WAITING_MAX
                || incoming.bytes + write.weight() > WAITING_BYTES_MAX
        };
        while is_full(self)
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(oldest);
        }
        if self.order.len() > 2 * WAITING_MAX {
            self.order.retain(|dot| self.waiting.contains_key(dot));
        }
        self.bytes += write.weight();
        self.order.push_back(write.dot);
        self.waiting.insert(write.dot, write);
        true
    }

    /// One whose past is in `clock`, if there is one.
    fn take_ready(&mut self, clock: &VectorClock) -> Option<Arc<Write>> {
        // Of each writer only the next can be due.
        let mut from = Dot { node: NodeId(0), counter: 0 };
        loop {
            let node = self.waiting.range(from..).next()?.0.node;
            let next = Dot { node, counter: clock.get(node) + 1 };
            if self.waiting.get(&next).is_some_and(|write| is_due(clock, write)) {
                return self.remove(next);
            }
            from = Dot { node: NodeId(node.0.checked_add(1)?), counter: 0 };
        }
    }

    fn remove(&mut self, dot: Dot) -> Option<Arc<Write>> {
        let write = self.waiting.remove(&dot)?;
        self.bytes -= write.weight();
        Some(write)
    }

    /// Those that have been applied otherwise wait no longer.
    pub(super) fn forget(&mut self, clock: &VectorClock) {
        let known: Vec<Dot> = self.dots().filter(|dot| clock.contains(*dot)).collect();
        known.into_iter().for_each(|dot| {
            self.remove(dot);
        });
    }
}

/// Whether the write is the next of its writer, and all that the writer had seen is here.
fn is_due(clock: &VectorClock, write: &Write) -> bool {
    clock.get(write.dot.node) + 1 == write.dot.counter
        && write.past.iter().all(|dot| clock.contains(*dot))
}

impl Causal {
    /// Writes have come: those that are new are applied as soon as their past is here.
    pub(super) fn on_writes(
        &mut self,
        now: Time,
        from: NodeId,
        writes: Vec<Arc<Write>>,
        is_urgent: bool,
        effects: &mut Effects,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.unacknowledged += writes.len() as u64;
        peer.unacknowledged_bytes += writes.iter().map(|write| write.weight() as u64).sum::<u64>();
        peer.is_ack_urgent |= is_urgent;
        if self.disk_full {
            return; // They are not acknowledged, and come again.
        }
        for write in writes {
            let is_stranger = self.clock.get(write.dot.node) == 0;
            if is_stranger && self.clock.len() >= NODES_MAX {
                continue; // No sound cluster has so many writers.
            }
            if self.clock.contains(write.dot) {
                // It was lost on the way back, if anything was: say so again (L2).
                self.peers.get_mut(&from).expect("looked up").is_ack_urgent = true;
            } else if is_due(&self.clock, &write) {
                self.deliver(now, from, write, effects);
            } else {
                let dot = write.dot;
                if self.incoming.hold(write) {
                    effects.observe(CausalEvent::Hold { dot, from });
                    self.note_traced();
                }
            }
        }
    }

    fn deliver(&mut self, now: Time, from: NodeId, write: Arc<Write>, effects: &mut Effects) {
        if self.is_puller_full(false) {
            return;
        }
        self.apply(now, write, Way::From(from), effects);
        self.deliver_waiting(now, effects);
    }

    /// Applies those that waited for what has come.
    pub(super) fn deliver_waiting(&mut self, now: Time, effects: &mut Effects) {
        while let Some(write) = self.incoming.take_ready(&self.clock) {
            self.apply(now, write, Way::Waited, effects);
        }
    }

    /// Lamport's rule: a clock is above all that was seen; but nobody spends this node's.
    pub(super) fn see_lamport(&mut self, lamport: u64) {
        self.lamport = self.lamport.max(lamport.min(LAMPORT_PEER_MAX));
    }

    /// Applies the next write of a writer, whose past is here. Spec: Apply.
    pub(super) fn apply(&mut self, now: Time, write: Arc<Write>, way: Way, effects: &mut Effects) {
        assert!(is_due(&self.clock, &write), "a write is applied once, behind its past");
        self.clock.advance(write.dot);
        self.see_lamport(write.lamport);
        self.hybrid.see(now, write.time);
        let changed = self.store.apply(&write);
        if self.is_watched {
            let resolver = self.resolver_of(&write.key);
            // A put is an event though it puts what is there already.
            let is_shown =
                changed.after.as_ref().is_some_and(|after| resolver.shows(after, write.dot));
            let value = |versions: Option<_>| self.value_of(resolver, versions);
            let (before, after) = (value(changed.before), value(changed.after));
            if is_shown || before != after {
                let (key, revision) = (write.key.clone(), write.lamport);
                effects.change(Change {
                    key,
                    kind: EventKind::of(after.as_ref()),
                    revision,
                    before,
                    after,
                });
            }
        }
        if let Some(request) = &write.request {
            let (tag, hash) = (request.tag, request.hash);
            self.sessions.remember(self.next_position(), tag, hash, request.outcome.clone());
        }
        let (dot, key) = (write.dot, write.key.clone());
        if let Some(traced) = &mut self.traced {
            traced.touch(&key);
        }
        effects.observe(CausalEvent::ApplyWrite { dot, key, deleted: write.value.is_none(), way });
        self.note_traced();
        self.note_meanwhile(&write);
        let before = self.traced_bases();
        self.log.push(Arc::clone(&write));
        self.trace_log(before, |behind| CausalEvent::Trim { behind }, effects);
        self.steps.push(Step::Apply(write));
        self.is_pump_due = true;
        self.has_advanced = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_due_behind_its_past_and_once() {
        let dot = |node, counter| Dot { node: NodeId(node), counter };
        let write = |dot, past| {
            let mut write = crate::causal::write::tests::write(dot);
            write.past = past;
            write
        };
        let clock: VectorClock = [dot(1, 1), dot(2, 3)].into_iter().collect();
        assert!(is_due(&clock, &write(dot(1, 2), vec![dot(2, 3)])));
        assert!(!is_due(&clock, &write(dot(1, 1), vec![])), "a duplicate");
        assert!(!is_due(&clock, &write(dot(1, 3), vec![])), "the one before is missing");
        assert!(!is_due(&clock, &write(dot(1, 2), vec![dot(2, 4)])), "its past is missing");
    }
}

//! Perfect links (Cachin, Guerraoui, Rodrigues 2011, §2.4) out of connections that break: what is
//! sent, acknowledged, sent again, and relayed.
//!
//! A link carries the writes of one writer in the order of their counters, which number them: a
//! writer is one incarnation of a node. The receiver's clock acknowledges all up to a number, and
//! `beyond` single ones behind it. Beats are numbered and acknowledged, too: a member that has had
//! a beat, and not what was sent before it on the same connection, has lost that, and it is sent
//! again, with exponential back-off.
//!
//! A writer sends its own writes. Those of another are sent by whoever sees, by the heartbeats,
//! that a member lacks them: at once where the writer is not heard by that member, or here, else
//! after a few beats (lazy reliable broadcast, §3.3.2).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::causal::clock::{Dot, VectorClock};
use crate::causal::message::{Ack, BEYOND_MAX, Beat, Message};
use crate::causal::peer::FLIGHT_BYTES_MAX;
use crate::causal::write::Write;
use crate::causal::{Causal, Effects, Timer};
use crate::identity::NodeId;
use crate::observe::CausalEvent;
use crate::time::Time;

/// Writes of one message, in bytes; the one that passes it is its last. A frame takes that and the
/// longest value.
const MESSAGE_BYTES: usize = 64 * 1024;

/// How long a write waits for others while some are on their way, if nobody waits for their
/// acknowledgement: a member's commit costs as much for one write as for ten.
const PUMP_INTERVAL: Duration = Duration::from_millis(2);

/// The same, if somebody does.
const PUMP_URGENT: Duration = Duration::from_millis(1);

/// A write that would make a message larger than this goes alone.
const LARGE_BYTES: usize = 1024 * 1024;

/// Writes of its own that a node's disk may have lost: what tells of more is not believed.
const LOST_WRITES_MAX: u64 = 1 << 40;

/// After so many beats a writer's writes are relayed though it is heard.
const RELAY_BEATS: u32 = 3;

/// How often a member is told that it is behind.
const BEHIND_INTERVAL: Duration = Duration::from_secs(1);

/// After so many writes an acknowledgement is sent though nobody waits for it.
const ACK_WRITES: u64 = 512;

/// After so many beats with equal clocks and other states two nodes compare their states.
const DIFFERS_BEATS: u32 = 3;

/// After so many more they do it again.
const DIFFERS_PERIOD: u32 = 50;

impl Causal {
    /// What this node has, as others are told once this commit is durable.
    pub(super) fn ack(&self) -> Ack {
        let beyond = self.incoming.dots().take(BEYOND_MAX).collect();
        Ack { clock: self.clock.clone(), beyond }
    }

    pub(super) fn beat(&self, now: Time) -> Message {
        let last = |id: NodeId| (id, self.peers.get(&id).map_or(0, |peer| peer.beat));
        Message::Beat(Beat {
            ack: self.ack(),
            wall_ms: self.hybrid.wall_ms(now),
            ready: self.ready,
            number: self.beats,
            hears: self.heard().map(last).collect(),
            hash: self.store.hash(),
        })
    }

    /// The connected members that are not suspected.
    fn heard(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.keys().copied().filter(|peer| !self.is_suspected(*peer))
    }

    pub(super) fn on_beat(&mut self, now: Time, from: NodeId, beat: Beat, effects: &mut Effects) {
        let Beat { ack, wall_ms, ready, number, hears, hash } = beat;
        let is_same = ack.clock == self.clock && hash != self.store.hash();
        let peer = self.peers.get_mut(&from).expect("it is connected");
        peer.greeted = true;
        self.deaf.remove(&from);
        peer.wall = Some((now, wall_ms));
        peer.ready = ready;
        peer.beat = number;
        peer.hears = hears.iter().map(|(id, _)| *id).collect();
        let own = hears.iter().find(|(id, _)| *id == self.config.node).map(|(_, number)| *number);
        peer.note_heard(own, self.beats);
        peer.differs = if is_same { peer.differs + 1 } else { 0 };
        let differs = peer.differs % DIFFERS_PERIOD == DIFFERS_BEATS;
        self.on_ack(from, ack, effects);
        if let Some(number) = own {
            self.send_lost(now, from, number);
        }
        self.choose_relays(from);
        if differs {
            effects.observe(CausalEvent::StatesDiffer { peer: from });
            self.begin_sync(now, from, effects);
        } else if !self.ready && ready {
            self.begin_sync(now, from, effects);
        }
    }

    /// A member tells what it has.
    pub(super) fn on_ack(&mut self, from: NodeId, ack: Ack, effects: &mut Effects) {
        let Ack { clock, beyond } = ack;
        if !self.believes(&clock) {
            return;
        }
        self.owed = self.owed.max(clock.get(self.config.node));
        let known = self.known.entry(from).or_default();
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let before = peer.sent.keys().map(|node| known.get(*node)).sum::<u64>();
        let mut is_news = false;
        if !known.covers(&clock) {
            // What it lacks from here on it was not told of.
            peer.told_behind = None;
            self.are_acks_due = true;
            is_news = true;
        }
        known.merge(&clock);
        let after = peer.sent.keys().map(|node| known.get(*node)).sum::<u64>();
        peer.beyond = beyond.into_iter().collect();
        if after > before {
            peer.retry.reset();
        }
        self.is_pump_due = true;
        if is_news {
            self.trace(effects, |_| CausalEvent::HandleAck { peer: from, clock });
        }
    }

    /// A member has had a beat of this node, and lacks what went before it on the same connection:
    /// that was lost, and is sent again. What is but slow is not (a slow link would be filled with
    /// it).
    fn send_lost(&mut self, now: Time, member: NodeId, number: u64) {
        let known = self.known.entry(member).or_default();
        let Some(peer) = self.peers.get_mut(&member) else { return };
        let lost = peer.lost(number, known);
        let heartbeat = self.config.heartbeat_interval;
        if !lost.is_empty() && peer.retry.attempt(now, heartbeat, &mut self.dice) {
            peer.sent.retain(|writer, _| !lost.contains(writer));
            self.is_pump_due = true;
        }
    }

    /// Whether another can have seen that much of this node: no disk has lost so many writes.
    pub(super) fn believes(&self, clock: &VectorClock) -> bool {
        let own = self.config.node;
        clock.get(own) <= self.clock.get(own) + LOST_WRITES_MAX
    }

    /// A client of a member waits: it gets all that it lacks, whoever wrote it.
    pub(super) fn on_want(&mut self, from: NodeId, ack: Ack, effects: &mut Effects) {
        self.on_ack(from, ack, effects);
        let lacking: Vec<NodeId> = self.lacking(from).collect();
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.relays.extend(lacking);
        }
    }

    /// Of whom a member lacks writes that are here, beside this node's own.
    fn lacking(&self, member: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let known = self.known.get(&member);
        let lacks = move |dot: &Dot| known.is_none_or(|known| !known.contains(*dot));
        let others = move |dot: &Dot| dot.node != self.config.node;
        self.clock.iter().filter(move |dot| others(dot) && lacks(dot)).map(|dot| dot.node)
    }

    fn choose_relays(&mut self, member: NodeId) {
        let lacking: Vec<NodeId> = self.lacking(member).collect();
        let heard: Vec<NodeId> = self.heard().collect();
        let Some(peer) = self.peers.get_mut(&member) else { return };
        peer.lags.retain(|writer, _| lacking.contains(writer));
        peer.relays.retain(|writer| lacking.contains(writer));
        for writer in lacking {
            let has = self.known.get(&member).map_or(0, |known| known.get(writer));
            let (had, beats) = peer.lags.entry(writer).or_default();
            *beats = if *had == has { *beats + 1 } else { 0 };
            *had = has;
            // A member has its own writes, unless its disk has lost them.
            let is_heard =
                writer == member || (heard.contains(&writer) && peer.hears.contains(&writer));
            if !is_heard || *beats >= RELAY_BEATS {
                peer.relays.insert(writer);
            } else if *beats == 0 {
                // It gets on by itself, or by what was relayed.
                peer.relays.remove(&writer);
            }
        }
    }

    /// Sends what members lack, as far as there is room on the way to each: who is slow holds up
    /// nobody else. A message that several get is encoded once.
    pub(super) fn pump(&mut self, now: Time, effects: &mut Effects) {
        if !std::mem::take(&mut self.is_pump_due) {
            return;
        }
        let pause = if self.acks.is_awaited() { PUMP_URGENT } else { PUMP_INTERVAL };
        let is_due = now.since(self.pumped) >= pause;
        let mut groups: BTreeMap<(NodeId, u64), Vec<NodeId>> = BTreeMap::new();
        for (id, peer) in self.peers.iter().filter(|(_, peer)| peer.greeted) {
            let Some(known) = self.known.get(id) else { continue };
            for writer in peer.relays.iter().copied().chain([self.config.node]) {
                let sent = peer.sent(writer, known);
                if self.clock.get(writer) > sent && self.room(*id, writer, sent) > 0 {
                    groups.entry((writer, sent)).or_default().push(*id);
                }
            }
        }
        for ((writer, sent), members) in groups {
            // While something is on its way, what comes goes together (Nagle, RFC 896).
            if is_due || self.is_idle(writer, sent, &members) {
                self.send_behind(now, writer, sent, &members, effects);
            } else {
                self.is_pump_due = true;
                self.timers.set_by(Timer::Pump, self.pumped + pause);
            }
        }
    }

    /// Whether all of these have acknowledged all of `writer` that they were sent.
    fn is_idle(&self, writer: NodeId, sent: u64, members: &[NodeId]) -> bool {
        let acked = |id: &NodeId| self.known.get(id).map_or(0, |known| known.get(writer));
        members.iter().all(|id| acked(id) >= sent)
    }

    /// How many bytes of a writer's writes may yet go on their way to a member that was sent those up
    /// to a counter.
    fn room(&self, member: NodeId, writer: NodeId, sent: u64) -> u64 {
        let acked = self.known.get(&member).map_or(0, |known| known.get(writer));
        FLIGHT_BYTES_MAX.saturating_sub(self.log.bytes_between(writer, acked, sent))
    }

    /// Sends the writes of `writer` behind the counter `sent` to all of these.
    fn send_behind(
        &mut self,
        now: Time,
        writer: NodeId,
        sent: u64,
        members: &[NodeId],
        effects: &mut Effects,
    ) {
        let room = members.iter().map(|id| self.room(*id, writer, sent)).min().unwrap_or(0);
        let Some(writes) = self.log.behind(writer, sent) else {
            members.iter().for_each(|id| self.tell_behind(now, *id, effects));
            return;
        };
        let messages = in_messages(writes, room, |dot| {
            members.iter().all(|id| self.peers[id].beyond.contains(&dot))
        });
        let Some(last) = messages.last().and_then(|writes| writes.last()).map(|write| write.dot)
        else {
            return;
        };
        self.pumped = now;
        let to: Arc<[NodeId]> = members.into();
        let is_urgent = self.acks.is_awaited();
        for writes in messages {
            effects.send_each(&to, Message::Writes { writes, is_urgent });
        }
        for id in members {
            let peer = self.peers.get_mut(id).expect("it is connected");
            peer.sent.insert(writer, last.counter);
        }
    }

    fn tell_behind(&mut self, now: Time, member: NodeId, effects: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&member) else { return };
        if peer.told_behind.is_none_or(|at| now.since(at) >= BEHIND_INTERVAL) {
            peer.told_behind = Some(now);
            effects.send(member, Message::Behind);
        }
    }

    /// Acknowledges what has come, once for each commit, and not for every one where nobody waits.
    pub(super) fn acknowledge(&mut self, effects: &mut Effects) {
        let mut due = Vec::new();
        for (id, peer) in &mut self.peers {
            let is_much = peer.unacknowledged >= ACK_WRITES
                || peer.unacknowledged_bytes >= FLIGHT_BYTES_MAX / 4;
            if peer.is_ack_urgent || is_much {
                (peer.unacknowledged, peer.unacknowledged_bytes) = (0, 0);
                peer.is_ack_urgent = false;
                due.push(*id);
            }
        }
        for id in due {
            effects.send(id, Message::Ack(self.ack()));
        }
    }

    /// What all members have is not kept for anybody.
    pub(super) fn release_log(&mut self, effects: &mut Effects) {
        let mut stable: VectorClock = self.clock.clone();
        for member in self.members.keys().filter(|id| **id != self.config.node) {
            let known = self.known.get(member).cloned().unwrap_or_default();
            stable = stable.iter().map(|dot| lower(dot, &known)).collect();
        }
        let before = self.traced_bases();
        self.log.release(&stable);
        self.trace_log(before, |behind| CausalEvent::Collect { behind }, effects);
    }

    /// How many writes a member lacks, as far as is known.
    pub fn lag_of(&self, member: NodeId) -> u64 {
        let known = self.known.get(&member);
        let had = |dot: Dot| known.map_or(0, |known| known.get(dot.node)).min(dot.counter);
        self.clock.iter().map(|dot| dot.counter - had(dot)).sum()
    }
}

fn lower(dot: Dot, known: &VectorClock) -> Dot {
    Dot { counter: dot.counter.min(known.get(dot.node)), ..dot }
}

/// The first writes in messages, without those that `is_there` already: as many messages as begin
/// within `room` bytes.
fn in_messages<'a>(
    writes: impl Iterator<Item = &'a Arc<Write>>,
    room: u64,
    is_there: impl Fn(Dot) -> bool,
) -> Vec<Vec<Arc<Write>>> {
    let mut messages: Vec<Vec<Arc<Write>>> = Vec::new();
    let (mut bytes, mut all) = (usize::MAX, 0);
    for write in writes.filter(|write| !is_there(write.dot)) {
        let is_full = bytes >= MESSAGE_BYTES || (bytes > 0 && bytes + write.weight() > LARGE_BYTES);
        if is_full {
            if all >= room {
                break;
            }
            messages.push(Vec::new());
            bytes = 0;
        }
        bytes += write.weight();
        all += write.weight() as u64;
        messages.last_mut().expect("one was just begun").push(Arc::clone(write));
    }
    messages
}

//! Lab 2: causal replication.
//!
//! Every node takes reads and writes at any time, whoever else can be reached. A write is durable
//! here before it is answered, is sent to all members until each has acknowledged it, and is applied
//! everywhere once, after all that its writer had seen. So nothing is lost, nothing counts twice,
//! and an effect is never seen before its cause. Writes that did not know of each other stand side
//! by side, and every node makes the same of them.
//!
//! # The rules
//!
//! 1. **Dots and clocks** (`clock`). A write is named by its writer and a counter, its dot. A node's
//!    vector clock tells how many writes of each node it has applied (Fidge 1988; Mattern 1989). A
//!    node id is fresh with each data directory, and a counter is durable before anybody hears of
//!    it; so a dot is given out once.
//! 2. **Write** (`request`). A write takes the place of the versions of its key that its client has
//!    seen, and adds one; a deletion adds none. It carries what its writer has seen since its write
//!    before: its past.
//! 3. **Deliver** (`delivery`). A write is applied once it is the next of its writer and its past is
//!    here (waiting causal broadcast: Cachin, Guerraoui, Rodrigues 2011, §3.9.4). Until then it
//!    waits in a bounded buffer.
//! 4. **Links** (`outgoing`). What a member has not acknowledged is sent again, with exponential
//!    back-off. Whoever sees that a member lacks another's writes relays them. The writes that some
//!    member lacks are kept in a bounded, durable log.
//! 5. **Join** (`store`, `antientropy`). Whoever lacks more than the log has takes over a member's
//!    state: a version of both stays, and one of a single state stays if the other has not seen its
//!    dot. What comes so takes effect in one step. A node without a state serves once it has a
//!    member's. Where all are connected and none has one, the lowest id serves.
//! 6. **Acknowledgements** (`acks`). A write is answered when as many members as asked have it,
//!    durably.
//! 7. **Sessions** (`parked`). A request that carries what its client has seen waits until this node
//!    has seen it, too. That is read-your-writes, monotonic reads, and writes-follow-reads (Terry
//!    et al. 1994), over whichever nodes.
//! 8. **Resolvers** (`resolver`) are views on versions that stand side by side. The state does not
//!    depend on them.
//! 9. **Failure detector** (`detector`). Suspicion steers whose writes are relayed. It never changes
//!    data.
//!
//! ```text
//!  client      writer                      member
//!    │── put ───▶│ apply                      │
//!    │           │ sync                       │
//!    │◀── ok ────│── Writes ─────────────────▶│ apply, once its past is here
//!    │ (acks: 1) │                            │ sync
//!    │           │◀───────────────────── Ack ─│
//!    │◀── ok ────│ (acks: 2)                  │
//! ```
//!
//! # Invariants
//!
//! - Of each writer a node has applied the writes up to its clock, each once, and all that these
//!   knew of. Asserted in `delivery`.
//! - Nodes with equal clocks hold equal versions.
//! - A message leaves behind the commit of all that it tells: a member that is known to have a write
//!   has it on its disk.
//! - There are no tombstones. That a version is gone is told by the clock, so nothing is to be
//!   collected, and no absence is too long (Bieniusa et al. 2012).
//!
//! # Not done
//!
//! - Clocks keep an entry for each data directory that was ever written with, also when its node is
//!   no member any more: a version of it may still be what a key holds. That is 16 bytes each.
//! - A put or a deletion that is concurrent with an `incr` of the same key does not undo what the
//!   incrementing node has counted before.

mod acks;
mod antientropy;
pub mod clock;
pub mod context;
mod deletion;
mod delivery;
pub mod detector;
mod donor;
pub mod hybrid;
pub mod log;
pub mod message;
mod outgoing;
mod parked;
mod peer;
mod read;
pub mod record;
mod recovery;
mod repeated;
mod report;
mod request;
pub mod resolver;
mod saving;
pub mod snapshot;
mod staging;
pub mod store;
#[cfg(test)]
mod tests;
mod traced;
pub mod tree;
pub mod version;
pub mod write;

pub use recovery::RecoverError;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use crate::causal::acks::Awaited;
use crate::causal::antientropy::Pull;
use crate::causal::clock::VectorClock;
use crate::causal::deletion::Deletions;
use crate::causal::delivery::Incoming;
use crate::causal::detector::{Detector, Transition};
use crate::causal::donor::Gift;
use crate::causal::hybrid::HybridClock;
use crate::causal::log::Log;
use crate::causal::message::Message;
use crate::causal::parked::Parked;
use crate::causal::peer::Peer;
use crate::causal::record::{Record, Step};
use crate::causal::saving::Snapshots;
use crate::causal::store::Store;
use crate::causal::traced::Traced;
use crate::config::Config;
use crate::identity::{NodeId, NodeName};
use crate::kv::session::Sessions;
use crate::modes::ModeTable;
use crate::observe::CausalEvent;
use crate::protocol::{Input, Protocol};
use crate::time::{Time, Timers};

type Effects = crate::protocol::Effects<Causal>;

/// A node's part in causal mode.
#[derive(Debug)]
pub struct Causal {
    config: Config,
    dice: ChaCha8Rng,
    /// All of them, this one included.
    members: BTreeMap<NodeId, NodeName>,
    /// Whether it has been taken in, as far as it knows.
    is_member: bool,
    /// Which resolver a key has.
    modes: ModeTable,
    // Persistent state.
    clock: VectorClock,
    /// Lamport's: at least every clock seen.
    lamport: u64,
    hybrid: HybridClock,
    store: Store,
    sessions: Sessions,
    log: Log,
    /// Counts the steps that are on the disk.
    position: u64,
    ready: bool,
    // Volatile state.
    /// What the next record is to have.
    steps: Vec<Step>,
    /// The clock, as of this node's last write.
    told: VectorClock,
    incoming: Incoming,
    /// Who is connected.
    peers: BTreeMap<NodeId, Peer>,
    /// What each member is known to have, durably.
    known: BTreeMap<NodeId, VectorClock>,
    detectors: BTreeMap<NodeId, Detector>,
    /// Who did not hear this node, by the last that was heard, and is not connected any more.
    deaf: BTreeSet<NodeId>,
    acks: Awaited,
    parked: Parked,
    deletions: Deletions,
    pull: Option<Pull>,
    gifts: BTreeMap<NodeId, Gift>,
    /// The last session in which each peer asked for this node's state, on its connection.
    pinned: BTreeMap<NodeId, u64>,
    sessions_begun: u64,
    /// Others have writes of this node up to this counter: it writes no such one again.
    owed: u64,
    snapshots: Snapshots,
    timers: Timers<Timer>,
    disk_full: bool,
    /// How many beats were sent.
    beats: u64,
    /// When something was sent last.
    pumped: Time,
    /// Whether there may be something to send.
    is_pump_due: bool,
    /// Whether writes may have as many acknowledgements as was asked for.
    are_acks_due: bool,
    /// Whether the clock has advanced since those who wait were looked at.
    has_advanced: bool,
    /// A state has taken this one's place since the node last asked.
    has_jumped: bool,
    /// Whether anybody wants to hear what changes.
    is_watched: bool,
    /// Where somebody traces the node.
    traced: Option<Box<Traced>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Peers want to hear from us, and we look whether we hear from them.
    Beat,
    /// A client may have waited too long.
    Deadline,
    /// A deletion goes on.
    Deletion,
    /// What waits to be sent together with more has waited long enough.
    Pump,
}

impl Protocol for Causal {
    type Message = Message;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<Message>, effects: &mut Effects) {
        match input {
            Input::Start => self.on_start(now, effects),
            Input::Tick => self.on_tick(now, effects),
            Input::PeerUp(hello) => self.on_peer_up(now, hello.node, effects),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, effects),
            Input::Message { from, message } => self.on_message(now, from, message, effects),
            Input::Request { id, call } => self.on_request(now, id, call, effects),
            Input::Abandoned(request) => {
                self.acks.forget(request);
                self.parked.forget(request);
            }
            Input::Closed { connection } => {
                self.acks.forget_connection(connection);
                self.parked.forget_connection(connection);
            }
            Input::Wall(unix_ms) => self.hybrid.set_wall(now, unix_ms),
            Input::DiskFull(is_full) => self.disk_full = is_full,
            Input::CausalWritten(position) => self.on_snapshot_written(position, effects),
            Input::SnapshotWritten(_) => self.on_raft_written(),
            // These are of another lab.
            Input::SnapshotReceived(_)
            | Input::SnapshotSent { .. }
            | Input::Verified { .. }
            | Input::Room { .. }
            | Input::Retire => {}
            Input::Stop => {
                self.end_all_acks(effects);
                self.end_all_parked(effects);
                self.end_all_deletions(effects);
                self.give_up(effects, "the node is about to end");
            }
        }
    }

    fn flush(&mut self, now: Time, effects: &mut Effects) {
        self.trace_members(effects);
        self.unpark(now, effects);
        if self.deletions.len() > 0 {
            let waits = self.disk_full || self.is_puller_full(true);
            let pause = if waits { self.config.heartbeat_interval } else { Duration::ZERO };
            if !waits {
                self.go_on_deleting(now, effects);
            }
            self.timers.set(Timer::Deletion, now + pause);
        }
        if std::mem::take(&mut self.are_acks_due) {
            self.answer_acknowledged(effects);
        }
        self.pump(now, effects);
        self.acknowledge(effects);
        self.save(effects);
        self.take_snapshot(effects);
        self.trace_state(effects);
    }

    fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }
}

impl Causal {
    fn on_start(&mut self, now: Time, effects: &mut Effects) {
        self.trace_start(effects);
        self.timers.set(Timer::Beat, now + self.config.heartbeat_interval);
        if self.ready && self.position == 0 {
            self.steps.push(Step::Ready);
        }
    }

    fn on_tick(&mut self, now: Time, effects: &mut Effects) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Beat => self.on_beat_due(now, effects),
                Timer::Deadline => self.on_deadline(now, effects),
                // They go on in flush.
                Timer::Deletion | Timer::Pump => {}
            }
        }
    }

    fn on_beat_due(&mut self, now: Time, effects: &mut Effects) {
        self.timers.set(Timer::Beat, now + self.config.heartbeat_interval);
        let interval = self.config.heartbeat_interval;
        for id in self.members.keys().filter(|id| **id != self.config.node) {
            // Who was never heard is suspected, too, once it has had its time.
            self.detectors.entry(*id).or_insert_with(|| Detector::new(now, interval));
        }
        for (id, detector) in &mut self.detectors {
            if detector.look(now) == Some(Transition::Suspect) {
                effects.observe(CausalEvent::Suspect { peer: *id });
            }
        }
        let to: Vec<NodeId> = self.peers.keys().copied().collect();
        self.beats += 1;
        effects.send_each(&to.into(), self.beat(now));
        for peer in self.peers.values_mut() {
            peer.mark(self.beats);
            // The beat is an acknowledgement.
            (peer.unacknowledged, peer.unacknowledged_bytes) = (0, 0);
        }
        self.want(effects);
        self.consider_founding(effects);
        self.look_at_donor(now, effects);
        self.drop_old_gifts(now);
        self.release_log(effects);
    }

    fn on_message(&mut self, now: Time, from: NodeId, message: Message, effects: &mut Effects) {
        if !self.peers.contains_key(&from) {
            return; // It crossed our own disconnect.
        }
        match message {
            Message::Writes { writes, is_urgent } => {
                self.on_writes(now, from, writes, is_urgent, effects);
            }
            Message::Ack(ack) => self.on_ack(from, ack, effects),
            Message::Beat(beat) => {
                let detector = self.detectors.get_mut(&from);
                if detector.and_then(|detector| detector.hear(now)) == Some(Transition::Trust) {
                    effects.observe(CausalEvent::Trust { peer: from });
                }
                self.on_beat(now, from, beat, effects);
            }
            Message::Want(ack) => self.on_want(from, ack, effects),
            Message::Behind => self.begin_sync(now, from, effects),
            Message::SyncAsk { session } => self.on_sync_ask(now, from, session, effects),
            Message::SyncTree { session, clock, lamport, tops } => {
                self.on_sync_tree(now, from, session, (clock, lamport), &tops, effects);
            }
            Message::SyncBranches { session, branches } => {
                self.on_sync_branches(now, from, session, branches, effects);
            }
            Message::SyncLeaves { session, leaves } => {
                self.on_sync_leaves(now, from, session, &leaves, effects);
            }
            Message::SyncFetch { session, buckets, after, skip } => {
                let place = (after.as_ref(), skip);
                self.on_sync_fetch(now, from, session, buckets, place, effects);
            }
            Message::SyncChunk(chunk) => self.on_sync_chunk(now, from, chunk, effects),
            Message::SyncRefused { session } => self.on_sync_refused(from, session, effects),
        }
    }

    /// Who belongs to the cluster. A write that waits for one who is gone may be done.
    pub fn set_members<'a>(&mut self, members: impl Iterator<Item = (NodeId, &'a NodeName)>) {
        let mut next: BTreeMap<NodeId, &NodeName> = members.collect();
        self.is_member = next.contains_key(&self.config.node);
        next.insert(self.config.node, &self.config.name);
        if next.iter().map(|(id, name)| (id, *name)).eq(&self.members) {
            return;
        }
        let next = next.into_iter().map(|(id, name)| (id, name.clone())).collect();
        self.members = next;
        if let Some(traced) = &mut self.traced {
            traced.note_members();
        }
        let is_there = |id: &NodeId| self.members.contains_key(id) || self.peers.contains_key(id);
        self.known.retain(|id, _| is_there(id));
        self.detectors.retain(|id, _| is_there(id));
        self.deaf.retain(&is_there);
        self.are_acks_due = true;
    }

    /// Which keys have which resolver.
    pub fn set_modes(&mut self, modes: &ModeTable) {
        if self.modes.digest() != modes.digest() {
            self.modes = modes.clone();
        }
    }

    /// Whether anybody wants to hear what changes.
    pub fn set_watched(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
    }

    /// Whether a state has taken this one's place since this was last asked.
    pub fn take_jump(&mut self) -> bool {
        std::mem::take(&mut self.has_jumped)
    }
}

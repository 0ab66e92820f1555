//! Lab 1: broadcast replication.
//!
//! Each node holds its own copy of all keys. There is no leader: any node takes writes, stores
//! them, and sends them to every peer that is connected. Nobody acknowledges, nobody repeats. It
//! is writable everywhere and at once, and it may lose and diverge; what is lost is counted.
//!
//! # The rules
//!
//! 1. **Write.** A write gets a version: a clock above every clock this node has seen (Lamport
//!    1978), the node, and its incarnation. It is stored, numbered, and sent to each connected
//!    peer, ready or not. The reply says to how many.
//! 2. **Deliver.** A write of a peer is taken if its number is above the last one of that peer
//!    and incarnation; so nothing is applied twice or out of order, over however many
//!    connections. A gap is counted as missed. It is merged by version: the later write of a key
//!    wins on every node. It is never sent on.
//! 3. **Delete.** A deletion is a write without a value, remembered and synced as any other.
//! 4. **Sync.** A node that has started serves nothing. It connects to all members it can reach;
//!    each one's first heartbeat tells from which number on the node gets that peer's writes.
//!    Then it asks one ready peer, the donor, for its state, in chunks in the order of keys. The
//!    first chunk tells how far the donor had heard of everybody. If that is short of where the
//!    node began to hear, or the donor is connected with a peer that the node does not hear, what
//!    lies between would be lost: the donor is asked again a little later. Whatever comes is
//!    merged by version. Behind the last chunk the node is ready. If the donor fails before, what
//!    it gave is dropped, and another donor is asked.
//! 5. **Found.** Where all members are connected with all and none is ready (all have
//!    restarted), the one with the lowest id is ready with what it has. All tell by their
//!    heartbeats with whom they are connected; so nobody founds while another may still be about
//!    to finish its sync. Where some can't be reached and no ready one
//!    is found in [`FOUND_PATIENCE`] election timeouts, the lowest of those that are connected is
//!    ready in doubt; as soon as it meets a ready member, it merges that one's state.
//! 6. **Repair.** On request, the states of all ready peers are merged once more.
//!
//! ```text
//!  joiner            donor         another writer
//!    │── hello ────────┼──────────────▶│   subscribe first
//!    │◀── Heartbeat ───┼───────────────│   "I have made 57 writes": from 58 on they come here
//!    │── SyncRequest ─▶│               │
//!    │◀── SyncChunk ───│               │   heard: {writer: 57 or more}, else ask again
//!    │◀── Write 58 ────┼───────────────│   merged although the sync goes on
//!    │── SyncRequest ─▶│               │
//!    │◀── SyncChunk ───│               │   done: ready
//! ```
//!
//! # Invariants
//!
//! - A version is given out once.
//! - Stores that have merged the same writes are equal ([`store::Store::merge`]).
//! - A node that is not ready answers no question about keys.
//! - A synced node has at least what its donor had when the session began.
//!
//! # Not done
//!
//! - Lost writes are not sent again, and nothing is durable but who the members are: that is what
//!   the causal and the raft mode are for.
//! - Deletions are remembered until the node restarts together with all others.

mod donor;
pub mod heartbeat;
mod link;
pub mod members;
mod membership;
pub mod message;
mod read;
mod repair;
mod report;
pub mod store;
mod sync;
mod traced;
pub mod version;
mod write;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broadcast::link::Links;
use crate::broadcast::members::Members;
use crate::broadcast::message::Message;
use crate::broadcast::store::Store;
use crate::broadcast::sync::Sync;
use crate::config::Config;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Header, Served};
use crate::control::request::Request;
use crate::identity::{ClusterId, Incarnation, NodeId, NodeName};
use crate::modes::Mode;
use crate::observe::Event;
use crate::protocol::{Answer, Input, Protocol, RequestId};
use crate::time::{Time, Timers};

/// For how many election timeouts a node looks for a ready member before it serves without one.
pub const FOUND_PATIENCE: u32 = 10;

/// What a node must find again after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its cluster.
    pub cluster: ClusterId,
    /// How often it has started.
    pub incarnation: Incarnation,
    /// The members it knew.
    pub members: Members,
}

impl Record {
    /// That of a new cluster's first node, before its first start.
    pub fn bootstrap(node: NodeId, name: NodeName, cluster: ClusterId) -> Self {
        let (incarnation, members) = (Incarnation(0), Members::default());
        Self { node, name, cluster, incarnation, members }
    }
}

/// A node's copy of the keys in broadcast mode, and what it knows of its peers.
#[derive(Debug)]
pub struct Broadcast {
    config: Config,
    cluster: Option<ClusterId>,
    incarnation: Incarnation,
    members: Members,
    /// Whether a restart would not know all of this.
    is_unsaved: bool,
    /// Who was a member, and is none.
    retired: BTreeSet<NodeId>,
    store: Store,
    /// Lamport's: at least every clock seen.
    clock: u64,
    /// How many writes this incarnation has made.
    number: u64,
    links: Links,
    ready: bool,
    sync: Sync,
    timers: Timers<Timer>,
    /// When peers were last looked at.
    looked_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Peers want to hear from us, and we look whether we hear from them.
    Heartbeat,
    /// Members that are not connected by now are not waited for.
    Gather,
    /// The donor has not answered.
    Retry,
    /// No ready member was found.
    Patience,
}

type Effects = crate::protocol::Effects<Broadcast>;

impl Protocol for Broadcast {
    type Message = Message;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<Message>, effects: &mut Effects) {
        let observed = effects.observed();
        match input {
            Input::Start => self.on_start(now, effects),
            Input::Tick => self.on_tick(now, effects),
            Input::PeerUp(hello) => self.on_peer_up(now, *hello, effects),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, "connection lost", effects),
            Input::Message { from, message } => self.on_message(now, from, message, effects),
            Input::Request { id, call } => self.on_request(now, id, call.request, effects),
            // Clients' connections are the node's matter.
            Input::Abandoned(_) | Input::Closed { .. } => {}
            // The state is in memory alone, and nobody leads.
            Input::DiskFull(_)
            | Input::SnapshotWritten(_)
            | Input::CausalWritten(_)
            | Input::SnapshotReceived(_)
            | Input::SnapshotSent { .. }
            | Input::Verified { .. }
            | Input::Room { .. }
            | Input::Wall(_)
            | Input::Retire => {}
            Input::Stop => self.on_stop(effects),
        }
        if self.config.is_traced && effects.observed() > observed {
            self.observe_state(effects);
        }
    }

    fn flush(&mut self, _: Time, effects: &mut Effects) {
        self.save(effects);
    }

    fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }
}

impl Broadcast {
    /// The node that `record` tells of; without one, a node that has yet to join.
    pub fn recover(config: Config, record: Option<Record>) -> Self {
        let (cluster, incarnation, members) = match record {
            Some(record) => (Some(record.cluster), record.incarnation, record.members),
            None => (None, Incarnation(0), Members::default()),
        };
        Self {
            config,
            cluster,
            incarnation: incarnation.next(),
            members,
            is_unsaved: false,
            retired: BTreeSet::new(),
            store: Store::default(),
            clock: 0,
            number: 0,
            links: Links::default(),
            ready: false,
            sync: Sync::default(),
            timers: Timers::default(),
            looked_at: Time::default(),
        }
    }

    /// Whether the node serves.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The Lamport clock, which serves as the revision.
    pub fn revision(&self) -> u64 {
        self.clock
    }

    /// The keys.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn on_start(&mut self, now: Time, effects: &mut Effects) {
        effects.observe(Event::Start { incarnation: self.incarnation });
        self.timers.set(Timer::Heartbeat, now + self.config.heartbeat_interval);
        if self.cluster.is_some() {
            self.announce_self();
        }
        self.begin_gathering(now);
        self.consider_sync(now, effects);
    }

    fn on_tick(&mut self, now: Time, effects: &mut Effects) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Heartbeat => self.on_heartbeat_due(now, effects),
                Timer::Gather | Timer::Patience => self.consider_sync(now, effects),
                Timer::Retry => self.on_donor_silent(now, effects),
            }
        }
    }

    /// A peer lives: it has said something, if not in this mode.
    pub fn touch(&mut self, now: Time, peer: NodeId) {
        self.links.touch(now, peer);
    }

    fn on_message(&mut self, now: Time, from: NodeId, message: Message, effects: &mut Effects) {
        if self.links.get(from).is_none() {
            return; // It crossed our own disconnect.
        }
        self.links.touch(now, from);
        if !message.is_plausible() {
            effects.disconnect(from);
            self.on_peer_down(now, from, "it sent what no sound node sends", effects);
            return;
        }
        match message {
            Message::Write { number, write } => self.deliver(from, number, write, effects),
            Message::Heartbeat(beat) => self.on_heartbeat(now, from, &beat, effects),
            Message::Members(members) => self.on_members(now, members, effects),
            Message::SyncRequest { session, chunk, after } => {
                self.serve_sync(from, session, chunk, after.as_ref(), effects);
            }
            Message::SyncChunk(chunk) => self.on_sync_chunk(now, from, chunk, effects),
            Message::SyncRefused { session } => {
                self.on_sync_refused(now, from, session, effects);
            }
        }
    }

    /// Lamport's rule: a clock is above all that was seen.
    fn see_clock(&mut self, clock: u64) {
        self.clock = self.clock.max(clock);
    }

    fn on_request(&mut self, now: Time, id: RequestId, request: Request, effects: &mut Effects) {
        let is_read = matches!(request, Request::Get { .. } | Request::List(_));
        let outcome = match request {
            Request::Put { key, value, .. } => self.put(key, value, effects),
            Request::Delete { selection, .. } => self.delete(&selection, effects),
            Request::Get { key, .. } => self.get(&key),
            Request::List(range) => self.list(&range),
            Request::Sync { .. } => match self.repair(now, id, effects) {
                Some(outcome) => outcome,
                None => return, // It is answered when it is done.
            },
            Request::Hello
            | Request::Status
            | Request::Members
            | Request::Ready
            | Request::Health
            | Request::Watch { .. }
            | Request::Cancel { .. }
            | Request::Wait(_)
            | Request::Live
            | Request::Fault(_)
            | Request::Trace(_)
            | Request::Member { .. }
            | Request::TransferLeader { .. }
            | Request::ModeSet { .. }
            | Request::Modes
            | Request::Explain { .. }
            | Request::Incr { .. }
            | Request::Add { .. }
            | Request::Remove { .. }
            | Request::Conflicts { .. }
            | Request::Resolve { .. }
            | Request::Kv(_) => unreachable!("the node answers these itself"),
        };
        let served = is_read.then_some(Served::Local);
        effects.answer(id, Answer::Reply(Header { served, ..self.header() }, outcome));
    }

    /// The header of an answer about keys of this mode.
    pub fn header(&self) -> Header {
        Header {
            node: self.config.name.clone(),
            mode: Some(Mode::Broadcast),
            term: None,
            revision: Some(self.clock),
            served: None,
        }
    }

    fn on_stop(&mut self, effects: &mut Effects) {
        let failure = Failure::new(ErrorCode::ShuttingDown, "the node is about to end");
        if let Some(id) = self.sync.take_request() {
            effects.answer(id, Answer::Reply(self.header(), Err(failure.clone())));
        }
    }

    fn gather_time(&self) -> Duration {
        self.config.heartbeat_interval * 3
    }
}

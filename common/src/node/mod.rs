//! The node: which protocol a key belongs to, and what all of them share: watches, waits, and what
//! operators are told.
//!
//! A cluster that was founded in raft or causal mode runs them over the same links; which keys are
//! whose stands in the mode table, which is part of the state that Raft replicates. One that was
//! founded in broadcast mode has no log: it needs a majority for nothing, and has one mode.
//!
//! Where a member is reached is known by what nodes tell each other as soon as they are connected
//! ([`crate::broadcast::members`]), so that it may change while there is no majority. Who is a
//! member is Raft's matter alone, where it runs: whom it has removed is forgotten here as well.

mod explain;
mod mismatch;
mod mixed;
mod nested;
mod report;
mod routing;
mod wait;
mod watching;

use serde::{Deserialize, Serialize};

use crate::broadcast::members::Member;
use crate::broadcast::store::Store;
use crate::broadcast::{self, Broadcast};
use crate::causal::{self, Causal};
use crate::config::Config;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::Header;
use crate::identity::{ClusterId, NodeId};
use crate::kv::watch::Watches;
use crate::modes::Mode;
use crate::node::mixed::Mixed;
use crate::node::wait::Waits;
use crate::peer;
use crate::protocol::{Answer, Effects, Input, Protocol};
use crate::raft::snapshot::Snapshot;
use crate::raft::{self, Raft};
use crate::time::Time;

/// Of the Lamport clock: JSON readers keep no larger number whole.
const CLOCK_MAX: u64 = 1 << 53;

/// What nodes say to each other: that of one of the protocols. A variant is only ever added at
/// the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Lab 1.
    Broadcast(broadcast::message::Message),
    /// Lab 3.
    Raft(raft::message::Message),
    /// Lab 2.
    Causal(causal::message::Message),
}

/// What a node must find again after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Who it is; replaces the one before.
    Identity(Box<Identity>),
    /// Lab 3's; added to those before.
    Raft(raft::record::Record),
    /// Lab 2's; added to those before.
    Causal(causal::record::Record),
}

/// Who a node is, and who its peers are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name, id, cluster and peers.
    pub broadcast: broadcast::Record,
    /// In which mode the cluster was founded.
    pub mode: Mode,
    /// Whether this node has founded it: its log begins with itself as the only member.
    pub founder: bool,
}

/// What a disk has kept of a node.
#[derive(Debug, Default)]
pub struct Found {
    /// None before a node has been part of a cluster.
    pub identity: Option<Identity>,
    /// The newest of Lab 3, if there is one.
    pub snapshot: Option<Snapshot>,
    /// What came later, and perhaps before.
    pub records: Vec<raft::record::Record>,
    /// The newest of Lab 2, if there is one.
    pub causal_snapshot: Option<causal::snapshot::Snapshot>,
    /// What came later, and perhaps before.
    pub causal_records: Vec<causal::record::Record>,
}

/// What a node can't go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Of Lab 3.
    #[error(transparent)]
    Raft(#[from] raft::RecoverError),
    /// Of Lab 2.
    #[error(transparent)]
    Causal(#[from] causal::RecoverError),
}

/// A node: the protocols side by side, and the clients that wait for something.
#[derive(Debug)]
pub struct Node {
    config: Config,
    founder: bool,
    broadcast: Broadcast,
    /// None in a cluster that was founded in broadcast mode, or before the node has joined one.
    raft: Option<Raft>,
    /// Where there is Raft, which tells who the members are and what the modes.
    causal: Option<Causal>,
    /// What the wall clock said last, and when: a node that has just joined begins with it.
    wall: Option<(Time, u64)>,
    watches: Watches,
    /// Of the mode table, when the watches were last held against it.
    modes_watched: u64,
    waits: Waits,
    mixed: Mixed,
    /// Lamport's: counts steps, and is past that of every message which has come.
    clock: u64,
}

impl Protocol for Node {
    type Message = Message;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<Message>, effects: &mut Effects<Self>) {
        self.tick_clock(&input, effects);
        match input {
            Input::Request { id, call } => self.on_request(now, id, call, effects),
            Input::Message { from, message } => self.on_message(now, from, message, effects),
            Input::Tick => {
                self.step_broadcast(now, Input::Tick, effects);
                self.step_raft(now, Input::Tick, effects);
                self.step_causal(now, Input::Tick, effects);
                self.tell_progress(now, effects);
            }
            Input::Abandoned(request) => {
                self.watches.forget(request);
                self.waits.forget(request);
                self.step_raft(now, Input::Abandoned(request), effects);
                self.step_causal(now, Input::Abandoned(request), effects);
            }
            Input::Closed { connection } => {
                self.watches.forget_connection(connection);
                self.waits.forget_connection(connection);
                self.mixed.forget_connection(connection);
                self.step_raft(now, Input::Closed { connection }, effects);
                self.step_causal(now, Input::Closed { connection }, effects);
            }
            Input::Stop => self.on_stop(now, effects),
            Input::Start => {
                self.step_broadcast(now, Input::Start, effects);
                self.step_raft(now, Input::Start, effects);
                self.step_causal(now, Input::Start, effects);
            }
            Input::PeerUp(hello) => self.on_peer_up(now, hello, effects),
            Input::PeerDown(peer) => {
                self.step_broadcast(now, Input::PeerDown(peer), effects);
                self.step_raft(now, Input::PeerDown(peer), effects);
                self.step_causal(now, Input::PeerDown(peer), effects);
            }
            Input::DiskFull(is_full) => {
                self.step_raft(now, Input::DiskFull(is_full), effects);
                self.step_causal(now, Input::DiskFull(is_full), effects);
            }
            Input::Wall(unix_ms) => {
                self.wall = Some((now, unix_ms));
                self.step_raft(now, Input::Wall(unix_ms), effects);
                self.step_causal(now, Input::Wall(unix_ms), effects);
            }
            Input::Room { connection } => self.on_room(connection, effects),
            Input::SnapshotWritten(index) => {
                self.step_raft(now, Input::SnapshotWritten(index), effects);
                self.step_causal(now, Input::SnapshotWritten(index), effects);
            }
            Input::CausalWritten(position) => {
                self.step_raft(now, Input::CausalWritten(position), effects);
                self.step_causal(now, Input::CausalWritten(position), effects);
            }
            Input::SnapshotReceived(snapshot) => {
                self.step_raft(now, Input::SnapshotReceived(snapshot), effects);
            }
            Input::SnapshotSent { to, index } => {
                self.step_raft(now, Input::SnapshotSent { to, index }, effects);
            }
            Input::Verified { node, outcome } => {
                self.step_raft(now, Input::Verified { node, outcome }, effects);
            }
            Input::Retire => self.step_raft(now, Input::Retire, effects),
        }
        self.answer_waits(now, effects);
    }

    fn flush(&mut self, now: Time, effects: &mut Effects<Self>) {
        self.tick_clock(&Input::Tick, effects);
        // Who the node is comes before its log.
        self.with_broadcast(effects, |broadcast, inner| broadcast.flush(now, inner));
        self.with_raft(effects, |raft, inner| raft.flush(now, inner));
        self.tell_members();
        self.with_causal(effects, |causal, inner| causal.flush(now, inner));
        self.answer_waits(now, effects);
    }

    fn deadline(&self) -> Option<Time> {
        let raft = self.raft.as_ref().and_then(Raft::deadline);
        let causal = self.causal.as_ref().and_then(Causal::deadline);
        let own = [self.watches.deadline(), self.waits.deadline()];
        own.into_iter().chain([raft, causal, self.broadcast.deadline()]).flatten().min()
    }
}

impl Node {
    /// The node that was `found`; where nothing was, one that has yet to join.
    ///
    /// # Errors
    ///
    /// What was found does not belong together.
    pub fn recover(config: Config, found: Found) -> Result<Self, RecoverError> {
        let Found { identity, snapshot, records, causal_snapshot, causal_records } = found;
        let (mode, founder) =
            identity.as_ref().map_or((config.mode, false), |i| (i.mode, i.founder));
        let config = Config { mode, ..config };
        let (mut raft, mut causal) = (None, None);
        if identity.is_some() && mode.has_log() {
            raft = Some(Raft::recover(config.clone(), founder, snapshot, records)?);
            let found = (causal_snapshot, causal_records);
            causal = Some(Causal::recover(config.clone(), founder, found.0, found.1)?);
        }
        let broadcast =
            Broadcast::recover(config.clone(), identity.map(|identity| identity.broadcast));
        let (watches, waits, mixed) = Default::default();
        let (wall, modes_watched, clock) = Default::default();
        let mut node = Self {
            config,
            founder,
            broadcast,
            raft,
            causal,
            wall,
            watches,
            modes_watched,
            waits,
            mixed,
            clock,
        };
        node.note_position();
        Ok(node)
    }

    /// What this node says of itself to a peer.
    pub fn hello(&self) -> peer::hello::Hello {
        peer::hello::Hello { mode: self.config.mode, ..self.broadcast.hello() }
    }

    /// The Lamport clock (Lamport 1978): what leaves now is sent with it, so that the events of
    /// several nodes can be put into an order in which none comes before what caused it.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    fn tick_clock(&mut self, input: &Input<Message>, effects: &mut Effects<Self>) {
        if let Input::PeerUp(hello) = input {
            self.hear(hello.clock);
        }
        self.clock += 1;
        effects.set_clock(self.clock);
    }

    /// What comes next was sent at `clock`, or follows what was. No cluster comes as far as a clock
    /// that leaves no room behind it.
    pub fn hear(&mut self, clock: u64) {
        if clock < CLOCK_MAX {
            self.clock = self.clock.max(clock);
        }
    }

    /// The cluster, once there is one.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.broadcast.cluster()
    }

    /// Whom to be connected with.
    pub fn other_members(&self) -> impl Iterator<Item = &Member> {
        self.broadcast.other_members()
    }

    /// Whether the node looks for the cluster where it was told to join: until it is taken in, even
    /// if it is connected with somebody, who may be as lost as it is.
    pub fn seeks_cluster(&self) -> bool {
        self.cluster().is_none() || self.raft.as_ref().is_some_and(Raft::wants_to_join)
    }

    /// Whether `peer` is connected.
    pub fn is_connected(&self, peer: NodeId) -> bool {
        self.broadcast.is_connected(peer)
    }

    /// The keys in broadcast mode.
    pub fn store(&self) -> &Store {
        self.broadcast.store()
    }

    /// This node's part in Lab 3, where it has one.
    pub fn raft(&self) -> Option<&Raft> {
        self.raft.as_ref()
    }

    /// This node's part in Lab 2, where it has one.
    pub fn causal(&self) -> Option<&Causal> {
        self.causal.as_ref()
    }

    /// Whether this node leads.
    pub fn leads(&self) -> bool {
        self.raft.as_ref().is_some_and(Raft::leads)
    }

    fn on_peer_up(
        &mut self,
        now: Time,
        hello: Box<peer::hello::Hello>,
        effects: &mut Effects<Self>,
    ) {
        let peer = hello.node;
        let joins = self.cluster().is_none();
        if joins {
            self.config.mode = hello.mode;
        }
        self.step_broadcast(now, Input::PeerUp(hello.clone()), effects);
        if joins && self.config.mode.has_log() && self.cluster().is_some() {
            let raft = Raft::recover(self.config.clone(), false, None, Vec::new());
            self.raft = Some(raft.expect("nothing was found that could contradict itself"));
            let causal = Causal::recover(self.config.clone(), false, None, Vec::new());
            self.causal = Some(causal.expect("nothing was found that could contradict itself"));
            self.step_raft(now, Input::Start, effects);
            if let Some((at, unix_ms)) = self.wall {
                self.step_raft(at, Input::Wall(unix_ms), effects);
                self.step_causal(at, Input::Wall(unix_ms), effects);
            }
            self.step_causal(now, Input::Start, effects);
        }
        if self.is_connected(peer) {
            self.step_raft(now, Input::PeerUp(hello.clone()), effects);
            self.step_causal(now, Input::PeerUp(hello), effects);
        }
    }

    /// The header of an answer that is about no keys.
    pub fn header(&self) -> Header {
        Header::of(self.config.name.clone())
    }

    fn on_stop(&mut self, now: Time, effects: &mut Effects<Self>) {
        let failure = Failure::new(ErrorCode::ShuttingDown, "the node is about to end");
        for watch in self.watches.requests() {
            self.end_watch(watch, Some(failure.clone()), effects);
        }
        for request in self.waits.take_all() {
            effects.answer(request, Answer::Reply(self.header(), Err(failure.clone())));
        }
        self.step_raft(now, Input::Stop, effects);
        self.step_causal(now, Input::Stop, effects);
        self.step_broadcast(now, Input::Stop, effects);
    }
}

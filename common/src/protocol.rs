//! The one shape of all protocols: a deterministic `step` from an input to effects.
//!
//! A protocol has no clock, socket, file or thread. Whoever drives it (the daemon, the simulator,
//! a script) hands it inputs with the time, and carries out what [`Effects`] say. Effects lie
//! locked until [`Effects::commit`] has made durable what they promise; only then they become an
//! [`Outbox`] that can be delivered.

use std::io;
use std::sync::Arc;

use crate::causal;
use crate::control::failure::Failure;
use crate::control::reply::{Header, Reply};
use crate::control::request::Call;
use crate::control::watching::WatchLine;
use crate::identity::NodeId;
use crate::kv::watch::Change;
use crate::observe::{Event, Observed};
use crate::peer::hello::Hello;
use crate::raft::snapshot::Snapshot;
use crate::storage::Save;
use crate::storage::snapshot::Kind;
use crate::time::Time;

/// A replication protocol, or the node that is made of them.
pub trait Protocol: Sized {
    /// What it says to its peers.
    type Message;
    /// What it must find again after a restart.
    type Record;

    /// Takes one input. The same record, inputs and times give the same effects, byte for byte.
    fn step(&mut self, now: Time, input: Input<Self::Message>, effects: &mut Effects<Self>);

    /// Does what is worth doing once for many steps; called before each [`Effects::commit`].
    fn flush(&mut self, now: Time, effects: &mut Effects<Self>);

    /// When the next [`Input::Tick`] is due; a driver never polls.
    fn deadline(&self) -> Option<Time>;
}

/// Which request of which client connection. A driver never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The connection.
    pub connection: u64,
    /// The count of its requests.
    pub sequence: u64,
}

impl RequestId {
    /// Before all others.
    pub const FIRST: Self = Self { connection: 0, sequence: 0 };
}

/// What a protocol is driven by.
#[expect(clippy::large_enum_variant, reason = "requests and messages are what most inputs are")]
#[derive(Debug, Clone)]
pub enum Input<M> {
    /// The first of all.
    Start,
    /// The deadline has come.
    Tick,
    /// A peer is connected and has passed the handshake.
    PeerUp(Box<Hello>),
    /// A peer is no longer connected.
    PeerDown(NodeId),
    /// A connected peer has sent something.
    Message {
        /// Who.
        from: NodeId,
        /// What.
        message: M,
    },
    /// A client asks.
    Request {
        /// To be answered under this id.
        id: RequestId,
        /// What it asks.
        call: Call,
    },
    /// Nobody reads the answers to this request any more.
    Abandoned(RequestId),
    /// A client's connection has ended.
    Closed {
        /// Which.
        connection: u64,
    },
    /// The disk is full, or has room again.
    DiskFull(bool),
    /// A snapshot up to this index of the log is on the disk.
    SnapshotWritten(u64),
    /// A snapshot of causal mode up to this position is on the disk.
    CausalWritten(u64),
    /// A client has read enough that its watches may be told more of what they lack.
    Room {
        /// Of the client.
        connection: u64,
    },
    /// What the operating system's clock says, in milliseconds since 1970.
    Wall(u64),
    /// A peer's snapshot has come, and is on the disk.
    SnapshotReceived(Box<Snapshot>),
    /// A snapshot that was to be sent to a peer has arrived there, or has not.
    SnapshotSent {
        /// To whom.
        to: NodeId,
        /// Up to which index of the log it went, if it arrived.
        index: Option<u64>,
    },
    /// Whether a node answers at the address that it told, or why not.
    Verified {
        /// Which node.
        node: NodeId,
        /// Whether it does.
        outcome: Result<(), String>,
    },
    /// The node is about to end: it hands over what it leads, and takes no more.
    Retire,
    /// The node ends: whoever waits is told.
    Stop,
}

impl<M> Input<M> {
    /// A snapshot of that kind is on the disk.
    pub fn written(kind: Kind, mark: u64) -> Self {
        match kind {
            Kind::Raft => Self::SnapshotWritten(mark),
            Kind::Causal => Self::CausalWritten(mark),
        }
    }
}

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// One peer.
    One(NodeId),
    /// Each of these.
    Each(Arc<[NodeId]>),
}

impl Recipients {
    /// All of them.
    pub fn as_slice(&self) -> &[NodeId] {
        match self {
            Self::One(node) => std::slice::from_ref(node),
            Self::Each(nodes) => nodes,
        }
    }
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<M> {
    /// To whom.
    pub to: Recipients,
    /// What.
    pub message: M,
}

/// What a client hears of its request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The reply; the last, but to `watch`.
    Reply(Header, Result<Reply, Failure>),
    /// A further line of a watch.
    Watch(WatchLine),
}

impl Answer {
    /// Whether nothing more comes under the request's id.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Reply(_, outcome) => !matches!(outcome, Ok(Reply::Watch(_))),
            Self::Watch(line) => matches!(line, WatchLine::End { .. }),
        }
    }
}

/// What is to be done with a snapshot, beside the running node.
#[derive(Debug)]
pub enum Task {
    /// Write it to the disk; then comes [`Input::SnapshotWritten`].
    WriteSnapshot(Box<Snapshot>),
    /// The same of causal mode; then comes [`Input::CausalWritten`].
    WriteCausal(Box<causal::snapshot::Snapshot>),
    /// Send the one on the disk to a connected peer; then comes [`Input::SnapshotSent`].
    SendSnapshot(NodeId),
    /// See whether the node answers at that address; then comes [`Input::Verified`].
    Verify(NodeId, String),
    /// What the log holds up to here is in a snapshot of that kind, and is not needed.
    Release(Kind, u64),
    /// The node is no longer a member: it ends.
    Retire,
}

/// What one or more steps want done. Locked: see [`Effects::commit`].
#[derive(Debug)]
pub struct Effects<P: Protocol> {
    records: Vec<P::Record>,
    early: Outbox<P>,
    tasks: Vec<Task>,
    messages: Vec<Envelope<P::Message>>,
    disconnects: Vec<NodeId>,
    answers: Vec<(RequestId, Answer)>,
    changes: Vec<Change>,
    events: Vec<Observed>,
    /// The Lamport clock of the step that these are the effects of.
    clock: u64,
}

impl<P: Protocol> Default for Effects<P> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            early: Outbox::default(),
            tasks: Vec::new(),
            messages: Vec::new(),
            disconnects: Vec::new(),
            answers: Vec::new(),
            changes: Vec::new(),
            events: Vec::new(),
            clock: 0,
        }
    }
}

impl<P: Protocol> Effects<P> {
    /// Adds to what a restart will find.
    pub fn persist(&mut self, record: P::Record) {
        self.records.push(record);
    }

    /// What a restart will find once this is committed.
    pub fn records(&self) -> &[P::Record] {
        &self.records
    }

    /// Sends `message`, which promises nothing about this node's disk, before the commit: so a
    /// leader's sync and its followers' overlap (Raft thesis §10.2.1). What was observed so far
    /// leaves with it, or a trace would have what the message makes happen, and not what made it.
    pub fn send_early(&mut self, to: Recipients, message: P::Message) {
        self.tell_early();
        self.early.messages.push(Envelope { to, message });
    }

    /// What the disk will have is not told before it has it.
    fn tell_early(&mut self) {
        let told = self.events.extract_if(.., |observed| !observed.event.tells_of_disk());
        self.early.events.extend(told);
    }

    /// Answers a request before the commit: it is true whatever this node's disk does, because a
    /// majority has what it tells.
    pub fn answer_early(&mut self, to: RequestId, answer: Answer) {
        self.early.answers.push((to, answer));
    }

    /// Lets `amend` look at all answers so far, and change them.
    pub fn amend_answers(&mut self, mut amend: impl FnMut(RequestId, &mut Answer)) {
        let answers = self.early.answers.iter_mut().chain(&mut self.answers);
        answers.for_each(|(request, answer)| amend(*request, answer));
    }

    /// Takes what may leave before the commit.
    pub fn take_early(&mut self) -> Outbox<P> {
        std::mem::take(&mut self.early)
    }

    /// Has something done beside the running node.
    pub fn task(&mut self, task: Task) {
        self.tasks.push(task);
    }

    /// Sends `message` to one connected peer.
    pub fn send(&mut self, to: NodeId, message: P::Message) {
        self.messages.push(Envelope { to: Recipients::One(to), message });
    }

    /// Sends `message` to each of `to`; it is encoded once.
    pub fn send_each(&mut self, to: &Arc<[NodeId]>, message: P::Message) {
        if !to.is_empty() {
            self.messages.push(Envelope { to: Recipients::Each(Arc::clone(to)), message });
        }
    }

    /// Ends the connection to a peer.
    pub fn disconnect(&mut self, peer: NodeId) {
        self.disconnects.push(peer);
    }

    /// Answers a request.
    pub fn answer(&mut self, to: RequestId, answer: Answer) {
        self.answers.push((to, answer));
    }

    /// Tells that a key holds something else than before.
    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// What follows is of a step at this time of the node's Lamport clock.
    pub fn set_clock(&mut self, clock: u64) {
        self.clock = clock;
    }

    /// Tells what happened.
    pub fn observe(&mut self, event: impl Into<Event>) {
        self.events.push(Observed { lamport: self.clock, event: event.into() });
    }

    /// Whether the step or flush that began when [`Self::observed`] was that has observed anything.
    pub fn observed(&self) -> usize {
        self.early.events.len() + self.events.len()
    }

    /// Runs a step of `Q`, a protocol that `P` is made of, and takes over its effects. The
    /// changes are returned, because `P` alone knows who watches.
    pub fn nested<Q: Protocol>(
        &mut self,
        message: fn(Q::Message) -> P::Message,
        record: impl Fn(Q::Record) -> P::Record,
        step: impl FnOnce(&mut Effects<Q>),
    ) -> Vec<Change> {
        let mut inner = Effects::<Q> { clock: self.clock, ..Effects::default() };
        step(&mut inner);
        let outward = |Envelope { to, message: m }| Envelope { to, message: message(m) };
        self.records.extend(inner.records.into_iter().map(record));
        if !inner.early.messages.is_empty() {
            self.tell_early();
        }
        self.early.events.extend(inner.early.events);
        self.early.messages.extend(inner.early.messages.into_iter().map(outward));
        self.early.answers.extend(inner.early.answers);
        self.tasks.extend(inner.tasks);
        self.messages.extend(inner.messages.into_iter().map(outward));
        self.disconnects.extend(inner.disconnects);
        self.answers.extend(inner.answers);
        self.events.extend(inner.events);
        inner.changes
    }

    /// Makes the records durable, if there are any, and only then yields what may leave the node.
    ///
    /// # Errors
    ///
    /// That of the disk: nothing may leave, and the node must not go on.
    pub fn commit(self, storage: &mut impl Save<P::Record>) -> io::Result<Outbox<P>> {
        if !self.records.is_empty() {
            storage.save(&self.records)?;
        }
        Ok(Outbox {
            messages: self.messages,
            disconnects: self.disconnects,
            answers: self.answers,
            tasks: self.tasks,
            events: self.events,
        })
    }
}

/// What may leave the node.
#[derive(Debug)]
pub struct Outbox<P: Protocol> {
    /// To peers, in order.
    pub messages: Vec<Envelope<P::Message>>,
    /// Connections to end, after the messages.
    pub disconnects: Vec<NodeId>,
    /// To clients, in order.
    pub answers: Vec<(RequestId, Answer)>,
    /// To whoever has the disk and the connections.
    pub tasks: Vec<Task>,
    /// To logs, traces and checkers, in order.
    pub events: Vec<Observed>,
}

impl<P: Protocol> Outbox<P> {
    /// What happened, without the times.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|observed| &observed.event)
    }
}

impl<P: Protocol> Default for Outbox<P> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            disconnects: Vec::new(),
            answers: Vec::new(),
            tasks: Vec::new(),
            events: Vec::new(),
        }
    }
}

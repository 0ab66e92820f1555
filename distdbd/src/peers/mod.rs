//! The links to peers: who is connected, and what is on its way to them.
//!
//! ```text
//!  dial.rs ──┐ handshake.rs                 ┌─▶ reader ──▶ PeerInput ──▶ driver
//!            ├──────────────▶ link.rs (TCP) ┤
//!  accept.rs ┘                              └─◀ socket ◀── Bytes ◀────── Peers::send
//! ```
//!
//! [`verify`] and [`snapshot`] make connections of their own, beside the links.

pub(crate) mod accept;
pub(crate) mod dial;
mod handshake;
pub(crate) mod link;
pub(crate) mod snapshot;
pub(crate) mod verify;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use common::identity::{NodeId, NodeName};
use common::node::Message;
use common::peer::frame;
use common::peer::hello::{Hello, HelloError, Purpose};
use common::protocol::{Envelope, Recipients};
use common::raft::snapshot::Snapshot;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::fault::{Faults, Way};
use crate::peers::dial::DialEvent;
use crate::peers::link::Link;
use crate::upkeep::Files;

/// Above this many bytes on their way to one peer, clients are not read: better they wait than
/// that the peer loses writes. A peer that takes nothing is cut off after an election timeout.
const QUEUED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Batches of peers' messages that wait for the driver. Behind it TCP holds the peers back.
const INPUTS_MAX: usize = 64;

/// What peers make happen.
#[derive(Debug)]
pub(crate) enum PeerInput {
    /// A peer has passed the handshake.
    Up { hello: Box<Hello>, link: Link },
    /// It has sent messages, in so many bytes.
    Messages { from: NodeId, serial: u64, messages: Stamped, bytes: usize },
    /// Its connection has ended.
    Down { from: NodeId, serial: u64 },
    /// Whether a node answers at its address, or why not.
    Verified { node: NodeId, outcome: Result<(), String> },
    /// A snapshot has arrived at a peer, up to this index of the log; or it has not.
    SnapshotSent { to: NodeId, index: Option<u64> },
    /// A peer's snapshot has arrived, and is on the disk. It was sent at this time of the peer's
    /// clock.
    SnapshotReceived { snapshot: Box<Snapshot>, clock: u64 },
}

/// Messages, and what the sender's Lamport clock said.
#[derive(Debug, Default)]
pub(crate) struct Stamped {
    pub(crate) messages: Vec<Message>,
    pub(crate) clock: u64,
}

impl PeerInput {
    /// What it took of a connection.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Messages { bytes, .. } => *bytes,
            Self::Up { .. }
            | Self::Down { .. }
            | Self::Verified { .. }
            | Self::SnapshotSent { .. }
            | Self::SnapshotReceived { .. } => 0,
        }
    }
}

/// What the tasks around the links must know of the node; published anew when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// What this node says of itself.
    pub(crate) hello: Hello,
    /// Whom to be connected with.
    pub(crate) members: BTreeMap<NodeId, MemberView>,
    /// Whether the addresses of `--join` are dialled as well.
    pub(crate) seeks_cluster: bool,
}

/// What these tasks must know of another member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberView {
    pub(crate) name: NodeName,
    pub(crate) address: String,
    pub(crate) is_connected: bool,
}

impl View {
    /// Before the node has told of others.
    pub(crate) fn alone(hello: Hello) -> Self {
        Self { hello, members: BTreeMap::new(), seeks_cluster: true }
    }

    /// The same, but for another purpose.
    pub(crate) fn with_purpose(&self, purpose: Purpose) -> Self {
        let hello = Hello { purpose, ..self.hello.clone() };
        Self { hello, ..self.clone() }
    }

    /// Whether this member is connected.
    pub(crate) fn is_connected(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.is_connected)
    }

    /// Whether this node talks to one that says `theirs`.
    pub(crate) fn check(&self, theirs: &Hello) -> Result<(), HelloError> {
        self.hello.check(theirs)?;
        let mut others = self.members.iter().filter(|(id, _)| **id != theirs.node);
        match others.find(|(_, member)| member.is_connected && member.name == theirs.name) {
            Some((_, holder)) => Err(HelloError::NameTaken(holder.name.clone())),
            None => Ok(()),
        }
    }
}

/// Why members are not connected.
#[derive(Debug, Clone, Default)]
pub(crate) struct Troubles {
    by_member: Arc<Mutex<BTreeMap<NodeId, String>>>,
}

impl Troubles {
    pub(crate) fn set(&self, member: NodeId, trouble: String) {
        self.lock().insert(member, trouble);
    }

    pub(crate) fn clear(&self, member: NodeId) {
        self.lock().remove(&member);
    }

    pub(crate) fn of(&self, member: NodeId) -> Option<String> {
        self.lock().get(&member).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.by_member.lock().expect("no holder panics")
    }
}

/// What the tasks around the links share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    view: watch::Receiver<View>,
    /// The Lamport clock of the node, as last told by the driver.
    clock: Arc<AtomicU64>,
    pub(crate) inputs: mpsc::Sender<PeerInput>,
    pub(crate) dial: mpsc::UnboundedSender<DialEvent>,
    pub(crate) faults: Faults,
    pub(crate) troubles: Troubles,
    pub(crate) files: Files,
    /// For whoever sends one.
    pub(crate) receiving: Arc<Semaphore>,
    /// Told when a link has room again.
    pub(crate) drained: Arc<Notify>,
    pub(crate) writers: TaskTracker,
}

impl Shared {
    pub(crate) fn new(
        view: watch::Receiver<View>,
        faults: Faults,
        files: Files,
    ) -> (Self, mpsc::Receiver<PeerInput>, mpsc::UnboundedReceiver<DialEvent>) {
        let (inputs, inputs_receiver) = mpsc::channel(INPUTS_MAX);
        let (dial, dial_receiver) = mpsc::unbounded_channel();
        let shared = Self {
            view,
            clock: Arc::default(),
            inputs,
            dial,
            faults,
            troubles: Troubles::default(),
            files,
            receiving: snapshot::receiving(),
            drained: Arc::default(),
            writers: TaskTracker::new(),
        };
        (shared, inputs_receiver, dial_receiver)
    }

    /// What the node has said of itself last, and what its clock says now.
    pub(crate) fn view(&self) -> View {
        let mut view = self.view.borrow().clone();
        view.hello.clock = self.clock.load(Ordering::Relaxed);
        view
    }

    /// Tells when the view changes.
    pub(crate) fn views(&self) -> watch::Receiver<View> {
        self.view.clone()
    }
}

/// The links, as the driver has them.
#[derive(Debug)]
pub(crate) struct Peers {
    links: BTreeMap<NodeId, Link>,
    shared: Shared,
}

impl Peers {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { links: BTreeMap::new(), shared }
    }

    /// What the tasks around the links share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Takes a link. Tells whether the peer had one, which has ended: it has connected anew.
    pub(crate) fn connect(&mut self, hello: &Hello, link: Link) -> bool {
        self.dialler(DialEvent::Linked(hello.node, hello.incarnation));
        self.links.insert(hello.node, link).is_some()
    }

    /// Ends a link, if there is one.
    pub(crate) fn disconnect(&mut self, peer: NodeId) {
        if self.links.remove(&peer).is_some() {
            self.dialler(DialEvent::Unlinked(peer));
        }
    }

    /// Whether `serial` is the link that `peer` has, and not one that it had.
    pub(crate) fn is_current(&self, peer: NodeId, serial: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.serial == serial)
    }

    fn dialler(&self, event: DialEvent) {
        // It is gone only while the process ends.
        let _ = self.shared.dial.send(event);
    }

    /// Sends `messages`, each encoded once, with what the node's Lamport clock says. Those that
    /// follow each other to the same peers go as one piece.
    pub(crate) fn send(&self, clock: u64, messages: Vec<Envelope<Message>>) {
        self.shared.clock.store(clock, Ordering::Relaxed);
        let one_by_one = self.shared.faults.are_active();
        let mut piece = Vec::new();
        let mut messages = messages.into_iter().peekable();
        while let Some(Envelope { to, message }) = messages.next() {
            if piece.is_empty() {
                frame::encode_clock(clock, &mut piece);
            }
            frame::encode(&message, &mut piece);
            let goes_on = messages.peek().is_some_and(|next| next.to == to);
            if one_by_one || !goes_on || piece.len() >= PIECE_BYTES_MAX {
                self.send_piece(&to, Bytes::from(std::mem::take(&mut piece)));
            }
        }
    }

    fn send_piece(&self, to: &Recipients, piece: Bytes) {
        for peer in to.as_slice() {
            let Some(link) = self.links.get(peer) else { continue };
            let fate = self.shared.faults.fate(&link.name, Way::Out);
            for _ in 0..fate.copies {
                link.send(piece.clone(), fate.delay);
            }
        }
    }

    /// Whether a peer has so much on its way that clients must wait.
    pub(crate) fn are_congested(&self) -> bool {
        self.links.values().any(|link| link.queued_bytes() > QUEUED_BYTES_MAX)
    }

    /// Lets what is on its way leave.
    pub(crate) async fn finish(mut self) {
        for link in self.links.values_mut() {
            link.finish();
        }
        self.links.clear();
        self.shared.writers.close();
        self.shared.writers.wait().await;
    }
}

/// A piece that is larger would hold up the ones behind it.
const PIECE_BYTES_MAX: usize = 256 * 1024;

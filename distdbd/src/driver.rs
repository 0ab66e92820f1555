//! The loop that drives the core: one task, which takes whatever has come, lets the core step
//! through it, lets leave what promises nothing about the disk, makes durable what must be, and
//! delivers the rest.
//!
//! The sync blocks the loop on purpose: all that comes meanwhile shares the next one.

mod additions;
mod delivery;
mod ending;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::broadcast::members::Member;
use common::control::reply::Reply;
use common::control::request::{Call, Request};
use common::node::Node;
use common::protocol::{Answer, Effects, Input, Protocol, RequestId};
use common::storage::Storage;
use common::storage::snapshot::Kind;
use common::time::Time;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::ClientInput;
use crate::control::clients::Clients;
use crate::control::socket::Socket;
use crate::disk::DataDir;
use crate::driver::delivery::ROOM_INTERVAL;
use crate::fault::Faults;
use crate::peers::{MemberView, PeerInput, Peers, View};
use crate::process::{EndSignals, Supervisor};
use crate::upkeep::Upkeep;
use crate::witness::Witness;

/// Inputs of one commit: enough to share its costs, few enough that nobody waits long.
const BATCH_INPUTS_MAX: usize = 1_024;

/// The same in bytes of requests and messages: what one frame of the log may hold, about.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How often to look whether a client has read what its watches were told, where it is slow.
const HUNGER_INTERVAL: Duration = Duration::from_millis(5);

/// All that the loop owns.
pub(crate) struct Driver {
    pub(crate) node: Node,
    pub(crate) storage: Storage<DataDir>,
    /// Since when the disk is known to be full, or was looked at last.
    pub(crate) full_since: Option<Instant>,
    pub(crate) upkeep: Upkeep,
    pub(crate) written: mpsc::Receiver<io::Result<(Kind, u64)>>,
    /// Of the core's time.
    pub(crate) origin: Instant,
    pub(crate) clients: Clients,
    pub(crate) client_inputs: mpsc::Receiver<ClientInput>,
    pub(crate) peers: Peers,
    pub(crate) peer_inputs: mpsc::Receiver<PeerInput>,
    pub(crate) drained: Arc<Notify>,
    pub(crate) view: watch::Sender<View>,
    pub(crate) faults: Faults,
    /// Goes when the node no longer accepts clients.
    pub(crate) socket: Option<Socket>,
    /// Tells the listener to stop.
    pub(crate) stop: CancellationToken,
    pub(crate) client_writers: TaskTracker,
    pub(crate) supervisor: Supervisor,
    pub(crate) witness: Witness,
    /// When the process ends, once it has begun to.
    pub(crate) ending: Option<Instant>,
}

/// What the loop waits for.
#[expect(clippy::large_enum_variant, reason = "requests are what it wakes for most")]
enum Wake {
    Peer(PeerInput),
    Client(ClientInput),
    Written(io::Result<(Kind, u64)>),
    Deadline,
    Drained,
    /// Some watch that lacks changes may be told more of them.
    Room,
    Signal(&'static str),
}

impl Driver {
    /// Drives the node until it is told to end.
    ///
    /// # Errors
    ///
    /// The disk or the trace file has failed: the node must not go on.
    pub(crate) async fn run(mut self, mut signals: EndSignals) -> io::Result<()> {
        let mut effects = Effects::default();
        self.tell_wall(&mut effects);
        self.node.step(self.now(), Input::Start, &mut effects);
        self.commit(effects)?;
        self.supervisor.ready();
        self.report();
        loop {
            let mut effects = Effects::default();
            match self.wait(&mut signals).await {
                Wake::Signal(name) if self.ending.is_some() => {
                    tracing::warn!(signal = name, "ending at once");
                    return Ok(());
                }
                Wake::Signal(name) => self.retire(name, &mut effects),
                Wake::Peer(input) => self.on_peer(input, &mut effects)?,
                Wake::Client(input) => self.on_client(input, &mut effects),
                Wake::Written(outcome) => {
                    let (kind, mark) = outcome?;
                    self.node.step(self.now(), Input::written(kind, mark), &mut effects);
                }
                Wake::Deadline | Wake::Drained | Wake::Room => {}
            }
            self.drain(&mut effects)?;
            self.feed(&mut effects);
            // Under load the alarm is never waited for, and heartbeats are due all the same.
            let is_due = self.node.deadline().is_some_and(|deadline| deadline <= self.now());
            if is_due {
                self.tell_wall(&mut effects);
                self.node.step(self.now(), Input::Tick, &mut effects);
            }
            if self.commit(effects)? || is_due {
                self.report();
            }
            if self.may_end() {
                return self.end(signals).await;
            }
        }
    }

    fn now(&self) -> Time {
        Time(self.origin.elapsed())
    }

    /// Tells the core what the operating system's clock says; between two heartbeats it goes by the
    /// monotonic one.
    fn tell_wall(&mut self, effects: &mut Effects<Node>) {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        let unix_ms = unix_ms.saturating_add_signed(self.faults.clock_offset_ms());
        self.node.step(self.now(), Input::Wall(unix_ms), effects);
    }

    async fn wait(&mut self, signals: &mut EndSignals) -> Wake {
        let congested = self.peers.are_congested();
        let deadline = self.node.deadline().map(|Time(since)| self.origin + since);
        let room = self.full_since.map(|since| since + ROOM_INTERVAL);
        let (is_hungry, has_room) = self.hunger();
        let look = (is_hungry && !has_room).then(|| Instant::now() + HUNGER_INTERVAL);
        let deadline = [deadline, room, look, self.ending].into_iter().flatten().min();
        let alarm = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            name = signals.next() => Wake::Signal(name),
            Some(input) = self.peer_inputs.recv() => Wake::Peer(input),
            Some(input) = self.client_inputs.recv(), if !congested => Wake::Client(input),
            Some(outcome) = self.written.recv() => Wake::Written(outcome),
            () = alarm => Wake::Deadline,
            () = self.drained.notified(), if congested => Wake::Drained,
            () = std::future::ready(()), if has_room => Wake::Room,
        }
    }

    /// Whether there are watches that lack changes, and whether any of their clients has read what it
    /// was told.
    fn hunger(&self) -> (bool, bool) {
        let mut hungry = self.node.catching_up().peekable();
        let is_hungry = hungry.peek().is_some();
        (is_hungry, hungry.any(|connection| self.clients.has_room(connection)))
    }

    /// Lets watches catch up whose clients read.
    fn feed(&mut self, effects: &mut Effects<Node>) {
        for connection in self.node.catching_up() {
            if self.clients.has_room(connection) {
                self.node.step(self.now(), Input::Room { connection }, effects);
            }
        }
    }

    /// Takes what else has come, up to a bound: one commit for all of it.
    fn drain(&mut self, effects: &mut Effects<Node>) -> io::Result<()> {
        let mut bytes = 0;
        for _ in 0..BATCH_INPUTS_MAX {
            let mut is_idle = true;
            if let Ok(input) = self.peer_inputs.try_recv() {
                bytes += input.bytes();
                self.on_peer(input, effects)?;
                is_idle = false;
            }
            if !self.peers.are_congested()
                && let Ok(input) = self.client_inputs.try_recv()
            {
                bytes += input.bytes();
                self.on_client(input, effects);
                is_idle = false;
            }
            if is_idle || bytes > BATCH_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }

    fn on_peer(&mut self, input: PeerInput, effects: &mut Effects<Node>) -> io::Result<()> {
        let now = self.now();
        match input {
            PeerInput::Up { hello, link } => {
                // What was meant for the link before must not reach this one.
                self.commit(std::mem::take(effects))?;
                let peer = hello.node;
                if self.peers.connect(&hello, link) {
                    self.node.step(now, Input::PeerDown(peer), effects);
                }
                self.node.step(now, Input::PeerUp(hello), effects);
            }
            PeerInput::Messages { from, serial, messages, bytes: _ } => {
                if self.peers.is_current(from, serial) {
                    self.node.hear(messages.clock);
                    for message in messages.messages {
                        self.node.step(now, Input::Message { from, message }, effects);
                    }
                }
            }
            PeerInput::Down { from, serial } => {
                if self.peers.is_current(from, serial) {
                    self.peers.disconnect(from);
                    self.node.step(now, Input::PeerDown(from), effects);
                }
            }
            PeerInput::Verified { node, outcome } => {
                self.node.step(now, Input::Verified { node, outcome }, effects);
            }
            PeerInput::SnapshotSent { to, index } => {
                self.node.step(now, Input::SnapshotSent { to, index }, effects);
            }
            PeerInput::SnapshotReceived { snapshot, clock } => {
                self.node.hear(clock);
                self.node.step(now, Input::SnapshotReceived(snapshot), effects);
            }
        }
        Ok(())
    }

    fn on_client(&mut self, input: ClientInput, effects: &mut Effects<Node>) {
        match input {
            ClientInput::Opened { connection, client } => self.clients.open(connection, client),
            ClientInput::Request { id, mut call, bytes: _ } => {
                call.uid = self.clients.uid(id.connection);
                self.clients.expect(id, &call);
                self.on_request(id, call, effects);
            }
            // While the process ends nobody is read, and who waits is answered all the same.
            ClientInput::Closed { .. } if self.ending.is_some() => {}
            ClientInput::Closed { connection } => {
                self.clients.close(connection);
                self.node.step(self.now(), Input::Closed { connection }, effects);
            }
        }
    }

    /// Faults are the links' matter, and what was observed is the witness's; all else is the core's.
    fn on_request(&mut self, id: RequestId, call: Call, effects: &mut Effects<Node>) {
        let outcome = if let Request::Fault(fault) = &call.request {
            let is_member =
                |name: &str| self.node.other_members().any(|member| member.name.as_str() == name);
            self.faults.apply(fault.as_ref(), is_member).map(Reply::Fault)
        } else if let Request::Trace(recent) = &call.request {
            Ok(Reply::Trace(self.witness.recent(self.origin.elapsed(), recent.clone())))
        } else {
            return self.node.step(self.now(), Input::Request { id, call }, effects);
        };
        effects.answer(id, Answer::Reply(self.node.header(), outcome));
    }

    /// Tells the tasks around the links, and systemd, what has become of the node.
    fn report(&mut self) {
        let member_view = |member: &Member| MemberView {
            name: member.name.clone(),
            address: member.address.clone(),
            is_connected: self.node.is_connected(member.id),
        };
        let members = self.node.other_members().map(|m| (m.id, member_view(m))).collect();
        let (hello, seeks_cluster) = (self.node.hello(), self.node.seeks_cluster());
        let current = View { hello, members, seeks_cluster };
        self.view.send_if_modified(|view| {
            let is_other = *view != current;
            *view = current;
            is_other
        });
        self.supervisor.status(self.node.summary());
    }
}

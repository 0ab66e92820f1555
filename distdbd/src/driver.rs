//! The loop that drives the core: one task, which takes whatever has come, lets the core step
//! through it, makes durable what must be, and delivers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::broadcast::members::Member;
use common::control::reply::Reply;
use common::control::request::{Call, Request};
use common::node::Node;
use common::observe::Event;
use common::protocol::{Answer, Effects, Input, Outbox, Protocol, RequestId};
use common::time::Time;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::ClientInput;
use crate::control::clients::Clients;
use crate::control::socket::Socket;
use crate::fault::Faults;
use crate::peers::{MemberView, PeerInput, Peers, View};
use crate::place::DataDir;
use crate::process::{EndSignals, Supervisor};
use crate::witness::Witness;

/// Inputs of one commit: enough to share its costs, few enough that nobody waits long.
const BATCH_INPUTS_MAX: usize = 256;

/// How long the end may take: then whoever has not read yet is left behind.
const END_TIME_MAX: Duration = Duration::from_secs(3);

/// All that the loop owns.
pub(crate) struct Driver {
    pub(crate) node: Node,
    pub(crate) disk: DataDir,
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
}

/// What the loop waits for.
enum Wake {
    Peer(PeerInput),
    Client(ClientInput),
    Deadline,
    Drained,
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
        self.node.step(self.now(), Input::Start, &mut effects);
        self.commit(effects)?;
        self.supervisor.ready();
        self.report();
        loop {
            let mut effects = Effects::default();
            match self.wait(&mut signals).await {
                Wake::Signal(name) => {
                    tracing::info!(signal = name, "ending");
                    return self.end(signals).await;
                }
                Wake::Peer(input) => self.on_peer(input, &mut effects)?,
                Wake::Client(input) => self.on_client(input, &mut effects),
                Wake::Deadline | Wake::Drained => {}
            }
            self.drain(&mut effects)?;
            // Under load the alarm is never waited for, and heartbeats are due all the same.
            let is_due = self.node.deadline().is_some_and(|deadline| deadline <= self.now());
            if is_due {
                self.node.step(self.now(), Input::Tick, &mut effects);
            }
            if self.commit(effects)? || is_due {
                self.report();
            }
        }
    }

    fn now(&self) -> Time {
        Time(self.origin.elapsed())
    }

    async fn wait(&mut self, signals: &mut EndSignals) -> Wake {
        let congested = self.peers.are_congested();
        let deadline = self.node.deadline().map(|Time(since)| self.origin + since);
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
            () = alarm => Wake::Deadline,
            () = self.drained.notified(), if congested => Wake::Drained,
        }
    }

    /// Takes what else has come, up to a bound: one commit for all of it.
    fn drain(&mut self, effects: &mut Effects<Node>) -> io::Result<()> {
        for _ in 0..BATCH_INPUTS_MAX {
            let mut is_idle = true;
            if let Ok(input) = self.peer_inputs.try_recv() {
                self.on_peer(input, effects)?;
                is_idle = false;
            }
            if !self.peers.are_congested()
                && let Ok(input) = self.client_inputs.try_recv()
            {
                self.on_client(input, effects);
                is_idle = false;
            }
            if is_idle {
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
            PeerInput::Messages { from, serial, messages } => {
                if self.peers.is_current(from, serial) {
                    for message in messages {
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
        }
        Ok(())
    }

    fn on_client(&mut self, input: ClientInput, effects: &mut Effects<Node>) {
        match input {
            ClientInput::Opened { connection, client } => self.clients.open(connection, client),
            ClientInput::Request { id, call } => {
                self.clients.expect(id, call.id.clone());
                self.on_request(id, call, effects);
            }
            ClientInput::Closed { connection } => {
                self.clients.close(connection);
                self.node.step(self.now(), Input::Closed { connection }, effects);
            }
        }
    }

    /// Faults are the links' matter; all else is the core's.
    fn on_request(&mut self, id: RequestId, call: Call, effects: &mut Effects<Node>) {
        if let Request::Fault(fault) = &call.request {
            let is_member =
                |name: &str| self.node.other_members().any(|member| member.name.as_str() == name);
            let outcome = self.faults.apply(fault.as_ref(), is_member).map(Reply::Fault);
            effects.answer(id, Answer::Reply(self.node.header(), outcome));
        } else {
            self.node.step(self.now(), Input::Request { id, call }, effects);
        }
    }

    /// Makes durable, then delivers. Tells whether there is news to report.
    fn commit(&mut self, effects: Effects<Node>) -> io::Result<bool> {
        let Outbox { messages, disconnects, answers, events } = effects.commit(&mut self.disk)?;
        self.peers.send(messages);
        for peer in disconnects {
            self.peers.disconnect(peer);
        }
        for (request, answer) in answers {
            self.answer(request, answer);
        }
        self.witness.observe(self.origin.elapsed(), &events)?;
        Ok(events.iter().any(is_news))
    }

    fn answer(&mut self, request: RequestId, mut answer: Answer) {
        if let Answer::Reply(_, Ok(Reply::Hello(hello))) = &mut answer
            && self.faults.are_enabled()
        {
            hello.features.push("faults".to_owned());
        }
        if let Some(ended) = self.clients.answer(request, answer) {
            let mut effects = Effects::default();
            self.node.step(self.now(), Input::Abandoned(ended), &mut effects);
        }
    }

    /// Tells the tasks around the links, and systemd, what has become of the node.
    fn report(&mut self) {
        let member_view = |member: &Member| MemberView {
            name: member.name.clone(),
            address: member.address.clone(),
            is_connected: self.node.is_connected(member.id),
        };
        let members = self.node.other_members().map(|m| (m.id, member_view(m))).collect();
        let current = View { hello: self.node.hello(), members };
        self.view.send_if_modified(|view| {
            let is_other = *view != current;
            *view = current;
            is_other
        });
        self.supervisor.status(self.node.is_ready(), self.node.members_up());
    }

    /// Answers what is in flight, tells those who wait, and lets all of it leave.
    async fn end(mut self, mut signals: EndSignals) -> io::Result<()> {
        self.supervisor.stopping();
        self.stop.cancel();
        drop(self.socket.take());
        self.clients.stop_reading();
        let mut effects = Effects::default();
        // What was read before is carried out. The channel ends with the last reader.
        while let Ok(Some(input)) =
            tokio::time::timeout(LAST_REQUESTS_TIME_MAX, self.client_inputs.recv()).await
        {
            if let ClientInput::Request { .. } = input {
                self.on_client(input, &mut effects);
            }
        }
        self.node.step(self.now(), Input::Stop, &mut effects);
        self.commit(effects)?;
        drop(self.clients);
        let written = async {
            self.client_writers.close();
            self.client_writers.wait().await;
            self.peers.finish().await;
        };
        tokio::select! {
            () = written => {}
            () = tokio::time::sleep(END_TIME_MAX) => tracing::warn!("left slow readers behind"),
            name = signals.next() => tracing::warn!(signal = name, "ending at once"),
        }
        Ok(())
    }
}

/// How long to look for requests that were read before the end began.
const LAST_REQUESTS_TIME_MAX: Duration = Duration::from_millis(100);

/// Whether the tasks around the links, or systemd, may have to know.
fn is_news(event: &Event) -> bool {
    match event {
        Event::Start { .. }
        | Event::Link { .. }
        | Event::Unlink { .. }
        | Event::Member { .. }
        | Event::BecomeReady { .. } => true,
        Event::Write { .. }
        | Event::Deliver { .. }
        | Event::Miss { .. }
        | Event::RequestSync { .. }
        | Event::ServeSync { .. }
        | Event::MergeChunk { .. }
        | Event::DonorBehind { .. }
        | Event::Repair { .. }
        | Event::NameTaken { .. } => false,
    }
}

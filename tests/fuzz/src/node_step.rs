//! What befalls a node: messages of peers that are members and hostile, lines of clients, time,
//! crashes. Peers pass the handshake, as those of a real node do; what they say then is theirs.
//!
//! It is the whole node, with its log and its snapshots on a simulated disk. What is not found here
//! is how long a hostile member can keep the others from being served.

use std::collections::VecDeque;
use std::time::Duration;

use crate::host::{Host, Pace, Setup};
use common::control::reply::ReplyLine;
use common::control::request::Call;
use common::identity::{ClusterId, Incarnation, NodeId};
use common::modes::Mode;
use common::node::{Message, Node};
use common::peer::frame;
use common::peer::hello::{Hello, PROTOCOL, Purpose};
use common::protocol::{Answer, Input, Outbox, Protocol, RequestId, Task};
use common::raft::snapshot::Snapshot;
use common::storage::snapshot::Content;
use common::time::Time;

use crate::sealed;
use crate::source::Source;

/// Steps of a history: more of them are another history.
const STEPS_MAX: usize = 200;

const CLUSTER: ClusterId = ClusterId(7);

/// Lets a node live through what `bytes` tell.
pub fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let mut life = Life::begin(source.byte());
    for _ in 0..STEPS_MAX {
        let Some(kind) = source.next() else { break };
        if life.step(kind, &mut source).is_none() {
            break;
        }
    }
    life.restart();
}

/// A node, and what its driver knows.
struct Life {
    host: Host,
    own: NodeId,
    now: Time,
    /// For the next commit.
    inbox: Vec<Input<Message>>,
    requests: u64,
    starts: u64,
}

impl Life {
    /// The node founds a cluster, or has yet to join one.
    fn begin(kind: u8) -> Self {
        let own = NodeId(u64::from(kind >> 3 & 7) + 1);
        let mode = match kind & 3 {
            0 => Mode::Raft,
            1 => Mode::Causal,
            2 => Mode::Broadcast,
            _ => Mode::Raft,
        };
        let pace = Pace {
            heartbeat_interval: Duration::from_millis(50),
            election_timeout: Duration::from_millis(500),
        };
        let setup = Setup {
            pace,
            mode,
            snapshot_every: 4,
            log_kept_bytes: 256,
            causal_log_bytes: 4_096,
            segment_bytes: 4_096,
            is_traced: kind & 8 == 0,
        };
        let name = "own".parse().expect("a name");
        let mut host = Host::new(name, "own:7101".to_owned(), setup);
        if kind & 4 == 0 {
            host.bootstrap(own, CLUSTER);
        }
        let (inbox, requests, starts) = Default::default();
        let mut life = Self { host, own, now: Time::default(), inbox, requests, starts };
        life.start();
        life
    }

    /// What a node has written it can start from, whatever its peers have said.
    fn start(&mut self) {
        self.starts += 1;
        if let Err(error) = self.host.start(self.own, self.starts) {
            panic!("it can't start: {error:?}");
        }
        self.inbox = vec![Input::Start];
        assert!(self.commit().is_some(), "nothing ends a node at its start");
    }

    fn restart(&mut self) {
        self.host.end();
        self.host.disk_mut().set_room(u64::MAX);
        self.inbox.clear();
        self.start();
    }

    fn node(&self) -> &Node {
        self.host.node().expect("it runs")
    }

    /// None when the node has ended, or the input is over.
    fn step(&mut self, kind: u8, source: &mut Source<'_>) -> Option<()> {
        let peer = u64::from(kind >> 4 & 7) + 1;
        let from = NodeId(peer);
        match kind & 15 {
            0 => self.wait(Duration::from_millis(source.word() as u64)),
            1 => self.greet(hello_of(peer, source)),
            2 => self.inbox.push(Input::PeerDown(from)),
            3..=6 => self.inbox.push(Input::Message { from, message: source.postcard()? }),
            7 | 8 => self.ask(source.line()),
            9 => self.take_snapshot(source),
            10 => self.inbox.push(Input::Closed { connection: source.byte().into() }),
            11 => {
                let id = RequestId { connection: peer, sequence: source.byte().into() };
                self.inbox.push(Input::Abandoned(id));
            }
            12 => self.greet(serde_json::from_slice(source.line()).ok()?),
            13 => self.restart(),
            14 => self.inbox.push(news(from, source)),
            _ => self.turn(source.byte()),
        }
        // What comes at once goes into one commit.
        if kind & 128 == 0 { self.commit() } else { Some(()) }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        if self.node().deadline().is_some_and(|deadline| deadline <= self.now) {
            self.inbox.push(Input::Tick);
        }
    }

    fn greet(&mut self, theirs: Hello) {
        let ours = self.node().hello();
        let is_taken = |node: &Node| {
            let mut others = node.other_members().filter(|member| member.id != theirs.node);
            others.any(|member| node.is_connected(member.id) && member.name == theirs.name)
        };
        if ours.check(&theirs).is_ok() && !is_taken(self.node()) {
            self.inbox.push(Input::PeerUp(Box::new(theirs)));
        }
    }

    fn ask(&mut self, line: &[u8]) {
        if let Ok(call) = Call::parse(line) {
            self.requests += 1;
            let id = RequestId { connection: 1 + self.requests % 4, sequence: self.requests };
            self.inbox.push(Input::Request { id, call: Call { uid: Some(1_000), ..call } });
        }
    }

    /// A member sends a snapshot, with right checksums.
    fn take_snapshot(&mut self, source: &mut Source<'_>) {
        let mut frames = Vec::new();
        for _ in 0..source.byte() % 4 {
            let length = source.word();
            frames.extend(sealed::snapshot_frame(source.take(length)));
        }
        frames.extend(sealed::snapshot_end(source.byte().into()));
        let has_log = self.node().raft().is_some();
        if has_log && Snapshot::read(&mut frames.as_slice()).is_ok() {
            let snapshot = self.host.receive_snapshot(&frames).expect("it was just read");
            self.inbox.push(Input::SnapshotReceived(Box::new(snapshot)));
        }
    }

    /// A turn of what surrounds the node.
    fn turn(&mut self, kind: u8) {
        match kind {
            0..64 => self.host.disk_mut().set_room(0),
            64..128 => self.host.disk_mut().set_room(u64::MAX),
            128..192 => self.inbox.push(Input::Retire),
            192.. => self.inbox.push(Input::Stop),
        }
    }

    /// One turn of the driver's loop. None when the process has ended.
    fn commit(&mut self) -> Option<()> {
        let mut tasks = VecDeque::new();
        loop {
            let inputs = std::mem::take(&mut self.inbox);
            let (early, effects) = self.host.step(self.now, inputs).ok()?;
            tasks.extend(deliver(early));
            tasks.extend(deliver(self.host.commit(effects).ok()?));
            let Some(task) = tasks.pop_front() else { return Some(()) };
            self.undertake(task)?;
        }
    }

    fn undertake(&mut self, task: Task) -> Option<()> {
        match task {
            Task::WriteSnapshot(snapshot) => self.write(&*snapshot),
            Task::WriteCausal(snapshot) => self.write(&*snapshot),
            Task::SendSnapshot(to) => {
                let index = self.host.newest_snapshot().map(|(index, _)| index);
                self.inbox.push(Input::SnapshotSent { to, index });
            }
            Task::Verify(node, _) => self.inbox.push(Input::Verified { node, outcome: Ok(()) }),
            Task::Release(kind, mark) => self.host.release(kind, mark).ok()?,
            Task::Retire => return None,
        }
        Some(())
    }

    fn write<C: Content>(&mut self, snapshot: &C) {
        // One for which there is no room is written again later, here never.
        if self.host.write_snapshot(snapshot).is_ok() {
            self.inbox.push(Input::written(C::KIND, snapshot.mark()));
        }
    }
}

fn hello_of(peer: u64, source: &mut Source<'_>) -> Hello {
    let kind = source.byte();
    Hello {
        protocol_min: PROTOCOL,
        protocol_max: PROTOCOL,
        cluster: (kind & 1 == 0).then_some(CLUSTER),
        node: NodeId(peer),
        name: format!("n{peer}").parse().expect("a name"),
        address: format!("n{peer}:7101"),
        incarnation: Incarnation(u64::from(kind >> 1 & 3)),
        epoch: u64::from(kind >> 3 & 3),
        mode: [Mode::Raft, Mode::Causal, Mode::Broadcast][usize::from(kind >> 5) % 3],
        purpose: Purpose::Messages,
        // Of a liar, the last of all numbers.
        clock: u64::MAX * u64::from(kind >> 7),
    }
}

/// What a driver tells unasked.
fn news(peer: NodeId, source: &mut Source<'_>) -> Input<Message> {
    let kind = source.byte();
    match kind & 3 {
        0 => Input::SnapshotSent { to: peer, index: None },
        1 => Input::SnapshotSent { to: peer, index: Some(u64::from(kind >> 2)) },
        2 => Input::Verified { node: peer, outcome: Ok(()) },
        _ => Input::Verified { node: peer, outcome: Err("nobody answers".to_owned()) },
    }
}

/// Looks at what leaves the node, and returns what is to be done.
fn deliver(outbox: Outbox<Node>) -> Vec<Task> {
    for envelope in &outbox.messages {
        let is_plausible = match &envelope.message {
            Message::Broadcast(message) => message.is_plausible(),
            Message::Raft(message) => message.is_plausible(),
            Message::Causal(message) => message.is_plausible(),
        };
        assert!(is_plausible, "a sound node sends {:?}", envelope.message);
        // It has room in a frame, or this panics.
        frame::encode(&envelope.message, &mut Vec::new());
    }
    for (_, answer) in outbox.answers {
        let line = match answer {
            Answer::Reply(header, outcome) => {
                serde_json::to_vec(&ReplyLine::new(None, header, outcome))
            }
            Answer::Watch(line) => serde_json::to_vec(&line),
        };
        line.expect("strings and numbers serialize");
    }
    outbox.tasks
}

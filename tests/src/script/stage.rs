//! Where a script plays: hosts, and what is in flight between them.

mod look;

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;

use common::control::request::{Call, Request};
use common::identity::{ClusterId, NodeId};
use common::kv::key::Key;
use common::kv::value::Value;
use common::modes::Mode;
use common::node::{Message, Node};
use common::protocol::{Input, Outbox, Protocol, RequestId};
use common::time::Time;

use crate::check::{Checks, Network, convergence};
use crate::describe::Names;
use crate::host::{Host, Pace, Setup};

/// The pace of scripts: round numbers.
const PACE: Pace = Pace {
    heartbeat_interval: Duration::from_millis(100),
    election_timeout: Duration::from_millis(500),
};

/// How nodes are set up: as broadcast mode needs it.
const SETUP: Setup = Setup {
    pace: PACE,
    mode: Mode::Broadcast,
    snapshot_every: 1_000,
    log_kept_bytes: 0,
    causal_log_bytes: 0,
    segment_bytes: 4_096,
    is_traced: false,
};

/// A settled stage settles in no more deliveries than this; else nodes answer each other for ever.
const SETTLE_MAX: usize = 100_000;

/// What comes of a command: the lines for the script.
type Told = Result<String, Box<dyn Error>>;

/// What is in flight.
#[derive(Debug)]
enum Packet {
    Message(Message),
    /// The end of the connection, behind all else.
    Close,
}

/// Which messages a script is told; events and answers it is told always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    All,
    NoMessages,
}

/// Hosts by name.
#[derive(Debug)]
pub(super) struct Stage {
    now: Time,
    hosts: BTreeMap<String, Host>,
    names: Names,
    /// From, to; there is one while `from` believes to be connected.
    streams: BTreeMap<(String, String), VecDeque<Packet>>,
    late: BTreeMap<(String, String), Vec<Message>>,
    requests: u64,
    wipes: u64,
    checks: Checks,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            now: Time::default(),
            hosts: BTreeMap::new(),
            names: Names::default(),
            streams: BTreeMap::new(),
            late: BTreeMap::new(),
            requests: 0,
            wipes: 0,
            checks: Checks::new(Network::Lossy),
        }
    }
}

impl Stage {
    pub(super) fn cluster(&mut self, nodes: &[String]) -> Told {
        for (index, node) in nodes.iter().enumerate() {
            if index == 0 {
                self.bootstrap(node)?;
            } else {
                self.start(node)?;
            }
            for earlier in &nodes[..index] {
                self.connect(earlier, node)?;
            }
            self.settle()?;
        }
        let ready = |node: &&String| self.hosts[*node].node().is_some_and(Node::is_ready);
        let ready: Vec<&str> = nodes.iter().filter(ready).map(String::as_str).collect();
        Ok(format!("ready: {}\n", ready.join(" ")))
    }

    pub(super) fn bootstrap(&mut self, name: &str) -> Told {
        let id = id_of(name)?;
        self.host(name)?.bootstrap(id, ClusterId(0xc1));
        self.start(name)
    }

    pub(super) fn start(&mut self, name: &str) -> Told {
        let fresh = NodeId(id_of(name)?.0 + 100 * self.wipes);
        let host = self.host(name)?;
        host.start(fresh, fresh.0).map_err(|error| format!("{error:?}"))?;
        let id = host.id();
        self.names.insert(id, name.to_owned());
        self.step(name, vec![Input::Start], Telling::All)
    }

    pub(super) fn crash(&mut self, name: &str) -> Told {
        let host = self.host(name)?;
        let id = host.id();
        host.end();
        self.checks.on_crash(id);
        for ((from, to), packets) in &mut self.streams {
            if from == name {
                packets.push_back(Packet::Close);
            } else if to == name {
                packets.clear();
            }
        }
        Ok(String::new())
    }

    pub(super) fn wipe(&mut self, name: &str) -> Told {
        self.host(name)?.wipe();
        self.wipes += 1;
        Ok(String::new())
    }

    pub(super) fn connect(&mut self, one: &str, other: &str) -> Told {
        let (ours, theirs) = (self.node(one)?.hello(), self.node(other)?.hello());
        if let Err(error) = ours.check(&theirs) {
            return Ok(format!("{one} refuses {other}: {error}\n"));
        }
        if let Err(error) = theirs.check(&ours) {
            return Ok(format!("{other} refuses {one}: {error}\n"));
        }
        self.streams.insert(pair(one, other), VecDeque::new());
        self.streams.insert(pair(other, one), VecDeque::new());
        let mut told = self.step(one, vec![Input::PeerUp(Box::new(theirs))], Telling::All)?;
        told += &self.step(other, vec![Input::PeerUp(Box::new(ours))], Telling::All)?;
        Ok(told)
    }

    pub(super) fn disconnect(&mut self, one: &str, other: &str) -> Told {
        let mut told = String::new();
        for (from, to) in [(one, other), (other, one)] {
            self.streams.remove(&pair(from, to)).ok_or("they are not connected")?;
        }
        for (from, to) in [(one, other), (other, one)] {
            if self.node(from).is_ok() {
                let gone = Input::PeerDown(self.hosts[to].id());
                told += &self.step(from, vec![gone], Telling::All)?;
            }
        }
        Ok(told)
    }

    pub(super) fn deliver(&mut self, from: &str, to: &str, count: usize) -> Told {
        let stream = self.streams.get(&pair(from, to)).ok_or("there is no connection")?;
        let count = count.min(stream.len());
        if count == 0 {
            return Err("nothing is on its way".into());
        }
        let mut told = String::new();
        for _ in 0..count {
            told += &self.deliver_first(from, to, Telling::All)?;
        }
        Ok(told)
    }

    fn deliver_first(&mut self, from: &str, to: &str, telling: Telling) -> Told {
        let sender = self.hosts[from].id();
        let stream = self.streams.get_mut(&pair(from, to)).ok_or("there is no connection")?;
        let input = match stream.pop_front().ok_or("nothing is on its way")? {
            Packet::Message(message) => Input::Message { from: sender, message },
            Packet::Close => {
                self.streams.remove(&pair(from, to));
                self.streams.remove(&pair(to, from));
                Input::PeerDown(sender)
            }
        };
        if self.hosts[to].node().is_none() {
            return Ok(String::new());
        }
        self.step(to, vec![input], telling)
    }

    pub(super) fn drop_first(&mut self, from: &str, to: &str) -> Told {
        let stream = self.streams.get_mut(&pair(from, to)).ok_or("there is no connection")?;
        let packet = stream.pop_front().ok_or("nothing is on its way")?;
        Ok(format!("lost: {}\n", self.packet(&packet)))
    }

    pub(super) fn copy_first(&mut self, from: &str, to: &str) -> Told {
        let stream = self.streams.get(&pair(from, to)).ok_or("there is no connection")?;
        let Some(Packet::Message(message)) = stream.front() else {
            return Err("no message is on its way".into());
        };
        let message = message.clone();
        let told = format!("copied: {}\n", self.names.message(&message));
        self.late.entry(pair(from, to)).or_default().push(message);
        Ok(told)
    }

    pub(super) fn deliver_late(&mut self, from: &str, to: &str) -> Told {
        let messages = self.late.remove(&pair(from, to)).ok_or("there are no copies")?;
        let mut told = String::new();
        for message in messages {
            let from = self.hosts[from].id();
            let input = Input::Message { from, message };
            told += &self.step(to, vec![input], Telling::All)?;
        }
        Ok(told)
    }

    pub(super) fn settle(&mut self) -> Told {
        let mut told = String::new();
        for _ in 0..SETTLE_MAX {
            let next = self.streams.iter().find(|(_, packets)| !packets.is_empty());
            let Some(((from, to), _)) = next else {
                return Ok(told);
            };
            let (from, to) = (from.clone(), to.clone());
            told += &self.deliver_first(&from, &to, Telling::NoMessages)?;
        }
        Err("it does not settle".into())
    }

    pub(super) fn advance(&mut self, by: Duration) -> Told {
        let until = self.now + by;
        let mut told = String::new();
        while let Some(line) = self.tick_next(until)? {
            told += &line;
        }
        self.now = until;
        Ok(told)
    }

    pub(super) fn live(&mut self, by: Duration) -> Told {
        let until = self.now + by;
        let mut told = self.settle()?;
        while let Some(line) = self.tick_next(until)? {
            told += &line;
            told += &self.settle()?;
        }
        self.now = until;
        Ok(told)
    }

    /// Ticks the node that wants it first, if one does up to `until`.
    fn tick_next(&mut self, until: Time) -> Result<Option<String>, Box<dyn Error>> {
        let due = self
            .hosts
            .iter()
            .filter_map(|(name, host)| Some((host.node()?.deadline()?, name.clone())));
        let Some((at, name)) = due.min().filter(|(at, _)| *at <= until) else {
            return Ok(None);
        };
        self.now = self.now.max(at);
        self.step(&name, vec![Input::Tick], Telling::NoMessages).map(Some)
    }

    pub(super) fn ask(&mut self, name: &str, request: Request) -> Told {
        self.requests += 1;
        let id = RequestId { connection: 1, sequence: self.requests };
        let call = Call::new(request);
        self.step(name, vec![Input::Request { id, call }], Telling::All)
    }

    pub(super) fn fill(&mut self, name: &str, keys: usize, bytes: usize) -> Told {
        for index in 0..keys {
            let mut value = format!("{index}").into_bytes();
            value.resize(bytes, b'.');
            let key = Key::try_from(format!("fill/{index:03}").as_str())?;
            let value = Value::try_from(Bytes::from(value))?;
            self.ask(name, Request::put(key, value))?;
        }
        Ok(format!("{keys} keys of {bytes} bytes\n"))
    }

    /// One commit of one node, judged and told.
    fn step(&mut self, name: &str, inputs: Vec<Input<Message>>, telling: Telling) -> Told {
        let host = self.hosts.get_mut(name).ok_or("there is no such node")?;
        if host.node().is_none() {
            return Err(format!("{name} is down").into());
        }
        let (_, effects) = host.step(self.now, inputs.clone())?;
        let outbox = host.commit(effects)?;
        let node = host.node().expect("it has just run");
        let judged = self.checks.on_batch(host.id(), &inputs, &outbox, node);
        judged.map_err(|violation| violation.to_string())?;
        let told = self.tell(name, &outbox, telling);
        self.carry_out(name, outbox)?;
        Ok(told)
    }

    fn tell(&self, name: &str, outbox: &Outbox<Node>, telling: Telling) -> String {
        let mut lines = String::new();
        for event in outbox.events() {
            lines += &format!("{name}: {}\n", self.names.event(event));
        }
        for envelope in outbox.messages.iter().filter(|_| telling == Telling::All) {
            let to = envelope.to.as_slice().iter().map(|peer| self.names.of(*peer));
            let to: Vec<String> = to.collect();
            let message = self.names.message(&envelope.message);
            lines += &format!("{name} -> {}: {message}\n", to.join(" "));
        }
        for (_, answer) in &outbox.answers {
            lines += &format!("{name} = {}\n", self.names.answer(answer));
        }
        lines
    }

    fn carry_out(&mut self, name: &str, outbox: Outbox<Node>) -> Result<(), Box<dyn Error>> {
        for envelope in outbox.messages {
            for peer in envelope.to.as_slice() {
                let to = self.names.of(*peer);
                if let Some(stream) = self.streams.get_mut(&pair(name, &to)) {
                    stream.push_back(Packet::Message(envelope.message.clone()));
                }
            }
        }
        for peer in outbox.disconnects {
            let to = self.names.of(peer);
            if let Some(stream) = self.streams.get_mut(&pair(name, &to)) {
                stream.push_back(Packet::Close);
            }
        }
        Ok(())
    }

    fn host(&mut self, name: &str) -> Result<&mut Host, Box<dyn Error>> {
        if !self.hosts.contains_key(name) {
            let address = format!("{name}:7101");
            self.hosts.insert(name.to_owned(), Host::new(name.parse()?, address, SETUP));
        }
        Ok(self.hosts.get_mut(name).expect("it is there, or was just put there"))
    }

    fn node(&self, name: &str) -> Result<&Node, Box<dyn Error>> {
        let node = self.hosts.get(name).and_then(Host::node);
        node.ok_or_else(|| format!("{name} is down").into())
    }
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

/// `n7` is node 7.
fn id_of(name: &str) -> Result<NodeId, Box<dyn Error>> {
    let digits = name.strip_prefix('n').ok_or("nodes are n1, n2, ...")?;
    Ok(NodeId(digits.parse()?))
}

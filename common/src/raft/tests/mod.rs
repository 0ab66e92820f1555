//! Scenarios of the paper and of young stores' bugs, with messages that are delivered by hand.
//!
//! Numbers as `R6` and `M1` name the cases that have gone wrong elsewhere: a test quotes what it
//! should have been.

mod data;
mod elections;
mod leases;
mod locks;
mod logs;
mod members;
mod reads;
mod requests;
mod sessions;
mod snapshots;
mod states;
mod upkeep;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::*;
use crate::config::Keeping;
use crate::control::reply::Reply;
use crate::control::request::{Call, Read, Request, RequestTag};
use crate::identity::{ClusterId, Incarnation};
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::modes::Mode;
use crate::observe::Event;
use crate::peer::hello::{PROTOCOL, Purpose};
use crate::protocol::{Answer, RequestId, Task};
use crate::raft::configuration::{Change, Configuration};
use crate::raft::log::{Entry, EntryId, Payload};
use crate::raft::message::{Append, Ballot, Match};
use crate::raft::record::Tail;
use crate::raft::snapshot::Snapshot;
use crate::storage::Save;

const HEARTBEAT: Duration = Duration::from_millis(100);
const ELECTION: Duration = Duration::from_millis(500);

/// What a node's disk has.
#[derive(Debug, Clone, Default)]
struct Saved(Vec<Record>);

impl Save<Record> for Saved {
    fn save(&mut self, records: &[Record]) -> io::Result<()> {
        self.0.extend_from_slice(records);
        Ok(())
    }
}

/// Members, and what is on its way between them. Nothing arrives by itself, and nobody's clock
/// goes on but by [`Self::time_out`] and [`Self::tick`].
struct Cluster {
    now: Time,
    nodes: BTreeMap<u64, Raft>,
    disks: BTreeMap<u64, Saved>,
    /// From, to.
    pool: Vec<(u64, u64, Message)>,
    events: Vec<(u64, Event)>,
    answers: Vec<(RequestId, Answer)>,
    tasks: Vec<(u64, Task)>,
    requests: u64,
    /// No two starts have the same seed.
    starts: u64,
    /// Of nodes that start from here on.
    keeping: Keeping,
}

impl Cluster {
    /// As many voters as there are logs. A log is a row of terms: its first entry, of term 1, tells
    /// who the members are, and is committed; the rest are no-ops.
    fn with_logs(logs: &[&[u64]]) -> Self {
        let (nodes, disks) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self {
            now: Time::default(),
            nodes,
            disks,
            pool: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            tasks: Vec::new(),
            requests: 0,
            starts: 0,
            keeping: Keeping::default(),
        };
        let voters = logs.len() as u64;
        for (node, log) in (1..).zip(logs) {
            let members = Payload::Configuration(Box::new(voters_up_to(voters)));
            let mut entries = vec![Entry { term: Term(1), payload: members }];
            entries
                .extend(log[1..].iter().map(|t| Entry { term: Term(*t), payload: Payload::Noop }));
            let tail = Some(Tail { prev: EntryId::default(), entries });
            let term = Term(*log.last().expect("there is a first entry"));
            let record = Record { term, voted_for: None, commit_index: Index(1), tail };
            cluster.disks.insert(node, Saved(vec![record]));
            cluster.start(node);
        }
        for node in 1..=voters {
            (1..=voters).filter(|peer| *peer != node).for_each(|peer| cluster.connect(node, peer));
        }
        cluster
    }

    /// Voters with nothing in their logs but who they are.
    fn of(voters: usize) -> Self {
        Self::with_logs(&vec![[1].as_slice(); voters])
    }

    /// The same, led by node 1 in term 2, whose no-op is committed everywhere.
    fn led(voters: usize) -> Self {
        let mut cluster = Self::of(voters);
        cluster.elect(1);
        cluster.beat(1);
        cluster.events.clear();
        cluster
    }

    /// Starts a node with what its disk has.
    fn start(&mut self, node: u64) {
        self.starts += 1;
        let config = Config {
            node: NodeId(node),
            name: name(node),
            address: format!("n{node}:7101"),
            heartbeat_interval: HEARTBEAT,
            election_timeout: ELECTION,
            mode: Mode::Raft,
            snapshot_every: 1_000,
            log_kept_bytes: 0,
            causal_log_bytes: 1_000_000,
            keeping: self.keeping.clone(),
            seed: self.starts,
            is_traced: false,
        };
        let disk = self.disks.entry(node).or_default().clone();
        let raft = Raft::recover(config, false, None, disk.0).expect("records of one node");
        self.nodes.insert(node, raft);
        self.step(node, Input::Start);
    }

    fn connect(&mut self, node: u64, peer: u64) {
        let hello = Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            cluster: Some(ClusterId(7)),
            node: NodeId(peer),
            name: name(peer),
            address: format!("n{peer}:7101"),
            incarnation: Incarnation(1),
            epoch: 1,
            mode: Mode::Raft,
            purpose: Purpose::Messages,
            clock: 0,
        };
        self.step(node, Input::PeerUp(Box::new(hello)));
    }

    /// A node ends and comes back with its disk; the others notice.
    fn restart(&mut self, node: u64) {
        let peers: Vec<u64> = self.nodes.keys().copied().filter(|peer| *peer != node).collect();
        self.pool.retain(|(from, to, _)| *from != node && *to != node);
        peers.iter().for_each(|peer| self.step(*peer, Input::PeerDown(NodeId(node))));
        self.start(node);
        for peer in peers {
            self.connect(node, peer);
            self.connect(peer, node);
        }
    }

    fn node(&self, node: u64) -> &Raft {
        &self.nodes[&node]
    }

    /// The terms of a node's log.
    fn log(&self, node: u64) -> Vec<u64> {
        let log = self.node(node).log();
        (log.base().index.0 + 1..=log.last().index.0)
            .filter_map(|index| log.term_at(Index(index)))
            .map(|term| term.0)
            .collect()
    }

    fn step(&mut self, node: u64, input: Input<Message>) {
        self.step_all(node, vec![input]);
    }

    /// Some inputs, and one commit.
    fn step_all(&mut self, node: u64, inputs: Vec<Input<Message>>) {
        let raft = self.nodes.get_mut(&node).expect("it is up");
        let mut effects = Effects::default();
        inputs.into_iter().for_each(|input| raft.step(self.now, input, &mut effects));
        raft.flush(self.now, &mut effects);
        let early = effects.take_early();
        let disk = self.disks.get_mut(&node).expect("each has one");
        let late = effects.commit(disk).expect("in memory");
        for outbox in [early, late] {
            for envelope in outbox.messages {
                for to in envelope.to.as_slice() {
                    self.pool.push((node, to.0, envelope.message.clone()));
                }
            }
            self.answers.extend(outbox.answers);
            self.events.extend(outbox.events.into_iter().map(|observed| (node, observed.event)));
            self.tasks.extend(outbox.tasks.into_iter().map(|task| (node, task)));
        }
    }

    fn receive(&mut self, from: u64, to: u64, message: Message) {
        self.step(to, Input::Message { from: NodeId(from), message });
    }

    /// Takes what is on its way from one node to another.
    fn take(&mut self, from: u64, to: u64) -> Vec<Message> {
        let is_it = |(f, t, _): &mut (u64, u64, Message)| (*f, *t) == (from, to);
        self.pool.extract_if(.., is_it).map(|(_, _, message)| message).collect()
    }

    /// Delivers all, and what is sent upon it, among some nodes; what goes to others is lost.
    fn settle_among(&mut self, nodes: &[u64]) {
        while !self.pool.is_empty() {
            let (from, to, message) = self.pool.remove(0);
            if nodes.contains(&from) && nodes.contains(&to) {
                self.receive(from, to, message);
            }
        }
    }

    /// Delivers all that goes from one of these nodes to another; the rest stays on its way.
    fn settle_between(&mut self, nodes: &[u64]) {
        let is_it =
            |(from, to, _): &(u64, u64, Message)| nodes.contains(from) && nodes.contains(to);
        while let Some(next) = self.pool.iter().position(is_it) {
            let (from, to, message) = self.pool.remove(next);
            self.receive(from, to, message);
        }
    }

    /// A node wins an election, and nobody hears of it yet.
    fn elect_silently(&mut self, node: u64) {
        self.time_out(node);
        while !self.node(node).leads() {
            let (from, to, message) = self.pool.remove(0);
            self.receive(from, to, message);
        }
    }

    fn settle(&mut self) {
        let all: Vec<u64> = self.nodes.keys().copied().collect();
        self.settle_among(&all);
    }

    /// Time passes until a node's next deadline.
    fn tick(&mut self, node: u64) {
        let deadline = self.node(node).deadline().expect("there is always one");
        self.now = self.now.max(deadline);
        self.step(node, Input::Tick);
    }

    /// A heartbeat's time passes for a node.
    fn live(&mut self, node: u64) {
        while self.node(node).deadline().is_some_and(|deadline| deadline <= self.now) {
            self.step(node, Input::Tick);
        }
    }

    /// Time passes until a node takes its leader for dead.
    fn time_out(&mut self, node: u64) {
        self.now = self.now + ELECTION * 2;
        self.events.clear();
        let is_over = |(_, event): &(u64, Event)| matches!(event, Event::BecomePreCandidate { .. });
        while !self.events.iter().any(is_over) {
            self.tick(node);
        }
    }

    /// A node wins an election; what it appends goes to `nodes` alone.
    fn elect_among(&mut self, node: u64, nodes: &[u64]) {
        self.time_out(node);
        self.settle_among(nodes);
        assert!(self.node(node).leads(), "{node} can win");
    }

    fn elect(&mut self, node: u64) {
        let all: Vec<u64> = self.nodes.keys().copied().collect();
        self.elect_among(node, &all);
    }

    /// A leader lets all hear from it, and hears from all.
    fn beat(&mut self, leader: u64) {
        let all: Vec<u64> = self.nodes.keys().copied().collect();
        self.beat_among(leader, &all);
    }

    fn beat_among(&mut self, leader: u64, nodes: &[u64]) {
        self.now = self.now + HEARTBEAT;
        self.tick(leader);
        self.settle_among(nodes);
    }

    fn ask(&mut self, node: u64, request: Request, seq: Option<u64>) -> RequestId {
        let tag = seq.map(|seq| RequestTag { client: "7".to_owned(), seq });
        self.call(node, Call { tag, ..Call::new(request) })
    }

    fn call(&mut self, node: u64, call: Call) -> RequestId {
        self.requests += 1;
        let id = RequestId { connection: 1, sequence: self.requests };
        self.step(node, Input::Request { id, call });
        id
    }

    fn put(&mut self, node: u64, value: &str, seq: Option<u64>) -> RequestId {
        let value = Value::try_from(value.as_bytes().to_vec()).expect("short");
        self.ask(node, Request::put(key(), value), seq)
    }

    fn get(&mut self, node: u64) -> RequestId {
        self.ask(node, Request::get(key(), Some(Read::Linearizable)), None)
    }

    /// What was answered, if anything was.
    fn answer(&self, id: RequestId) -> Option<&Answer> {
        self.answers.iter().find(|(to, _)| *to == id).map(|(_, answer)| answer)
    }

    /// The revision of the item that a `get` was answered; 0 of none.
    fn revision_read(&self, id: RequestId) -> Option<u64> {
        let Answer::Reply(_, Ok(Reply::Get(get))) = self.answer(id)? else {
            panic!("it is no get that succeeded");
        };
        Some(get.item.as_ref().map_or(0, |item| item.mod_revision))
    }
}

fn key() -> Key {
    Key::try_from("k").expect("a key")
}

fn name(node: u64) -> crate::identity::NodeName {
    format!("n{node}").parse().expect("a name")
}

fn voters_up_to(voters: u64) -> Configuration {
    let alone = Configuration::alone(NodeId(1), name(1));
    (2..=voters).fold(alone, |configuration, n| {
        let add = Change::Add { node: NodeId(n), name: name(n) };
        let learning = configuration.after(&add).expect("it is new");
        learning.after(&Change::Promote(NodeId(n))).expect("it learns")
    })
}

/// An append of no-ops behind `prev`, a term and an index.
fn append(term: u64, prev: (u64, u64), terms: &[u64], commit: u64) -> Message {
    let prev = EntryId { term: Term(prev.0), index: Index(prev.1) };
    let entry = |term: &u64| Entry { term: Term(*term), payload: Payload::Noop };
    let entries = terms.iter().map(entry).collect();
    Message::Append(Append { term: Term(term), prev, entries, commit: Index(commit), round: 0 })
}

fn appended(term: u64, outcome: Match, round: u64) -> Message {
    Message::Appended(Appended { term: Term(term), round, outcome, checkpoint: None })
}

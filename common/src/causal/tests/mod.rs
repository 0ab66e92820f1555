//! Scenarios that have gone wrong elsewhere, with messages that are delivered by hand.
//!
//! Ids as `L2` and `L18` name the cases: a test quotes what it should have been.

mod asking;
mod clients;
mod links;
mod order;
mod transfers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::*;
use crate::causal::context::Context;
use crate::control::acks::Acks;
use crate::control::failure::Failure;
use crate::control::reply::Reply;
use crate::control::request::{Call, Request, RequestTag, Selection};
use crate::identity::{ClusterId, Incarnation};
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::modes::{Mode, Resolver, Rule};
use crate::observe::Event;
use crate::peer::hello::{Hello, PROTOCOL, Purpose};
use crate::protocol::{Answer, RequestId};
use crate::storage::Save;

const HEARTBEAT: Duration = Duration::from_millis(100);
const ELECTION: Duration = Duration::from_millis(500);

/// What the wall clocks say at the beginning.
const WALL_MS: u64 = 1_700_000_000_000;

/// A log that no test fills by chance.
const LOG_BYTES: usize = 1_000_000;

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
/// goes on but by [`Self::pass`].
struct Cluster {
    now: Time,
    nodes: BTreeMap<u64, Causal>,
    disks: BTreeMap<u64, Saved>,
    /// Who is connected with whom.
    links: BTreeSet<(u64, u64)>,
    /// From, to.
    pool: Vec<(u64, u64, Message)>,
    answers: Vec<(RequestId, Answer)>,
    events: Vec<(u64, Event)>,
    requests: u64,
    starts: u64,
    log_bytes: usize,
    /// How far wall clocks are wrong, in milliseconds.
    skews: BTreeMap<u64, u64>,
}

impl Cluster {
    /// Members that have seen nothing, and know that of each other.
    fn of(members: u64) -> Self {
        Self::with_logs(members, LOG_BYTES)
    }

    /// The same, with a bound of their logs.
    fn with_logs(members: u64, log_bytes: usize) -> Self {
        let mut cluster = Self {
            now: Time::default(),
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            links: BTreeSet::new(),
            pool: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            requests: 0,
            starts: 0,
            log_bytes,
            skews: BTreeMap::new(),
        };
        (1..=members).for_each(|node| cluster.start(node, true));
        cluster.connect_all();
        cluster.settle();
        cluster
    }

    /// Starts a node with what its disk has.
    fn start(&mut self, node: u64, founds: bool) {
        self.starts += 1;
        let config = Config {
            node: NodeId(node),
            name: name(node),
            address: format!("n{node}:7101"),
            heartbeat_interval: HEARTBEAT,
            election_timeout: ELECTION,
            mode: Mode::Causal,
            snapshot_every: 1_000_000,
            log_kept_bytes: 0,
            causal_log_bytes: self.log_bytes,
            keeping: Default::default(),
            seed: self.starts,
            is_traced: false,
        };
        let disk = self.disks.entry(node).or_default().clone();
        let causal = Causal::recover(config, founds, None, disk.0).expect("records of one node");
        self.nodes.insert(node, causal);
        self.set_members();
        self.step(node, Input::Start);
    }

    /// Whoever is there is a member.
    fn set_members(&mut self) {
        let names: Vec<(NodeId, NodeName)> =
            self.nodes.keys().map(|node| (NodeId(*node), name(*node))).collect();
        let mut modes = ModeTable::new(Mode::Causal);
        modes.set("n/".to_owned(), Rule::Causal(Resolver::Counter));
        modes.set("l/".to_owned(), Rule::Causal(Resolver::Lww));
        for causal in self.nodes.values_mut() {
            causal.set_members(names.iter().map(|(id, name)| (*id, name)));
            causal.set_modes(&modes);
        }
    }

    fn connect_all(&mut self) {
        let all: Vec<u64> = self.nodes.keys().copied().collect();
        for one in &all {
            all.iter().filter(|other| *other > one).for_each(|other| self.connect(*one, *other));
        }
    }

    fn connect(&mut self, one: u64, other: u64) {
        for (node, peer) in [(one, other), (other, one)] {
            if self.links.insert((node, peer)) {
                self.step(node, Input::PeerUp(Box::new(hello(peer))));
            }
        }
    }

    /// What is on its way is lost, and both notice.
    fn cut(&mut self, one: u64, other: u64) {
        self.lose(one, other);
        self.lose(other, one);
        for (node, peer) in [(one, other), (other, one)] {
            if self.links.remove(&(node, peer)) {
                self.step(node, Input::PeerDown(NodeId(peer)));
            }
        }
    }

    /// Cuts a node off from all others.
    fn isolate(&mut self, node: u64) {
        let others: Vec<u64> = self.nodes.keys().copied().filter(|other| *other != node).collect();
        others.into_iter().for_each(|other| self.cut(node, other));
    }

    /// A node's process ends, and comes back with its disk. It is connected with nobody then.
    fn restart(&mut self, node: u64) {
        self.isolate(node);
        self.start(node, true);
    }

    fn node(&self, node: u64) -> &Causal {
        &self.nodes[&node]
    }

    fn step(&mut self, node: u64, input: Input<Message>) {
        let effects = self.run(node, input);
        let disk = self.disks.get_mut(&node).expect("each has one");
        let outbox = effects.commit(disk).expect("in memory");
        for envelope in outbox.messages {
            for to in envelope.to.as_slice() {
                if self.links.contains(&(node, to.0)) {
                    self.pool.push((node, to.0, envelope.message.clone()));
                }
            }
        }
        self.answers.extend(outbox.answers);
        self.events.extend(outbox.events.into_iter().map(|observed| (node, observed.event)));
    }

    /// A step that does not come to its commit.
    fn run(&mut self, node: u64, input: Input<Message>) -> Effects {
        let skew = self.skews.get(&node).copied().unwrap_or(0);
        let wall = WALL_MS + skew + u64::try_from(self.now.0.as_millis()).expect("short");
        let causal = self.nodes.get_mut(&node).expect("it is up");
        let mut effects = Effects::default();
        causal.step(self.now, Input::Wall(wall), &mut effects);
        causal.step(self.now, input, &mut effects);
        causal.flush(self.now, &mut effects);
        effects
    }

    fn receive(&mut self, from: u64, to: u64, message: Message) {
        self.step(to, Input::Message { from: NodeId(from), message });
    }

    /// Takes what is on its way from one node to another.
    fn take(&mut self, from: u64, to: u64) -> Vec<Message> {
        let is_it = |(f, t, _): &mut (u64, u64, Message)| (*f, *t) == (from, to);
        self.pool.extract_if(.., is_it).map(|(_, _, message)| message).collect()
    }

    /// Lets get lost what is on its way from one node to another.
    fn lose(&mut self, from: u64, to: u64) {
        self.take(from, to);
    }

    /// Delivers what is on its way from one node to another, and nothing that is sent upon it.
    fn deliver(&mut self, from: u64, to: u64) {
        self.take(from, to).into_iter().for_each(|message| self.receive(from, to, message));
    }

    /// Delivers all, and what is sent upon it.
    fn settle(&mut self) {
        while !self.pool.is_empty() {
            let (from, to, message) = self.pool.remove(0);
            self.receive(from, to, message);
        }
    }

    /// The same, but that nothing arrives at one of them.
    fn settle_without(&mut self, node: u64) {
        while !self.pool.is_empty() {
            let (from, to, message) = self.pool.remove(0);
            if to != node {
                self.receive(from, to, message);
            }
        }
    }

    /// Time passes, and whoever has a deadline is told; what they send waits.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self.nodes.iter().filter_map(|(node, it)| Some((it.deadline()?, *node)));
            let Some((at, node)) = due.min().filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.step(node, Input::Tick);
        }
        self.now = end;
    }

    /// Some heartbeats pass, and all that is sent arrives.
    fn live(&mut self, heartbeats: u32) {
        for _ in 0..heartbeats * 4 {
            self.pass(HEARTBEAT / 4);
            self.settle();
        }
    }

    /// All nodes have seen the same, and hold the same.
    fn assert_equal(&self) {
        let places = self.nodes.values().map(|it| (it.clock().to_string(), it.store().hash()));
        let places: BTreeSet<_> = places.collect();
        assert_eq!(places.len(), 1, "{places:?}");
    }

    fn count(&self, node: u64, is_it: impl Fn(&CausalEvent) -> bool) -> usize {
        let is_it = |(at, event): &&(u64, Event)| {
            *at == node && matches!(event, Event::Causal(event) if is_it(event))
        };
        self.events.iter().filter(is_it).count()
    }
}

fn is_transfer(event: &CausalEvent) -> bool {
    matches!(event, CausalEvent::EndStateSync { .. })
}

fn name(node: u64) -> NodeName {
    format!("n{node}").parse().expect("a name")
}

fn hello(peer: u64) -> Hello {
    Hello {
        protocol_min: PROTOCOL,
        protocol_max: PROTOCOL,
        cluster: Some(ClusterId(7)),
        node: NodeId(peer),
        name: name(peer),
        address: format!("n{peer}:7101"),
        incarnation: Incarnation(1),
        epoch: 1,
        mode: Mode::Causal,
        purpose: Purpose::Messages,
        clock: 0,
    }
}

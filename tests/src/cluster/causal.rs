//! Clients that keep a cluster in causal mode busy while harm is done to it, and the judgement
//! afterwards.
//!
//! What a client knows of a write that was not answered with success is what it may know: one that
//! was refused (`applied: no`) is not there, one that is `applied: yes` is, and of the rest
//! nobody knows. A write with a tag is repeated at its node until that says which.
//!
//! Values are unique. So at the end each can be accounted for: it is there, or a write whose
//! client had seen it has taken its place.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::control::acks::Acks;
use common::control::failure::Applied;
use common::control::reply::{Count, Get, Put};
use common::control::request::{Call, Request, RequestTag};
use serde::de::DeserializeOwned;

use crate::cluster::client::{Client, Outcome, key, text};
use crate::cluster::{PATIENCE, eventually};
use crate::sim::dice::Dice;

/// Of each request. Causal mode waits for nobody, unless it is asked to.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Of those that ask for more acknowledgements than they may get.
const ACKS_TIMEOUT: Duration = Duration::from_millis(50);

/// How long a client leaves nodes alone of which one has failed it.
const PAUSE: Duration = Duration::from_millis(5);

/// Keys that all clients read and write.
const SHARED: usize = 5;

/// What a client knows of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was executed, and lasts.
    Kept,
    /// It may have been.
    Unknown,
    /// It was not.
    Refused,
}

/// What clients have written.
#[derive(Debug, Default)]
pub struct Written {
    /// Of the run: part of the name of each key.
    pub(super) number: u64,
    /// Keys that are written once, with themselves as their values.
    pub(super) single: BTreeMap<String, Fate>,
    /// Of keys that are written by all: each value, and which ones its client had seen there.
    pub(super) shared: BTreeMap<String, BTreeMap<String, (Fate, BTreeSet<String>)>>,
    /// The elements of one set.
    pub(super) elements: BTreeMap<String, Fate>,
    /// What was counted, each with a tag.
    pub(super) counted: i64,
}

impl Written {
    /// How many writes were kept.
    pub fn count(&self) -> usize {
        let is_kept = |fate: &&Fate| **fate == Fate::Kept;
        let shared = self.shared.values().flat_map(BTreeMap::values).map(|(fate, _)| fate);
        let all = self.single.values().chain(self.elements.values()).chain(shared);
        all.filter(is_kept).count()
    }

    fn merge(&mut self, other: Self) {
        self.single.extend(other.single);
        for (key, values) in other.shared {
            self.shared.entry(key).or_default().extend(values);
        }
        self.elements.extend(other.elements);
        self.counted += other.counted;
    }
}

/// Writes that go on, for those who do harm meanwhile.
#[derive(Debug, Default)]
pub struct Progress {
    kept: AtomicU64,
    doors: Mutex<Doors>,
}

/// Which nodes are asked.
#[derive(Debug, Default)]
struct Doors {
    shut: BTreeSet<usize>,
    inside: BTreeMap<usize, usize>,
}

impl Progress {
    /// Keeps clients away from a node, and waits until none is there: what it alone has may get
    /// lost with its disk.
    pub fn shut(&self, node: usize) {
        self.doors().shut.insert(node);
        eventually("the last client has left", || {
            self.doors().inside.get(&node).is_none_or(|clients| *clients == 0)
        });
    }

    /// Lets them in again.
    pub fn open(&self, node: usize) {
        self.doors().shut.remove(&node);
    }

    fn enter(&self, node: usize) -> bool {
        let mut doors = self.doors();
        let is_open = !doors.shut.contains(&node);
        *doors.inside.entry(node).or_default() += usize::from(is_open);
        is_open
    }

    fn leave(&self, node: usize) {
        *self.doors().inside.get_mut(&node).expect("somebody has entered") -= 1;
    }

    /// A client that panics ends the test by itself; the others need not follow.
    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many more writes are kept.
    pub fn wait_for(&self, more: u64) {
        let count = || self.kept.load(Ordering::Relaxed);
        let aim = count() + more;
        eventually("writes go on", || count() >= aim);
    }
}

/// Clients write while `meanwhile` does harm. Runs on one cluster have different numbers.
pub fn write_during(
    sockets: &[PathBuf],
    clients: usize,
    number: u64,
    meanwhile: impl FnOnce(&Progress),
) -> Written {
    /// Ends the run when it is dropped, also by a panic.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (is_over, progress) = (AtomicBool::new(false), Progress::default());
    thread::scope(|scope| {
        let runs = (0..clients).map(|client| {
            let writer = Writer::new(sockets, number, client as u64);
            let (is_over, progress) = (&is_over, &progress);
            scope.spawn(move || writer.run(is_over, progress))
        });
        let runs: Vec<_> = runs.collect();
        let end = End(&is_over);
        meanwhile(&progress);
        drop(end);
        let mut written = Written { number, ..Written::default() };
        for run in runs {
            written.merge(run.join().expect("a client comes to its end"));
        }
        written
    })
}

/// One client, with a connection to each node that it has asked.
struct Writer {
    sockets: Vec<PathBuf>,
    connections: Vec<Option<Client>>,
    dice: Dice,
    name: String,
    tag: RequestTag,
    count: u64,
    number: u64,
    written: Written,
}

impl Writer {
    fn new(sockets: &[PathBuf], number: u64, client: u64) -> Self {
        let stream = number << 16 | client;
        Self {
            sockets: sockets.to_owned(),
            connections: sockets.iter().map(|_| None).collect(),
            dice: Dice::new(stream),
            name: format!("{number}.{client}"),
            tag: RequestTag { client: format!("{stream:032x}"), seq: 0 },
            count: 0,
            number,
            written: Written::default(),
        }
    }

    fn run(mut self, is_over: &AtomicBool, progress: &Progress) -> Written {
        while !is_over.load(Ordering::Relaxed) {
            let node = self.dice.below(self.sockets.len());
            if !progress.enter(node) {
                thread::park_timeout(PAUSE);
                continue;
            }
            self.count += 1;
            let fate = match self.dice.below(10) {
                0..4 => self.write_shared(node),
                4..6 => self.write_single(node),
                6..8 => self.add(node),
                _ => self.incr(node, is_over),
            };
            progress.leave(node);
            match fate {
                Some(Fate::Kept) => {
                    progress.kept.fetch_add(1, Ordering::Relaxed);
                }
                Some(Fate::Unknown | Fate::Refused) | None => thread::park_timeout(PAUSE),
            }
        }
        self.written
    }

    /// Reads a key and puts another value in the place of what it was shown.
    fn write_shared(&mut self, node: usize) -> Option<Fate> {
        let name = format!("shared/{}/{}", self.number, self.dice.below(SHARED));
        let got: Get = self.ask(node, Request::get(key(&name), None), TIMEOUT)?.ok()?.ok()?;
        let seen = values_of(&got);
        let value = format!("{}.{}", self.name, self.count);
        let mut put = Request::put(key(&name), text(&value));
        if let Request::Put { context, .. } = &mut put {
            *context = Some(got.context.as_deref().unwrap_or_default().parse().expect("one"));
        }
        let fate = fate(&self.ask::<Put>(node, put, TIMEOUT)?);
        self.written.shared.entry(name).or_default().insert(value, (fate, seen));
        Some(fate)
    }

    /// Writes a key of its own. Some want more than one node to have it.
    fn write_single(&mut self, node: usize) -> Option<Fate> {
        let name = format!("single/{}/{}.{}", self.number, self.name, self.count);
        let mut put = Request::put(key(&name), text(&name));
        let wants_more = self.dice.below(4) == 0;
        if let (Request::Put { acks, .. }, true) = (&mut put, wants_more) {
            *acks = Acks::All;
        }
        let timeout = if wants_more { ACKS_TIMEOUT } else { TIMEOUT };
        let fate = fate(&self.ask::<Put>(node, put, timeout)?);
        self.written.single.insert(name, fate);
        Some(fate)
    }

    fn add(&mut self, node: usize) -> Option<Fate> {
        let element = format!("{}.{}", self.name, self.count);
        let (acks, context) = (Acks::default(), None);
        let value = text(&element);
        let add = Request::Add { key: key(&set(self.number)), value, acks, context };
        let fate = fate(&self.ask::<Put>(node, add, TIMEOUT)?);
        self.written.elements.insert(element, fate);
        Some(fate)
    }

    /// Counts, and repeats that at the same node until it is known to have been done (L2).
    fn incr(&mut self, node: usize, is_over: &AtomicBool) -> Option<Fate> {
        let delta = 1 + i64::try_from(self.dice.below(3)).expect("a small number");
        let (acks, context) = (Acks::default(), None);
        let request = Request::Incr { key: key(&counter(self.number)), delta, acks, context };
        self.tag.seq += 1;
        let mut was_sent = false;
        let began = Instant::now();
        loop {
            if let Some(outcome) = self.ask::<Count>(node, request.clone(), TIMEOUT) {
                was_sent = true;
                if fate(&outcome) == Fate::Kept {
                    self.written.counted += delta;
                    return Some(Fate::Kept);
                }
            } else if !was_sent || is_over.load(Ordering::Relaxed) && began.elapsed() > PATIENCE {
                assert!(!was_sent, "an incr was not answered for {PATIENCE:?}");
                return None;
            }
            thread::park_timeout(PAUSE);
        }
    }

    /// Asks a node; none where it takes no connection, and so nothing was sent.
    fn ask<R: DeserializeOwned>(
        &mut self,
        node: usize,
        request: Request,
        timeout: Duration,
    ) -> Option<io::Result<Outcome<R>>> {
        if self.connections[node].is_none() {
            self.connections[node] = Client::connect_with(&self.sockets[node], PATIENCE).ok();
        }
        let tag = matches!(request, Request::Incr { .. }).then(|| self.tag.clone());
        let call = Call { timeout: Some(timeout), tag, ..Call::new(request) };
        let outcome = self.connections[node].as_mut()?.try_ask(&call);
        if outcome.is_err() {
            self.connections[node] = None;
        }
        Some(outcome)
    }
}

/// The set of a run.
pub(super) fn set(number: u64) -> String {
    format!("set/{number}")
}

/// The counter of a run.
pub(super) fn counter(number: u64) -> String {
    format!("count/{number}")
}

fn fate<R>(outcome: &io::Result<Outcome<R>>) -> Fate {
    match outcome {
        Ok(Ok(_)) => Fate::Kept,
        Ok(Err(failure)) => match failure.applied {
            Some(Applied::Yes) => Fate::Kept,
            Some(Applied::No) => Fate::Refused,
            Some(Applied::Unknown) | None => Fate::Unknown,
        },
        Err(_) => Fate::Unknown,
    }
}

/// All that stands side by side under a key.
pub(super) fn values_of(got: &Get) -> BTreeSet<String> {
    let json = serde_json::to_value(got).expect("an answer serializes");
    let text = |value: &serde_json::Value| value["value"].as_str().map(str::to_owned);
    match json["siblings"].as_array() {
        Some(siblings) => siblings.iter().filter_map(text).collect(),
        None => text(&json).into_iter().collect(),
    }
}

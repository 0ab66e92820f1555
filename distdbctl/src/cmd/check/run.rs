//! What all checks share: the keys, the clients' pace, and the course of a run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::control::failure::{ErrorCode, Failure};
use common::control::reply::Delete;
use common::control::request::{Request, Selection};
use common::control::status::{PeerState, Status};
use common::identity::NodeName;
use common::kv::key::Key;
use common::kv::value::Value;
use common::modes::{Mode, ModeTable, Rule};
use nix::sys::signal::Signal;

use crate::args::Globals;
use crate::args::command::check::{Kind, Load};
use crate::client::Client;
use crate::cmd;
use crate::cmd::check::faults::{self, Made};
use crate::cmd::check::nodes::{Node, Wire};
use crate::problem::Problem;
use crate::signals::Signals;
use crate::waiting;

/// Unless the command line says otherwise.
const OPERATIONS: u64 = 10_000;

/// What is recorded stays in memory.
const OPERATIONS_MAX: u64 = 1_000_000;

/// Over so long operations are spread while links fail.
const FAULTY: Duration = Duration::from_secs(15);

/// A request may take so long: an election, and a pause of who is asked.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(2);

/// So many times --timeout a cluster may take to be whole again after all was healed.
const PATIENCE: u32 = 6;

/// Between two looks at something that takes its time.
const LOOK: Duration = Duration::from_millis(50);

/// How a client that was refused waits: else it would do nothing but ask.
const PAUSE: Duration = Duration::from_millis(5);

/// A run: where, with which keys, by how many, how fast.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) nodes: Vec<Node>,
    /// Nobody else's.
    pub(super) prefix: String,
    pub(super) keys: Vec<Key>,
    pub(super) rule: Rule,
    pub(super) clients: usize,
    /// Of a request.
    pub(super) timeout: Duration,
    /// How long nodes are waited for once all is healed.
    pub(super) patience: Duration,
    pub(super) kinds: Vec<Kind>,
    pub(super) stop: Stop,
    operations: u64,
    duration: Option<Duration>,
}

impl Run {
    /// Nothing is written yet.
    pub(super) fn new(globals: &Globals, load: &Load, nodes: Vec<Node>) -> Result<Self, Problem> {
        let prefix = format!("{}{:08x}/", cmd::prefix(&load.prefix)?, rand::random::<u32>());
        let key = |number| {
            let key = Key::try_from(format!("{prefix}{number}").as_str());
            key.map_err(|error| Problem::usage(error.to_string()))
        };
        let keys = (0..load.keys).map(key).collect::<Result<_, _>>()?;
        let mut kinds = load.faults.clone();
        kinds.sort_unstable();
        kinds.dedup();
        faults::may_be_made(&kinds, &nodes)?;
        let duration = load.duration.or((!kinds.is_empty()).then_some(FAULTY));
        let is_bounded_by_time = load.operations.is_none() && load.duration.is_some();
        let default = if is_bounded_by_time { OPERATIONS_MAX } else { OPERATIONS };
        Ok(Self {
            rule: rule_of(&prefix, &nodes, globals.timeout)?,
            nodes,
            prefix,
            keys,
            clients: usize::from(load.clients),
            timeout: globals.timeout.min(REQUEST_TIME_MAX),
            patience: globals.timeout * PATIENCE,
            kinds,
            stop: Stop::new()?,
            operations: load.operations.unwrap_or(default),
            duration,
        })
    }

    /// Refuses keys that the check says nothing of.
    pub(super) fn require(&self, mode: Mode) -> Result<(), Problem> {
        if self.rule.mode() == mode {
            return Ok(());
        }
        let (is, wanted) = (self.rule.mode().as_str(), mode.as_str());
        let message = format!("{}: that is {is} mode; this check is of {wanted} mode", self.prefix);
        let hint = format!("name a prefix in {wanted} mode with --prefix; 'mode list' has them");
        Err(Problem::from(Failure::new(ErrorCode::ModeMismatch, message)).with_hint(hint))
    }

    /// What the nodes are called.
    pub(super) fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.to_string()).collect()
    }

    /// Connections of one client.
    pub(super) fn wire(&self) -> Wire<'_> {
        Wire::new(&self.nodes, self.timeout)
    }

    /// Lets `client` work in so many threads, each with its number, until all operations are done.
    /// Meanwhile things fail. Tells what failed, and how long it took.
    pub(super) fn load(&self, client: impl Fn(usize, &Pace) + Sync) -> (Made, Duration) {
        let pace = Pace::new(self);
        let is_done = AtomicBool::new(false);
        let (client, pace) = (&client, &pace);
        thread::scope(|scope| {
            let harm = scope.spawn(|| faults::make(self, &is_done));
            let clients = 0..self.clients;
            let clients: Vec<_> =
                clients.map(|number| scope.spawn(move || client(number, pace))).collect();
            while clients.iter().any(|client| !client.is_finished()) {
                self.stop.look(LOOK);
            }
            let took = pace.began.elapsed();
            is_done.store(true, Ordering::Relaxed);
            (harm.join().expect("faults are healed"), took)
        })
    }

    /// Waits until all nodes that still run are ready and see one another.
    pub(super) fn settle(&self, made: &Made) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let Err(why) = self.is_settled(made) else { return Ok(()) };
            if Instant::now() >= deadline || self.stop.look(LOOK) {
                return Err(why);
            }
        }
    }

    fn is_settled(&self, made: &Made) -> Result<(), String> {
        let mut wire = self.wire();
        for (at, node) in self.nodes.iter().enumerate() {
            let status: Option<Status> = wire.ask(at, Request::Status).answered();
            let name = &node.name;
            let Some(status) = status else {
                if made.has_killed(at) {
                    continue;
                }
                return Err(format!("{name} does not answer"));
            };
            if !status.ready {
                return Err(format!("{name} is not ready: {}", status.reason));
            }
            if self.rule == Rule::Raft && status.leader.is_none() {
                return Err(format!("{name} knows no leader"));
            }
            let awaited = |name: &NodeName| {
                let at = self.nodes.iter().position(|node| node.name == *name);
                at.is_some_and(|at| !made.has_killed(at))
            };
            let mut peers = status.peers.iter().filter(|peer| awaited(&peer.name));
            if let Some(peer) = peers.find(|peer| peer.state != PeerState::Up) {
                return Err(format!("{name} sees {} {}", peer.name, peer.state.as_str()));
            }
        }
        Ok(())
    }

    /// Removes what was written. Tells whether that is done.
    pub(super) fn clean_up(&self) -> bool {
        let mut wire = self.wire();
        let deadline = Instant::now() + self.patience;
        let mut nodes = (0..self.nodes.len()).cycle();
        while let Some(node) = nodes.next().filter(|_| Instant::now() < deadline) {
            let delete = Request::delete(Selection::Prefix(self.prefix.clone()));
            if wire.ask::<Delete>(node, delete).answered().is_some() {
                return true;
            }
            thread::sleep(LOOK);
        }
        false
    }
}

/// The mode of all keys with a prefix.
fn rule_of(prefix: &str, nodes: &[Node], timeout: Duration) -> Result<Rule, Problem> {
    let status: Status = Client::at(&nodes[0].path, timeout).ask(&Request::Status)?;
    let rows = status.modes.into_iter().map(|row| row.rule().map(|rule| (row.prefix, rule)));
    let table = rows.collect::<Option<_>>().and_then(ModeTable::from_rows);
    let known = table.map(|table| table.rule_of(prefix));
    known.ok_or_else(|| Failure::new(ErrorCode::NotReady, status.reason).into())
}

/// A value out of a short text.
pub(super) fn value(text: &str) -> Value {
    Value::try_from(text.as_bytes().to_vec()).expect("the values of a check are short")
}

/// A random number below `bound`.
pub(super) fn below(bound: usize) -> usize {
    rand::random_range(0..bound)
}

/// After a refusal.
pub(super) fn pause() {
    thread::sleep(PAUSE);
}

/// When the next operation is due.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    run: &'a Run,
    pub(super) began: Instant,
    begun: AtomicU64,
}

impl<'a> Pace<'a> {
    fn new(run: &'a Run) -> Self {
        Self { run, began: Instant::now(), begun: AtomicU64::new(0) }
    }

    /// Waits until one more is due; `false` once there are none.
    pub(super) fn next(&self) -> bool {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let Run { operations, duration, stop, .. } = self.run;
        let is_spread = *operations < OPERATIONS_MAX;
        let due = duration.filter(|_| is_spread).map_or(Duration::ZERO, |duration| {
            duration.mul_f64(number as f64 / *operations as f64)
        });
        while due > self.began.elapsed() && !stop.is_over() {
            thread::sleep(LOOK.min(due.saturating_sub(self.began.elapsed())));
        }
        let is_late = duration.is_some_and(|duration| self.began.elapsed() >= duration);
        number < *operations && !is_late && !stop.is_over()
    }
}

/// Ctrl-C and its like, which must not end a run before it has healed what it broke.
#[derive(Debug)]
pub(super) struct Stop {
    signals: Signals,
    is_over: AtomicBool,
    by: Mutex<Option<Signal>>,
}

impl Stop {
    fn new() -> Result<Self, Problem> {
        let signals = Signals::catch().map_err(|errno| {
            Problem::new(crate::problem::OwnCode::Configuration, errno.desc().to_owned())
        })?;
        Ok(Self { signals, is_over: AtomicBool::new(false), by: Mutex::new(None) })
    }

    /// Whether it is over, as far as somebody has looked.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Waits for a signal, but not longer than so.
    pub(super) fn look(&self, patience: Duration) -> bool {
        waiting::until_readable_by([self.signals.as_fd()], Some(Instant::now() + patience));
        if let Some(signal) = self.signals.next_ending() {
            *self.by.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
            self.is_over.store(true, Ordering::Relaxed);
        }
        self.is_over()
    }

    /// The signal that came.
    pub(super) fn signal(&self) -> Option<Signal> {
        *self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

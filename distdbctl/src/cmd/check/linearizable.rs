//! One order for all operations that explains every answer, in real time and in revisions.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::check::linearizability::{self, Explanation, STEPS_MAX};
use common::check::revisions;
use common::control::kv::{Kv, PutOptions};
use common::control::reply::{Delete, Get, Put};
use common::control::request::{Read, Request, Selection};
use common::history::{Action, Answer, History, Observed, Outcome};
use common::kv::condition::Conditions;
use common::kv::key::Key;
use common::modes::Mode;
use serde::de::DeserializeOwned;

use crate::cmd::check::diagram::Shown;
use crate::cmd::check::nodes::{Asked, Wire};
use crate::cmd::check::report::{Counts, Findings, Verdict, Violation};
use crate::cmd::check::run::{self, Run, below};
use crate::exit::Exit;
use crate::problem::Problem;

/// Of a hundred operations so many are puts, gets and swaps; the rest are deletes.
const PUTS: usize = 30;
const GETS: usize = 45;
const SWAPS: usize = 15;

pub(super) fn check(run: &Run, read: Option<Read>) -> Result<Findings, Problem> {
    run.require(Mode::Raft)?;
    let log = Log::start();
    let (made, ran) = run.load(|number, pace| {
        let mut caller = Caller::new(run, read, number, &log);
        while pace.next() {
            caller.operate();
        }
    });
    let settled = run.settle(&made);
    if settled.is_ok() {
        // What was lost shows at the latest here.
        let mut caller = Caller::new(run, read, run.clients, &log);
        for key in &run.keys {
            (0..run.nodes.len()).for_each(|node| caller.ask(node, key, Action::Get));
        }
    }
    let Recorded { history, nodes } = log.into_recorded();
    let counts = counts(&history);
    let began = Instant::now();
    let verdict = judge(&history, &nodes, read, run).given(counts);
    Ok(Findings { counts, made, ran, judged: began.elapsed(), verdict })
}

fn judge(history: &History, nodes: &Asker, read: Option<Read>, run: &Run) -> Verdict {
    match linearizability::check(history, STEPS_MAX) {
        linearizability::Verdict::Linearizable => {}
        linearizability::Verdict::Violated(explanation) => {
            return Verdict::Violation(violation(&explanation, nodes, run));
        }
        linearizability::Verdict::Inconclusive { keys } => {
            let keys = keys.join(", ");
            return Verdict::Inconclusive(format!("it takes too long to judge {keys}"));
        }
    }
    // Nobody has promised anything of the revisions of stale reads.
    if read == Some(Read::Stale) {
        return Verdict::Pass;
    }
    match revisions::check(history) {
        Ok(()) => Verdict::Pass,
        Err(found) => {
            let (property, what) = (found.property, found.what);
            Verdict::Violation(Violation { property, what, operations: Vec::new() })
        }
    }
}

fn violation(explanation: &Explanation, nodes: &Asker, run: &Run) -> Violation {
    let (client, returned) = explanation.last;
    let mut what = format!(
        "of key {}, the answer to client {client} at {:.3} ms fits no order of the operations\n",
        explanation.key,
        returned.as_secs_f64() * 1_000.0,
    );
    for invented in &explanation.invented {
        what += &format!("No write that may have taken effect has stored {invented}.\n");
    }
    what += "The answers marked * contradict each other; the others stored what these have seen.";
    let needed = explanation.rows.iter().filter(|row| row.is_core || row.is_origin);
    let operations = needed.map(|row| {
        let node = nodes.get(&(row.operation.client, row.operation.invoked));
        let node = node.map_or("?", |node| run.nodes[*node].name.as_str());
        Shown::new(&row.operation, node, row.is_core)
    });
    Violation { property: "linearizable", what, operations: operations.collect() }
}

fn counts(history: &History) -> Counts {
    let mut counts = Counts::default();
    for operation in history.operations() {
        match operation.outcome {
            Outcome::Known(_) => counts.answered += 1,
            Outcome::Failed => counts.refused += 1,
            Outcome::Unknown => counts.unknown += 1,
        }
    }
    counts
}

/// Which node a client has asked at that time.
type Asker = BTreeMap<(usize, Duration), usize>;

/// What is taken down.
#[derive(Debug, Default)]
struct Recorded {
    history: History,
    nodes: Asker,
}

/// A history in the making. The clock is read before a request is sent and after its answer came,
/// so what is written down is never narrower than what was.
#[derive(Debug)]
struct Log {
    began: Instant,
    recorded: Mutex<Recorded>,
}

impl Log {
    fn start() -> Self {
        Self { began: Instant::now(), recorded: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_recorded(self) -> Recorded {
        self.recorded.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client.
struct Caller<'a> {
    run: &'a Run,
    read: Option<Read>,
    number: usize,
    wire: Wire<'a>,
    log: &'a Log,
    writes: u64,
    /// What each key held when this client last saw it.
    seen: BTreeMap<Key, String>,
}

/// What an operation saw, and at which revision.
type Seen = (Observed, Option<u64>);

impl<'a> Caller<'a> {
    fn new(run: &'a Run, read: Option<Read>, number: usize, log: &'a Log) -> Self {
        let (wire, seen) = (run.wire(), BTreeMap::new());
        Self { run, read, number, wire, log, writes: 0, seen }
    }

    fn operate(&mut self) {
        let key = &self.run.keys[below(self.run.keys.len())];
        let dice = below(100);
        let seen = self.seen.get(key).cloned();
        let action = match seen {
            _ if dice < PUTS => Action::Put(self.fresh()),
            Some(from) if dice < PUTS + SWAPS => Action::Swap { from, to: self.fresh() },
            None | Some(_) if dice < PUTS + SWAPS + GETS => Action::Get,
            None | Some(_) => Action::Delete,
        };
        self.ask(below(self.run.nodes.len()), key, action);
    }

    /// A value that nobody has stored.
    fn fresh(&mut self) -> String {
        self.writes += 1;
        format!("{}.{}", self.number, self.writes)
    }

    /// Asks, and takes down what is heard.
    fn ask(&mut self, node: usize, key: &Key, action: Action) {
        let request = request(key, &action, self.read);
        let invoked = self.log.began.elapsed();
        let ticket = {
            let mut recorded = self.log.lock();
            recorded.nodes.insert((self.number, invoked), node);
            recorded.history.invoke(self.number, key.as_str(), action.clone(), invoked)
        };
        let asked = match &action {
            Action::Put(_) | Action::Swap { .. } => {
                self.answer(node, request, |put: Put| (Observed::Stored, Some(put.revision)))
            }
            Action::Get => self.answer(node, request, |get: Get| {
                let value = get.item.as_ref().and_then(|item| item.value.as_ref());
                let value = value.map(|value| value.as_str().to_owned());
                (Observed::Got(value), get.item.map(|item| item.mod_revision))
            }),
            Action::Delete => self.answer(node, request, |delete: Delete| {
                let existed = delete.deleted > 0;
                (Observed::Deleted { existed }, existed.then_some(delete.revision))
            }),
        };
        let returned = self.log.began.elapsed();
        let outcome = match asked {
            Asked::Answered(_, (observed, revision)) => {
                let value = match &observed {
                    Observed::Got(value) => value.clone(),
                    Observed::Stored => action.value().map(str::to_owned),
                    Observed::Deleted { .. } => None,
                };
                match value {
                    Some(value) => self.seen.insert(key.clone(), value),
                    None => self.seen.remove(key),
                };
                Outcome::Known(Answer { returned, observed, revision })
            }
            Asked::Refused(problem) => {
                // What was seen there is not there any more, or the node is not well.
                if self.seen.remove(key).is_none() || problem.exit() != Exit::CONDITION_FAILED {
                    run::pause();
                }
                Outcome::Failed
            }
            Asked::Unknown => Outcome::Unknown,
        };
        self.log.lock().history.finish(ticket, outcome);
    }

    fn answer<R: DeserializeOwned>(
        &mut self,
        node: usize,
        request: Request,
        see: impl FnOnce(R) -> Seen,
    ) -> Asked<Seen> {
        self.wire.ask(node, request).map(see)
    }
}

fn request(key: &Key, action: &Action, read: Option<Read>) -> Request {
    let key = key.clone();
    match action {
        Action::Put(value) => Request::put(key, run::value(value)),
        Action::Get => Request::get(key, read),
        Action::Delete => Request::delete(Selection::Key(key)),
        Action::Swap { from, to } => {
            let if_value = Some(run::value(from));
            let conditions = Conditions { if_value, ..Conditions::default() };
            let options = PutOptions { conditions, ..PutOptions::default() };
            Request::Kv(Box::new(Kv::Put { key, value: run::value(to), options }))
        }
    }
}

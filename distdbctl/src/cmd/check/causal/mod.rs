//! Sessions in causal mode: no cause is missing where its effect is seen, on whichever node.
//!
//! Each client is a session that goes from node to node. It reads a key, and puts in the place of
//! what it was shown another value, or nothing. So each write is known to replace just that; and
//! what was seen says what happened before what, without a word of the nodes' clocks. `judge`
//! compares the two.

mod judge;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::causal::context::Context;
use common::control::acks::Acks;
use common::control::failure::{ErrorCode, Failure};
use common::control::reply::{Delete, Get, Put};
use common::control::request::{Read, Request, Selection};
use common::kv::key::Key;
use common::modes::{Mode, Resolver, Rule};

use crate::cmd::check::converge::{self, State};
use crate::cmd::check::diagram::{Shown, ms};
use crate::cmd::check::nodes::{Asked, Wire};
use crate::cmd::check::report::{Counts, Findings, Verdict, Violation};
use crate::cmd::check::run::{self, Run, below};
use crate::problem::Problem;

use judge::Judge;

/// Of a hundred operations so many read only, and so many replace what was read; the rest remove
/// it.
const GETS: usize = 50;
const PUTS: usize = 42;

/// Between two looks at all nodes.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn check(run: &Run) -> Result<Findings, Problem> {
    run.require(Mode::Causal)?;
    if run.rule != Rule::Causal(Resolver::Siblings) {
        let message = format!("{} has a resolver that does not show all values", run.prefix);
        let hint = "name a prefix with --resolver siblings; 'mode list' has them";
        let failure = Failure::new(ErrorCode::ModeMismatch, message);
        return Err(Problem::from(failure).with_hint(hint));
    }
    let (began, total) = (Instant::now(), Mutex::new((Counts::default(), Vec::new())));
    let (made, ran) = run.load(|number, pace| {
        let mut session = Session::new(run, number, began);
        while pace.next() {
            session.operate();
        }
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.0.add(session.counts);
        total.1.append(&mut session.events);
    });
    let (counts, events) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let settled = run.settle(&made);
    let nodes: Vec<usize> = (0..run.nodes.len()).filter(|node| !made.has_killed(*node)).collect();
    let last = settled.and_then(|()| last_state(run, &nodes));
    let (began, names) = (Instant::now(), run.names());
    let judged = Judge::of(&names, events).and_then(|judge| match &last {
        Ok(Last::One(state)) => judge.judge_last(state),
        Ok(Last::Different(violation)) => Err(violation.clone()),
        Err(_) => Ok(()),
    });
    let verdict = match (judged, last) {
        (Err(violation), _) => Verdict::Violation(violation),
        (Ok(()), Err(why)) => Verdict::Inconclusive(format!("the cluster does not settle: {why}")),
        (Ok(()), Ok(_)) => Verdict::Pass,
    };
    let verdict = verdict.given(counts);
    Ok(Findings { counts, made, ran, judged: began.elapsed(), verdict })
}

/// What the nodes hold once all is quiet.
enum Last {
    One(State),
    Different(Violation),
}

fn last_state(run: &Run, nodes: &[usize]) -> Result<Last, String> {
    let deadline = Instant::now() + run.patience;
    let mut wire = run.wire();
    loop {
        let states = nodes.iter().map(|node| converge::state(&mut wire, *node, &run.prefix));
        let states = states.collect::<Option<Vec<State>>>();
        let is_late = Instant::now() >= deadline;
        match states {
            Some(mut states) if states.windows(2).all(|pair| pair[0] == pair[1]) => {
                return Ok(Last::One(states.swap_remove(0)));
            }
            Some(states) if is_late => {
                return Ok(Last::Different(converge::difference(run, nodes, &states)));
            }
            None if is_late => return Err("a node does not tell what it holds".to_owned()),
            Some(_) | None => {}
        }
        if run.stop.look(LOOK) {
            return Err("interrupted".to_owned());
        }
    }
}

/// What a session did or saw.
#[derive(Debug, Clone)]
struct Event {
    client: usize,
    node: usize,
    key: Key,
    invoked: Duration,
    /// None where nobody knows whether it took effect.
    returned: Option<Duration>,
    deed: Deed,
}

#[derive(Debug, Clone)]
enum Deed {
    /// All values that stand side by side.
    Read(Vec<String>),
    /// The client's next write: a value or, to remove, none, in the place of those it had read.
    Write { value: Option<String>, seen: Vec<String> },
}

impl Event {
    fn shown(&self, names: &[String], contradicts: bool) -> Shown {
        let (asked, result) = match &self.deed {
            Deed::Read(values) if values.is_empty() => ("get".to_owned(), "nothing".to_owned()),
            Deed::Read(values) => ("get".to_owned(), values.join(" | ")),
            Deed::Write { value: None, .. } => ("delete".to_owned(), "removed".to_owned()),
            Deed::Write { value: Some(value), .. } => (format!("put {value}"), "stored".to_owned()),
        };
        let key = self.key.as_str();
        // All keys of a run begin alike.
        let own = key.rsplit_once('/').map_or(key, |(_, own)| own);
        Shown {
            client: self.client,
            node: names[self.node].clone(),
            key: key.to_owned(),
            asked: format!("{own}: {asked}"),
            invoked_ms: ms(self.invoked),
            returned_ms: self.returned.map(ms),
            result: if self.returned.is_some() { result } else { "no answer".to_owned() },
            contradicts,
        }
    }
}

struct Session<'a> {
    run: &'a Run,
    wire: Wire<'a>,
    number: usize,
    began: Instant,
    /// What it has seen.
    context: Context,
    writes: u64,
    counts: Counts,
    events: Vec<Event>,
}

impl<'a> Session<'a> {
    fn new(run: &'a Run, number: usize, began: Instant) -> Self {
        let (context, counts, events) = Default::default();
        Self { run, wire: run.wire(), number, began, context, writes: 0, counts, events }
    }

    fn operate(&mut self) {
        let (node, key) = (below(self.run.nodes.len()), below(self.run.keys.len()));
        let key = self.run.keys[key].clone();
        let dice = below(100);
        let Some((values, context)) = self.read(node, &key) else { return };
        if dice < GETS {
            return;
        }
        if dice < GETS + PUTS || values.is_empty() {
            let value = format!("{}.{}", self.number, self.writes);
            let request = Request::Put {
                key: key.clone(),
                value: run::value(&value),
                acks: Acks::default(),
                context: Some(context),
            };
            let deed = Deed::Write { value: Some(value), seen: values };
            self.write::<Put>(node, key, request, deed, |put| put.context);
        } else {
            let request = Request::Delete {
                selection: Selection::Key(key.clone()),
                acks: Acks::default(),
                context: Some(context),
            };
            let deed = Deed::Write { value: None, seen: values };
            self.write::<Delete>(node, key, request, deed, |delete| delete.context);
        }
    }

    fn read(&mut self, node: usize, key: &Key) -> Option<(Vec<String>, Context)> {
        let request = Request::Get {
            key: key.clone(),
            read: Some(Read::Session),
            context: Some(self.context.clone()).filter(|context| !context.is_empty()),
            min_revision: None,
        };
        let invoked = self.began.elapsed();
        let Some(get) = self.wire.ask::<Get>(node, request).answered() else {
            self.counts.refused += 1;
            run::pause();
            return None;
        };
        let returned = Some(self.began.elapsed());
        self.counts.answered += 1;
        let values = values_of(&get);
        let context = self.see(get.context);
        let deed = Deed::Read(values.clone());
        let (client, key) = (self.number, key.clone());
        self.events.push(Event { client, node, key, invoked, returned, deed });
        Some((values, context))
    }

    fn write<R: serde::de::DeserializeOwned>(
        &mut self,
        node: usize,
        key: Key,
        request: Request,
        deed: Deed,
        context: impl FnOnce(R) -> Option<String>,
    ) {
        let (client, invoked) = (self.number, self.began.elapsed());
        let returned = match self.wire.ask::<R>(node, request) {
            Asked::Answered(_, result) => {
                self.see(context(result));
                self.counts.answered += 1;
                Some(self.began.elapsed())
            }
            Asked::Unknown => {
                self.counts.unknown += 1;
                None
            }
            Asked::Refused(_) => {
                self.counts.refused += 1;
                return run::pause();
            }
        };
        self.writes += 1;
        self.events.push(Event { client, node, key, invoked, returned, deed });
    }

    /// From here on it has seen that as well.
    fn see(&mut self, context: Option<String>) -> Context {
        let context: Context = context.unwrap_or_default().parse().unwrap_or_default();
        self.context.merge(&context);
        context
    }
}

/// All that stands side by side under a key.
fn values_of(get: &Get) -> Vec<String> {
    let text = |value: &common::control::bytes::TextBytes| value.as_str().to_owned();
    if get.siblings.is_empty() {
        let value = get.item.as_ref().and_then(|item| item.value.as_ref());
        return value.map(text).into_iter().collect();
    }
    get.siblings.iter().filter_map(|sibling| sibling.value.as_ref().map(text)).collect()
}

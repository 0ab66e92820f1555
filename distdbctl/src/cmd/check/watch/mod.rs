//! Watches on every node, compared with what was written: each change once, in the order of
//! revisions, none that nobody made, none left out, and progress never ahead of what was told.
//!
//! A watch goes on at the next node when its own fails. The last change of a run is a mark that
//! every watch must reach.

mod judge;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::control::reply::{Delete, Get, Put, ReplyLine};
use common::control::request::{Call, Request, Selection};
use common::control::watching::{EventKind, WatchBegun, WatchLine};
use common::kv::key::Key;
use common::modes::Mode;

use crate::cmd::check::nodes::{Asked, Wire};
use crate::cmd::check::report::{Counts, Findings, Verdict};
use crate::cmd::check::run::{self, Run, below};
use crate::connection::{Connection, Lost};
use crate::problem::Problem;

use judge::Known;

/// Of a hundred operations so many are puts; the rest are deletes.
const PUTS: usize = 85;

/// How often a quiet watch says how far it is.
const PROGRESS: Duration = Duration::from_millis(200);

/// A watch that is silent for so long is given up, and goes on at another node.
const SILENCE: Duration = Duration::from_secs(2);

/// Between two tries to begin.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn check(run: &Run) -> Result<Findings, Problem> {
    run.require(Mode::Raft)?;
    let key = Key::try_from(format!("{}end", run.prefix).as_str());
    let key = key.map_err(|error| Problem::usage(error.to_string()))?;
    let Some(from) = revision(run) else {
        return Ok(nothing("no node reads: there may be no quorum"));
    };
    let total = Mutex::new((Counts::default(), Vec::new()));
    let end = Mutex::new(None);
    let (told, made, ran, settled) = thread::scope(|scope| {
        let watch = |node| {
            let end = &end;
            scope.spawn(move || Watcher { run, from, told: Told::default() }.follow(node, end))
        };
        let watches: Vec<_> = (0..run.nodes.len()).map(watch).collect();
        let (made, ran) = run.load(|number, pace| {
            let mut writer = Writer::new(run, number);
            while pace.next() {
                writer.write();
            }
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.0.add(writer.counts);
            total.1.append(&mut writer.writes);
        });
        let settled = run.settle(&made).and_then(|()| mark(run, &key));
        let last = settled.as_ref().map_or(0, |revision| *revision);
        let deadline = Instant::now() + run.patience;
        *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(End { last, deadline });
        let told = watches.into_iter().map(|watch| watch.join().expect("a watch ends"));
        (told.collect::<Vec<Told>>(), made, ran, settled)
    });
    let (counts, writes) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let verdict = match settled {
        Err(why) => Verdict::Inconclusive(format!("the cluster does not settle: {why}")),
        Ok(last) => {
            let mark = Write { revision: Some(last), key, value: Some("end".to_owned()) };
            let known = Known::of(writes.iter().chain([&mark]));
            judge::judge(&run.names(), &known, &told, last)
                .map_or_else(Verdict::Violation, |()| Verdict::Pass)
        }
    };
    let verdict = verdict.given(counts);
    Ok(Findings { counts, made, ran, judged: began.elapsed(), verdict })
}

fn nothing(why: &str) -> Findings {
    let (counts, made, ran, judged) = Default::default();
    Findings { counts, made, ran, judged, verdict: Verdict::Inconclusive(why.to_owned()) }
}

/// The first revision that is not there yet, or an earlier one.
fn revision(run: &Run) -> Option<u64> {
    let mut wire = run.wire();
    (0..run.nodes.len()).find_map(|node| {
        match wire.ask::<Get>(node, Request::get(run.keys[0].clone(), None)) {
            Asked::Answered(header, _) => header.revision.map(|revision| revision + 1),
            Asked::Refused(_) | Asked::Unknown => None,
        }
    })
}

/// Writes the last change. Tells its revision.
fn mark(run: &Run, key: &Key) -> Result<u64, String> {
    let mut wire = run.wire();
    let put = Request::put(key.clone(), run::value("end"));
    match wire.ask::<Put>(0, put) {
        Asked::Answered(_, put) => Ok(put.revision),
        Asked::Refused(problem) => Err(problem.message),
        Asked::Unknown => Err("a write was not answered".to_owned()),
    }
}

/// A change that was asked for.
#[derive(Debug, Clone)]
struct Write {
    /// None where nobody knows whether it was made.
    revision: Option<u64>,
    key: Key,
    /// None of a deletion.
    value: Option<String>,
}

struct Writer<'a> {
    run: &'a Run,
    wire: Wire<'a>,
    number: usize,
    counts: Counts,
    writes: Vec<Write>,
}

impl<'a> Writer<'a> {
    fn new(run: &'a Run, number: usize) -> Self {
        Self { run, wire: run.wire(), number, counts: Counts::default(), writes: Vec::new() }
    }

    fn write(&mut self) {
        let (node, key) = (below(self.run.nodes.len()), below(self.run.keys.len()));
        let key = self.run.keys[key].clone();
        let value = format!("{}.{}", self.number, self.writes.len());
        let value = (below(100) < PUTS).then_some(value);
        let asked = if let Some(value) = &value {
            let put = Request::put(key.clone(), run::value(value));
            self.wire.ask::<Put>(node, put).map(|put| Some(put.revision))
        } else {
            let delete = Request::delete(Selection::Key(key.clone()));
            let asked = self.wire.ask::<Delete>(node, delete);
            asked.map(|delete| (delete.deleted > 0).then_some(delete.revision))
        };
        match asked {
            Asked::Answered(_, revision) => {
                self.counts.answered += 1;
                let write = revision.map(|revision| Write { revision: Some(revision), key, value });
                self.writes.extend(write);
            }
            Asked::Unknown => {
                self.counts.unknown += 1;
                self.writes.push(Write { revision: None, key, value });
            }
            Asked::Refused(_) => {
                self.counts.refused += 1;
                run::pause();
            }
        }
    }
}

/// Up to where watches go.
#[derive(Debug, Clone, Copy)]
struct End {
    last: u64,
    deadline: Instant,
}

/// What a watch has told, in its order.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Change { revision: u64, node: usize, key: Key, value: Option<String> },
    Progress { revision: u64, node: usize },
}

struct Watcher<'a> {
    run: &'a Run,
    /// The first revision that has not been told.
    from: u64,
    told: Told,
}

impl Watcher<'_> {
    /// Watches, at first at `node`, until the end.
    fn follow(mut self, mut node: usize, end: &Mutex<Option<End>>) -> Told {
        let is_over = |from: u64| {
            let end = *end.lock().unwrap_or_else(PoisonError::into_inner);
            self.run.stop.is_over()
                || end.is_some_and(|end| from > end.last || Instant::now() >= end.deadline)
        };
        loop {
            if let Some(mut connection) = self.begin(node) {
                let mut heard = Instant::now();
                while !is_over(self.from) && heard.elapsed() < SILENCE {
                    match connection.receive(Some(Instant::now() + PAUSE)) {
                        Ok(line) if self.take(node, &line) => heard = Instant::now(),
                        Err(Lost::TimedOut) => {}
                        Ok(_) | Err(_) => break,
                    }
                }
            }
            if is_over(self.from) {
                return self.told;
            }
            node = (node + 1) % self.run.nodes.len();
            thread::sleep(PAUSE);
        }
    }

    fn begin(&self, node: usize) -> Option<Connection> {
        let deadline = Instant::now() + self.run.timeout;
        let mut connection = Connection::open(&self.run.nodes[node].path, deadline).ok()?;
        let call = Call::new(Request::Watch {
            selection: Selection::Prefix(self.run.prefix.clone()),
            from: Some(self.from),
            previous: false,
            only: None,
            progress: Some(PROGRESS),
        });
        connection.send(&call.to_line(), deadline).ok()?;
        let line = connection.receive(Some(deadline)).ok()?;
        serde_json::from_slice::<ReplyLine<WatchBegun>>(&line).ok()?.result?;
        Some(connection)
    }

    /// Takes a line; `false` if the watch has ended with it.
    fn take(&mut self, node: usize, line: &[u8]) -> bool {
        match serde_json::from_slice::<WatchLine>(line) {
            Ok(WatchLine::Events { events, revision, .. }) => {
                for event in events.iter() {
                    let value = match event.kind {
                        EventKind::Put => event.value.as_ref().map(|text| text.as_str().to_owned()),
                        EventKind::Delete | EventKind::Expire => None,
                    };
                    let key = event.key.clone();
                    self.told.lines.push(Line::Change { revision, node, key, value });
                }
                self.from = self.from.max(revision + 1);
                true
            }
            Ok(WatchLine::Progress { progress: revision, .. }) => {
                self.told.lines.push(Line::Progress { revision, node });
                self.from = self.from.max(revision + 1);
                true
            }
            Ok(WatchLine::End { .. }) | Err(_) => false,
        }
    }
}

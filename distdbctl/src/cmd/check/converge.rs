//! All nodes come to hold the same, once clients are quiet and links are well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::control::reply::{Delete, Get, List, Put};
use common::control::request::{Range, Read, Request, Selection};
use common::control::status::Status;
use common::kv::key::Key;
use common::modes::Mode;
use serde_json::Value;

use crate::cmd::check::nodes::{Asked, Wire};
use crate::cmd::check::report::{Counts, Findings, Verdict, Violation};
use crate::cmd::check::run::{self, Run, below};

/// Of a hundred operations so many are puts; the rest are deletes.
const PUTS: usize = 80;

/// Between two looks at all nodes.
const LOOK: Duration = Duration::from_millis(100);

/// After so long without a change nobody else writes, as far as can be seen.
const QUIET: Duration = Duration::from_secs(1);

pub(super) fn check(run: &Run) -> Findings {
    let total = Mutex::new((Counts::default(), Written::default()));
    let (made, ran) = run.load(|number, pace| {
        let mut writer = Writer::new(run, number);
        while pace.next() {
            writer.write();
        }
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.0.add(writer.counts);
        total.1.append(&mut writer.written);
    });
    let (counts, written) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let settled = run.settle(&made);
    let began = Instant::now();
    let nodes: Vec<usize> = (0..run.nodes.len()).filter(|node| !made.has_killed(*node)).collect();
    let verdict = match settled {
        Err(why) => Verdict::Inconclusive(format!("the cluster does not settle: {why}")),
        Ok(()) => judge(run, &nodes, &written).given(counts),
    };
    Findings { counts, made, ran, judged: began.elapsed(), verdict }
}

/// What may be there: each value that was not refused, of each key.
type Written = BTreeSet<(Key, String)>;

struct Writer<'a> {
    run: &'a Run,
    wire: Wire<'a>,
    number: usize,
    count: u64,
    counts: Counts,
    written: Written,
}

impl<'a> Writer<'a> {
    fn new(run: &'a Run, number: usize) -> Self {
        let (counts, written) = (Counts::default(), Written::default());
        Self { run, wire: run.wire(), number, count: 0, counts, written }
    }

    fn write(&mut self) {
        let (node, key) = (below(self.run.nodes.len()), below(self.run.keys.len()));
        let key = self.run.keys[key].clone();
        self.count += 1;
        let value = format!("{}.{}", self.number, self.count);
        let is_put = below(100) < PUTS;
        let asked = if is_put {
            let put = Request::put(key.clone(), run::value(&value));
            self.wire.ask::<Put>(node, put).map(|_| ())
        } else {
            let delete = Request::delete(Selection::Key(key.clone()));
            self.wire.ask::<Delete>(node, delete).map(|_| ())
        };
        match asked {
            Asked::Answered(..) => self.counts.answered += 1,
            Asked::Unknown => self.counts.unknown += 1,
            Asked::Refused(_) => {
                self.counts.refused += 1;
                run::pause();
                return;
            }
        }
        if is_put {
            self.written.insert((key, value));
        }
    }
}

/// What a node holds below the prefix.
pub(super) type State = BTreeMap<Key, Value>;

fn judge(run: &Run, nodes: &[usize], written: &Written) -> Verdict {
    let deadline = Instant::now() + run.patience;
    let mut wire = run.wire();
    let mut quiet = Quiet::default();
    loop {
        let states: Option<Vec<State>> =
            nodes.iter().map(|node| state(&mut wire, *node, &run.prefix)).collect();
        let Some(states) = states else {
            if Instant::now() >= deadline || run.stop.look(LOOK) {
                return Verdict::Inconclusive("a node does not tell what it holds".to_owned());
            }
            continue;
        };
        let is_one = states.windows(2).all(|pair| pair[0] == pair[1]);
        let hashes = hashes(&mut wire, nodes);
        let has_one_hash = hashes.windows(2).all(|pair| pair[0] == pair[1]);
        if is_one && (has_one_hash || quiet.is_never()) {
            return invented(&states[0], written).map_or(Verdict::Pass, Verdict::Violation);
        }
        quiet.see(&hashes);
        if is_one && quiet.lasts() {
            return Verdict::Violation(other_keys(run, nodes, &hashes));
        }
        if Instant::now() >= deadline {
            return Verdict::Violation(difference(run, nodes, &states));
        }
        if run.stop.look(LOOK) {
            return Verdict::Inconclusive("interrupted".to_owned());
        }
    }
}

/// Whether the whole states of the nodes stay as they are.
#[derive(Debug, Default)]
struct Quiet {
    hashes: Vec<String>,
    since: Option<Instant>,
    changes: u32,
}

/// Others write if the states have changed so often although the clients are done.
const CHANGES_MAX: u32 = 20;

impl Quiet {
    fn see(&mut self, hashes: &[String]) {
        if self.hashes != hashes {
            self.hashes = hashes.to_vec();
            self.since = Some(Instant::now());
            self.changes += 1;
        }
    }

    fn lasts(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= QUIET)
    }

    fn is_never(&self) -> bool {
        self.changes > CHANGES_MAX
    }
}

fn hashes(wire: &mut Wire<'_>, nodes: &[usize]) -> Vec<String> {
    let mut hash = |node: &usize| {
        let status: Option<Status> = wire.ask(*node, Request::Status).answered();
        status.map(|status| status.state_hash).unwrap_or_default()
    };
    nodes.iter().map(&mut hash).collect()
}

/// All that a node itself holds below a prefix; none if it does not say.
pub(super) fn state(wire: &mut Wire<'_>, node: usize, prefix: &str) -> Option<State> {
    let read = Some(Read::Stale);
    let range = Range { prefix: prefix.to_owned(), keys_only: true, read, ..Range::default() };
    let list: List = wire.ask(node, Request::List(range)).answered()?;
    let keys = list.items.into_iter().map(|item| item.key);
    keys.map(|key| {
        let get: Get = wire.ask(node, Request::get(key.clone(), read)).answered()?;
        Some((key, comparable(&get)))
    })
    .collect()
}

/// What must be the same everywhere: values and who wrote them.
fn comparable(get: &Get) -> Value {
    let mut json = serde_json::to_value(get).expect("strings and numbers serialize");
    if let Some(members) = json.as_object_mut() {
        // What a node has seen, and how often it has seen a key written, is its own.
        for own in ["context", "version", "create_revision"] {
            members.remove(own);
        }
    }
    json
}

fn invented(state: &State, written: &Written) -> Option<Violation> {
    let values = state
        .iter()
        .flat_map(|(key, json)| values(json).into_iter().map(move |value| (key.clone(), value)));
    let mut strange = values.filter(|held| !written.contains(held));
    let (key, value) = strange.next()?;
    let what = format!("{key} holds {value}, which nobody has stored");
    Some(Violation { property: "nothing invented", what, ..Violation::default() })
}

fn other_keys(run: &Run, nodes: &[usize], hashes: &[String]) -> Violation {
    let told =
        nodes.iter().zip(hashes).map(|(node, hash)| format!("{} {hash}", run.nodes[*node].name));
    let what = format!(
        "the states of the nodes differ and stay so, in other keys than those below {}: {}",
        run.prefix,
        told.collect::<Vec<_>>().join(", "),
    );
    Violation { property: "one state", what, ..Violation::default() }
}

/// A line for each key and node.
pub(super) fn difference(run: &Run, nodes: &[usize], states: &[State]) -> Violation {
    let keys: BTreeSet<&Key> = states.iter().flat_map(BTreeMap::keys).collect();
    let mut what = format!("after {} s nodes still differ\n", run.patience.as_secs());
    for key in keys {
        let is_one = states.windows(2).all(|pair| pair[0].get(key) == pair[1].get(key));
        for (node, state) in nodes.iter().zip(states).filter(|_| !is_one) {
            let held = state.get(key).map_or("nothing".to_owned(), told);
            what += &format!("{key} at {}: {held}\n", run.nodes[*node].name);
        }
    }
    if run.rule.mode() == Mode::Broadcast {
        what += "Broadcast mode does not send again what a fault has lost: distdbctl sync";
    }
    Violation { property: "convergence", what, ..Violation::default() }
}

fn told(json: &Value) -> String {
    format!("{} @{}", values(json).join(" | "), json["mod_revision"])
}

/// All that stands side by side.
pub(super) fn values(json: &Value) -> Vec<String> {
    let siblings = json["siblings"].as_array();
    let all = siblings.map_or_else(|| vec![json], |siblings| siblings.iter().collect());
    let text = |value: &Value| value["value"].as_str().map(str::to_owned);
    all.into_iter().filter_map(text).collect()
}

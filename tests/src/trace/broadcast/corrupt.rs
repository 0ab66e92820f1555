//! Lines as no sound node observes them: each must be rejected, or the check checks nothing.

use serde_json::{Value, json};

use super::super::{Corrupted, Line};

/// Of each rule, so many lines of a trace are corrupted.
const LINES: usize = 2;

/// How far behind it a wrong line is still found: what follows costs time.
const LINES_AFTER: usize = 200;

/// A way to corrupt lines of a kind. It tells whether that makes a difference for sure.
type Rule = (&'static str, &'static str, fn(&mut Vec<Line>, usize) -> bool);

/// All ways to corrupt one line of a trace.
pub(in super::super) fn corruptions(lines: &[Line]) -> Vec<Corrupted> {
    let mut all = Vec::new();
    for (ev, what, corrupt) in RULES {
        let places = (0..lines.len()).filter(|at| lines[*at].ev == *ev);
        let corrupted = places.filter_map(|at| {
            let mut lines = lines.to_vec();
            let is_wrong = corrupt(&mut lines, at);
            lines.truncate(at + LINES_AFTER);
            is_wrong.then(|| Corrupted { what: format!("{ev}: {what}"), at, lines })
        });
        all.extend(corrupted.take(LINES));
    }
    all
}

const RULES: &[Rule] = &[
    ("Start", "it is not there, and so no crash", drop_later_start),
    ("Start", "in the incarnation before", |lines, at| {
        number(&lines[at], "incarnation") > 1 && add(&mut lines[at], "incarnation", -1)
    }),
    ("Link", "with a process that has yet to start", |l, at| add(&mut l[at], "incarnation", 1)),
    ("Link", "it is not there", drop_line),
    ("Unlink", "it is not there", drop_line),
    ("Write", "with a number that comes later", |l, at| add(&mut l[at], "number", 1)),
    ("Write", "with a clock that comes later", |lines, at| add_to_clock(&mut lines[at], 1)),
    ("Write", "with a clock that was before", |lines, at| add_to_clock(&mut lines[at], -1)),
    ("Write", "a deletion, or not", |lines, at| flip(&mut lines[at], "deleted")),
    ("Write", "it is not there", drop_line),
    ("Deliver", "an older write wins, or a later one does not", |l, at| flip(&mut l[at], "won")),
    ("Deliver", "the next one", |l, at| add(&mut l[at], "number", 1)),
    ("Deliver", "another version", |lines, at| add_to_clock(&mut lines[at], 1)),
    ("Deliver", "of another key", |lines, at| {
        let key = lines[at].fields["key"].clone();
        let other = lines.iter().find_map(|l| l.fields.get("key").filter(|other| **other != key));
        let other = other.cloned();
        let is_other = other.is_some();
        lines[at].fields["key"] = other.unwrap_or(key);
        is_other
    }),
    ("Deliver", "twice", |lines, at| {
        lines.insert(at + 1, lines[at].clone());
        true
    }),
    ("Deliver", "it is not there", drop_line),
    ("Deliver", "before the one before it", |l, at| swap_with_next_of_writer(l, at)),
    ("Miss", "one more", |lines, at| add(&mut lines[at], "writes", 1)),
    ("Miss", "it is not there", drop_line),
    ("Skip", "one more", |lines, at| add(&mut lines[at], "writes", 1)),
    ("Skip", "it is not there", drop_line),
    ("Hear", "of a write that was not made", |l, at| add(&mut l[at], "number", 1_000)),
    ("Hear", "of a clock that nobody had", |l, at| add(&mut l[at], "clock", 1_000)),
    ("Hear", "of links that nobody had", |l, at| add(&mut l[at], "mesh", -1)),
    ("Hear", "from one who does not serve as told", |lines, at| {
        // Its heartbeat is that of a node which has yet to serve: it can't have told this.
        lines[at].fields["ready"] == json!(false)
            && number(&lines[at], "number") == 0
            && !serves_before(lines, at)
            && flip(&mut lines[at], "ready")
    }),
    ("RequestSync", "a chunk too far", |lines, at| add(&mut lines[at], "chunk", 1)),
    ("RequestSync", "it is not there", drop_line),
    ("ServeSync", "it was refused", |lines, at| {
        lines[at].ev = "RefuseSync".to_owned();
        true
    }),
    ("ServeSync", "one key less", |lines, at| add(&mut lines[at], "entries", -1)),
    ("ServeSync", "not the last, or the last", |lines, at| flip(&mut lines[at], "done")),
    ("ServeSync", "that was not asked for", |lines, at| add(&mut lines[at], "session", 1_000)),
    ("MergeChunk", "one key more is news", |lines, at| add(&mut lines[at], "won", 1)),
    ("MergeChunk", "one key more", |lines, at| add(&mut lines[at], "entries", 1)),
    ("MergeChunk", "not the last, or the last", |lines, at| flip(&mut lines[at], "done")),
    ("MergeChunk", "its donor was behind", |lines, at| {
        lines[at].ev = "DonorBehind".to_owned();
        true
    }),
    ("MergeChunk", "it is not there", drop_line),
    ("DonorBehind", "it is taken nevertheless", |l, at| take_nevertheless(l, at)),
    ("AbandonSync", "it is not there", drop_line),
    ("BecomeReady", "as one that has synced, or not", |lines, at| {
        let is_synced = lines[at].fields["how"] == "synced";
        lines[at].fields["how"] = json!(if is_synced { "founded" } else { "synced" });
        true
    }),
    ("BecomeReady", "with one key more", |lines, at| add(&mut lines[at], "keys", 1)),
    ("BecomeReady", "it is not there", drop_line),
    ("Repair", "before the last chunk", |lines, at| {
        let is_behind =
            at > 0 && lines[at - 1].ev == "MergeChunk" && lines[at - 1].id == lines[at].id;
        is_behind && {
            lines.swap(at - 1, at);
            true
        }
    }),
    ("BroadcastState", "a later clock", |lines, at| add(&mut lines[at], "clock", 1)),
    ("BroadcastState", "a later number", |lines, at| add(&mut lines[at], "number", 1)),
    ("BroadcastState", "serves, or not", |lines, at| flip(&mut lines[at], "ready")),
    ("BroadcastState", "one key more", |lines, at| add(&mut lines[at], "keys", 1)),
    ("BroadcastState", "one deletion more", |lines, at| add(&mut lines[at], "tombstones", 1)),
    ("BroadcastState", "one link less", |lines, at| {
        lines[at].fields["linked"].as_array_mut().is_some_and(|linked| linked.pop().is_some())
    }),
    ("BroadcastState", "one write more was seen", |lines, at| {
        let seen = lines[at].fields["seen"].as_array_mut().and_then(|seen| seen.first_mut());
        let seen = seen.map(|seen| &mut seen[2]);
        seen.is_some_and(|count| shift(count, 1))
    }),
    ("BroadcastState", "no donor, or itself", |lines, at| {
        let id = lines[at].id.clone();
        let donor = &mut lines[at].fields["donor"];
        *donor = if donor.is_null() { id } else { Value::Null };
        true
    }),
];

fn number(line: &Line, name: &str) -> i64 {
    line.fields.get(name).and_then(Value::as_i64).unwrap_or_default()
}

fn shift(value: &mut Value, by: i64) -> bool {
    let Some(number) = value.as_u64() else { return false };
    let shifted = number.checked_add_signed(by);
    *value = json!(shifted.unwrap_or(number));
    shifted.is_some()
}

fn add(line: &mut Line, name: &str, by: i64) -> bool {
    line.fields.get_mut(name).is_some_and(|value| shift(value, by))
}

fn add_to_clock(line: &mut Line, by: i64) -> bool {
    shift(&mut line.fields["version"]["clock"], by)
}

fn flip(line: &mut Line, name: &str) -> bool {
    let was = line.fields[name] == json!(true);
    line.fields[name] = json!(!was);
    true
}

fn drop_line(lines: &mut Vec<Line>, at: usize) -> bool {
    lines.remove(at);
    true
}

/// The first start of a node is but a Start; a later one tells of a crash as well.
fn drop_later_start(lines: &mut Vec<Line>, at: usize) -> bool {
    let (id, is_start) = (lines[at].id.clone(), |line: &Line| line.ev == "Start");
    let served = lines[..at].iter().any(|line| line.id == id && line.ev == "BecomeReady");
    let is_later = lines[..at].iter().any(|line| line.id == id && is_start(line));
    is_later && served && drop_line(lines, at)
}

fn swap_with_next_of_writer(lines: &mut [Line], at: usize) -> bool {
    let (id, from) = (lines[at].id.clone(), lines[at].fields["from"].clone());
    let is_next =
        |line: &Line| line.ev == "Deliver" && line.id == id && line.fields["from"] == from;
    let Some(next) = lines[at + 1..].iter().position(is_next) else { return false };
    lines.swap(at, at + 1 + next);
    true
}

/// Whether the sender of a heartbeat has served before, in any of its lives.
fn serves_before(lines: &[Line], at: usize) -> bool {
    let sender = &lines[at].fields["from"];
    lines[..at].iter().any(|line| line.id == *sender && line.ev == "BecomeReady")
}

/// The chunk that showed that the donor is behind is merged.
fn take_nevertheless(lines: &mut [Line], at: usize) -> bool {
    let (id, donor) = (lines[at].id.clone(), lines[at].fields["donor"].clone());
    let is_it =
        |line: &&Line| line.ev == "ServeSync" && line.id == donor && line.fields["to"] == id;
    let Some(served) = lines[..at].iter().rfind(is_it).cloned() else { return false };
    let line = &mut lines[at];
    line.ev = "MergeChunk".to_owned();
    for name in ["session", "entries", "done"] {
        line.fields.insert(name.to_owned(), served.fields[name].clone());
    }
    line.fields.insert("won".to_owned(), served.fields["entries"].clone());
    true
}

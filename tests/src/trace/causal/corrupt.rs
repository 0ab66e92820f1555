//! Lines as no sound node observes them: each must be rejected, or the check checks nothing.

use serde_json::{Value, json};

use super::super::{Corrupted, Line};

/// Of each rule, so many lines are corrupted.
const LINES: usize = 2;

/// How far behind it a wrong line is still found: another node's commit may come between, and what
/// follows costs time.
const LINES_AFTER: usize = 200;

/// A way to corrupt lines of a kind. It tells whether that makes a difference for sure.
type Rule = (&'static str, &'static str, fn(&mut Vec<Line>, usize) -> bool);

/// All ways to corrupt one line of a trace.
pub(in super::super) fn corruptions(lines: &[Line]) -> Vec<Corrupted> {
    let mut all = Vec::new();
    for (ev, what, corrupt) in RULES {
        let places = (0..lines.len()).filter(|at| lines[*at].lab == 2 && lines[*at].ev == *ev);
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
    ("Originate", "a later time", |lines, at| add(&mut lines[at].fields["made"]["lamport"], 1)),
    ("Originate", "one version less gives way", |lines, at| pop(&mut lines[at].fields["replaces"])),
    ("Originate", "one less in its past", |lines, at| pop(&mut lines[at].fields["made"]["past"])),
    ("Originate", "its client has seen nothing", |lines, at| {
        let is_by_context = lines[at].fields["made"]["basis"] == "context";
        lines[at].fields["made"]["context"] = Value::Null;
        is_by_context && has_some(&lines[at].fields["replaces"])
    }),
    ("Originate", "its client has seen more", |lines, at| {
        lines[at].fields["made"]["context"] = unseen(&lines[at]);
        true
    }),
    ("Originate", "it is not there", drop_line),
    ("ApplyWrite", "it was deleted, or not", |lines, at| {
        flip(&mut lines[at].fields["deleted"]);
        !is_own(&lines[at])
    }),
    ("ApplyWrite", "another one", |lines, at| {
        !is_own(&lines[at]) && add(&mut lines[at].fields["dot"]["counter"], 1)
    }),
    ("ApplyWrite", "from one who has not sent it", |lines, at| {
        let is_sent = lines[at].fields["way"].get("from").is_some();
        lines[at].fields["way"] = json!({"from": lines[at].id});
        is_sent
    }),
    ("ApplyWrite", "it had not waited, or it had", |lines, at| {
        let is_sent = lines[at].fields["way"].get("from").is_some();
        lines[at].fields["way"] = "waited".into();
        is_sent
    }),
    ("ApplyWrite", "it is not there", |lines, at| !is_own(&lines[at]) && drop_line(lines, at)),
    ("ApplyWrite", "before the one before it", |lines, at| swap_with_next_of_writer(lines, at)),
    ("Hold", "another one", |lines, at| add(&mut lines[at].fields["dot"]["counter"], 1)),
    ("Hold", "it is not there", drop_line),
    ("HandleAck", "more than the peer has", |lines, at| {
        add_to_first(&mut lines[at].fields["clock"], 1_000)
    }),
    ("Answer", "more were asked for", |lines, at| {
        let holders = lines[at].fields["holders"].as_array().map_or(0, Vec::len);
        lines[at].fields["needed"] = json!(holders + 1);
        true
    }),
    ("Answer", "a stranger has it", |lines, at| {
        push(&mut lines[at].fields["holders"], json!("0000000000000001"))
    }),
    ("Collect", "one less", |lines, at| lower_first(&mut lines[at].fields["behind"])),
    ("Collect", "it is not there", drop_line),
    ("Trim", "it is not there", drop_line),
    ("GiveState", "it is not there", |lines, at| {
        let session = lines[at].fields["session"].clone();
        let is_it = |line: &Line| line.ev == "StageState" && line.fields["session"] == session;
        lines.iter().any(is_it) && drop_line(lines, at)
    }),
    ("StageState", "a later time", |lines, at| add(&mut lines[at].fields["lamport"], 1)),
    ("StageState", "more than was pinned", |lines, at| {
        add_to_first(&mut lines[at].fields["clock"], 1)
    }),
    ("StageState", "of a state that nobody has pinned", |lines, at| {
        add(&mut lines[at].fields["session"], 1)
    }),
    ("MergeStateChunk", "a version less", |lines, at| pop_held(&mut lines[at].fields["changed"])),
    ("MergeStateChunk", "it is not there", drop_line),
    ("EndStateSync", "it is not there", |lines, at| {
        // Of a node that serves from then on.
        let is_of = |line: &&Line| line.id == lines[at].id && line.ev == "CausalState";
        let was_ready = lines[..at].iter().rfind(is_of).is_some_and(|l| l.fields["ready"] == true);
        !was_ready && drop_line(lines, at)
    }),
    ("AbandonStateSync", "it is not there", |lines, at| {
        is_followed(lines, at, "StageState", "Recover")
            && is_preceded(lines, at, "StageState", "EndStateSync")
            && drop_line(lines, at)
    }),
    ("Sync", "it is not there", |lines, at| {
        is_preceded(lines, at, "ApplyWrite", "CausalState") && drop_line(lines, at)
    }),
    ("Recover", "a later time", |lines, at| {
        is_second(lines, at) && add(&mut lines[at].fields["lamport"], 1)
    }),
    ("Recover", "a version is lost", |lines, at| {
        is_second(lines, at) && pop_held(&mut lines[at].fields["held"])
    }),
    ("Recover", "writes are lost", |lines, at| {
        is_second(lines, at) && pop(&mut lines[at].fields["clock"])
    }),
    ("CausalMembers", "one more", |lines, at| {
        is_followed(lines, at, "Collect", "CausalMembers")
            && push(&mut lines[at].fields["members"], json!("0000000000000001"))
    }),
    ("SessionRead", "a version less", |lines, at| pop(&mut lines[at].fields["dots"])),
    ("SessionRead", "its client has seen more", |lines, at| {
        lines[at].fields["context"] = unseen(&lines[at]);
        true
    }),
    ("CausalState", "a later time", |lines, at| add(&mut lines[at].fields["lamport"], 1)),
    ("CausalState", "it serves, or not", |lines, at| {
        flip(&mut lines[at].fields["ready"]);
        true
    }),
    ("CausalState", "a key more", |lines, at| add(&mut lines[at].fields["keys"], 1)),
    ("CausalState", "it has seen less", |lines, at| pop(&mut lines[at].fields["clock"])),
    ("CausalState", "one more waits", |lines, at| {
        let dot = json!({"node": lines[at].id, "counter": 1_000});
        push(&mut lines[at].fields["waiting"], dot)
    }),
    ("CausalState", "the log has more", |lines, at| lower_first(&mut lines[at].fields["behind"])),
    ("CausalState", "a version less", |lines, at| pop_held(&mut lines[at].fields["held"])),
];

fn add(number: &mut Value, more: u64) -> bool {
    let before = number.as_u64();
    *number = json!(before.unwrap_or(0) + more);
    before.is_some()
}

fn add_to_first(dots: &mut Value, more: u64) -> bool {
    let first = dots.as_array_mut().and_then(|dots| dots.first_mut());
    first.is_some_and(|dot| add(&mut dot["counter"], more))
}

fn lower_first(dots: &mut Value) -> bool {
    let first = dots.as_array_mut().and_then(|dots| dots.first_mut());
    let Some(counter) = first.map(|dot| &mut dot["counter"]) else { return false };
    let before = counter.as_u64().unwrap_or(0);
    *counter = json!(before.saturating_sub(1));
    before > 0
}

fn flip(truth: &mut Value) {
    *truth = json!(truth.as_bool() != Some(true));
}

fn has_some(items: &Value) -> bool {
    items.as_array().is_some_and(|items| !items.is_empty())
}

fn pop(items: &mut Value) -> bool {
    items.as_array_mut().is_some_and(|items| items.pop().is_some())
}

fn push(items: &mut Value, item: Value) -> bool {
    items.as_array_mut().map(|items| items.push(item)).is_some()
}

/// A version of the first key that has any.
fn pop_held(held: &mut Value) -> bool {
    held.as_array_mut().is_some_and(|keys| keys.iter_mut().any(|key| pop(&mut key[1])))
}

fn unseen(line: &Line) -> Value {
    format!("{}:1000", line.id.as_str().unwrap_or_default()).into()
}

fn is_own(line: &Line) -> bool {
    line.fields["way"] == "own"
}

fn drop_line(lines: &mut Vec<Line>, at: usize) -> bool {
    lines.remove(at);
    true
}

/// Two writes of one writer that came to a node one after another change places.
fn swap_with_next_of_writer(lines: &mut [Line], at: usize) -> bool {
    let (id, writer) = (&lines[at].id, &lines[at].fields["dot"]["node"]);
    let is_next = |line: &Line| {
        line.ev == "ApplyWrite" && line.id == *id && line.fields["dot"]["node"] == *writer
    };
    let next = lines[at + 1..].iter().position(is_next);
    let Some(next) = next.filter(|_| !is_own(&lines[at])) else { return false };
    let fields = lines[at].fields.clone();
    lines[at].fields = lines[at + 1 + next].fields.clone();
    lines[at + 1 + next].fields = fields;
    true
}

fn is_second(lines: &[Line], at: usize) -> bool {
    lines[..at].iter().any(|line| line.id == lines[at].id && line.ev == "Recover")
}

/// Whether the node observes `ev` later, and not `end` before it.
fn is_followed(lines: &[Line], at: usize, ev: &str, end: &str) -> bool {
    let near = lines[at + 1..].iter().take(LINES_AFTER / 2);
    let mut of_node = near.filter(|line| line.id == lines[at].id);
    of_node
        .find(|line| line.ev == ev || line.ev == end || line.ev == "Recover")
        .is_some_and(|l| l.ev == ev)
}

/// Whether the node has observed `ev` before, and not `end` since.
fn is_preceded(lines: &[Line], at: usize, ev: &str, end: &str) -> bool {
    let of_node = lines[..at].iter().filter(|line| line.id == lines[at].id);
    of_node.rev().find(|line| line.ev == ev || line.ev == end).is_some_and(|line| line.ev == ev)
}

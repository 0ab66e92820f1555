//! Traces with one line that no sound node observes: what is written of each kind of line, and the
//! order of some.

use serde_json::{Value, json};

use super::super::{Corrupted, Line};

/// A way in which a line can be wrong.
struct Way {
    what: &'static str,
    /// Of which events.
    ev: &'static str,
    /// Whether it would be wrong of this one; the lines are all there are.
    fits: fn(&[Line], usize) -> bool,
    /// Makes it so.
    corrupt: fn(&mut Vec<Line>, usize),
}

const WAYS: &[Way] = &[
    way("a vote is refused without a reason", "HandleRequestVote", is_vote, |lines, at| {
        lines[at].fields["granted"] = json!(false);
    }),
    way(
        "a vote is given to one who may not have it",
        "HandleRequestVote",
        is_refusal,
        |lines, at| {
            lines[at].fields["granted"] = json!(true);
        },
    ),
    way("a vote is not told", "HandleRequestVote", is_vote, remove),
    way("a vote is of another term", "HandleVote", always, |lines, at| add(lines, at, "term")),
    way("a candidate takes a term too far", "BecomeCandidate", always, |lines, at| {
        add(lines, at, "term");
    }),
    way("a candidate's log is longer", "BecomeCandidate", always, |lines, at| {
        add_in(lines, at, "last");
    }),
    way("a leader is of another term", "BecomeLeader", always, |lines, at| {
        add(lines, at, "term");
    }),
    way("a leader was no candidate", "BecomeCandidate", always, remove),
    way("a later term is too late", "UpdateTerm", is_alone, |lines, at| add(lines, at, "term")),
    way("an office does not end", "StepDown", is_alone, remove),
    way("a proposal is elsewhere", "Propose", always, |lines, at| add_in(lines, at, "entry")),
    way("a proposal is not told", "Propose", always, remove),
    way("other entries are sent", "SendAppend", is_sent, |lines, at| {
        lines[at].fields["entries"][0]["digest"] = json!(1);
    }),
    way("more is sent to be committed", "SendAppend", is_sent, |lines, at| {
        add(lines, at, "commit");
    }),
    way("entries come that were never sent", "HandleAppend", has_entries, |lines, at| {
        add_in(lines, at, "prev");
    }),
    way("entries do not come", "HandleAppend", has_entries, remove),
    way("entries that fit are refused", "HandleAppend", has_entries, |lines, at| {
        lines[at].fields["outcome"] = json!({"Conflict": {"prev": 0}});
    }),
    way("more is acknowledged than is there", "SendAppended", is_ok, |lines, at| {
        add(lines, at, "index");
    }),
    way("an answer is before its sync", "Sync", is_acknowledged, remove),
    way("more is acknowledged than was", "HandleAppended", is_ok, |lines, at| {
        add(lines, at, "index");
    }),
    way("it is committed without an answer", "HandleAppended", commits, remove),
    way("too much is committed", "AdvanceCommit", is_leaders, |lines, at| {
        add(lines, at, "index");
    }),
    way("too much is applied", "Apply", always, |lines, at| add(lines, at, "index")),
    way("a state is another", "Apply", is_compared, |lines, at| {
        lines[at].fields["hash"] = json!(1);
    }),
    way("a read is ahead", "BeginRead", always, |lines, at| add(lines, at, "index")),
    way("a read is of no round", "ServeRead", always, |lines, at| add(lines, at, "round")),
    way("a read waits for nobody", "BeginRead", waits, serve_at_once),
    way("a snapshot is of what is not applied", "TakeSnapshot", always, |lines, at| {
        take_more(lines, at);
    }),
    way("a snapshot goes further", "InstallSnapshot", always, |lines, at| {
        add_in(lines, at, "last");
    }),
    way("a configuration has no voters", "ProposeConfiguration", always, |lines, at| {
        lines[at].fields["voters"] = json!([]);
    }),
    way("a configuration is not told", "ProposeConfiguration", always, remove),
    way("the disk has more", "Sync", always, |lines, at| add_in(lines, at, "last")),
    way("the disk has another term", "Sync", always, |lines, at| add(lines, at, "term")),
    way("a term is forgotten", "Restart", is_second, |lines, at| {
        lines[at].fields["term"] = json!(0);
    }),
    way("a vote is forgotten", "Restart", has_voted, |lines, at| {
        lines[at].fields["voted_for"] = Value::Null;
    }),
    way("an entry is forgotten", "Restart", is_second, |lines, at| {
        if let Some(entries) = lines[at].fields["entries"].as_array_mut() {
            entries.pop();
        }
    }),
    way("an entry is another after a restart", "Restart", is_second, |lines, at| {
        lines[at].fields["entries"][0]["digest"] = json!(1);
    }),
    way("a node is in another term", "RaftState", always, |lines, at| add(lines, at, "term")),
    way("a node leads that does not", "RaftState", is_follower, |lines, at| {
        lines[at].fields["role"] = json!("leader");
    }),
    way("a log is longer", "RaftState", always, |lines, at| add_in(lines, at, "last")),
    way("a log ends otherwise", "RaftState", has_last, |lines, at| {
        lines[at].fields["holds"]["digest"] = json!(1);
    }),
    way("a node knows more to be committed", "RaftState", always, |lines, at| {
        add(lines, at, "commit");
    }),
    way("a leader contradicts what is committed", "HandleAppend", always, |lines, at| {
        lines[at].ev = "Contradiction".to_owned();
    }),
];

const fn way(
    what: &'static str,
    ev: &'static str,
    fits: fn(&[Line], usize) -> bool,
    corrupt: fn(&mut Vec<Line>, usize),
) -> Way {
    Way { what, ev, fits, corrupt }
}

/// The trace with each way once, of the lines that it fits one in the middle.
pub(super) fn all(lines: &[Line]) -> Vec<Corrupted> {
    // Other labs have events of the same names.
    let lines: Vec<Line> = lines.iter().filter(|line| line.lab == 3).cloned().collect();
    let mut all = Vec::new();
    for Way { what, ev, fits, corrupt } in WAYS {
        let fitting: Vec<usize> =
            (0..lines.len()).filter(|at| lines[*at].ev == *ev && fits(&lines, *at)).collect();
        if let Some(at) = fitting.get(fitting.len() / 2) {
            let mut lines = lines.clone();
            corrupt(&mut lines, *at);
            all.push(Corrupted { what: format!("{ev}: {what}"), at: *at, lines });
        }
    }
    all
}

fn add(lines: &mut [Line], at: usize, name: &str) {
    let number = &mut lines[at].fields[name];
    *number = json!(number.as_u64().unwrap_or(0) + 1);
}

fn add_in(lines: &mut [Line], at: usize, name: &str) {
    let number = &mut lines[at].fields[name]["index"];
    *number = json!(number.as_u64().unwrap_or(0) + 1);
}

fn remove(lines: &mut Vec<Line>, at: usize) {
    lines.remove(at);
}

/// The answer comes right behind the question.
fn serve_at_once(lines: &mut Vec<Line>, at: usize) {
    if let Some(served) = served(lines, at) {
        let line = lines.remove(served);
        lines.insert(at + 1, Line { lc: lines[at].lc, ..line });
    }
}

/// So does the word that it is on the disk.
fn take_more(lines: &mut [Line], at: usize) {
    let (id, index) = (lines[at].id.clone(), lines[at].fields["index"].clone());
    for line in &mut lines[at..] {
        let is_same = matches!(line.ev.as_str(), "TakeSnapshot" | "SaveSnapshot");
        if is_same && line.id == id && line.fields["index"] == index {
            line.fields["index"] = json!(index.as_u64().unwrap_or(0) + 1);
        }
    }
}

fn always(_lines: &[Line], _at: usize) -> bool {
    true
}

fn is_vote(lines: &[Line], at: usize) -> bool {
    lines[at].fields["ballot"] != "Pre" && lines[at].fields["granted"] == true
}

fn is_refusal(lines: &[Line], at: usize) -> bool {
    lines[at].fields["ballot"] != "Pre" && lines[at].fields["granted"] == false
}

fn is_ok(lines: &[Line], at: usize) -> bool {
    lines[at].fields["ok"] == true
}

fn is_follower(lines: &[Line], at: usize) -> bool {
    lines[at].fields["role"] == "follower"
}

fn has_last(lines: &[Line], at: usize) -> bool {
    !lines[at].fields["holds"].is_null()
}

/// Lines of the same step behind it.
fn rest(lines: &[Line], at: usize) -> impl Iterator<Item = &Line> {
    let line = &lines[at];
    let is_same = |other: &&Line| other.lc == line.lc && other.id == line.id;
    lines[at + 1..].iter().take_while(is_same)
}

fn before(lines: &[Line], at: usize) -> impl Iterator<Item = &Line> {
    let line = &lines[at];
    let is_same = |other: &&Line| other.lc == line.lc && other.id == line.id;
    lines[..at].iter().rev().take_while(is_same)
}

/// An office that ends for no other reason than what is told.
fn is_alone(lines: &[Line], at: usize) -> bool {
    let is_known = |line: &Line| {
        matches!(
            line.ev.as_str(),
            "HandleAppend" | "HandleRequestVote" | "InstallSnapshot" | "Removed" | "UpdateTerm"
        )
    };
    !rest(lines, at).any(is_known) && !before(lines, at).any(is_known)
}

fn commits(lines: &[Line], at: usize) -> bool {
    rest(lines, at).any(|line| line.ev == "AdvanceCommit")
}

fn is_leaders(lines: &[Line], at: usize) -> bool {
    !before(lines, at).any(|line| line.ev == "HandleAppend")
}

/// A follower has taken entries, and answers that they are on its disk.
fn is_acknowledged(lines: &[Line], at: usize) -> bool {
    let last = lines[at].fields["last"]["index"].as_u64();
    let is_it = |line: &Line| line.ev == "SendAppended" && line.fields["index"].as_u64() == last;
    let is_sync =
        |line: &&Line| matches!(line.ev.as_str(), "Sync" | "Restart") && line.id == lines[at].id;
    let before = lines[..at].iter().rev().find(is_sync);
    let saved = before.and_then(|line| line.fields.get("last")?.get("index")?.as_u64());
    saved < last && rest(lines, at).any(is_it) && is_ok_behind(lines, at)
}

fn is_ok_behind(lines: &[Line], at: usize) -> bool {
    rest(lines, at).any(|line| line.fields.get("ok") == Some(&json!(true)))
}

/// Somebody else has applied as much.
fn is_compared(lines: &[Line], at: usize) -> bool {
    let is_other = |line: &Line| {
        line.ev == "Apply"
            && line.id != lines[at].id
            && line.fields["index"] == lines[at].fields["index"]
    };
    lines.iter().any(is_other)
}

fn has_entries(lines: &[Line], at: usize) -> bool {
    let is_news = rest(lines, at).any(|line| {
        line.ev == "RaftState" && line.fields["durable"] != line.fields["last"]["index"]
    });
    is_news && lines[at].fields["outcome"].get("Up").is_some()
}

/// Entries that are received.
fn is_sent(lines: &[Line], at: usize) -> bool {
    let line = &lines[at];
    let is_it = |other: &Line| {
        other.ev == "HandleAppend"
            && other.fields["from"] == line.id
            && other.id == line.fields["to"]
            && ["term", "prev", "commit", "round"]
                .iter()
                .all(|name| other.fields[*name] == line.fields[*name])
    };
    let entries = line.fields["entries"].as_array().map_or(0, Vec::len);
    entries > 0 && lines[at..].iter().any(is_it)
}

fn served(lines: &[Line], at: usize) -> Option<usize> {
    let line = &lines[at];
    (at..lines.len()).find(|other| {
        let other = &lines[*other];
        other.ev == "ServeRead"
            && other.id == line.id
            && other.fields["round"] == line.fields["round"]
    })
}

/// A read that cannot be answered before others have.
fn waits(lines: &[Line], at: usize) -> bool {
    let line = &lines[at];
    served(lines, at).is_some_and(|served| {
        before(lines, served).any(|other| other.ev == "HandleAppended")
            && lines[served].lc > line.lc
    })
}

fn is_second(lines: &[Line], at: usize) -> bool {
    let is_first = |line: &Line| line.ev == "Restart" && line.id == lines[at].id;
    let entries = lines[at].fields["entries"].as_array().map_or(0, Vec::len);
    lines[..at].iter().any(is_first) && entries > 1
}

fn has_voted(lines: &[Line], at: usize) -> bool {
    is_second(lines, at) && !lines[at].fields["voted_for"].is_null()
}

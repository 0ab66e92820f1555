//! Steps of `spec/TraceRaft.tla`, out of what nodes in raft mode observed.
//!
//! A line is a step, but for these:
//!
//! - What the specification does in one step is told in several lines: whoever receives the entries
//!   or the ballot of a later term is in that term, follows, and knows more to be committed.
//! - A second `Restart` of a node is a crash before it; see `crashes`.
//! - A snapshot that never got to the disk was not taken.
//! - A message that nobody receives was not sent; see `messages`.
//! - Pre-votes, transfers and the like are nothing that the specification has.

mod catch_up;
mod corruptions;
mod crashes;
mod fields;
mod messages;
mod names;
mod unseen;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Behaviour, Corrupted, Line};
use fields::Held;
use messages::Messages;
use names::Names;
use unseen::Unseen;

pub(super) fn behaviour(lines: &[Line]) -> Result<Behaviour, String> {
    let lines: Vec<&Line> = lines.iter().filter(|line| line.lab == 3).collect();
    let names = Names::of(&lines)?;
    let lost = crashes::lost(&lines)?;
    let lines: Vec<&Line> = lines
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !lost.contains(at))
        .map(|(_, line)| line)
        .collect();
    let mut messages = Messages::of(&lines)?;
    let unseen = Unseen::of(&lines, &mut messages)?;
    let mut steps = Steps { names, messages, unseen, ..Steps::of(&lines) };
    for at in 0..lines.len() {
        steps.convert(at)?;
    }
    let mut header = Map::new();
    header.insert("nodes".to_owned(), json!(steps.names.all()));
    Ok(Behaviour { header, steps: steps.made })
}

pub(super) fn corruptions(lines: &[Line]) -> Vec<Corrupted> {
    corruptions::all(lines)
}

/// What is made of the lines.
struct Steps<'a> {
    lines: &'a [&'a Line],
    names: Names,
    messages: Messages,
    unseen: Unseen,
    /// What was first told of each place and term: later lines must tell the same.
    entries: BTreeMap<(u64, u64), Held>,
    /// Small numbers for hashes of states.
    hashes: BTreeMap<u64, usize>,
    /// What each node told to be.
    states: BTreeMap<String, Value>,
    /// Who has been started.
    started: BTreeSet<String>,
    made: Vec<Value>,
}

impl<'a> Steps<'a> {
    fn of(lines: &'a [&'a Line]) -> Self {
        Self {
            lines,
            names: Names::default(),
            messages: Messages::default(),
            unseen: Unseen::default(),
            entries: BTreeMap::new(),
            hashes: BTreeMap::new(),
            states: BTreeMap::new(),
            started: BTreeSet::new(),
            made: Vec::new(),
        }
    }

    /// Adds what the line at `at` is.
    fn convert(&mut self, at: usize) -> Result<(), String> {
        let line = self.lines[at];
        match line.ev.as_str() {
            "UpdateTerm" | "StepDown" | "Removed" | "BecomeCandidate" | "HandleRequestVote"
            | "HandleVote" | "BecomeLeader" => self.election(at),
            "SendAppend" | "HandleAppend" | "SendAppended" | "HandleAppended" => self.message(at),
            "Propose"
            | "ProposeConfiguration"
            | "AdvanceCommit"
            | "Apply"
            | "BeginRead"
            | "ServeRead" => self.replication(at),
            "TakeSnapshot" if crashes::is_saved(self.lines, at)? => {
                self.make(line, json!({"index": line.number("index")?}))
            }
            "InstallSnapshot" => {
                let last = line.place("last")?;
                self.make(line, json!({"last": last.index, "last_term": last.term}))
            }
            "Sync" => {
                let (term, last) = (line.number("term")?, line.place("last")?);
                let members = json!({
                    "term": term, "voted": self.voted(line)?,
                    "last": last.index, "last_term": last.term,
                });
                self.make(line, members)
            }
            "Restart" => self.restart(at),
            "RaftState" => self.state(at),
            // No specification knows of these.
            "Contradiction" | "Diverged" => self.make(line, json!({})),
            _ => Ok(()),
        }
    }

    fn election(&mut self, at: usize) -> Result<(), String> {
        let line = self.lines[at];
        let members = match line.ev.as_str() {
            "UpdateTerm" if self.is_part(at) => return Ok(()),
            "StepDown" if self.is_part(at) || self.is_of_term(at) => return Ok(()),
            "UpdateTerm" | "BecomeLeader" => json!({"term": line.number("term")?}),
            "BecomeCandidate" => {
                let last = line.place("last")?;
                let term = line.number("term")?;
                json!({"term": term, "last": last.index, "last_term": last.term})
            }
            "HandleRequestVote" if line.word("ballot")? == "Pre" => return Ok(()),
            "HandleRequestVote" => {
                let (asked, granted) = (line.number("asked")?, line.truth("granted")?);
                json!({"from": self.from(line)?, "asked": asked, "granted": granted})
            }
            "HandleVote" => json!({"from": self.from(line)?, "term": line.number("term")?}),
            // An office ends; also that of whoever is no member any more.
            _ => json!({}),
        };
        self.make(line, members)
    }

    fn replication(&mut self, at: usize) -> Result<(), String> {
        let line = self.lines[at];
        let members = match line.ev.as_str() {
            "Propose" => {
                let id = line.place("entry")?;
                let request = format!("{}.{}", id.term, id.index);
                json!({"term": id.term, "index": id.index, "request": request})
            }
            "ProposeConfiguration" => {
                let removed =
                    line.node("removed")?.map(|node| self.names.name(node)).transpose()?;
                json!({
                    "index": line.number("index")?, "removed": removed.unwrap_or("nobody"),
                    "voters": self.names.all_of(&line.nodes("voters")?)?,
                    "members": self.names.all_of(&line.nodes("members")?)?,
                })
            }
            "AdvanceCommit" if self.follows_append(at) => return Ok(()),
            "Apply" => {
                let next = self.hashes.len();
                let hash = *self.hashes.entry(line.number("hash")?).or_insert(next);
                json!({"index": line.number("index")?, "hash": hash})
            }
            "AdvanceCommit" => json!({"index": line.number("index")?}),
            _ => json!({"round": line.number("round")?, "index": line.number("index")?}),
        };
        self.make(line, members)
    }

    fn from(&self, line: &Line) -> Result<&str, String> {
        self.names.name(line.word("from")?)
    }

    fn make(&mut self, line: &Line, members: Value) -> Result<(), String> {
        let mut members = members;
        members["ev"] = json!(if line.ev == "Removed" { "StepDown" } else { line.ev.as_str() });
        members["n"] = json!(self.names.name(line.id())?);
        self.made.push(members);
        Ok(())
    }

    fn voted(&self, line: &Line) -> Result<String, String> {
        Ok(match line.node("voted_for")? {
            Some(node) => self.names.name(node)?.to_owned(),
            None => "nobody".to_owned(),
        })
    }

    /// The other lines of the same step of the node, those before and those after.
    fn step_of(&self, at: usize) -> (impl Iterator<Item = &Line>, impl Iterator<Item = &Line>) {
        let line = self.lines[at];
        let is_same = move |other: &&&Line| other.lc == line.lc && other.id == line.id;
        let before = self.lines[..at].iter().rev().take_while(is_same).copied();
        let after = self.lines[at + 1..].iter().take_while(is_same).copied();
        (before, after)
    }

    /// Whether a later term is that of entries, a ballot or a snapshot, of which more is told.
    fn is_part(&self, at: usize) -> bool {
        let is_whole = |line: &Line| {
            matches!(line.ev.as_str(), "HandleAppend" | "HandleRequestVote" | "InstallSnapshot")
        };
        self.step_of(at).1.any(is_whole)
    }

    fn is_of_term(&self, at: usize) -> bool {
        self.step_of(at).0.any(|line| line.ev == "UpdateTerm")
    }

    fn follows_append(&self, at: usize) -> bool {
        self.step_of(at).0.any(|line| line.ev == "HandleAppend")
    }

    fn message(&mut self, at: usize) -> Result<(), String> {
        let line = self.lines[at];
        let number = self.messages.number(at);
        let mut members = match line.ev.as_str() {
            "SendAppend" if number == 0 => return Ok(()),
            "SendAppend" => {
                let (term, prev) = (line.number("term")?, line.place("prev")?);
                let entries = self.told(prev.index, &line.entries()?);
                json!({
                    "term": term, "prev": prev.index, "prev_term": prev.term, "entries": entries,
                    "commit": line.number("commit")?, "round": line.number("round")?,
                })
            }
            "HandleAppend" => {
                let (term, prev) = (line.number("term")?, line.place("prev")?);
                let end = prev.index + line.number("entries")?;
                let taken = line.taken()?;
                // A full disk takes less than there is.
                let last = taken.map_or(end, |taken| end.min(taken.max(prev.index)));
                json!({"term": term, "prev": prev.index, "last": last, "ok": taken.is_some()})
            }
            _ => {
                let (term, index) = (line.number("term")?, line.number("index")?);
                let (ok, round) = (line.truth("ok")?, line.number("round")?);
                json!({"term": term, "index": index, "ok": ok, "round": round})
            }
        };
        members["message"] = json!(number);
        if line.ev.starts_with("Handle") {
            members["from"] = json!(self.from(line)?);
            members["is_last"] = json!(self.messages.is_last(at));
        } else {
            members["to"] = json!(self.names.name(line.word("to")?)?);
        }
        self.make(line, members)
    }

    /// The entries behind `prev`, as the specification has them.
    fn told(&mut self, prev: u64, entries: &[Held]) -> Vec<Value> {
        let indexes = prev + 1..;
        indexes.zip(entries).map(|(index, held)| self.entry(index, *held)).collect()
    }

    /// An entry of a client is known by where it was proposed. One that is told to be another than
    /// was told before is known by something that nobody has proposed.
    fn entry(&mut self, index: u64, held: Held) -> Value {
        let first = *self.entries.entry((index, held.term)).or_insert(held);
        let mut request = match first.command {
            true => format!("{}.{index}", held.term),
            false => "noop".to_owned(),
        };
        if first != held {
            request = format!("{request}, but {:08x}", held.digest);
        }
        json!({"term": held.term, "request": request})
    }

    fn state(&mut self, at: usize) -> Result<(), String> {
        let line = self.lines[at];
        let last = line.place("last")?;
        let holds = line.holds()?.map(|held| self.entry(last.index, held)["request"].take());
        let voted = self.voted(line)?;
        let number = |name| line.number(name);
        let members = json!({
            "term": number("term")?, "voted": voted, "role": line.word("role")?,
            "last": last.index, "last_term": last.term, "holds": holds,
            "commit": number("commit")?, "applied": number("applied")?,
            "base": number("base")?, "durable": number("durable")?,
        });
        // Where nothing was done but what leaves all that alone, it is not told twice.
        let is_idle = |line: &Line| {
            matches!(line.ev.as_str(), "SendAppend" | "SendAppended" | "HandleAppended")
        };
        let is_news = self.states.get(line.id()) != Some(&members);
        if is_news || !self.step_of(at).0.all(is_idle) {
            self.states.insert(line.id().to_owned(), members.clone());
            self.make(line, members)?;
        }
        Ok(())
    }

    fn restart(&mut self, at: usize) -> Result<(), String> {
        let line = self.lines[at];
        let (base, prev) = (line.place("base")?, line.place("prev")?);
        let commit = line.number("commit")?;
        let entries = self.told(prev.index, &line.entries()?);
        let voted = self.voted(line)?;
        let mut members = json!({
            "term": line.number("term")?, "voted": voted, "base": base.index, "commit": commit,
            "prev": prev.index, "prev_term": prev.term, "entries": entries,
            "voters": self.names.all_of(&line.nodes("voters")?)?,
            "members": self.names.all_of(&line.nodes("members")?)?,
        });
        let n = self.names.name(line.id())?.to_owned();
        if self.started.insert(line.id().to_owned()) {
            members["ev"] = json!("Begin");
            members["n"] = json!(n);
            self.made.push(members);
            return Ok(());
        }
        self.catch_up(at)?;
        self.made.push(json!({"ev": "Crash", "n": n, "commit": commit}));
        self.make(line, members)?;
        if commit > base.index {
            self.made.push(json!({"ev": "Replay", "n": n, "index": commit}));
        }
        Ok(())
    }
}

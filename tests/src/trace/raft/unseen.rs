//! What a process did last: it was on the disk, and the process ended before it could tell.
//!
//! The next process tells what it finds. Where that is more than the one before had told, steps are
//! put before the crash that lead there: entries that were on their way, a vote for one who asked,
//! what a leader proposed. Whether they are steps of the specification is for TLC to say, as of all
//! others; so whatever is put here, nothing is accepted that the specification does not allow.

use std::collections::BTreeMap;

use super::super::Line;
use super::crashes::is_saved;
use super::fields::{Held, Id};
use super::messages::Messages;

/// A step that nobody told.
#[derive(Debug)]
pub(super) enum Unsung {
    /// A process ended, and another began, which told nothing.
    Reboot,
    UpdateTerm(u64),
    BecomeCandidate {
        term: u64,
        last: Id,
    },
    Vote {
        from: String,
        term: u64,
    },
    BecomeLeader(u64),
    Append {
        sender: usize,
        number: u64,
        is_last: bool,
    },
    Propose {
        term: u64,
        index: u64,
    },
    ProposeConfiguration(u64),
    InstallSnapshot(Id),
    Sync(Id),
}

/// Those steps, by the line of the next process's start.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    before: BTreeMap<usize, Vec<Unsung>>,
}

impl Unseen {
    pub(super) fn of(lines: &[&Line], messages: &mut Messages) -> Result<Self, String> {
        let mut found = Self::default();
        let mut nodes: BTreeMap<&str, Node> = BTreeMap::new();
        let mut committed = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            if line.ev == "Restart" {
                let target = Node::found(line, nodes.get(line.id()))?;
                if let Some(node) = nodes.insert(line.id(), target.clone()) {
                    let mut search =
                        Search { lines, messages, at, node, target, steps: Vec::new() };
                    search.run()?;
                    found.before.insert(at, search.steps);
                }
            } else if let Some(node) = nodes.get_mut(line.id()) {
                node.follow(lines, messages, at, &committed)?;
                if line.ev == "AdvanceCommit" && node.leads {
                    committed.clone_from(&node.log);
                }
            }
        }
        // Only now it is known which of the messages nobody receives any more.
        for (at, steps) in &mut found.before {
            for step in steps {
                if let Unsung::Append { number, is_last, .. } = step {
                    *is_last = messages.is_last_of(*number, *at);
                }
            }
        }
        Ok(found)
    }

    pub(super) fn before(&self, at: usize) -> &[Unsung] {
        self.before.get(&at).map_or(&[], Vec::as_slice)
    }
}

/// What is known of a node: the terms of its entries stand for its log.
#[derive(Debug, Clone, Default)]
struct Node {
    term: u64,
    voted: Option<String>,
    leads: bool,
    log: Vec<u64>,
    entries: Vec<Held>,
    base: u64,
    synced: usize,
}

impl Node {
    /// What a process finds. What is compacted is as the one before knew it.
    fn found(line: &Line, before: Option<&Self>) -> Result<Self, String> {
        let (prev, entries) = (line.place("prev")?, line.entries()?);
        let mut log = before.map_or_else(Vec::new, |node| node.log.clone());
        log.resize(length(prev.index)?, prev.term);
        log.extend(entries.iter().map(|entry| entry.term));
        Ok(Self {
            term: line.number("term")?,
            voted: line.node("voted_for")?.map(str::to_owned),
            leads: false,
            synced: log.len(),
            log,
            entries,
            base: line.place("base")?.index,
        })
    }

    fn last(&self) -> Id {
        Id { term: self.log.last().copied().unwrap_or(0), index: self.log.len() as u64 }
    }

    fn follow(
        &mut self,
        lines: &[&Line],
        messages: &Messages,
        at: usize,
        committed: &[u64],
    ) -> Result<(), String> {
        let line = lines[at];
        match line.ev.as_str() {
            "BecomeLeader" => {
                self.leads = true;
                self.log.push(line.number("term")?);
            }
            "Propose" | "ProposeConfiguration" => self.log.push(self.term),
            "HandleAppend" => {
                if let (Some(taken), Some(sender)) = (line.taken()?, messages.sender(at)) {
                    self.append(lines[sender], taken)?;
                }
            }
            "InstallSnapshot" => {
                let last = line.place("last")?;
                let length = length(last.index)?;
                if self.log.get(length - 1) != Some(&last.term) {
                    self.log = committed.to_vec();
                    self.log.resize(length, last.term);
                }
                self.base = last.index;
            }
            "TakeSnapshot" if is_saved(lines, at)? => self.base = line.number("index")?,
            "Sync" => self.synced = length(line.place("last")?.index)?,
            "RaftState" => {
                self.term = line.number("term")?;
                self.voted = line.node("voted_for")?.map(str::to_owned);
                self.leads = line.word("role")? == "leader";
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the entries of a message, up to `taken`.
    fn append(&mut self, sent: &Line, taken: u64) -> Result<(), String> {
        let begin = length(sent.place("prev")?.index)?;
        for (at, entry) in (begin..).zip(sent.entries()?) {
            if at as u64 >= taken || at > self.log.len() {
                break;
            }
            if self.log.get(at) != Some(&entry.term) {
                self.log.truncate(at);
                self.log.push(entry.term);
            }
        }
        Ok(())
    }
}

/// From what a node was to what the next process finds.
struct Search<'a> {
    lines: &'a [&'a Line],
    messages: &'a mut Messages,
    at: usize,
    node: Node,
    target: Node,
    steps: Vec<Unsung>,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), String> {
        if self.target.base > self.node.base && self.target.base > self.node.log.len() as u64 {
            let last = self.lines[self.at].place("base")?;
            self.steps.push(Unsung::InstallSnapshot(last));
            self.node.log = self.target.log[..length(last.index)?].to_vec();
        }
        self.receive(|term, target| term < target)?;
        self.vote();
        self.receive(|term, target| term == target)?;
        self.propose();
        let is_ahead = self.target.log.len() > self.node.synced;
        if is_ahead || !self.steps.is_empty() {
            self.steps.push(Unsung::Sync(self.target.last()));
        }
        Ok(())
    }

    /// Entries that were sent, and are there, though nobody told that they had come.
    fn receive(&mut self, is_wanted: impl Fn(u64, u64) -> bool) -> Result<(), String> {
        let id = self.lines[self.at].id();
        for sender in 0..self.at {
            let sent = self.lines[sender];
            if sent.ev != "SendAppend" || sent.word("to")? != id || self.is_taken(sender) {
                continue;
            }
            let (term, prev) = (sent.number("term")?, sent.place("prev")?);
            let (begin, entries) = (length(prev.index)?, sent.entries()?);
            let end = begin + entries.len();
            let there = self.target.log.get(begin..end);
            let is_there =
                there.is_some_and(|there| there.iter().eq(entries.iter().map(|e| &e.term)));
            let is_news = self.node.log.get(begin..end) != there;
            let fits = begin == 0 || self.node.log.get(begin - 1) == Some(&prev.term);
            let is_of_time = term >= self.node.term && is_wanted(term, self.target.term);
            if is_of_time && is_there && is_news && fits {
                let number = self.messages.receive(sender, self.at);
                self.steps.push(Unsung::Append { sender, number, is_last: false });
                self.node.append(sent, end as u64)?;
                if term > self.node.term {
                    (self.node.term, self.node.voted) = (term, None);
                }
                self.node.leads = false;
            }
        }
        Ok(())
    }

    /// Whether it was told that the message came, by whoever it was for.
    fn is_taken(&self, sender: usize) -> bool {
        self.messages.number(sender) != 0
    }

    fn vote(&mut self) {
        let id = self.lines[self.at].id();
        let Node { term, voted, .. } = self.target.clone();
        if (self.node.term, &self.node.voted) == (term, &voted) {
            return;
        }
        match voted {
            Some(candidate) if candidate == id => {
                if self.node.leads {
                    self.steps.push(Unsung::Reboot);
                    self.node.log.truncate(self.node.synced);
                }
                if self.node.term + 1 < term {
                    self.steps.push(Unsung::UpdateTerm(term - 1));
                }
                self.steps.push(Unsung::BecomeCandidate { term, last: self.node.last() });
            }
            Some(from) => self.steps.push(Unsung::Vote { from, term }),
            // Entries of that term tell it, too.
            None if self.node.log.len() == self.target.log.len() => {
                self.steps.push(Unsung::UpdateTerm(term));
            }
            None => return,
        }
        (self.node.term, self.node.voted) = (term, self.target.voted.clone());
        self.node.leads = false;
    }

    /// What a leader proposed.
    fn propose(&mut self) {
        let id = self.lines[self.at].id();
        let Node { term, voted, log, entries, .. } = self.target.clone();
        while voted.as_deref() == Some(id) && self.node.log.len() < log.len() {
            let index = self.node.log.len() as u64 + 1;
            let behind = log.len() - self.node.log.len();
            let held = entries.len().checked_sub(behind).and_then(|at| entries.get(at));
            let is_command = held.is_some_and(|held| held.command);
            let step = match (self.node.leads, is_command) {
                (false, _) => Unsung::BecomeLeader(term),
                (true, true) => Unsung::Propose { term, index },
                (true, false) => Unsung::ProposeConfiguration(index),
            };
            self.node.leads = true;
            self.steps.push(step);
            self.node.log.push(term);
        }
    }
}

fn length(index: u64) -> Result<usize, String> {
    usize::try_from(index).map_err(|error| error.to_string())
}

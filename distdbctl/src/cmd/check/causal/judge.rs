//! What sessions saw, judged by what had happened before.
//!
//! A session's past is all that it wrote and read, and the pasts of those who wrote what it read:
//! Lamport's happens-before, of clients. In each read
//!
//! 1. a value is shown that somebody wrote before the read was over;
//! 2. each acknowledged write of that key in the past is shown, or something has taken its place:
//!    a write that had seen it, and so on. That is to read one's writes, to read monotonically,
//!    writes that follow reads, and causes of other keys, all in one;
//! 3. nothing is shown whose place a write of the past has taken.
//!
//! In the end all nodes show the same, and of every acknowledged write 2 holds.

use std::collections::{BTreeMap, BTreeSet};

use common::kv::key::Key;

use crate::cmd::check::converge::{self, State};
use crate::cmd::check::report::Violation;

use super::{Deed, Event};

/// How many events of each client are in a past, counted from its first.
type Past = Vec<usize>;

/// Events are told by their places in `events`.
pub(super) struct Judge<'a> {
    names: &'a [String],
    /// In the order in which they can be judged: writes when they were asked for, reads when they
    /// were answered.
    events: Vec<Event>,
    /// Of each event, as it counts among those of its client.
    numbers: Vec<usize>,
    pasts: Vec<Past>,
    /// Who wrote a value of a key.
    writers: BTreeMap<(Key, String), usize>,
    /// The acknowledged writes of each key and client.
    acknowledged: BTreeMap<Key, Vec<Vec<usize>>>,
    /// Which writes took the place of one.
    successors: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Judge<'a> {
    /// Judges all reads.
    pub(super) fn of(names: &'a [String], mut events: Vec<Event>) -> Result<Self, Violation> {
        events.sort_by_key(|event| match event.deed {
            Deed::Read(_) => (event.returned.unwrap_or_default(), 1),
            Deed::Write { .. } => (event.invoked, 0),
        });
        let mut judge = Self {
            names,
            events,
            numbers: Vec::new(),
            pasts: Vec::new(),
            writers: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            successors: BTreeMap::new(),
        };
        judge.note_writes();
        let clients = judge.events.iter().map(|event| event.client + 1).max().unwrap_or(0);
        let mut sessions = vec![vec![0; clients]; clients];
        for at in 0..judge.events.len() {
            let event = &judge.events[at];
            judge.numbers.push(sessions[event.client][event.client] + 1);
            judge.pasts.push(sessions[event.client].clone());
            judge.judge(at)?;
            let client = judge.events[at].client;
            sessions[client] = judge.past_after(at);
        }
        Ok(judge)
    }

    fn note_writes(&mut self) {
        for (at, event) in self.events.iter().enumerate() {
            if let Deed::Write { value: Some(value), .. } = &event.deed {
                self.writers.insert((event.key.clone(), value.clone()), at);
            }
        }
        let clients = self.events.iter().map(|event| event.client + 1).max().unwrap_or(0);
        for (at, event) in self.events.iter().enumerate() {
            let Deed::Write { seen, .. } = &event.deed else { continue };
            for value in seen {
                if let Some(writer) = self.writers.get(&(event.key.clone(), value.clone())) {
                    self.successors.entry(*writer).or_default().push(at);
                }
            }
            if event.returned.is_some() {
                let of_key = self.acknowledged.entry(event.key.clone());
                of_key.or_insert_with(|| vec![Vec::new(); clients])[event.client].push(at);
            }
        }
    }

    /// What its session knows once an event is over. What was not acknowledged may not be there.
    fn past_after(&self, at: usize) -> Past {
        let event = &self.events[at];
        let mut past = self.pasts[at].clone();
        past[event.client] = self.numbers[at];
        for writer in self.shown(at) {
            let (client, number) = (self.events[writer].client, self.numbers[writer]);
            past[client] = past[client].max(number);
            for (known, of_writer) in past.iter_mut().zip(&self.pasts[writer]) {
                *known = (*known).max(*of_writer);
            }
        }
        past
    }

    /// Who wrote what a read shows.
    fn shown(&self, at: usize) -> Vec<usize> {
        let Event { key, deed: Deed::Read(values), .. } = &self.events[at] else {
            return Vec::new();
        };
        let writer = |value: &String| self.writers.get(&(key.clone(), value.clone())).copied();
        values.iter().filter_map(writer).collect()
    }

    fn judge(&self, at: usize) -> Result<(), Violation> {
        let event = &self.events[at];
        let Deed::Read(values) = &event.deed else { return Ok(()) };
        let shown: BTreeSet<usize> = self.shown(at).into_iter().collect();
        if shown.len() < values.len() || shown.iter().any(|writer| *writer >= at) {
            let what = format!("{} was shown what nobody had written", self.who(at));
            return Err(self.violation("nothing invented", what, &[at]));
        }
        if let Some(lost) = self.missing(&event.key, &shown, Some(&self.pasts[at])) {
            let what = format!(
                "{} was not shown {}, which is in its past, nor what took its place",
                self.who(at),
                self.name(lost),
            );
            return Err(self.violation("causal order", what, &self.path(lost, at)));
        }
        for writer in shown {
            if let Some(after) = self.replaced_by(writer, &self.pasts[at]) {
                let what = format!(
                    "{} was shown {}, although {} had taken its place in its past",
                    self.who(at),
                    self.name(writer),
                    self.name(after),
                );
                let path = [vec![writer], self.path(after, at)].concat();
                return Err(self.violation("causal order", what, &path));
            }
        }
        Ok(())
    }

    /// Judges what all nodes hold in the end.
    pub(super) fn judge_last(&self, state: &State) -> Result<(), Violation> {
        for key in self.acknowledged.keys() {
            let values = state.get(key).map(converge::values).unwrap_or_default();
            let writer = |value: &String| self.writers.get(&(key.clone(), value.clone()));
            let shown: Option<BTreeSet<usize>> =
                values.iter().map(|value| writer(value).copied()).collect();
            let Some(shown) = shown else {
                let what = format!("in the end {key} holds what nobody has written: {values:?}");
                return Err(self.violation("nothing invented", what, &[]));
            };
            if let Some(lost) = self.missing(key, &shown, None) {
                let what = format!(
                    "{} was acknowledged; in the end it is not there, nor what took its place",
                    self.name(lost)
                );
                return Err(self.violation("no acknowledged write is lost", what, &[lost]));
            }
        }
        Ok(())
    }

    /// An acknowledged write of the past, if one is given, that is not shown, nor what took its
    /// place.
    fn missing(&self, key: &Key, shown: &BTreeSet<usize>, past: Option<&Past>) -> Option<usize> {
        let of_key = self.acknowledged.get(key)?;
        let mut due = of_key.iter().enumerate().flat_map(|(client, writes)| {
            // Earlier ones of a client are behind its latest, which has seen what became of them.
            let end = past.map_or(writes.len(), |past| {
                writes.partition_point(|write| self.number_of(*write) <= past[client])
            });
            let from = if past.is_some() { end.saturating_sub(1) } else { 0 };
            writes[from..end].iter().copied()
        });
        due.find(|write| !self.is_accounted(*write, shown))
    }

    /// As [`Self::numbers`]; of events that were not judged yet, more than any past has.
    fn number_of(&self, at: usize) -> usize {
        self.numbers.get(at).copied().unwrap_or(usize::MAX)
    }

    /// Whether a write is shown, or one that took its place is accounted for. What removed it is.
    fn is_accounted(&self, write: usize, shown: &BTreeSet<usize>) -> bool {
        let (mut open, mut met) = (vec![write], BTreeSet::new());
        while let Some(write) = open.pop() {
            let is_removal = matches!(self.events[write].deed, Deed::Write { value: None, .. });
            if is_removal || shown.contains(&write) {
                return true;
            }
            if met.insert(write) {
                open.extend(self.successors.get(&write).into_iter().flatten());
            }
        }
        false
    }

    /// A write of the past that took the place of `write`.
    fn replaced_by(&self, write: usize, past: &Past) -> Option<usize> {
        let successors = self.successors.get(&write).into_iter().flatten().copied();
        let mut past_ones = successors.filter(|after| {
            let event = &self.events[*after];
            event.returned.is_some() && self.number_of(*after) <= past[event.client]
        });
        past_ones.next()
    }

    /// How a write came into the past of a read.
    fn path(&self, write: usize, read: usize) -> Vec<usize> {
        let (writer, client) = (self.events[write].client, self.events[read].client);
        let number = self.numbers[write];
        let mut path = vec![write];
        let of_session = (0..read).filter(|at| self.events[*at].client == client);
        let mut learnt = of_session.filter(|at| self.past_after(*at)[writer] >= number);
        if let Some(event) = learnt.next() {
            path.extend(
                self.shown(event)
                    .into_iter()
                    .filter(|shown| self.pasts[*shown][writer] >= number && *shown != write),
            );
            path.push(event);
        }
        path.push(read);
        path
    }

    fn who(&self, at: usize) -> String {
        let event = &self.events[at];
        let node = &self.names[event.node];
        format!("client {}, which read {} at {node},", event.client, event.key)
    }

    fn name(&self, at: usize) -> String {
        let event = &self.events[at];
        match &event.deed {
            Deed::Write { value: Some(value), .. } => value.clone(),
            Deed::Write { value: None, .. } => format!("the removal by client {}", event.client),
            Deed::Read(_) => format!("a read of client {}", event.client),
        }
    }

    fn violation(&self, property: &'static str, what: String, events: &[usize]) -> Violation {
        let events: BTreeSet<usize> = events.iter().copied().collect();
        let last = events.last().copied();
        let shown = |at: usize| self.events[at].shown(self.names, Some(at) == last);
        let operations = events.iter().map(|at| shown(*at)).collect();
        Violation { property, what, operations }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A client's deeds, one after the other; each has its moment for itself.
    struct Story(Vec<Event>);

    impl Story {
        fn tell(mut self, client: usize, name: &str, deed: Deed) -> Self {
            let now = Duration::from_millis(10 * (self.0.len() as u64 + 1));
            let (key, returned) = (key(name), Some(now + Duration::from_millis(5)));
            self.0.push(Event { client, node: client, key, invoked: now, returned, deed });
            self
        }

        fn get(self, client: usize, name: &str, values: &[&str]) -> Self {
            self.tell(client, name, Deed::Read(owned(values)))
        }

        fn put(self, client: usize, name: &str, value: &str, seen: &[&str]) -> Self {
            let (value, seen) = (Some(value.to_owned()), owned(seen));
            self.tell(client, name, Deed::Write { value, seen })
        }

        fn delete(self, client: usize, name: &str, seen: &[&str]) -> Self {
            self.tell(client, name, Deed::Write { value: None, seen: owned(seen) })
        }

        fn unanswered(mut self) -> Self {
            self.0.last_mut().expect("a deed").returned = None;
            self
        }

        fn judged(self, last: &[(&str, &str)]) -> Result<(), &'static str> {
            let names: Vec<_> = (0..4).map(|node| format!("node{node}")).collect();
            let value = |value: &str| serde_json::json!({ "value": value });
            let state = last.iter().map(|(name, held)| (key(name), value(held))).collect();
            let judged = Judge::of(&names, self.0).and_then(|judge| judge.judge_last(&state));
            judged.map_err(|violation| violation.property)
        }
    }

    fn key(name: &str) -> Key {
        Key::try_from(name).expect("a key")
    }

    fn owned(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    const ORDER: Result<(), &str> = Err("causal order");

    #[test]
    fn what_may_be_is_accepted() {
        let story = Story(Vec::new()).put(0, "x", "a", &[]).get(1, "x", &[]).get(1, "x", &["a"]);
        let story = story.put(1, "x", "b", &["a"]).put(2, "x", "c", &["a"]);
        let story = story.get(0, "x", &["b", "c"]).put(0, "x", "d", &["b", "c"]);
        assert_eq!(story.get(0, "x", &["d"]).judged(&[("x", "d")]), Ok(()));
    }

    #[test]
    fn a_session_reads_its_own_writes() {
        let story = Story(Vec::new()).put(0, "x", "a", &[]);
        assert_eq!(story.get(0, "x", &[]).judged(&[("x", "a")]), ORDER);
    }

    #[test]
    fn reads_of_a_session_do_not_go_back() {
        let story = || Story(Vec::new()).put(0, "x", "a", &[]).put(0, "x", "b", &["a"]);
        let back = story().get(1, "x", &["b"]).get(1, "x", &["a"]);
        assert_eq!(back.judged(&[("x", "b")]), ORDER);
        let forth = story().get(1, "x", &["a"]).get(1, "x", &["b"]);
        assert_eq!(forth.judged(&[("x", "b")]), Ok(()));
    }

    /// The effect is of another key, and the cause of another session.
    #[test]
    fn causes_are_seen_before_their_effects() {
        let story = Story(Vec::new()).put(0, "x", "cause", &[]).get(1, "x", &["cause"]);
        let story = story.put(1, "y", "effect", &[]).get(2, "y", &["effect"]);
        let last = [("x", "cause"), ("y", "effect")];
        assert_eq!(story.get(2, "x", &[]).judged(&last), ORDER);
    }

    #[test]
    fn what_was_replaced_does_not_come_back() {
        let story = Story(Vec::new()).put(0, "x", "a", &[]).delete(0, "x", &["a"]);
        assert_eq!(story.get(0, "x", &["a"]).judged(&[]), ORDER);
        let story = Story(Vec::new()).put(0, "x", "a", &[]).put(0, "x", "b", &["a"]);
        assert_eq!(story.get(0, "x", &["a", "b"]).judged(&[("x", "b")]), ORDER);
    }

    #[test]
    fn no_acknowledged_write_is_lost() {
        let story = || Story(Vec::new()).put(0, "x", "a", &[]);
        assert_eq!(story().judged(&[]), Err("no acknowledged write is lost"));
        assert_eq!(story().unanswered().judged(&[]), Ok(()));
        // It has not seen the other, so it can't have taken its place.
        let story = story().put(1, "x", "b", &[]);
        assert_eq!(story.judged(&[("x", "b")]), Err("no acknowledged write is lost"));
    }

    #[test]
    fn nothing_is_invented() {
        let story = Story(Vec::new()).get(0, "x", &["a"]);
        assert_eq!(story.judged(&[]), Err("nothing invented"));
        let story = Story(Vec::new()).get(0, "x", &["a"]).put(1, "x", "a", &[]);
        assert_eq!(story.judged(&[]), Err("nothing invented"));
    }
}

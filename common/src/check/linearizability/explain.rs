//! Why there is no order, in a form that a person can follow.
//!
//! Whoever knows less finds an order more easily. So knowledge is given up as long as there is no
//! order all the same, and what is left contradicts itself:
//!
//! 1. the latest answers, as if the clients had gone before these came: the shortest prefix is
//!    left;
//! 2. all that was over at a time when nothing was under way, as if the history began there, with
//!    anything in the key: of the prefix, the shortest suffix is left;
//! 3. every other answer that the contradiction does not need.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::check::table::table;
use crate::history::{Action, Operation, Outcome};

use super::judge;
use super::search::Found;

/// As many rows as a person looks at. The contradiction shows in the last ones.
const ROWS_MAX: usize = 40;

/// Steps for the third part, which searches most often: some seconds in a debug build.
const CORE_STEPS_MAX: u64 = 100_000;

/// Why one key's operations have no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Which key.
    pub key: String,
    /// The client whose answer fits no order any more, and when it came.
    pub last: (usize, Duration),
    /// Values that were seen, and that no write can have stored.
    pub invented: Vec<String>,
    /// By invocation: what contradicts each other, and what else helps to see it.
    pub rows: Vec<Row>,
    /// How many earlier rows there are no more.
    pub left_out: usize,
}

/// An operation that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub operation: Operation,
    /// Whether its answer is one of those that contradict each other.
    pub is_core: bool,
    /// Whether it wrote what such an answer has seen.
    pub is_origin: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client, returned) = self.last;
        writeln!(
            f,
            "key {}: the answer to client {client} at {:.3} ms fits no order of the operations.",
            self.key,
            returned.as_secs_f64() * 1_000.0,
        )?;
        for invented in &self.invented {
            writeln!(f, "No put that may have taken effect has {invented:.20}.")?;
        }
        writeln!(f, "The answers marked * contradict each other; the other rows are context.")?;
        if self.left_out > 0 {
            writeln!(f, "{} earlier rows are left out.", self.left_out)?;
        }
        f.write_str(&table(self.rows.iter().map(|row| (&row.operation, row.is_core)).collect()))
    }
}

/// Tells which answers contradict each other.
pub(super) fn explain(key: &str, operations: &[&Operation], steps_max: u64) -> Explanation {
    let case = Case { operations, steps_max };
    let prefix = case.shortest_prefix();
    let last = operations[*prefix.last().expect("without answers there is an order")];
    let (suffix, from) = case.shortest_suffix(prefix);
    let core: Vec<_> = case.core(suffix, from).into_iter().map(|place| operations[place]).collect();
    let values: BTreeSet<_> = core.iter().filter_map(|operation| seen(operation)).collect();
    let put: BTreeSet<_> = operations.iter().filter_map(|one| written(one)).collect();
    let rows = operations.iter().map(|operation| Row {
        operation: Operation::clone(operation),
        is_core: core.iter().any(|one| std::ptr::eq(*one, *operation)),
        is_origin: operation.action.value().is_some_and(|value| values.contains(value)),
    });
    let is_shown = |row: &Row| {
        let operation = &row.operation;
        let overlaps = operation.invoked <= last.returned()
            && operation.answer().is_some_and(|answer| answer.returned >= last.invoked);
        overlaps || row.is_origin || row.is_core
    };
    let mut rows: Vec<_> = rows.filter(is_shown).collect();
    rows.sort_by_key(|row| row.operation.invoked);
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    Explanation {
        key: key.to_owned(),
        last: (last.client, last.returned()),
        invented: values.difference(&put).map(|value| (*value).to_owned()).collect(),
        rows: rows.split_off(left_out),
        left_out,
    }
}

/// A value that the key was seen to hold.
fn seen(operation: &Operation) -> Option<&str> {
    match &operation.action {
        Action::Swap { from, .. } if operation.answer().is_some() => Some(from),
        Action::Swap { .. } | Action::Put(_) | Action::Get | Action::Delete => {
            operation.value_seen()
        }
    }
}

/// A value that was stored, or may have been.
fn written(operation: &Operation) -> Option<&str> {
    operation.action.value().filter(|_| operation.outcome != Outcome::Failed)
}

/// What happened to a key, in no order that there is. Answers are told by their places.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    operations: &'a [&'a Operation],
    steps_max: u64,
}

impl Case<'_> {
    /// The answers in the order in which they came, up to the first that leaves no order.
    fn shortest_prefix(&self) -> Vec<usize> {
        let places = 0..self.operations.len();
        let mut answers: Vec<_> =
            places.filter(|place| self.operations[*place].answer().is_some()).collect();
        answers.sort_by_key(|place| self.operations[*place].returned());
        let (mut fine, mut wrong) = (0, answers.len());
        while wrong - fine > 1 {
            let middle = fine.midpoint(wrong);
            if self.contradict(&answers[..middle], Duration::ZERO, &mut self.steps_max.clone()) {
                wrong = middle;
            } else {
                fine = middle;
            }
        }
        answers.truncate(wrong);
        answers
    }

    /// The answers since the last time from which on they contradict each other, and that time.
    fn shortest_suffix(&self, mut answers: Vec<usize>) -> (Vec<usize>, Duration) {
        let operation = |place: &usize| self.operations[*place];
        answers.sort_by_key(|place| operation(place).invoked);
        let mut beginnings = vec![Duration::ZERO];
        let mut busy_until = Duration::ZERO;
        for place in &answers {
            if busy_until < operation(place).invoked {
                beginnings.push(operation(place).invoked);
            }
            busy_until = busy_until.max(operation(place).returned());
        }
        let (mut wrong, mut fine) = (0, beginnings.len());
        while fine - wrong > 1 {
            let middle = wrong.midpoint(fine);
            if self.contradict(&answers, beginnings[middle], &mut self.steps_max.clone()) {
                wrong = middle;
            } else {
                fine = middle;
            }
        }
        answers.retain(|place| operation(place).returned() >= beginnings[wrong]);
        (answers, beginnings[wrong])
    }

    /// Those of `answers` without any of which there would be an order, or some more when steps
    /// run out. Larger parts are forgotten first, since nearly all can be.
    fn core(&self, mut answers: Vec<usize>, from: Duration) -> Vec<usize> {
        let mut steps_left = CORE_STEPS_MAX.min(self.steps_max);
        let mut part = answers.len().div_ceil(2);
        while part > 0 && steps_left > 0 {
            let mut at = 0;
            while at < answers.len() {
                let end = answers.len().min(at + part);
                let rest = [&answers[..at], &answers[end..]].concat();
                if self.contradict(&rest, from, &mut steps_left) {
                    answers = rest;
                } else {
                    at = end;
                }
            }
            part /= 2;
        }
        answers
    }

    fn contradict(&self, answers: &[usize], from: Duration, steps_left: &mut u64) -> bool {
        let mut believed = vec![false; self.operations.len()];
        for place in answers {
            believed[*place] = true;
        }
        judge(self.operations, &believed, from, steps_left) == Found::NoOrder
    }
}

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
use std::time::Duration;

use crate::check::table::table;
use crate::history::{Action, Operation, Outcome};

use super::judge;
use super::search::Found;

/// As many rows as a person looks at. The contradiction shows in the last ones.
const ROWS_MAX: usize = 40;

/// Steps for the third part, which searches most often: some seconds in a debug build.
const CORE_STEPS_MAX: u64 = 100_000;

/// Tells which answers contradict each other.
pub(super) fn explain(key: &str, operations: &[&Operation], steps_max: u64) -> String {
    let case = Case { operations, steps_max };
    let prefix = case.shortest_prefix();
    let last = operations[*prefix.last().expect("without answers there is an order")];
    let (suffix, from) = case.shortest_suffix(prefix);
    let core: Vec<_> = case.core(suffix, from).into_iter().map(|place| operations[place]).collect();
    let values: BTreeSet<_> = core.iter().filter_map(|operation| operation.value_seen()).collect();
    let put: BTreeSet<_> = operations.iter().filter_map(|one| value_put(one)).collect();
    let is_core = |operation: &Operation| core.iter().any(|one| std::ptr::eq(*one, operation));
    let is_shown = |operation: &Operation| {
        let overlaps = operation.invoked <= last.returned()
            && operation.answer().is_some_and(|answer| answer.returned >= last.invoked);
        let is_seen =
            matches!(&operation.action, Action::Put(value) if values.contains(value.as_str()));
        overlaps || is_seen || is_core(operation)
    };
    let shown = operations.iter().filter(|operation| is_shown(operation));
    let mut rows: Vec<_> = shown.map(|operation| (*operation, is_core(operation))).collect();
    rows.sort_by_key(|(operation, _)| operation.invoked);
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    let mut told = format!(
        "key {key}: the answer to client {} at {:.3} ms fits no order of the operations.\n",
        last.client,
        last.returned().as_secs_f64() * 1_000.0,
    );
    for invented in values.difference(&put) {
        told += &format!("No put that may have taken effect has {invented:.20}.\n");
    }
    told += "The answers marked * contradict each other; the other rows are context.\n";
    if left_out > 0 {
        told += &format!("{left_out} earlier rows are left out.\n");
    }
    told + &table(rows.split_off(left_out))
}

/// A value that was put, or may have been.
fn value_put(operation: &Operation) -> Option<&str> {
    match &operation.action {
        Action::Put(value) if operation.outcome != Outcome::Failed => Some(value),
        Action::Put(_) | Action::Get | Action::Delete => None,
    }
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

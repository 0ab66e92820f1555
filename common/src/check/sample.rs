//! Histories by hand: operations on the key `k`, with times in milliseconds. Each has a client of
//! its own.

use std::time::Duration;

use crate::history::{Action, Answer, History, Observed, Operation, Outcome};

/// A put that was answered.
pub(super) fn put(value: &str, from: u64, to: u64) -> Operation {
    answered(Action::Put(value.to_owned()), Observed::Stored, from, to)
}

/// A compare-and-swap that was answered.
pub(super) fn swap(from_value: &str, to_value: &str, from: u64, to: u64) -> Operation {
    let action = Action::Swap { from: from_value.to_owned(), to: to_value.to_owned() };
    answered(action, Observed::Stored, from, to)
}

/// A get that was answered.
pub(super) fn get(value: impl Into<Option<&'static str>>, from: u64, to: u64) -> Operation {
    answered(Action::Get, Observed::Got(value.into().map(str::to_owned)), from, to)
}

/// A delete that was answered.
pub(super) fn delete(existed: bool, from: u64, to: u64) -> Operation {
    answered(Action::Delete, Observed::Deleted { existed }, from, to)
}

/// A put of which nobody knows.
pub(super) fn unknown_put(value: &str, from: u64) -> Operation {
    operation(Action::Put(value.to_owned()), from, Outcome::Unknown)
}

/// A delete of which nobody knows.
pub(super) fn unknown_delete(from: u64) -> Operation {
    operation(Action::Delete, from, Outcome::Unknown)
}

/// A compare-and-swap of which nobody knows.
pub(super) fn unknown_swap(from_value: &str, to_value: &str, from: u64) -> Operation {
    let action = Action::Swap { from: from_value.to_owned(), to: to_value.to_owned() };
    operation(action, from, Outcome::Unknown)
}

/// A put that was refused.
pub(super) fn failed_put(value: &str, from: u64) -> Operation {
    operation(Action::Put(value.to_owned()), from, Outcome::Failed)
}

fn answered(action: Action, observed: Observed, from: u64, to: u64) -> Operation {
    let returned = Duration::from_millis(to);
    operation(action, from, Outcome::Known(Answer { returned, observed, revision: None }))
}

fn operation(action: Action, from: u64, outcome: Outcome) -> Operation {
    let invoked = Duration::from_millis(from);
    Operation { client: 0, key: "k".to_owned(), action, invoked, outcome }
}

impl Operation {
    /// The same, with a revision.
    pub(super) fn at(mut self, told: u64) -> Self {
        if let Outcome::Known(answer) = &mut self.outcome {
            answer.revision = Some(told);
        }
        self
    }

    /// The same, of another key.
    pub(super) fn of(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }
}

/// The history of these operations; the client of each is its place, from 0 on.
pub(super) fn history(operations: impl IntoIterator<Item = Operation>) -> History {
    let mut history = History::default();
    for (client, operation) in operations.into_iter().enumerate() {
        let Operation { key, action, invoked, outcome, .. } = operation;
        let ticket = history.invoke(client, &key, action, invoked);
        history.finish(ticket, outcome);
    }
    history
}

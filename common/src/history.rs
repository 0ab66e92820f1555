//! What clients did and saw: the operations of one run, for those who judge it from outside.
//!
//! Times are since the start of the run: virtual ones of a simulator, or those of a clock
//! that never goes back. An
//! operation that took effect did so at one moment between its invocation and its return. One
//! whose outcome nobody learnt may take effect at any moment from its invocation on, or never.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One request of one client for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub client: usize,
    /// Of which key.
    pub key: String,
    /// For what.
    pub action: Action,
    /// When, or a little earlier.
    pub invoked: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// What is asked of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Stores a value.
    Put(String),
    /// Reads.
    Get,
    /// Removes.
    Delete,
    /// Compares and swaps: stores a value where another is. One that finds something else has
    /// failed; it is not a read, since it tells little of what it found.
    Swap {
        /// What must be there.
        from: String,
        /// What is there then.
        to: String,
    },
}

impl Action {
    /// What it stores.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Put(value) | Self::Swap { to: value, .. } => Some(value),
            Self::Get | Self::Delete => None,
        }
    }
}

/// What came of an operation, as far as its client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Known(Answer),
    /// Surely it took none.
    Failed,
    /// It may have, or may still do so.
    Unknown,
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// When, or a little later.
    pub returned: Duration,
    /// What of the key.
    pub observed: Observed,
    /// Of the write, for a put and a delete that removed; `mod_revision`, for a get that found.
    pub revision: Option<u64>,
}

/// What an operation saw of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// A put sees nothing; a swap has seen what it asked for.
    Stored,
    /// A get sees the value, where there is one.
    Got(Option<String>),
    /// A delete sees whether there was a value.
    Deleted {
        /// Whether.
        existed: bool,
    },
}

impl Operation {
    /// What its client was told, if anything.
    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Known(answer) => Some(answer),
            Outcome::Failed | Outcome::Unknown => None,
        }
    }

    /// When its client was told; what was not answered returns never.
    pub fn returned(&self) -> Duration {
        self.answer().map_or(Duration::MAX, |answer| answer.returned)
    }

    /// The value that a get was told.
    pub fn value_seen(&self) -> Option<&str> {
        match &self.answer()?.observed {
            Observed::Got(value) => value.as_deref(),
            Observed::Stored | Observed::Deleted { .. } => None,
        }
    }
}

/// The operations of a run, in the order in which they were noted.
///
/// Invariants: no two writes of a key store the same value, so a value tells its write; an answer fits
/// the action and does not precede it; keys hold nothing before the first operation.
#[derive(Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
    values: BTreeSet<(String, String)>,
}

/// An operation that has begun. Who drops it leaves the outcome unknown.
#[derive(Debug)]
pub struct Ticket(usize);

impl History {
    /// A client is about to ask.
    pub fn invoke(&mut self, client: usize, key: &str, action: Action, now: Duration) -> Ticket {
        if let Some(value) = action.value() {
            let is_new = self.values.insert((key.to_owned(), value.to_owned()));
            assert!(is_new, "{value} is put on {key} a second time");
        }
        let outcome = Outcome::Unknown;
        self.operations.push(Operation {
            client,
            key: key.to_owned(),
            action,
            invoked: now,
            outcome,
        });
        Ticket(self.operations.len() - 1)
    }

    /// A client has learnt what came of its operation.
    pub fn finish(&mut self, ticket: Ticket, outcome: Outcome) {
        let operation = &mut self.operations[ticket.0];
        if let Outcome::Known(answer) = &outcome {
            let fits = match answer.observed {
                Observed::Stored => operation.action.value().is_some(),
                Observed::Got(_) => operation.action == Action::Get,
                Observed::Deleted { .. } => operation.action == Action::Delete,
            };
            assert!(fits, "{answer:?} answers another question than {operation:?}");
            assert!(operation.invoked <= answer.returned, "{answer:?} precedes {operation:?}");
        }
        operation.outcome = outcome;
    }

    /// All operations.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operations of each key.
    pub fn by_key(&self) -> BTreeMap<&str, Vec<&Operation>> {
        let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.operations {
            keys.entry(&operation.key).or_default().push(operation);
        }
        keys
    }
}

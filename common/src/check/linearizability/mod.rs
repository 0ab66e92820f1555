//! Linearizable: there is one order of all operations that took effect, in which each sees what the
//! one before it left, and none stands before one that had returned before it began.
//!
//! Source: Herlihy and Wing 1990, "Linearizability: A Correctness Condition for Concurrent
//! Objects". It is judged from a [`History`], so of clusters that are simulated
//! and of real ones alike; seen to catch two copies in broadcast mode that don't hear each other.
//!
//! 1. A history is linearizable if what happened to each key is (Herlihy and Wing §3.1; Horn and
//!    Kroening 2015, "Faster Linearizability Checking via P-Compositionality"): each key is judged
//!    alone.
//! 2. What nobody knows of is not what did not happen: an operation without an answer may take
//!    effect at any time from its invocation on. `puzzle.rs` says which of these matter.
//! 3. `search.rs` looks for the order, and `explain.rs` shows why there is none.
//!
//! Operations that touch in time, one returning at the very moment at which the other begins, count
//! as concurrent: virtual clocks stand still while nodes work.
//!
//! # Not done
//!
//! - Operations on several keys at once: prefix deletes, lists, transactions. [`super::revisions`]
//!   judges across keys.

mod explain;
mod puzzle;
mod search;

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::history::{History, Operation};

pub use explain::{Explanation, Row};

use explain::explain;
use puzzle::Puzzle;
use search::{Found, search};

/// Steps for a key that are plenty: an order of so many operations takes hardly more steps than
/// there are operations, and a run has thousands.
pub const STEPS_MAX: u64 = 1_000_000;

/// What is to be said of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none, for a key.
    Violated(Box<Explanation>),
    /// The search was given up for these keys; with the others all is well.
    Inconclusive {
        /// Which.
        keys: Vec<String>,
    },
}

/// Judges a history, with at most `steps_max` steps for a key.
pub fn check(history: &History, steps_max: u64) -> Verdict {
    let mut inconclusive = Vec::new();
    for (key, operations) in history.by_key() {
        let believed = vec![true; operations.len()];
        match judge(&operations, &believed, Duration::ZERO, &mut steps_max.clone()) {
            Found::Order => {}
            Found::NoOrder => {
                let explanation = explain(key, &operations, steps_max);
                return Verdict::Violated(Box::new(explanation));
            }
            Found::OutOfSteps => inconclusive.push(key.to_owned()),
        }
    }
    if inconclusive.is_empty() {
        Verdict::Linearizable
    } else {
        Verdict::Inconclusive { keys: inconclusive }
    }
}

/// Looks for an order of one key's operations that agrees with the `believed` answers, as
/// [`Puzzle::of`] has it.
fn judge(
    operations: &[&Operation],
    believed: &[bool],
    from: Duration,
    steps_left: &mut u64,
) -> Found {
    let puzzle = Puzzle::of(operations, believed, from);
    puzzle.map_or(Found::NoOrder, |puzzle| search(&puzzle, steps_left))
}

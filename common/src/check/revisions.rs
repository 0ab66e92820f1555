//! Revisions ordered: the revision of a write is its place in the one order of all writes, so
//! revisions never contradict each other, the values, or real time, over all keys.
//!
//! Source: the data model of etcd, where each modification of the store has a revision of its own;
//! linearizability of the store as a whole. Cheaper than [`super::linearizability`], and sees what
//! that can't: a wrong order of two keys. It says little of operations that saw nothing, as these
//! have no revision; so it does not replace the other one.
//!
//! 1. No two writes share a revision; a put has one, whoever tells it; a get shows the put whose
//!    revision it tells. A put without an answer gets its revision from those who saw it.
//! 2. In the order of revisions, a delete that removed finds something to remove.
//! 3. A write that began after an answer had come is above that answer's revision, of any key.
//! 4. A get that began after an answer of the same key had come is not below it.
//!
//! # Not done
//!
//! - Transactions, whose writes share a revision.
//! - Broadcast mode, where two nodes may give out the same revision.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::Violation;
use crate::check::table::table;
use crate::history::{History, Observed, Operation, Outcome};

/// Judges a history whose answers carry revisions.
///
/// # Errors
///
/// The first contradiction found.
pub fn check(history: &History) -> Result<(), Violation> {
    let judge = || {
        let order = Order::of(history)?;
        order.replay()?;
        order.compare_with_real_time()
    };
    judge().map_err(|what| Violation { property: "revisions ordered", what })
}

/// An operation at its revision: that of the write it is, or of the put it saw.
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    revision: u64,
    operation: &'a Operation,
}

/// A put that may have taken effect. Its revision is none until somebody tells it.
#[derive(Debug, Clone, Copy)]
struct Put<'a> {
    revision: Option<u64>,
    operation: &'a Operation,
}

/// What is known of the order.
#[derive(Debug, Default)]
struct Order<'a> {
    writes: BTreeMap<u64, &'a Operation>,
    gets: Vec<Placed<'a>>,
    /// By key and value.
    puts: BTreeMap<(&'a str, &'a str), Put<'a>>,
}

impl<'a> Order<'a> {
    fn of(history: &'a History) -> Result<Self, String> {
        let mut order = Self::default();
        for operation in history.operations() {
            order.take(operation)?;
        }
        for get in order.gets.clone() {
            order.meet(get)?;
        }
        Ok(order)
    }

    /// Puts an operation where its own answer says.
    fn take(&mut self, operation: &'a Operation) -> Result<(), String> {
        let answer = operation.answer();
        let revision = answer.and_then(|answer| answer.revision);
        if let Some(value) = operation.action.value()
            && operation.outcome != Outcome::Failed
        {
            self.puts.insert((&operation.key, value), Put { revision, operation });
        }
        let (Some(answer), Some(revision)) = (answer, revision) else {
            return Ok(());
        };
        match &answer.observed {
            Observed::Stored | Observed::Deleted { existed: true } => {
                if let Some(other) = self.writes.insert(revision, operation) {
                    return Err(told("two writes share a revision", &[other, operation]));
                }
            }
            Observed::Got(Some(_)) => self.gets.push(Placed { revision, operation }),
            Observed::Got(None) | Observed::Deleted { existed: false } => {}
        }
        Ok(())
    }

    /// Looks for the put that a get saw, and puts it where the get says if it has no place.
    fn meet(&mut self, get: Placed<'a>) -> Result<(), String> {
        let Some(value) = get.operation.value_seen() else {
            return Ok(());
        };
        let Some(put) = self.puts.get_mut(&(get.operation.key.as_str(), value)) else {
            return Err(told("a get shows what no put can have stored", &[get.operation]));
        };
        let revision = *put.revision.get_or_insert(get.revision);
        if revision != get.revision {
            let what = format!("a put is at revision {revision} and at {}", get.revision);
            return Err(told(&what, &[put.operation, get.operation]));
        }
        let write = *self.writes.entry(revision).or_insert(put.operation);
        if !std::ptr::eq(write, put.operation) {
            let rows = [write, put.operation, get.operation];
            return Err(told("a get shows the revision of another write", &rows));
        }
        Ok(())
    }

    /// Deletes that removed something must have had something to remove. What a put without a
    /// place has stored may have been it.
    fn replay(&self) -> Result<(), String> {
        let unplaced = self.puts.values().filter(|put| put.revision.is_none());
        let unplaced: BTreeSet<&str> = unplaced.map(|put| put.operation.key.as_str()).collect();
        let mut latest: BTreeMap<&str, &Operation> = BTreeMap::new();
        for write in self.writes.values() {
            let before = latest.insert(&write.key, write);
            let is_put = |operation: &Operation| operation.action.value().is_some();
            let is_fine = is_put(write) || before.is_some_and(is_put);
            if !is_fine && !unplaced.contains(write.key.as_str()) {
                let rows: Vec<_> = before.into_iter().chain([*write]).collect();
                return Err(told("a delete removed what was not there", &rows));
            }
        }
        Ok(())
    }

    fn compare_with_real_time(&self) -> Result<(), String> {
        let writes = self.writes.iter();
        let writes = writes.map(|(revision, operation)| Placed { revision: *revision, operation });
        let writes: Vec<_> = writes.collect();
        let all = [writes.as_slice(), &self.gets].concat();
        if let Some((one, other)) = overtaken(all.clone(), writes, |one, other| one < other) {
            return Err(told("a write is not above what had been answered", &[one, other]));
        }
        let keys: BTreeSet<&str> = self.gets.iter().map(|get| get.operation.key.as_str()).collect();
        for key in keys {
            let of_it = |placed: &&Placed<'_>| placed.operation.key == key;
            let all = all.iter().filter(of_it).copied().collect();
            let gets = self.gets.iter().filter(of_it).copied().collect();
            if let Some((one, other)) = overtaken(all, gets, |one, other| one <= other) {
                return Err(told("a get is below what had been answered", &[one, other]));
            }
        }
        Ok(())
    }
}

/// One of `earlier` and one of `later` that began after the other had returned, whose revisions
/// are not in order.
fn overtaken<'a>(
    mut earlier: Vec<Placed<'a>>,
    mut later: Vec<Placed<'a>>,
    is_in_order: impl Fn(u64, u64) -> bool,
) -> Option<(&'a Operation, &'a Operation)> {
    earlier.sort_by_key(|placed| placed.operation.returned());
    later.sort_by_key(|placed| placed.operation.invoked);
    let mut earlier = earlier.into_iter().peekable();
    let mut highest: Option<Placed<'a>> = None;
    for one in later {
        let has_returned =
            |placed: &Placed<'_>| placed.operation.returned() < one.operation.invoked;
        while let Some(before) = earlier.next_if(has_returned) {
            if highest.is_none_or(|highest| highest.revision < before.revision) {
                highest = Some(before);
            }
        }
        if let Some(highest) = highest
            && !is_in_order(highest.revision, one.revision)
        {
            return Some((highest.operation, one.operation));
        }
    }
    None
}

fn told(what: &str, operations: &[&Operation]) -> String {
    let rows = operations.iter().map(|operation| (*operation, false)).collect();
    format!("{what}\n{}", table(rows))
}

#[cfg(test)]
mod tests {
    use crate::check::sample::{delete, get, history, put, unknown_put};

    use super::*;

    fn assert_refused(history: &History, what: &str) {
        let violation = check(history).expect_err("it is no order");
        assert!(violation.what.starts_with(what), "{violation}");
    }

    /// All that may happen: reads in between, a removal, a put that only a get tells of.
    #[test]
    fn an_order_is_accepted() {
        let history = history([
            put("a", 0, 10).at(1),
            put("b", 5, 30).at(3),
            put("x", 12, 20).of("other").at(2),
            get("b", 20, 30).at(3),
            delete(true, 40, 50).at(4),
            unknown_put("c", 40),
            get("c", 60, 70).at(5),
            get(None, 40, 80),
            delete(false, 40, 80),
        ]);
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn two_writes_never_share_a_revision() {
        let history = history([put("a", 0, 10).at(1), put("b", 0, 10).of("other").at(1)]);
        assert_refused(&history, "two writes share a revision");
    }

    #[test]
    fn a_get_shows_a_value_with_the_revision_of_its_put() {
        let double = history([put("a", 0, 10).at(1), get("a", 20, 30).at(2)]);
        assert_refused(&double, "a put is at revision 1 and at 2");
        let unknown = [unknown_put("a", 0), get("a", 20, 30).at(1), get("a", 40, 50).at(2)];
        assert_refused(&history(unknown), "a put is at revision 1 and at 2");
        let other = [put("a", 0, 10).at(1), unknown_put("b", 0), get("b", 20, 30).at(1)];
        assert_refused(&history(other), "a get shows the revision of another write");
        assert_refused(&history([get("a", 0, 10).at(1)]), "a get shows what no put can have");
    }

    #[test]
    fn a_delete_finds_what_it_removes() {
        let twice = [put("a", 0, 10).at(1), delete(true, 0, 20).at(2), delete(true, 0, 20).at(3)];
        assert_refused(&history(twice.clone()), "a delete removed what was not there");
        let [put, first, second] = twice;
        assert_eq!(check(&history([put, unknown_put("b", 0), first, second])), Ok(()));
    }

    /// What no check of single keys sees.
    #[test]
    fn writes_of_two_keys_are_in_the_order_of_real_time() {
        let history = history([put("a", 0, 10).at(2), put("b", 20, 30).of("other").at(1)]);
        assert_refused(&history, "a write is not above what had been answered");
    }

    #[test]
    fn a_get_does_not_show_a_write_that_begins_later() {
        let history = history([get("a", 0, 10).at(1), put("a", 20, 30).at(1)]);
        assert_refused(&history, "a write is not above what had been answered");
    }

    /// A stale read, of a write and of a removal, and a step back from get to get.
    #[test]
    fn a_get_is_not_below_what_was_answered() {
        let what = "a get is below what had been answered";
        let ab = [put("a", 0, 10).at(1), put("b", 5, 10).at(2)];
        let [a, b] = ab.clone();
        assert_refused(&history([a, b, get("a", 20, 30).at(1)]), what);
        let [a, b] = ab;
        assert_refused(&history([a, b, get("b", 5, 6).at(2), get("a", 7, 8).at(1)]), what);
        let removed = [put("a", 0, 10).at(1), delete(true, 0, 10).at(2), get("a", 20, 30).at(1)];
        assert_refused(&history(removed), what);
    }
}

//! Random histories: of a register that is atomic, of one that is made to look stale, and of none
//! at all, compared with a search that tries every order.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::check::sample::history;
use crate::history::{Action, Answer, Observed, Outcome};

use super::*;

/// How an operation is drawn: its key, what it asks for, when it takes effect after the one
/// before, how long before that it begins and after that ends, and whether it is heard of.
type Draw = (usize, u8, u64, u64, u64, u8);

fn draw(keys: usize, span: u64) -> impl Strategy<Value = Draw> {
    (0..keys, 0..10_u8, 1..10_u64, 0..span, 0..span, 0..20_u8)
}

/// What clients of an atomic register see: each operation takes effect at one moment, in order.
fn of_register(draws: &[Draw]) -> Vec<Operation> {
    let mut keys = vec![None; 10];
    // Time begins late enough for the first to begin before it takes effect.
    let mut now = 1_000;
    let mut operations = Vec::new();
    for (number, &(key, kind, gap, before, after, fate)) in draws.iter().enumerate() {
        now += gap;
        let (action, observed, left) = match kind {
            0..4 => {
                let value = format!("v{number}");
                (Action::Put(value.clone()), Observed::Stored, Some(value))
            }
            4..7 => (Action::Get, Observed::Got(keys[key].clone()), keys[key].clone()),
            7 if keys[key].is_some() => {
                let (from, to) = (keys[key].clone().unwrap_or_default(), format!("v{number}"));
                (Action::Swap { from, to: to.clone() }, Observed::Stored, Some(to))
            }
            _ => (Action::Delete, Observed::Deleted { existed: keys[key].is_some() }, None),
        };
        // Of one operation in ten nothing is heard, and half of these take no effect either.
        let outcome = if fate < 18 {
            let returned = Duration::from_millis(now + after);
            Outcome::Known(Answer { returned, observed, revision: None })
        } else {
            Outcome::Unknown
        };
        if fate < 19 {
            keys[key] = left;
        }
        let invoked = Duration::from_millis(now - before);
        operations.push(Operation { client: 0, key: format!("k{key}"), action, invoked, outcome });
    }
    operations
}

/// Makes one get show a value whose successor had returned before the get began.
fn make_stale(operations: &mut [Operation]) -> bool {
    let returned = |operation: &Operation| operation.answer().map(|answer| answer.returned);
    let is_put = |operation: &&Operation| matches!(operation.action, Action::Put(_));
    for place in (0..operations.len()).rev() {
        let get = &operations[place];
        let begins_after = |one: &Operation, other: &Operation| {
            returned(other).is_some_and(|returned| returned < one.invoked)
        };
        let puts = || operations.iter().filter(is_put).filter(|put| put.key == get.key);
        let is_overwritten = |put: &&Operation| {
            puts().any(|next| begins_after(next, put) && begins_after(get, next))
        };
        if get.action != Action::Get || get.answer().is_none() {
            continue;
        }
        if let Some(Operation { action: Action::Put(value), .. }) = puts().find(is_overwritten) {
            let value = value.clone();
            if let Outcome::Known(answer) = &mut operations[place].outcome {
                answer.observed = Observed::Got(Some(value));
            }
            return true;
        }
    }
    false
}

/// Whether there is an order, as Herlihy and Wing define it: every one is tried.
fn has_order(left: &[&Operation], value: Option<&str>) -> bool {
    if left.iter().all(|operation| operation.answer().is_none()) {
        return true;
    }
    let due = left.iter().map(|operation| operation.returned()).min().expect("some are left");
    left.iter().enumerate().filter(|(_, next)| next.invoked <= due).any(|(place, next)| {
        let rest = [&left[..place], &left[place + 1..]].concat();
        let observed = next.answer().map(|answer| &answer.observed);
        let (fits, after) = match &next.action {
            Action::Put(value) => (true, Some(value.as_str())),
            Action::Get => {
                let seen = Observed::Got(value.map(str::to_owned));
                (observed.is_none_or(|observed| *observed == seen), value)
            }
            Action::Delete => {
                let seen = Observed::Deleted { existed: value.is_some() };
                (observed.is_none_or(|observed| *observed == seen), None)
            }
            Action::Swap { from, to } if value == Some(from.as_str()) => (true, Some(to.as_str())),
            Action::Swap { .. } => (observed.is_none(), value),
        };
        fits && has_order(&rest, after)
    })
}

/// Operations of one key with answers out of thin air. Values are of the first puts.
fn anything() -> impl Strategy<Value = Vec<Operation>> {
    let one = (0..10_u8, 0..4_usize, 0..12_u64, 0..6_u64, 0..4_u8);
    prop::collection::vec(one, 1..8).prop_map(|draws| {
        let operation = |(number, (kind, seen, from, length, fate))| {
            let existed = seen % 2 == 0;
            let (action, observed) = match kind {
                0..3 => (Action::Put(format!("v{number}")), Observed::Stored),
                3 => (Action::Get, Observed::Got(None)),
                4..6 => (Action::Get, Observed::Got(Some(format!("v{seen}")))),
                6..8 => (Action::Delete, Observed::Deleted { existed }),
                _ => {
                    let (from, to) = (format!("v{seen}"), format!("v{number}"));
                    (Action::Swap { from, to }, Observed::Stored)
                }
            };
            let invoked = Duration::from_millis(from);
            let returned = Duration::from_millis(from + length);
            let outcome = if fate == 0 {
                Outcome::Unknown
            } else {
                Outcome::Known(Answer { returned, observed, revision: None })
            };
            Operation { client: number, key: "k".to_owned(), action, invoked, outcome }
        };
        draws.into_iter().enumerate().map(operation).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Nothing that an atomic register does is ever refused, whatever is concurrent or unknown.
    #[test]
    fn an_atomic_register_is_accepted(draws in prop::collection::vec(draw(3, 200), 0..300)) {
        let history = history(of_register(&draws));
        prop_assert_eq!(check(&history, STEPS_MAX), Verdict::Linearizable);
    }

    /// One stale read among all that is right is found.
    #[test]
    fn a_stale_read_is_refused(draws in prop::collection::vec(draw(2, 60), 100..300)) {
        let mut operations = of_register(&draws);
        prop_assume!(make_stale(&mut operations));
        let verdict = check(&history(operations), STEPS_MAX);
        prop_assert!(matches!(verdict, Verdict::Violated(_)), "{:?}", verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What the puzzle and the search leave out makes no difference.
    #[test]
    fn the_search_finds_what_trying_everything_finds(operations in anything()) {
        let all: Vec<&Operation> = operations.iter().collect();
        let is_linearizable = has_order(&all, None);
        let verdict = check(&history(operations.clone()), STEPS_MAX);
        prop_assert_eq!(verdict == Verdict::Linearizable, is_linearizable, "{:?}", verdict);
    }
}

/// Ten thousand operations on ten keys, fifty of them at a time.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about time")]
fn ten_thousand_operations_are_judged_in_time() {
    let strategy = prop::collection::vec(draw(10, 250), 10_000);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let draws = strategy.new_tree(&mut runner).expect("a plain strategy").current();
    let mut operations = of_register(&draws);
    let accepted = history(operations.iter().cloned());
    assert!(make_stale(&mut operations));
    let refused = history(operations);
    let began = Instant::now();
    assert_eq!(check(&accepted, STEPS_MAX), Verdict::Linearizable);
    let took = began.elapsed();
    assert!(matches!(check(&refused, STEPS_MAX), Verdict::Violated(_)));
    let bound = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
    assert!(took < bound && began.elapsed() < 2 * bound, "{took:?}, {:?}", began.elapsed());
}

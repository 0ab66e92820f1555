use crate::check::sample::{
    delete, failed_put, get, history, put, swap, unknown_delete, unknown_put, unknown_swap,
};

use super::*;

fn assert_accepted(operations: impl IntoIterator<Item = Operation>) {
    assert_eq!(check(&history(operations), STEPS_MAX), Verdict::Linearizable);
}

/// What is told of a history that must be refused.
fn refused(operations: impl IntoIterator<Item = Operation>) -> String {
    match check(&history(operations), STEPS_MAX) {
        Verdict::Violated(explanation) => explanation.to_string(),
        verdict @ (Verdict::Linearizable | Verdict::Inconclusive { .. }) => panic!("{verdict:?}"),
    }
}

#[test]
fn one_after_the_other_is_accepted() {
    assert_accepted([
        get(None, 0, 1),
        put("a", 2, 3),
        get("a", 4, 5),
        delete(true, 6, 7),
        delete(false, 8, 9),
        get(None, 10, 11),
    ]);
}

/// Two puts, and two gets that see them in an order that the puts' times leave open.
#[test]
fn concurrent_operations_may_have_any_order() {
    assert_accepted([put("a", 0, 50), put("b", 0, 50), get("b", 10, 20), get("a", 30, 60)]);
    assert_accepted([put("a", 0, 50), put("b", 0, 50), get("a", 10, 20), get("b", 30, 60)]);
    assert_accepted([put("a", 0, 50), get("a", 0, 10), get(None, 0, 20), delete(true, 0, 90)]);
}

#[test]
fn what_touches_in_time_is_concurrent() {
    assert_accepted([put("a", 0, 10), get(None, 10, 20)]);
}

#[test]
fn stale_read_is_refused() {
    refused([put("a", 0, 10), put("b", 20, 30), get("a", 40, 50)]);
    refused([put("a", 0, 10), get(None, 20, 30)]);
    refused([put("a", 0, 10), delete(true, 20, 30), get("a", 40, 50)]);
}

/// A value that was seen is not seen again after its successor.
#[test]
fn reads_do_not_go_back() {
    refused([put("a", 0, 10), put("b", 20, 90), get("b", 30, 40), get("a", 50, 60)]);
    refused([put("a", 0, 90), get("a", 10, 20), get(None, 30, 40)]);
}

#[test]
fn lost_write_is_refused() {
    refused([put("a", 0, 10), get(None, 20, 30), get("a", 40, 50)]);
    refused([put("a", 0, 10), delete(false, 20, 30)]);
}

#[test]
fn value_from_the_future_is_refused() {
    refused([get("a", 0, 10), put("a", 20, 30)]);
    refused([get("a", 0, 10), unknown_put("a", 20)]);
}

#[test]
fn value_of_nowhere_is_refused() {
    let told = refused([put("a", 0, 10), get("b", 20, 30)]);
    assert!(told.contains("No put that may have taken effect has b."), "{told}");
    let told = refused([failed_put("a", 0), get("a", 20, 30)]);
    assert!(told.contains("No put that may have taken effect has a."), "{told}");
}

#[test]
fn unknown_put_may_be_read_later() {
    assert_accepted([put("a", 0, 10), unknown_put("b", 5), get("a", 20, 30), get("b", 40, 50)]);
}

/// It took effect once, so it is overwritten once.
#[test]
fn unknown_put_does_not_come_twice() {
    let others = [put("a", 20, 30), get("b", 11, 12), get("a", 40, 50), get("b", 60, 70)];
    refused([unknown_put("b", 5)].into_iter().chain(others));
}

#[test]
fn unknown_put_may_never_be_seen() {
    assert_accepted([put("a", 0, 10), unknown_put("b", 5), get("a", 20, 30), get("a", 40, 50)]);
}

/// Nobody reads it, but a delete shows that it was there: once for each put.
#[test]
fn unknown_put_may_be_what_a_delete_removed() {
    assert_accepted([unknown_put("a", 0), delete(true, 10, 20)]);
    assert_accepted([unknown_put("a", 0), get(None, 5, 6), delete(true, 10, 20)]);
    refused([unknown_put("a", 0), delete(true, 10, 20), delete(true, 30, 40)]);
    refused([delete(true, 10, 20), unknown_put("a", 30)]);
}

#[test]
fn unknown_delete_may_explain_nothing_once() {
    assert_accepted([put("a", 0, 10), unknown_delete(5), get("a", 20, 30), get(None, 40, 50)]);
    assert_accepted([put("a", 0, 10), unknown_delete(5), delete(false, 40, 50)]);
    let again = [put("b", 40, 50), get(None, 60, 70)];
    refused([put("a", 0, 10), unknown_delete(5), get(None, 20, 30)].into_iter().chain(again));
}

#[test]
fn a_delete_that_is_applied_twice_is_refused() {
    refused([put("a", 0, 10), delete(true, 20, 90), delete(true, 20, 90)]);
}

/// The put is applied again after its successor, as a retry would that nobody recognises.
#[test]
fn a_put_that_is_applied_twice_is_refused() {
    let puts = [put("a", 0, 10), put("b", 20, 30)];
    refused(puts.into_iter().chain([get("b", 40, 50), get("a", 60, 70)]));
}

#[test]
fn keys_are_judged_each_alone() {
    assert_accepted([put("a", 0, 10), get(None, 20, 30).of("other")]);
    refused([put("a", 0, 10), get(None, 20, 30).of("other"), get("a", 20, 30).of("other")]);
}

/// Fifty at a time of every kind, and as many that nobody knows of, with an error at the end.
#[test]
fn a_hot_key_is_judged_in_few_steps() {
    let mut operations = Vec::new();
    for round in 0..20 {
        let (from, to) = (100 * round, 100 * round + 90);
        for number in 0..25 {
            let name = |kind: &str| format!("{kind}{round}.{number}");
            operations.push(put(&name("put"), from, to));
            operations.push(delete(number % 2 == 0, from, to));
            operations.push(unknown_put(&name("unknown"), from));
            operations.push(unknown_delete(from));
        }
    }
    let is_within = |operations: &[Operation]| {
        check(&history(operations.iter().cloned()), 20_000) == Verdict::Linearizable
    };
    assert!(is_within(&operations));
    operations.push(put("last", 3_000, 3_010));
    operations.push(put("more", 3_020, 3_030));
    operations.push(get("last", 3_040, 3_050));
    let told = refused(operations);
    assert_eq!(told.matches('\n').count(), 6, "{told}");
}

/// Here no two operations exclude each other, so the search has to try all orders of the hot part
/// before it knows. The deletes that are told have nothing else to remove.
#[test]
fn a_hot_key_is_refused_in_bounded_steps() {
    let mut operations = Vec::new();
    for round in 0..5 {
        let (from, to) = (100 * round, 100 * round + 90);
        for number in 0..25 {
            operations.push(put(&format!("put{round}.{number}"), from, to));
            operations.push(delete(number % 2 == 0, from, to));
            operations.push(unknown_delete(from));
        }
    }
    operations.extend([put("last", 600, 610), delete(true, 620, 630), delete(true, 640, 650)]);
    let told = refused(operations);
    let (head, rows) = told.split_once("  result\n").expect("a table");
    assert!(head.starts_with("key k: the answer to client 377 at 650.000 ms fits"), "{told}");
    assert_eq!(
        rows,
        "\
*  376     k    delete     620.000  630.000  removed
*  377     k    delete     640.000  650.000  removed
"
    );
}

#[test]
fn a_search_without_steps_is_inconclusive() {
    let keys = vec!["k".to_owned()];
    let other = [put("a", 0, 5), get("a", 0, 10)].map(|operation| operation.of("other"));
    let history = history([put("a", 0, 10), put("b", 0, 10)].into_iter().chain(other));
    assert_eq!(check(&history, 1), Verdict::Inconclusive { keys });
}

/// The answers that contradict each other are marked, and what overlaps the last one is there.
#[test]
fn a_violation_shows_what_contradicts_what() {
    let told = refused([
        put("first", 0, 1),
        get("first", 2, 3),
        put("older", 4, 6),
        put("newer", 8, 9),
        unknown_put("nobody", 8),
        get("older", 10, 20),
        get("newer", 12, 14),
        delete(true, 21, 22),
    ]);
    assert_eq!(
        told,
        "\
key k: the answer to client 5 at 20.000 ms fits no order of the operations.
The answers marked * contradict each other; the other rows are context.
   client  key  operation  from ms  to ms   result
*  2       k    put older  4.000    6.000   stored
*  3       k    put newer  8.000    9.000   stored
*  5       k    get        10.000   20.000  older
   6       k    get        12.000   14.000  newer
"
    );
}

/// A swap sees what it takes away, and nothing comes between.
#[test]
fn a_swap_stands_behind_what_it_asked_for() {
    assert_accepted([put("a", 0, 10), swap("a", "b", 20, 30), get("b", 40, 50)]);
    assert_accepted([put("a", 0, 90), swap("a", "b", 0, 90), swap("b", "c", 0, 90)]);
    refused([swap("a", "b", 0, 10), put("a", 20, 30)]);
    refused([put("a", 0, 10), put("b", 20, 30), swap("a", "c", 40, 50)]);
    refused([put("a", 0, 10), delete(true, 20, 30), swap("a", "b", 40, 50)]);
    refused([put("a", 0, 10), swap("a", "b", 20, 30), get("a", 40, 50)]);
    refused([put("a", 0, 10), swap("a", "b", 0, 60), get("b", 20, 30), get("a", 40, 50)]);
}

/// Two that find the same value: a lost update.
#[test]
fn a_value_is_swapped_once() {
    refused([put("a", 0, 10), swap("a", "b", 20, 90), swap("a", "c", 20, 90)]);
    assert_accepted([put("a", 0, 10), swap("a", "b", 20, 90), unknown_swap("a", "c", 20)]);
    let seen = [get("b", 100, 110), get("c", 120, 130)];
    let swaps = [put("a", 0, 10), swap("a", "b", 20, 90), unknown_swap("a", "c", 20)];
    refused(swaps.into_iter().chain(seen));
}

/// A put without an answer that a swap has seen can't have stood before a delete as well.
#[test]
fn a_put_that_a_swap_has_seen_is_used_once() {
    refused([unknown_put("a", 0), delete(true, 0, 1), swap("a", "b", 10, 11)]);
    assert_accepted([unknown_put("a", 0), swap("a", "b", 10, 11), delete(true, 20, 30)]);
}

#[test]
fn unknown_swap_counts_once_its_value_is_seen() {
    assert_accepted([unknown_put("a", 0), unknown_swap("a", "b", 5), get("b", 20, 30)]);
    assert_accepted([put("a", 0, 10), unknown_swap("a", "b", 5), delete(true, 20, 30)]);
    refused([unknown_swap("a", "b", 5), get("b", 20, 30)]);
    refused([unknown_swap("a", "b", 5), unknown_swap("b", "a", 5), get("b", 20, 30)]);
    refused([unknown_put("a", 0), unknown_swap("a", "b", 5), get("b", 6, 7), get("a", 20, 30)]);
}

//! What comes in which order, and what becomes of concurrent writes.

use super::asking::*;
use super::*;

/// L18: "write a then b on node1, node2 must not show b without a", over three nodes, of which two
/// have a slow link.
#[test]
fn no_effect_is_seen_before_its_cause() {
    let mut cluster = Cluster::of(3);
    cluster.put(1, "a", "cause");
    let slow = cluster.take(1, 3);
    cluster.deliver(1, 2);
    cluster.put(2, "b", "effect");
    cluster.deliver(2, 3);
    cluster.put(3, "c", "of its own");
    assert_eq!((cluster.values(3, "a"), cluster.values(3, "b")), (vec![], vec![]));
    assert_eq!(cluster.node(3).status().waiting, 1, "the effect waits");
    slow.into_iter().for_each(|message| cluster.receive(1, 3, message));
    assert_eq!(
        (cluster.values(3, "a"), cluster.values(3, "b")),
        (vec!["cause".into()], vec!["effect".into()])
    );
    assert_eq!(cluster.node(3).status().waiting, 0);
}

/// L4: "reordering between retry and newer write resurrects the old value".
#[test]
fn a_retry_that_comes_late_does_not_bring_back_what_was_deleted() {
    let mut cluster = Cluster::of(2);
    cluster.put(1, "k", "old");
    let retry = cluster.take(1, 2);
    retry.iter().for_each(|message| cluster.receive(1, 2, message.clone()));
    cluster.settle();
    cluster.delete(1, "k");
    cluster.settle();
    cluster.live(2);
    retry.into_iter().for_each(|message| cluster.receive(1, 2, message));
    assert_eq!(cluster.values(2, "k"), Vec::<String>::new());
    cluster.assert_equal();
}

/// The newer of two is here first: it waits for the older, and wins.
#[test]
fn what_overtakes_waits() {
    let mut cluster = Cluster::of(2);
    cluster.put(1, "k", "old");
    let old = cluster.take(1, 2);
    // The link has no room for the next before it is told that the first is lost.
    cluster.live(4);
    cluster.delete(1, "k");
    let new = cluster.take(1, 2);
    for message in new.into_iter().chain(old) {
        cluster.receive(1, 2, message);
    }
    cluster.live(4);
    assert_eq!(cluster.values(2, "k"), Vec::<String>::new());
    cluster.assert_equal();
}

#[test]
fn what_was_put_beside_a_deletion_stays() {
    let mut cluster = Cluster::of(2);
    cluster.put(1, "k", "seen by both");
    cluster.live(1);
    cluster.delete(1, "k");
    cluster.put(2, "k", "new");
    cluster.live(4);
    assert_eq!(cluster.values(1, "k"), ["new"]);
    cluster.assert_equal();
}

/// L17: "conflict resolved on two nodes concurrently → resolves again, does not multiply".
#[test]
fn a_conflict_that_is_resolved_twice_is_one_conflict_of_two() {
    let mut cluster = Cluster::of(3);
    for node in 1..=3 {
        cluster.put(node, "k", &format!("by {node}"));
    }
    cluster.live(4);
    assert_eq!(cluster.values(1, "k").len(), 3);
    for node in [1, 2] {
        let resolve = Request::Resolve {
            key: of("k"),
            value: value(&format!("resolved by {node}")),
            context: None,
        };
        cluster.ask(node, resolve);
    }
    cluster.live(4);
    assert_eq!(cluster.values(3, "k"), ["resolved by 1", "resolved by 2"]);
    cluster.put(3, "k", "at last");
    cluster.live(4);
    assert_eq!(cluster.values(1, "k"), ["at last"]);
    cluster.assert_equal();
}

/// L9: the winner is the same on all nodes, in whichever order writes have come.
#[test]
fn the_winner_does_not_depend_on_the_order_of_arrival() {
    let mut cluster = Cluster::of(3);
    for node in 1..=3 {
        cluster.put(node, "l/k", &format!("by {node}"));
    }
    // At the same time, so that the writer decides.
    cluster.live(4);
    let shown = [1, 2, 3].map(|node| cluster.shown(node, "l/k").expect("it is there"));
    assert_eq!(shown, ["by 3", "by 3", "by 3"]);
}

/// L10: "`fault clock +1h` on one node then off: later write wins".
#[test]
fn a_clock_from_the_future_hides_nothing_that_is_written_later() {
    let mut cluster = Cluster::of(3);
    cluster.live(2);
    cluster.skews.insert(1, 3_600_000);
    cluster.live(2);
    cluster.put(1, "l/k", "an hour ahead");
    cluster.live(2);
    cluster.skews.clear();
    cluster.pass(Duration::from_secs(2));
    // Who knows nothing of the first writes beside it.
    let beside = Some(Context::default());
    cluster.ask(2, put("l/k", "later", Acks::default(), beside));
    cluster.live(2);
    assert_eq!(cluster.values(2, "l/k").len(), 2);
    for node in 1..=3 {
        assert_eq!(cluster.shown(node, "l/k").as_deref(), Some("later"), "at {node}");
    }
}

/// Whom the writer can't reach gets its writes from those who have them.
#[test]
fn the_writes_of_one_who_is_cut_off_are_relayed() {
    let mut cluster = Cluster::of(3);
    cluster.cut(1, 3);
    cluster.put(1, "k", "v");
    cluster.live(4);
    assert_eq!(cluster.values(3, "k"), ["v"]);
}

/// The same where nobody notices: the link of two lets nothing through, one way, as `fault drop`
/// does.
#[test]
fn what_gets_lost_on_one_link_comes_over_another() {
    let mut cluster = Cluster::of(3);
    cluster.put(1, "k", "v");
    for _ in 0..12 {
        cluster.pass(HEARTBEAT / 2);
        while !cluster.pool.is_empty() {
            cluster.lose(1, 3);
            if !cluster.pool.is_empty() {
                let (from, to, message) = cluster.pool.remove(0);
                cluster.receive(from, to, message);
            }
        }
    }
    assert_eq!(cluster.values(3, "k"), ["v"]);
}

/// L5: "restart gives clock > any clock seen", and the dots go on where they were.
#[test]
fn a_restart_gives_out_no_dot_twice() {
    let mut cluster = Cluster::of(2);
    cluster.put(1, "k", "one");
    cluster.live(1);
    cluster.put(2, "k", "two");
    cluster.live(1);
    let before = cluster.node(1).revision();
    cluster.restart(1);
    cluster.connect(1, 2);
    cluster.put(1, "k", "three");
    cluster.live(2);
    assert!(cluster.node(1).revision() > before);
    assert_eq!(cluster.values(2, "k"), ["three"]);
    assert_eq!(cluster.node(2).clock().get(NodeId(1)), 2);
    cluster.assert_equal();
}

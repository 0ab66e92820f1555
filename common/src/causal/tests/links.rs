//! What is sent arrives, once, whatever gets lost; and who is said to have it has it.

use super::asking::*;
use super::*;

/// L2: "retry not idempotent (counter +2)": every acknowledgement is lost once, and every message
/// comes twice.
#[test]
fn counters_are_exact_though_acknowledgements_are_lost_and_messages_come_twice() {
    let mut cluster = Cluster::of(2);
    for _ in 0..10 {
        cluster.ask(1, incr(Acks::default()));
        cluster.ask(2, incr(Acks::default()));
        for (from, to) in [(1, 2), (2, 1)] {
            for message in cluster.take(from, to) {
                cluster.receive(from, to, message.clone());
                cluster.receive(from, to, message);
            }
        }
        // What they say upon it is lost.
        cluster.pool.clear();
        cluster.pass(HEARTBEAT);
    }
    cluster.live(20);
    assert_eq!(cluster.shown(1, "n/k").as_deref(), Some("20"));
    cluster.assert_equal();
    assert_eq!(cluster.node(1).status().log_writes, 0, "nothing is owed to anybody");
}

/// A retry is known by its tag, even where the first answer was lost with the process.
#[test]
fn a_request_that_comes_twice_is_executed_once() {
    let mut cluster = Cluster::of(1);
    let first = cluster.ask_tagged(1, incr(Acks::default()), 1);
    cluster.restart(1);
    let second = cluster.ask_tagged(1, incr(Acks::default()), 1);
    let told = [first, second].map(|id| match cluster.reply(id) {
        Some(Ok(Reply::Count(count))) => (count.value, count.duplicate),
        other => panic!("it is no count: {other:?}"),
    });
    assert_eq!(told, [(1, false), (1, true)]);
}

#[test]
fn what_was_lost_is_sent_again_until_it_is_acknowledged() {
    let mut cluster = Cluster::of(2);
    let id = cluster.ask(1, put("k", "v", Acks::All, None));
    for _ in 0..20 {
        cluster.lose(1, 2);
        cluster.pass(HEARTBEAT);
    }
    assert_eq!((cluster.values(2, "k"), cluster.reply(id)), (vec![], None));
    cluster.live(20);
    assert_eq!(
        (cluster.values(2, "k"), cluster.acks_of(id)),
        (vec!["v".into()], vec!["n1".into(), "n2".into()])
    );
}

/// The end of a row is lost, and its beginning acknowledged: nothing new comes that would bring the
/// rest along.
#[test]
fn the_lost_end_of_a_row_is_sent_again_by_itself() {
    let mut cluster = Cluster::of(2);
    cluster.put(1, "a", "v");
    cluster.live(1);
    cluster.put(1, "b", "v");
    cluster.lose(1, 2);
    cluster.live(20);
    cluster.assert_equal();
}

/// L1: "'ack' sent before fsync". What a step has left leaves with its commit, not before.
#[test]
fn a_crash_between_append_and_acknowledgement_tells_nobody_of_the_write() {
    let mut cluster = Cluster::of(2);
    let id = cluster.ask(1, put("k", "v", Acks::All, None));
    let writes = cluster.take(1, 2);
    for message in writes {
        // It is applied in memory, and the process ends before its disk has it.
        drop(cluster.run(2, Input::Message { from: NodeId(1), message }));
    }
    cluster.restart(2);
    assert_eq!((cluster.values(2, "k"), cluster.reply(id)), (vec![], None));
    cluster.connect(1, 2);
    cluster.live(10);
    assert_eq!(cluster.acks_of(id), ["n1", "n2"]);
}

/// L16: "`acks` counts the same node twice or a removed node".
#[test]
fn acknowledgements_are_a_set_of_members() {
    let mut cluster = Cluster::of(3);
    cluster.isolate(3);
    let id = cluster.ask(1, put("k", "v", Acks::Nodes(3), None));
    cluster.deliver(1, 2);
    let acks = cluster.take(2, 1);
    for message in acks.iter().chain(&acks) {
        cluster.receive(2, 1, message.clone());
    }
    assert_eq!(cluster.reply(id), None, "one of them has said so twice");
    // Who has it is no member any more.
    let members = [(NodeId(1), name(1)), (NodeId(3), name(3))];
    let node = cluster.nodes.get_mut(&1).expect("it is there");
    node.set_members(members.iter().map(|(id, name)| (*id, name)));
    let id = cluster.ask(1, put("k", "w", Acks::Nodes(2), None));
    cluster.settle();
    assert_eq!(cluster.reply(id), None);
    cluster.connect(1, 3);
    cluster.live(10);
    assert_eq!(cluster.acks_of(id), ["n1", "n3"]);
}

/// Where the others have left, their acknowledgements are not waited for. Found by the simulator.
#[test]
fn who_has_left_is_not_waited_for() {
    let mut cluster = Cluster::of(2);
    cluster.isolate(2);
    let id = cluster.ask(1, put("k", "v", Acks::All, None));
    assert_eq!(cluster.reply(id), None);
    let node = cluster.nodes.get_mut(&1).expect("it is there");
    node.set_members([(NodeId(1), &name(1))].into_iter());
    cluster.pass(HEARTBEAT);
    assert_eq!(cluster.acks_of(id), ["n1"]);
}

/// What was acknowledged counts, though it comes in the same moment as the deadline. Found by the
/// simulator.
#[test]
fn an_acknowledgement_at_the_deadline_is_in_time() {
    let mut cluster = Cluster::of(2);
    let timeout = Some(Duration::from_millis(10));
    let call = Call { timeout, ..Call::new(put("k", "v", Acks::All, None)) };
    let id = cluster.call(1, call);
    cluster.deliver(1, 2);
    cluster.now = cluster.now + Duration::from_millis(10);
    let node = cluster.nodes.get_mut(&1).expect("it is there");
    let mut effects = Effects::default();
    let is_it = |(from, _, _): &mut (u64, u64, Message)| *from == 2;
    for (_, _, message) in cluster.pool.extract_if(.., is_it) {
        node.step(cluster.now, Input::Message { from: NodeId(2), message }, &mut effects);
    }
    node.step(cluster.now, Input::Tick, &mut effects);
    node.flush(cluster.now, &mut effects);
    let outbox = effects.commit(&mut Saved::default()).expect("in memory");
    cluster.answers.extend(outbox.answers);
    assert_eq!(cluster.acks_of(id), ["n1", "n2"]);
}

/// A member that takes nothing, and is connected, holds up no other.
#[test]
fn who_does_not_answer_holds_up_nobody_else() {
    let mut cluster = Cluster::of(3);
    for round in 0..40 {
        let id = cluster.ask(1, put("k", &format!("v{round}"), Acks::Nodes(2), None));
        cluster.settle_without(3);
        for _ in 0..4 {
            cluster.pass(HEARTBEAT / 4);
            cluster.settle_without(3);
        }
        assert_eq!(cluster.acks_of(id), ["n1", "n2"], "round {round}");
    }
}

/// L3: "retry queue in memory only". What is owed survives a restart of its writer.
#[test]
fn what_is_owed_is_sent_after_a_restart() {
    let mut cluster = Cluster::of(2);
    cluster.isolate(2);
    cluster.put(1, "k", "v");
    cluster.restart(1);
    cluster.connect(1, 2);
    cluster.live(4);
    assert_eq!(cluster.values(2, "k"), ["v"]);
}

/// Completeness, for one of whom was never heard since the start. Found by the simulator.
#[test]
fn who_was_never_heard_is_suspected() {
    let mut cluster = Cluster::of(2);
    cluster.restart(1);
    cluster.live(20);
    assert!(cluster.node(1).is_suspected(NodeId(2)));
    cluster.connect(1, 2);
    cluster.live(20);
    assert!(!cluster.node(1).is_suspected(NodeId(2)));
}

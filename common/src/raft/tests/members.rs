//! Membership: thesis §4.

use super::*;
use crate::control::request::MemberChange;

fn remove(cluster: &mut Cluster, at: u64, member: &str) -> RequestId {
    let change = MemberChange::Remove;
    let request = Request::Member { change, member: member.to_owned(), dry_run: false };
    cluster.ask(at, request, None)
}

/// "A server always uses the latest configuration in its log, regardless of whether the entry is
/// committed" (thesis §4.1; M1), and falls back when it is dropped.
#[test]
fn a_configuration_that_was_cut_counts_no_more() {
    let mut cluster = Cluster::led(4);
    remove(&mut cluster, 1, "n4");
    let voters = |cluster: &Cluster, node| cluster.node(node).configuration().voters().count();
    assert_eq!((voters(&cluster, 1), voters(&cluster, 2)), (3, 4));
    cluster.pool.clear();
    cluster.elect_among(2, &[2, 3, 4]);
    cluster.beat(2);
    assert_eq!(voters(&cluster, 1), 4, "the new leader's log has no such entry");
    assert_eq!(cluster.log(1), cluster.log(2));
}

/// One change at a time (M2), and none before the leader has committed an entry of its term
/// (Ongaro's erratum of 2015).
#[test]
fn a_second_change_waits_for_the_first() {
    let mut cluster = Cluster::led(5);
    remove(&mut cluster, 1, "n5");
    let second = remove(&mut cluster, 1, "n4");
    assert!(matches!(cluster.answer(second), Some(Answer::Reply(_, Err(_)))));
    cluster.settle();
    assert_eq!(cluster.node(1).configuration().voters().count(), 4);
    cluster.elect_silently(2);
    let early = remove(&mut cluster, 2, "n4");
    assert!(matches!(cluster.answer(early), Some(Answer::Reply(_, Err(_)))));
}

/// A removed node is told so, and disturbs nobody (R14).
#[test]
fn who_was_removed_is_told_and_ends() {
    let mut cluster = Cluster::led(3);
    let removed = remove(&mut cluster, 1, "n3");
    cluster.settle();
    let told = cluster.answer(removed);
    assert!(matches!(told, Some(Answer::Reply(_, Ok(Reply::MemberChanged(_))))), "{told:?}");
    assert!(cluster.tasks.iter().any(|(node, task)| *node == 3 && matches!(task, Task::Retire)));
    let deadline = cluster.node(3).deadline().expect("heartbeats go on");
    cluster.now = deadline + ELECTION * 3;
    cluster.step(3, Input::Tick);
    assert!(cluster.take(3, 1).is_empty() && cluster.take(3, 2).is_empty());
}

/// A node that was taken in by an entry that no leader has kept asks again (M9).
#[test]
fn a_forgotten_learner_asks_again() {
    let mut cluster = Cluster::led(3);
    cluster.disks.insert(4, Saved::default());
    cluster.start(4);
    for peer in 1..=3 {
        cluster.connect(4, peer);
        cluster.connect(peer, 4);
    }
    let is_asked = |task: &(u64, Task)| matches!(task, (1, Task::Verify(..)));
    cluster.settle();
    while !cluster.tasks.iter().any(is_asked) {
        cluster.tick(4);
        cluster.settle();
    }
    cluster.step(1, Input::Verified { node: NodeId(4), outcome: Ok(()) });
    cluster.settle_among(&[1, 4]);
    assert!(cluster.node(4).configuration().get(NodeId(4)).is_some());
    cluster.elect_among(2, &[2, 3]);
    cluster.beat(2);
    assert!(cluster.node(2).configuration().get(NodeId(4)).is_none());
    cluster.tasks.clear();
    let is_asked = |task: &(u64, Task)| matches!(task, (2, Task::Verify(..)));
    for _ in 0..40 {
        cluster.now = cluster.now + HEARTBEAT;
        cluster.tick(4);
        cluster.settle();
    }
    assert!(cluster.tasks.iter().any(is_asked), "it has not asked the new leader");
}

/// Whoever hears that it was removed ends for good. A leader that is then alone commits by its own
/// disk: nobody hears it before the disk has it (M5; the two voters of this cluster were lost).
#[test]
fn a_removal_is_durable_before_it_is_told() {
    let mut cluster = Cluster::led(2);
    let change = MemberChange::Remove;
    let request = Request::Member { change, member: "n2".to_owned(), dry_run: false };
    let id = RequestId { connection: 9, sequence: 1 };
    let raft = cluster.nodes.get_mut(&1).expect("it is up");
    let mut effects = Effects::default();
    raft.step(cluster.now, Input::Request { id, call: Call::new(request) }, &mut effects);
    raft.flush(cluster.now, &mut effects);
    let is_it = |message: &Message| *message == Message::Removed;
    assert!(!effects.take_early().messages.iter().any(|envelope| is_it(&envelope.message)));
    let outbox = effects.commit(&mut Saved::default()).expect("in memory");
    assert!(outbox.messages.iter().any(|envelope| is_it(&envelope.message)));
}

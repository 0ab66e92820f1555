//! Snapshots: §7.

use super::*;

/// A snapshot up to an entry, without keys.
fn snapshot(term: u64, index: u64) -> Snapshot {
    let last = EntryId { term: Term(term), index: Index(index) };
    Snapshot { last, configuration: voters_up_to(3), state: State::new(Mode::Raft) }
}

fn received(snapshot: Snapshot) -> Input<Message> {
    Input::SnapshotReceived(Box::new(snapshot))
}

/// "If existing log entry has same index and term as snapshot's last included entry, retain log
/// entries following it" (Figure 13), also where they came in the same commit.
#[test]
fn entries_behind_a_snapshot_stay() {
    let mut cluster = Cluster::of(3);
    let message = append(2, (1, 1), &[2, 2, 2, 2], 1);
    let inputs = vec![Input::Message { from: NodeId(1), message }, received(snapshot(2, 3))];
    cluster.step_all(2, inputs);
    assert_eq!((cluster.log(2), cluster.node(2).applied_index()), (vec![2, 2], 3));
}

/// "Otherwise discard the entire log" (Figure 13).
#[test]
fn a_log_that_a_snapshot_contradicts_goes() {
    let mut cluster = Cluster::with_logs(&[&[1], &[1, 2, 2, 2, 2], &[1]]);
    cluster.step(2, received(snapshot(3, 3)));
    assert_eq!((cluster.log(2), cluster.node(2).commit_index()), (vec![], 3));
    assert!(cluster.node(2).term() >= 3, "it is in the term of its last entry, or a later one");
}

/// A snapshot that is older than the state changes nothing (R18).
#[test]
fn an_old_snapshot_is_ignored() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "v", None);
    cluster.settle();
    cluster.beat(1);
    let before = (cluster.log(2), cluster.node(2).state_hash());
    cluster.step(2, received(snapshot(2, 2)));
    assert_eq!((cluster.log(2), cluster.node(2).state_hash()), before);
}

/// A read that waits for an index is answered by a snapshot that has it (R11).
#[test]
fn a_read_is_served_from_a_snapshot() {
    let mut cluster = Cluster::led(3);
    for _ in 0..3 {
        cluster.put(1, "v", None);
        cluster.settle_among(&[1, 3]);
    }
    let read = cluster.get(2);
    let asked = cluster.take(2, 1);
    asked.into_iter().for_each(|message| cluster.receive(2, 1, message));
    cluster.settle_among(&[1, 3]);
    let told = Message::Answer {
        ask: cluster.node(2).requests.asks_made,
        outcome: message::Answered::ReadAt(Index(5)),
    };
    cluster.receive(1, 2, told);
    assert_eq!(cluster.revision_read(read), None);
    let state = cluster.node(1).state().clone();
    cluster.step(2, received(Snapshot { state, ..snapshot(2, 5) }));
    assert_eq!(cluster.revision_read(read), Some(3));
}

/// A follower that lacks what the leader's log no longer has is sent a snapshot, once, and goes on
/// behind it (R19).
#[test]
fn who_is_too_far_behind_is_sent_a_snapshot() {
    let mut cluster = Cluster::led(3);
    for _ in 0..3 {
        cluster.put(1, "v", None);
        cluster.settle_among(&[1, 3]);
    }
    cluster.beat(1);
    cluster.restart(2);
    cluster.put(1, "w", None);
    cluster.settle_among(&[1, 3]);
    cluster.nodes.get_mut(&1).expect("it is up").config.snapshot_every = 1;
    cluster.put(1, "x", None);
    cluster.settle_among(&[1, 3]);
    let is_it = |(node, task): &(u64, Task)| *node == 1 && matches!(task, Task::WriteSnapshot(_));
    let written = cluster.tasks.iter().rposition(is_it).expect("one is taken");
    let (_, Task::WriteSnapshot(snapshot)) = cluster.tasks.remove(written) else { unreachable!() };
    let index = snapshot.last.index;
    cluster.step(1, Input::SnapshotWritten(index.0));
    cluster.beat(1);
    cluster.beat(1);
    let is_sent = |(_, task): &&(u64, Task)| matches!(task, Task::SendSnapshot(NodeId(2)));
    assert_eq!(cluster.tasks.iter().filter(is_sent).count(), 1);
    cluster.step(2, Input::SnapshotReceived(snapshot));
    cluster.step(1, Input::SnapshotSent { to: NodeId(2), index: Some(index.0) });
    cluster.beat(1);
    assert_eq!(cluster.node(2).state_hash(), cluster.node(1).state_hash());
    assert_eq!(cluster.node(2).log().last(), cluster.node(1).log().last());
}

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

/// The last of what a node has saved of its log, as the first entry's predecessor and how many.
fn last_saved(cluster: &Cluster, node: u64) -> Option<(u64, usize)> {
    let tail = cluster.disks[&node].0.iter().rev().find_map(|record| record.tail.as_ref());
    tail.map(|tail| (tail.prev.index.0, tail.entries.len()))
}

/// D7: a node that is cut off goes on in causal mode, and does not keep all of its log on the disk
/// for the sake of some entries that nobody commits.
#[test]
fn d7_what_is_not_committed_is_saved_anew_behind_what_causal_mode_has_saved() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "v", None);
    let (committed, last) = (cluster.node(1).commit_index(), cluster.node(1).log().last());
    let records = cluster.disks[&1].0.len();
    cluster.step(1, Input::CausalWritten(10));
    assert_eq!(cluster.disks[&1].0.len(), records, "it may go by itself yet");
    cluster.step(1, Input::CausalWritten(20));
    assert_eq!(last_saved(&cluster, 1), Some((0, 3)));
    assert!(committed < last.index.0 && cluster.node(1).commit_index() == committed);
    cluster.restart(1);
    assert_eq!(cluster.node(1).log().last(), last);
}

/// D7: the same in one commit with a snapshot that takes what was behind the one before.
#[test]
fn d7_what_is_saved_anew_is_behind_the_newest_snapshot() {
    let mut cluster = Cluster::of(1);
    cluster.put(1, "v", None);
    let applied = cluster.node(1).applied_index();
    cluster.put(1, "w", None);
    let records = cluster.disks[&1].0.len();
    let passed = [Input::CausalWritten(10), Input::CausalWritten(20)];
    let inputs = [Input::SnapshotWritten(applied)].into_iter().chain(passed);
    cluster.step_all(1, inputs.collect());
    assert_eq!(cluster.disks[&1].0.len(), records + 1);
    assert_eq!(last_saved(&cluster, 1), Some((applied, 1)));
}

/// D7: what is much is rather put into a snapshot, before one is due.
#[test]
fn d7_a_long_log_that_causal_mode_passes_is_put_into_a_snapshot() {
    let mut cluster = Cluster::of(1);
    let value = "v".repeat(400_000);
    for _ in 0..3 {
        cluster.put(1, &value, None);
    }
    let is_it = |(_, task): &(u64, Task)| matches!(task, Task::WriteSnapshot(_));
    for position in [10, 20] {
        assert!(!cluster.tasks.iter().any(is_it), "none is due");
        cluster.step(1, Input::CausalWritten(position));
    }
    assert!(cluster.tasks.iter().any(is_it));
}

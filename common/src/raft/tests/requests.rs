//! What clients ask of nodes that lead, follow, and lose their leader: §8.

use super::*;
use crate::control::failure::{Applied, ErrorCode};

fn revision_put(cluster: &Cluster, id: RequestId) -> (u64, bool) {
    match cluster.answer(id) {
        Some(Answer::Reply(_, Ok(Reply::Put(put)))) => (put.revision, put.duplicate),
        other => panic!("{other:?}"),
    }
}

/// "If it receives a command whose serial number has already been executed, it responds
/// immediately without re-executing the request" (§8), through whichever leader it comes (R12).
#[test]
fn a_retry_through_another_leader_is_answered_as_a_duplicate() {
    let mut cluster = Cluster::led(3);
    let first = cluster.put(1, "v", Some(1));
    cluster.settle();
    assert_eq!(revision_put(&cluster, first), (1, false));
    cluster.elect(2);
    let again = cluster.put(3, "v", Some(1));
    cluster.settle();
    cluster.beat(2);
    assert_eq!(revision_put(&cluster, again), (1, true));
    assert_eq!(cluster.node(2).state().revision, 1);
}

/// A leader that is deposed does not know what becomes of what it has proposed, and finds out
/// (R12): what another leader commits in its place was never executed, and is tried again.
#[test]
fn a_proposal_that_was_cut_is_proposed_again() {
    let mut cluster = Cluster::led(3);
    let lost = cluster.put(1, "v", None);
    cluster.pool.clear();
    cluster.elect_among(2, &[2, 3]);
    cluster.beat(2);
    cluster.beat(2);
    cluster.now = cluster.now + HEARTBEAT;
    cluster.tick(1);
    cluster.settle();
    assert_eq!(revision_put(&cluster, lost), (1, false));
    cluster.beat(2);
    assert_eq!(cluster.node(3).state().revision, 1);
}

/// A message that the network repeats is no second request (R26).
#[test]
fn a_question_that_comes_twice_is_executed_once() {
    let mut cluster = Cluster::led(3);
    let put = cluster.put(2, "v", None);
    let asked = cluster.take(2, 1);
    for message in asked.iter().chain(&asked) {
        cluster.receive(2, 1, message.clone());
    }
    cluster.settle();
    assert_eq!(revision_put(&cluster, put), (1, false));
    assert_eq!(cluster.node(1).state().revision, 1);
}

/// An answer to the process before is none to a question of this one, though the leader has the
/// node for the same (R26, P13).
#[test]
fn an_answer_to_the_process_before_is_nobodys() {
    let mut cluster = Cluster::led(3);
    cluster.put(2, "of the process before", None);
    let asked = cluster.take(2, 1);
    asked.into_iter().for_each(|message| cluster.receive(2, 1, message));
    let appends = cluster.take(1, 3);
    cluster.restart(2);
    cluster.beat(1);
    let other = cluster.put(2, "of this one", None);
    cluster.pool.clear();
    appends.into_iter().for_each(|message| cluster.receive(1, 3, message));
    cluster.settle();
    assert!(cluster.answer(other).is_none(), "{:?}", cluster.answer(other));
}

/// A write that may have been proposed, and of which nothing was heard, has an outcome that is
/// unknown; it must not be called a failure (Q2, R12).
#[test]
fn what_is_late_and_was_proposed_is_unknown() {
    let mut cluster = Cluster::led(3);
    let put = cluster.put(1, "v", None);
    cluster.pool.clear();
    cluster.now = cluster.now + Duration::from_secs(6);
    cluster.tick(1);
    let Some(Answer::Reply(_, Err(failure))) = cluster.answer(put) else {
        panic!("{:?}", cluster.answer(put));
    };
    assert_eq!((failure.code, failure.applied), (ErrorCode::Timeout, Some(Applied::Unknown)));
}

/// A refusal is of one try. Where one before it may have been executed, the client must not hear
/// that nothing was (R12).
#[test]
fn a_refused_retry_does_not_tell_of_the_first_try() {
    let mut cluster = Cluster::led(3);
    let put = cluster.put(3, "v", Some(1));
    let asked = cluster.take(3, 1);
    asked.into_iter().for_each(|message| cluster.receive(3, 1, message));
    cluster.pool.clear();
    cluster.elect_silently(2);
    cluster.step(2, Input::DiskFull(true));
    cluster.settle_among(&[2, 3]);
    let Some(Answer::Reply(_, Err(failure))) = cluster.answer(put) else {
        panic!("{:?}", cluster.answer(put));
    };
    assert_eq!((failure.code, failure.applied), (ErrorCode::Quota, Some(Applied::Unknown)));
}

/// A follower tells what became of a write as soon as the leader has told it, and may not have
/// applied it yet: a client that goes by the header must not lose sight of its own write.
#[test]
fn the_header_of_a_write_is_not_behind_the_write() {
    let mut cluster = Cluster::led(3);
    let put = cluster.put(2, "v", None);
    cluster.settle();
    let Some(Answer::Reply(header, Ok(_))) = cluster.answer(put) else { panic!("no answer") };
    assert_eq!(header.revision, Some(1));
}

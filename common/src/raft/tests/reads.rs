//! Linearizable reads: thesis §6.4.

use super::*;
use crate::control::failure::ErrorCode;

/// "Once a leader has been elected, it must commit a no-op entry" before it may tell what is
/// committed (thesis §6.4 step 1; R3).
#[test]
fn nothing_is_read_before_the_first_entry_of_the_term() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "v", None);
    cluster.settle();
    cluster.elect_silently(2);
    let lost = std::mem::take(&mut cluster.pool);
    let read = cluster.get(2);
    let term = cluster.node(2).term();
    for round in 0..5 {
        let up = Match::Up(Index(3));
        cluster.receive(3, 2, appended(term, up, round));
    }
    assert_eq!(cluster.revision_read(read), None);
    cluster.pool = lost;
    cluster.beat(2);
    assert_eq!(cluster.revision_read(read), Some(1));
}

/// "The leader needs to make sure it hasn't been superseded by a newer leader of which it is
/// unaware" (thesis §6.4 step 3): an acknowledgement of an earlier round does not tell (R10).
#[test]
fn an_earlier_rounds_acknowledgement_confirms_no_read() {
    let mut cluster = Cluster::led(3);
    cluster.now = cluster.now + HEARTBEAT;
    cluster.tick(1);
    let sent = cluster.take(1, 2);
    let earlier: Vec<u64> = sent
        .iter()
        .filter_map(|m| if let Message::Append(append) = m { Some(append.round) } else { None })
        .collect();
    let read = cluster.get(1);
    cluster.pool.clear();
    for round in earlier {
        cluster.receive(2, 1, appended(2, Match::Up(Index(2)), round));
        cluster.receive(2, 1, appended(2, Match::Up(Index(2)), round));
    }
    assert_eq!(cluster.revision_read(read), None);
    cluster.beat(1);
    assert_eq!(cluster.revision_read(read), Some(0));
}

/// A leader in a minority refuses what it can't confirm, and never answers with what may be old
/// (R9).
#[test]
fn a_leader_in_a_minority_refuses_reads() {
    let mut cluster = Cluster::led(3);
    let read = cluster.get(1);
    cluster.pool.clear();
    cluster.elect_among(2, &[2, 3]);
    cluster.put(2, "new", None);
    cluster.settle_among(&[2, 3]);
    cluster.now = cluster.now + Duration::from_secs(5);
    cluster.tick(1);
    let Some(Answer::Reply(_, Err(failure))) = cluster.answer(read) else {
        panic!("{:?}", cluster.answer(read));
    };
    assert!(matches!(failure.code, ErrorCode::NoQuorum | ErrorCode::NoLeader), "{failure:?}");
    assert!(!cluster.node(1).leads());
}

/// A follower answers from a state that has all that was committed when it was asked.
#[test]
fn a_followers_read_waits_for_what_the_leader_has() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "v", None);
    cluster.settle_among(&[1, 3]);
    let read = cluster.get(2);
    let asked = cluster.take(2, 1);
    asked.into_iter().for_each(|message| cluster.receive(2, 1, message));
    cluster.settle_between(&[1, 3]);
    let told = cluster.take(1, 2);
    let answers = told.into_iter().filter(|message| matches!(message, Message::Answer { .. }));
    answers.for_each(|message| cluster.receive(1, 2, message));
    assert_eq!(cluster.revision_read(read), None, "it is told up to where, and has not come there");
    cluster.beat(1);
    assert_eq!(cluster.revision_read(read), Some(1));
}

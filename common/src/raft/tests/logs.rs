//! Replication and commitment: §5.3, §5.4.2, Figures 7 and 8.

use super::*;

/// Figure 7: "when the leader at the top comes to power, it is possible that any of scenarios
/// (a–f) could occur in follower logs". It brings all of them to its own.
#[test]
fn a_leader_brings_every_log_of_figure_7_to_its_own() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let mut cluster = Cluster::with_logs(&[
        leader,
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ]);
    // Those with a later last entry do not vote for it, and tell it of their term first.
    while !cluster.node(1).leads() {
        cluster.time_out(1);
        cluster.settle();
    }
    cluster.beat(1);
    let expected = [leader, &[cluster.node(1).term()]].concat();
    for node in 1..=7 {
        assert_eq!(cluster.log(node), expected, "node {node}");
        assert_eq!(cluster.node(node).commit_index(), 11, "node {node}");
    }
}

/// Figure 8: "only log entries from the leader's current term are committed by counting replicas"
/// (§5.4.2; R2).
#[test]
fn an_entry_of_an_old_term_is_not_committed_by_counting() {
    // (a), (b): S1 led in term 2 and reached S2; S5 led in term 3 and reached nobody.
    let mut cluster = Cluster::with_logs(&[&[1, 2], &[1, 2], &[1], &[1], &[1, 3]]);
    // (c): S1 leads again; its entry of term 2 reaches S3, that of its own term does not.
    cluster.elect_silently(1);
    let term = cluster.node(1).term();
    cluster.pool.clear();
    for follower in [2, 3] {
        cluster.receive(1, follower, append(term, (1, 1), &[2], 1));
        let told = cluster.take(follower, 1);
        told.into_iter().for_each(|message| cluster.receive(follower, 1, message));
    }
    assert_eq!(cluster.log(3), [1, 2]);
    cluster.pool.clear();
    assert_eq!(cluster.node(1).commit_index(), 1, "a majority has entry 2, of term 2");
    // (e): with an entry of its own term on a majority all before it is committed.
    cluster.now = cluster.now + HEARTBEAT;
    cluster.tick(1);
    cluster.settle_among(&[1, 2, 3]);
    assert_eq!(cluster.node(1).commit_index(), 3);
    // (d): S5 could have been elected before, and can't any more.
    cluster.time_out(5);
    cluster.settle_among(&[2, 3, 4, 5]);
    assert!(!cluster.node(5).leads());
}

/// "If an existing entry conflicts with a new one ... delete the existing entry and all that
/// follow it" (Figure 2): one that doesn't stays, however late the message is (R6).
#[test]
fn a_late_append_cuts_nothing_that_matches() {
    let mut cluster = Cluster::of(3);
    cluster.receive(1, 2, append(2, (1, 1), &[2, 2, 2], 1));
    cluster.receive(1, 2, append(2, (1, 1), &[2], 1));
    cluster.receive(1, 2, append(2, (1, 1), &[], 1));
    assert_eq!(cluster.log(2), [1, 2, 2, 2]);
    cluster.receive(3, 2, append(3, (2, 2), &[3], 1));
    assert_eq!(cluster.log(2), [1, 2, 3]);
}

/// "Reply false if term < currentTerm" (Figure 2): what an old leader has sent changes nothing,
/// and tells it that it is none.
#[test]
fn an_old_leaders_append_is_refused() {
    let mut cluster = Cluster::of(3);
    cluster.receive(3, 2, append(5, (1, 1), &[5], 1));
    cluster.pool.clear();
    cluster.receive(1, 2, append(4, (1, 1), &[4, 4], 3));
    assert_eq!((cluster.log(2), cluster.node(2).commit_index()), (vec![1, 5], 1));
    let told = cluster.take(2, 1);
    assert!(matches!(&told[..], [Message::Appended(a)] if a.term == Term(5)), "{told:?}");
}

/// "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)"
/// (Figure 2; R7): what stands behind may be another leader's.
#[test]
fn commit_goes_no_further_than_the_last_new_entry() {
    let mut cluster = Cluster::with_logs(&[&[1], &[1, 2, 2, 2], &[1]]);
    cluster.receive(1, 2, append(3, (2, 2), &[], 4));
    assert_eq!(cluster.node(2).commit_index(), 2);
}

/// "If a follower's log has no entry at prevLogIndex whose term matches prevLogTerm, it refuses the
/// new entries" (§5.3).
#[test]
fn a_gap_is_refused() {
    let mut cluster = Cluster::of(3);
    cluster.receive(1, 2, append(2, (2, 4), &[2], 5));
    assert_eq!((cluster.log(2), cluster.node(2).commit_index()), (vec![1], 1));
    let told = cluster.take(2, 1);
    let is_refusal = |a: &Appended| matches!(a.outcome, Match::Conflict { prev: Index(4), .. });
    assert!(matches!(&told[..], [Message::Appended(a)] if is_refusal(a)), "{told:?}");
}

/// A refusal that comes after a later success, an acknowledgement that comes twice, and one of
/// another term move nothing back and commit nothing (R8).
#[test]
fn late_answers_change_nothing() {
    let mut cluster = Cluster::led(5);
    cluster.put(1, "v", None);
    cluster.pool.clear();
    for _ in 0..3 {
        cluster.receive(2, 1, appended(2, Match::Up(Index(3)), 0));
    }
    cluster.receive(3, 1, appended(1, Match::Up(Index(3)), 0));
    assert_eq!(cluster.node(1).commit_index(), 2, "two of five have it");
    let hint = EntryId { term: Term(1), index: Index(1) };
    cluster.receive(2, 1, appended(2, Match::Conflict { prev: Index(2), hint }, 0));
    cluster.receive(4, 1, appended(2, Match::Up(Index(3)), 0));
    assert_eq!(cluster.node(1).commit_index(), 3);
}

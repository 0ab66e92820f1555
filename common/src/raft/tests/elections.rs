//! Elections: §5.2, §5.4.1, thesis §4.2.3, §9.6 and §3.10.

use super::*;

fn request_vote(term: u64, last: (u64, u64)) -> Message {
    let last = EntryId { term: Term(last.0), index: Index(last.1) };
    Message::RequestVote { term: Term(term), last, ballot: Ballot::Real }
}

fn granted(messages: &[Message]) -> Vec<bool> {
    let mut votes = Vec::new();
    for message in messages {
        if let Message::Vote { granted, .. } = message {
            votes.push(*granted);
        }
    }
    votes
}

/// "Each server will vote for at most one candidate in a given term, on a first-come-first-served
/// basis" (§5.2), whether it was restarted in between or not (R1).
#[test]
fn a_vote_is_kept_over_a_restart() {
    let mut cluster = Cluster::of(3);
    cluster.receive(2, 1, request_vote(5, (1, 1)));
    assert_eq!(granted(&cluster.take(1, 2)), [true]);
    cluster.restart(1);
    cluster.receive(3, 1, request_vote(5, (1, 1)));
    assert_eq!(granted(&cluster.take(1, 3)), [false]);
    cluster.receive(2, 1, request_vote(5, (1, 1)));
    assert_eq!(granted(&cluster.take(1, 2)), [true]);
}

/// "If the logs have last entries with different terms, then the log with the later term is more
/// up-to-date. If the logs end with the same term, then whichever log is longer is more
/// up-to-date" (§5.4.1; R5).
#[test]
fn a_vote_goes_to_a_log_that_is_as_good() {
    for (last, is_granted) in [((2, 9), false), ((3, 2), false), ((3, 3), true), ((4, 2), true)] {
        let mut cluster = Cluster::with_logs(&[&[1, 2, 3], &[1], &[1]]);
        cluster.receive(2, 1, request_vote(9, last));
        assert_eq!(granted(&cluster.take(1, 2)), [is_granted], "{last:?}");
    }
}

/// The election timer starts anew for a valid append and a granted vote, and for nothing else
/// (Figure 2, "Followers"; R4).
#[test]
fn a_refused_candidate_lets_no_timer_start_anew() {
    let mut cluster = Cluster::with_logs(&[&[1, 2], &[1], &[1]]);
    let begun = cluster.node(1).timers.clone();
    cluster.now = cluster.now + HEARTBEAT;
    cluster.receive(2, 1, request_vote(9, (1, 1)));
    cluster.receive(2, 1, append(3, (2, 2), &[], 1));
    assert_eq!(format!("{:?}", cluster.node(1).timers), format!("{begun:?}"));
    cluster.receive(3, 1, request_vote(9, (2, 2)));
    assert_ne!(format!("{:?}", cluster.node(1).timers), format!("{begun:?}"));
}

/// Votes that come twice, late or for another term elect nobody.
#[test]
fn a_vote_counts_once_and_in_its_term() {
    let mut cluster = Cluster::of(5);
    cluster.time_out(1);
    let vote = |term, ballot| Message::Vote { term: Term(term), ballot, granted: true };
    for voter in [2, 2, 2] {
        cluster.receive(voter, 1, vote(2, Ballot::Pre));
    }
    assert_eq!(cluster.node(1).term(), 1, "one pre-vote beside its own is no majority of five");
    cluster.receive(3, 1, vote(2, Ballot::Pre));
    assert_eq!(cluster.node(1).term(), 2);
    cluster.receive(2, 1, vote(2, Ballot::Real));
    cluster.receive(2, 1, vote(2, Ballot::Real));
    cluster.receive(4, 1, vote(1, Ballot::Real));
    cluster.receive(5, 1, vote(2, Ballot::Pre));
    assert!(!cluster.node(1).leads());
    cluster.receive(3, 1, vote(2, Ballot::Real));
    assert!(cluster.node(1).leads());
}

/// "... a server that has been partitioned ... does not increment its term until it can
/// communicate with a majority" (thesis §9.6; R13): it comes back, and nobody is deposed.
#[test]
fn who_was_cut_off_deposes_nobody() {
    let mut cluster = Cluster::led(3);
    for _ in 0..30 {
        cluster.now = cluster.now + HEARTBEAT;
        [1, 2, 3].into_iter().for_each(|node| cluster.live(node));
        cluster.settle_among(&[1, 2]);
    }
    assert_eq!(cluster.node(3).leader(), None);
    assert_eq!(cluster.node(3).term(), 2);
    for _ in 0..10 {
        cluster.now = cluster.now + HEARTBEAT;
        [3, 2, 1].into_iter().for_each(|node| cluster.live(node));
        cluster.settle();
    }
    assert_eq!(cluster.node(3).leader(), Some(NodeId(1)));
    assert_eq!(cluster.node(1).term(), 2);
}

/// A leader that one follower alone hears of steps down, and one that all hear of is elected, with
/// pre-vote and check-quorum together (R13: both at once have been seen to lock each other).
#[test]
fn a_leader_without_a_majority_gives_way() {
    let mut cluster = Cluster::led(5);
    let is_cut = |from: u64, to: u64| {
        let ends = (from.min(to), from.max(to));
        ends.0 == 1 && ends.1 != 2
    };
    for _ in 0..60 {
        let next = cluster.nodes.iter().filter_map(|(n, raft)| Some((raft.deadline()?, *n))).min();
        cluster.tick(next.expect("there is always one").1);
        while !cluster.pool.is_empty() {
            let (from, to, message) = cluster.pool.remove(0);
            if !is_cut(from, to) {
                cluster.receive(from, to, message);
            }
        }
    }
    let leaders: Vec<u64> = (1..=5).filter(|node| cluster.node(*node).leads()).collect();
    assert!(leaders.len() == 1 && leaders[0] != 1, "{leaders:?} lead");
    assert!(cluster.node(leaders[0]).term() <= 5, "terms are not spent");
}

/// "The prior leader ... brings the target up to date" before it asks (thesis §3.10; R27): a node
/// that lags does not begin.
#[test]
fn leadership_is_handed_to_who_has_all() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "v", None);
    cluster.settle_among(&[1, 3]);
    let request = Request::TransferLeader { member: Some("n2".to_owned()) };
    let transfer = cluster.ask(1, request, None);
    let asked = |message: &Message| matches!(message, Message::TimeoutNow { .. });
    assert!(!cluster.take(1, 2).iter().any(asked));
    cluster.now = cluster.now + HEARTBEAT;
    cluster.tick(1);
    cluster.settle();
    assert!(cluster.node(2).leads() && !cluster.node(1).leads());
    let told = cluster.answer(transfer);
    assert!(matches!(told, Some(Answer::Reply(_, Ok(Reply::Transferred(_))))), "{told:?}");
}

/// Numbers that no sound node reaches are refused before they are believed (R25).
#[test]
fn implausible_numbers_are_seen() {
    assert!(!request_vote(u64::MAX, (1, 1)).is_plausible());
    assert!(!request_vote(2, (3, 1)).is_plausible());
    assert!(!append(2, (1, 1), &[3], 1).is_plausible());
    assert!(!append(3, (2, 1), &[1], 1).is_plausible());
    assert!(append(3, (1, 1), &[1, 3], 1).is_plausible());
}

/// Votes that are split decide nothing: "each candidate will time out and start a new election"
/// (§5.2), at once where both know it, and each after a time of its own (R24).
#[test]
fn a_split_vote_is_repeated_soon() {
    let mut cluster = Cluster::of(2);
    cluster.pool.clear();
    let others = Term(cluster.node(1).term() + 1);
    for node in [1, 2] {
        cluster.time_out(node);
    }
    for (from, to) in [(1, 2), (2, 1)] {
        let vote = Message::Vote { term: others, ballot: Ballot::Pre, granted: true };
        cluster.receive(from, to, vote);
    }
    let began = cluster.now;
    cluster.settle();
    assert!(![1, 2].iter().any(|node| cluster.node(*node).leads()), "it was split");
    cluster.now = began + HEARTBEAT * 2;
    for node in [1, 2] {
        cluster.live(node);
        cluster.settle();
    }
    assert!([1, 2].iter().any(|node| cluster.node(*node).leads()), "one of them tried again");
}

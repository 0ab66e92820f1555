//! Real daemons in raft mode whose links fail, in every shape: the side with a majority serves, the
//! other one says why it does not, and nobody has to be told when the links are back.

use std::time::{Duration, Instant};

use common::control::cluster::Explain;
use common::control::condition::Condition;
use common::control::failure::{Applied, ErrorCode, Failure};
use common::control::fault::{Direction, FaultKind};
use common::control::reply::{Get, Put};
use common::control::request::{Call, Request};
use common::modes::Mode;
use tests::cluster::client::{Outcome, key, text};
use tests::cluster::load::Load;
use tests::cluster::{LocalCluster, eventually};

/// So that an election takes half a second.
const QUICK: &[&str] = &["--heartbeat-interval", "50ms", "--election-timeout", "500ms"];

/// Writes that show that a cluster serves.
const A_FEW: u64 = 20;

/// Of what is asked of a node that can't answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// How much later than its timeout an answer may come. 200 ms are promised; the rest is for a busy
/// machine.
const LATE_MAX: Duration = Duration::from_millis(1_500);

/// Raft §5: a leader without a majority steps down, and another one is elected.
#[test]
fn a_leader_that_is_cut_off_is_replaced() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let load = Load::run_during(&mut cluster, 1, |cluster, progress| {
        progress.wait_for(A_FEW);
        let cut = cluster.leader();
        let others = cluster.followers();
        cluster.fault(cut, FaultKind::Isolate, &[]);
        cluster.leader_of(&others);
        progress.wait_for(A_FEW);
        assert_serves_nothing(cluster, cut, &others);
        assert_rejoins(cluster, &[cut], &others);
    });
    load.judge(&cluster);
}

/// R13: who hears nobody must not depose the leader when it is back.
#[test]
fn a_follower_that_is_cut_off_disturbs_nobody() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, &[]);
    let load = Load::run_during(&mut cluster, 2, |cluster, progress| {
        progress.wait_for(A_FEW);
        let (cut, leader) = (cluster.followers()[0], cluster.leader());
        let others: Vec<_> = (0..3).filter(|node| *node != cut).collect();
        cluster.fault(cut, FaultKind::Isolate, &[]);
        eventually("it has lost its leader", || cluster.client(cut).status().leader.is_none());
        progress.wait_for(A_FEW);
        assert_serves_nothing(cluster, cut, &others);
        assert_eq!(cluster.leader_of(&others), leader, "the leader was not concerned");
        assert_rejoins(cluster, &[cut], &others);
    });
    load.judge(&cluster);
}

/// L14: a link that works one way only is as bad as none.
#[test]
fn links_that_work_one_way_only_stop_nobody_else() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let load = Load::run_during(&mut cluster, 3, |cluster, progress| {
        for direction in [Direction::In, Direction::Out] {
            progress.wait_for(A_FEW);
            let cut = cluster.leader();
            let others = cluster.followers();
            cluster.fault_one_way(cut, FaultKind::Partition, &others, direction);
            cluster.leader_of(&others);
            progress.wait_for(A_FEW);
            assert_refused(cluster, cut);
            assert_rejoins(cluster, &[cut], &others);
        }
    });
    load.judge(&cluster);
}

/// R13: whoever is heard by one node only does not unseat a leader that the others hear.
#[test]
fn two_nodes_that_see_only_the_third_leave_one_leader() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, &[]);
    let load = Load::run_during(&mut cluster, 4, |cluster, progress| {
        progress.wait_for(A_FEW);
        let (leader, followers) = (cluster.leader(), cluster.followers());
        cluster.partition(leader, followers[0]);
        let bridged = [leader, followers[1]];
        let term = cluster.term_of(&bridged);
        progress.wait_for(A_FEW);
        eventually("the third has no leader", || {
            cluster.client(followers[0]).status().leader.is_none()
        });
        assert_refused(cluster, followers[0]);
        assert_eq!(cluster.term_of(&bridged), term, "the leader was not concerned");
        assert_rejoins(cluster, &[followers[0]], &bridged);
    });
    load.judge(&cluster);
}

/// The larger part of five goes on, with the leader in the smaller one.
#[test]
fn three_of_five_go_on_without_the_other_two() {
    let mut cluster = LocalCluster::start_with(5, Mode::Raft, QUICK);
    let load = Load::run_during(&mut cluster, 5, |cluster, progress| {
        progress.wait_for(A_FEW);
        let (leader, followers) = (cluster.leader(), cluster.followers());
        let (few, many) = ([leader, followers[0]], &followers[1..]);
        cluster.split(&few, many);
        cluster.leader_of(many);
        progress.wait_for(A_FEW);
        for node in few {
            assert_serves_nothing(cluster, node, many);
        }
        assert_rejoins(cluster, &few, many);
    });
    load.judge(&cluster);
}

/// Neither linearizable reads nor writes, and it says so in time: a write that it refuses was not
/// applied, unless it says that nobody knows.
fn assert_refused(cluster: &LocalCluster, node: usize) {
    let write = Request::put(key("refused"), text("v"));
    let read = Request::get(key("refused"), None);
    let write: Failure = ask::<Put>(cluster, node, write).expect_err("it has no majority");
    let read: Failure = ask::<Get>(cluster, node, read).expect_err("it has no majority");
    for (failure, what) in [(&write, "write"), (&read, "read")] {
        use ErrorCode::{LeaderLost, NoLeader, NoQuorum, Timeout};
        let is_right = [NoLeader, NoQuorum, LeaderLost, Timeout].contains(&failure.code);
        assert!(is_right, "{what}: {failure:?}");
    }
    if write.applied == Some(Applied::No) {
        assert!([ErrorCode::NoLeader, ErrorCode::NoQuorum].contains(&write.code), "{write:?}");
    }
}

fn ask<R: serde::de::DeserializeOwned>(
    cluster: &LocalCluster,
    node: usize,
    request: Request,
) -> Outcome<R> {
    let call = Call { timeout: Some(TIMEOUT), ..Call::new(request) };
    let began = Instant::now();
    let outcome = cluster.client(node).try_ask(&call).expect("an answer");
    assert!(began.elapsed() < TIMEOUT + LATE_MAX, "it took {:?}", began.elapsed());
    outcome
}

/// The same of a node that hears of none of these peers, and explains itself.
fn assert_serves_nothing(cluster: &LocalCluster, node: usize, unreachable: &[usize]) {
    eventually("it has lost its leader", || cluster.client(node).status().leader.is_none());
    assert_refused(cluster, node);
    let write = Request::put(key("refused"), text("v"));
    let failure: Failure = ask::<Put>(cluster, node, write).expect_err("it has no majority");
    assert_eq!(failure.applied, Some(Applied::No), "nobody was asked: {failure:?}");
    let request = Request::Explain { key: None, purpose: None };
    let explained: Explain = cluster.client(node).ask(request).expect("it is answered always");
    assert!(!explained.ok, "{explained:?}");
    let quorum = explained.facts.iter().find(|fact| fact.what == "quorum").expect("it matters");
    assert!(!quorum.ok, "{explained:?}");
    for peer in unreachable {
        assert!(quorum.is.contains(cluster.name(*peer)), "{explained:?}");
        assert!(explained.next.as_ref().is_some_and(|next| next.contains(cluster.name(*peer))));
    }
}

/// Heals all links. There is one leader then, of the side that had one, in its term (R13).
fn assert_rejoins(cluster: &LocalCluster, few: &[usize], many: &[usize]) {
    let leader = cluster.leader_of(many);
    let term = cluster.term_of(many);
    let highest = cluster.term_of(few);
    assert!(highest <= term, "who was cut off went on to term {highest}, the others to {term}");
    cluster.heal();
    assert_eq!(cluster.leader(), leader, "it leads still");
    assert_eq!(cluster.term_of(&[leader]), term, "and was not disturbed");
    for node in few {
        cluster.wait(*node, Condition::Leader);
        cluster.client(*node).put("after", "v").expect("all are back");
    }
}

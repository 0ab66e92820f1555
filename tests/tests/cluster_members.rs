//! Real daemons in raft mode that come and go: clusters of one to five nodes, nodes that come back
//! late or as somebody else, and nodes that never come.

use std::fs;
use std::time::Duration;

use common::control::cluster::MemberChanged;
use common::control::condition::Condition;
use common::control::failure::{Applied, ErrorCode};
use common::control::reply::Put;
use common::control::request::{Call, MemberChange, Request};
use common::control::status::Members;
use common::modes::Mode;
use tests::cluster::client::{Outcome, key, text};
use tests::cluster::load::Load;
use tests::cluster::{LocalCluster, eventually};

/// Writes that show that a cluster serves.
const A_FEW: u64 = 20;

/// So that what a node has missed is soon in a snapshot only.
const COMPACTING: &[&str] = &["--snapshot-every", "100", "--segment-size", "64K"];

/// R18, R19: who has missed what the log no longer has gets the state instead; a new node as well,
/// and it votes.
#[test]
fn who_comes_behind_the_log_gets_a_snapshot() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, COMPACTING);
    let load = Load::run_during(&mut cluster, 1, |cluster, progress| {
        let late = cluster.followers()[0];
        let missed = cluster.client(late).status().last_index;
        cluster.kill(late);
        for node in cluster.running().collect::<Vec<_>>() {
            eventually("what it has missed is in a snapshot", || {
                progress.wait_for(1);
                cluster.client(node).status().snapshot_index > missed + 100
            });
            // What it keeps of the log in memory goes with it.
            cluster.kill(node);
            cluster.restart(node);
        }
        cluster.restart(late);
        let newcomer = cluster.add();
        cluster.wait_voters(4);
        for node in [late, newcomer] {
            cluster.wait(node, Condition::Synced);
            assert!(
                cluster.logged(node).contains("took a snapshot for its state"),
                "{}",
                cluster.name(node)
            );
        }
        progress.wait_for(A_FEW);
    });
    load.judge(&cluster);
}

/// X1, R18: what was executed is known from a snapshot as well.
#[test]
fn a_repeated_request_is_known_from_a_snapshot() {
    let mut cluster = LocalCluster::start_with(1, Mode::Raft, COMPACTING);
    let request = Request::put(key("once"), text("v"));
    let tag = common::control::request::RequestTag { client: format!("{:032x}", 7), seq: 1 };
    let call = Call { tag: Some(tag), ..Call::new(request) };
    let first: Put = cluster.client(0).try_ask(&call).expect("an answer").expect("it leads");
    let mut client = cluster.client(0);
    eventually("it is in a snapshot", || {
        client.put("filler", "v").expect("it leads");
        client.status().snapshot_index > first.revision + 100
    });
    let newcomer = cluster.add();
    cluster.wait_voters(2);
    cluster.kill(0);
    cluster.restart(0);
    let again: Outcome<Put> = cluster.client(newcomer).try_ask(&call).expect("an answer");
    assert_eq!(again, Ok(Put { duplicate: true, ..first }));
}

/// M4: a wiped node is somebody new under its name.
#[test]
fn a_wiped_node_votes_again_under_its_name() {
    let mut cluster = LocalCluster::start(3, Mode::Raft);
    let load = Load::run_during(&mut cluster, 2, |cluster, progress| {
        progress.wait_for(A_FEW);
        let id = cluster.client(2).status().id;
        cluster.kill(2);
        fs::remove_dir_all(cluster.data_dir(2)).expect("it is there");
        cluster.restart(2);
        cluster.wait(2, Condition::Synced);
        cluster.wait_voters(3);
        assert_ne!(cluster.client(2).status().id, id, "an id is never used again");
        assert!(cluster.members(0).iter().all(|member| member.id != id), "it left no ghost");
        assert_eq!(cluster.members(0).len(), 3);
        progress.wait_for(A_FEW);
    });
    load.judge(&cluster);
}

/// R14: who was removed while it was away learns it when it is back, and ends.
#[test]
fn who_was_removed_ends_even_if_it_was_away() {
    let mut cluster = LocalCluster::start(4, Mode::Raft);
    let (gone, away) = (cluster.followers()[0], cluster.followers()[1]);
    cluster.kill(away);
    assert!(remove(&cluster, cluster.name(gone)).expect("a majority is there").changed);
    assert!(cluster.ended(gone).success(), "it learnt it");
    assert!(remove(&cluster, cluster.name(away)).expect("a majority is there").changed);
    cluster.wait_voters(2);
    let term = cluster.term_of(&[cluster.leader()]);
    cluster.launch(away);
    assert!(cluster.ended(away).success(), "it learnt it late");
    let leader = cluster.leader();
    assert_eq!(cluster.term_of(&[leader]), term, "it disturbed nobody");
    cluster.client(leader).put("after", "v").expect("the others serve");
}

/// M3: a second node that can't be reached does not stop the first, and can be removed.
#[test]
fn a_second_node_with_a_wrong_address_stops_no_write() {
    let mut cluster = LocalCluster::start(1, Mode::Raft);
    let load = Load::run_during(&mut cluster, 3, |cluster, progress| {
        // Nobody listens at port 1.
        let lost = cluster.add_with(&["--advertise", "127.0.0.1:1"]);
        eventually("it is heard of", || {
            progress.wait_for(1);
            let log = cluster.logged(0) + &cluster.logged(lost);
            log.contains("127.0.0.1:1")
        });
        progress.wait_for(A_FEW);
        assert_eq!(cluster.voters(0), 1, "it has no vote");
        cluster.kill(lost);
        progress.wait_for(A_FEW);
        // Whichever of the two dials, the leader does not take in whom it can't reach; where it was
        // dialled, it has heard of it, and can forget it again.
        if let Err(failure) = remove(cluster, cluster.name(lost)) {
            assert_eq!(failure.code, ErrorCode::NotFound, "{failure:?}");
        }
        let name = cluster.name(lost);
        eventually("it is forgotten", || {
            let members: Members =
                cluster.client(0).ask(Request::Members).expect("answered always");
            members.members.iter().all(|member| member.name.as_str() != name)
        });
        progress.wait_for(A_FEW);
    });
    load.judge(&cluster);
}

/// Q5: two of two are a majority, one is not.
#[test]
fn two_nodes_need_each_other() {
    let mut cluster = LocalCluster::start(2, Mode::Raft);
    cluster.client(1).put("before", "v").expect("both are there");
    let stays = cluster.leader();
    let away = 1 - stays;
    cluster.kill(away);
    let call = Call {
        timeout: Some(Duration::from_millis(300)),
        ..Call::new(Request::put(key("alone"), text("v")))
    };
    let failure: Outcome<Put> = cluster.client(stays).try_ask(&call).expect("an answer");
    let failure = failure.expect_err("one of two is no majority");
    // It leads still, so it has proposed it.
    assert_ne!(failure.applied, Some(Applied::Yes), "{failure:?}");
    cluster.restart(away);
    cluster.leader();
    cluster.client(away).put("after", "v").expect("both are there");
    cluster.wait_applied_alike();
}

/// Q5: five nodes go on without two, not without three, and again with three.
#[test]
fn five_nodes_do_without_any_two() {
    let mut cluster = LocalCluster::start(5, Mode::Raft);
    let load = Load::run_during(&mut cluster, 4, |cluster, progress| {
        let leader = cluster.leader();
        let follower = cluster.followers()[0];
        for node in [leader, follower] {
            cluster.kill(node);
        }
        progress.wait_for(A_FEW);
        let third = cluster.leader();
        cluster.kill(third);
        let rest: Vec<_> = cluster.running().collect();
        for node in rest {
            eventually("there is no leader", || cluster.client(node).status().leader.is_none());
        }
        cluster.restart(leader);
        progress.wait_for(A_FEW);
        cluster.restart_all();
        cluster.wait_formed();
    });
    load.judge(&cluster);
}

fn remove(cluster: &LocalCluster, member: &str) -> Outcome<MemberChanged> {
    let (change, member) = (MemberChange::Remove, member.to_owned());
    let leader = cluster.leader();
    cluster.client(leader).ask(Request::Member { change, member, dry_run: false })
}

//! Real daemons in raft mode that crash, stall and restart under load: what clients see is one
//! history, and what was acknowledged stays.

use std::time::{Duration, Instant};

use common::control::fault::FaultKind;
use common::control::reply::{Get, ReplyLine};
use common::control::request::{Call, Request};
use common::modes::Mode;
use tests::cluster::LocalCluster;
use tests::cluster::client::{Client, key, value_of};
use tests::cluster::load::Load;

/// So that a leader's death costs half a second.
const QUICK: &[&str] = &["--heartbeat-interval", "50ms", "--election-timeout", "500ms"];

/// Writes that show that a cluster serves.
const A_FEW: u64 = 20;

/// Raft §5.2 to §5.4: another leads, with all that was acknowledged.
#[test]
fn each_leader_may_be_killed_under_load() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let load = Load::run_during(&mut cluster, 1, |cluster, progress| {
        for _ in 0..4 {
            progress.wait_for(A_FEW);
            let leader = cluster.leader();
            cluster.kill(leader);
            progress.wait_for(A_FEW);
            cluster.restart(leader);
            cluster.wait_formed();
        }
    });
    load.judge(&cluster);
}

/// D1, R20: nodes die at whatever point they are, and come back as they were.
#[test]
fn nodes_may_be_killed_at_random_under_load() {
    /// Not in turn, so that the same one dies twice in a row as well.
    const VICTIMS: [usize; 12] = [0, 2, 2, 1, 0, 0, 1, 2, 1, 1, 0, 2];
    let flags = [QUICK, &["--snapshot-every", "50", "--segment-size", "64K"]].concat();
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, &flags);
    let load = Load::run_during(&mut cluster, 2, |cluster, progress| {
        for victim in VICTIMS {
            progress.wait_for(5);
            cluster.kill(victim);
            cluster.restart(victim);
        }
    });
    load.judge(&cluster);
}

/// R23, D1: nothing acknowledged is in memory only.
#[test]
fn all_nodes_may_be_killed_at_once() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let load = Load::run_during(&mut cluster, 3, |cluster, progress| {
        for _ in 0..3 {
            progress.wait_for(A_FEW);
            cluster.kill_all();
            cluster.restart_all();
        }
        progress.wait_for(A_FEW);
    });
    load.judge(&cluster);
}

/// R23: a single node has nobody to ask, and acknowledges nothing that it might forget.
#[test]
fn a_single_node_may_be_killed_again_and_again() {
    let mut cluster = LocalCluster::start_with(1, Mode::Raft, &["--snapshot-every", "100"]);
    let load = Load::run_during(&mut cluster, 4, |cluster, progress| {
        for _ in 0..8 {
            progress.wait_for(A_FEW);
            cluster.kill(0);
            cluster.restart(0);
        }
        progress.wait_for(A_FEW);
    });
    load.judge(&cluster);
}

/// R9, R10: reads that wait at a leader which stands still are not answered from its old state,
/// although heartbeats come late and twice.
#[test]
fn a_leader_that_was_stopped_answers_no_stale_read() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    for node in 0..3 {
        cluster.fault(node, FaultKind::Duplicate(0.5), &[]);
        cluster.fault(node, FaultKind::Delay(Duration::from_millis(10)), &[]);
    }
    for round in 0..3 {
        let (old, new) = (format!("old-{round}"), format!("new-{round}"));
        let stopped = cluster.leader();
        cluster.client(stopped).put("key", &old).expect("it leads");
        let mut readers: Vec<_> = (0..5).map(|_| cluster.client(stopped)).collect();
        readers[0].send(&get());
        cluster.pause(stopped);
        let leader = cluster.leader();
        readers[1].send(&get());
        cluster.client(leader).put("key", &new).expect("it leads");
        for reader in &mut readers[2..] {
            reader.send(&get());
        }
        cluster.resume(stopped);
        for (number, reader) in readers.iter_mut().enumerate() {
            let seen = answer(reader);
            // Those that had asked before the write may see either.
            let is_right = seen == Some(new.clone()) || seen.is_none();
            assert!(is_right || (number < 2 && seen == Some(old.clone())), "{number}: {seen:?}");
        }
        cluster.wait_formed();
    }
}

/// O4: who is told to end hands over first, so that no write waits for an election.
#[test]
fn nodes_restart_one_after_the_other_without_a_pause() {
    let slow = ["--heartbeat-interval", "100ms", "--election-timeout", "4s"];
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, &slow);
    let load = Load::run_during(&mut cluster, 5, |cluster, progress| {
        for node in [0, 1, 2, cluster.leader()] {
            progress.wait_for(A_FEW);
            let began = Instant::now();
            assert!(cluster.terminate(node).success());
            assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
            progress.wait_for(A_FEW);
            cluster.restart(node);
            cluster.wait_formed();
        }
    });
    load.judge(&cluster);
    // An election alone would have taken 4 s.
    let gap = load.written.longest_gap;
    assert!(gap < Duration::from_secs(3), "nothing was acknowledged for {gap:?}");
}

/// R16: a leader whose disk is slow keeps its peers' trust, or gives way; nothing is lost.
#[test]
fn a_slow_disk_of_the_leader_loses_nothing() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let load = Load::run_during(&mut cluster, 6, |cluster, progress| {
        let leader = cluster.leader();
        cluster.fault(leader, FaultKind::Disk(Duration::from_secs(1)), &[]);
        progress.wait_for(3);
        cluster.fault(leader, FaultKind::Heal, &[]);
        progress.wait_for(A_FEW);
    });
    cluster.wait_formed();
    load.judge(&cluster);
}

fn get() -> Vec<u8> {
    let request = Request::get(key("key"), None);
    Call { timeout: Some(Duration::from_secs(5)), ..Call::new(request) }.to_line()
}

/// The value that a reader sees; none if it is refused.
fn answer(reader: &mut Client) -> Option<String> {
    let line = reader.line().expect("an answer");
    let reply: ReplyLine<Get> = serde_json::from_str(&line).expect(&line);
    let item = reply.result.map(|get| get.item.expect("it was written"));
    item.as_ref().map(value_of)
}

//! L3: a real daemon that is away while others write more than they keep for it.

use std::fs;

use common::control::Id;
use common::control::fault::FaultKind;
use common::control::request::{Call, Request};
use common::modes::Mode;
use tests::cluster::client::{Client, key, text};
use tests::cluster::{LocalCluster, eventually};

/// What others write meanwhile: keys, how often each, and how long values are. That is more than
/// the log keeps in memory, 32 MiB.
const KEYS: usize = 2_000;
const ROUNDS: usize = 18;
const VALUE_BYTES: usize = 1_024;

/// Requests that a client sends before it reads answers. The sockets must take them.
const PIPELINED: usize = 100;

/// Issue 4: how much memory that may take, beside the log's bound.
const GROWTH_BYTES_MAX: u64 = 50 * 1024 * 1024;

/// Writes every key once.
fn write_all(client: &mut Client, round: usize) {
    let value = format!("{round:0VALUE_BYTES$}");
    for first in (0..KEYS).step_by(PIPELINED) {
        let put = |number| {
            let put = Request::put(key(&format!("fill/{number:06}")), text(&value));
            // With an id it shares its sync with others.
            Call { id: Some(Id::Unsigned(number as u64)), ..Call::new(put) }
        };
        let lines = (first..first + PIPELINED).flat_map(|number| put(number).to_line());
        client.send(&lines.collect::<Vec<u8>>());
        for _ in 0..PIPELINED {
            let line = client.line().expect("an answer");
            assert!(line.contains(r#""ok":true"#), "{line}");
        }
    }
}

/// What a process has in memory.
fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
    kib * 1024
}

/// Others write meanwhile; then it is back, by a transfer of the state.
fn stay_away(
    leave: impl FnOnce(&mut LocalCluster, usize),
    back: impl FnOnce(&mut LocalCluster, usize),
) {
    let mut cluster = LocalCluster::start(3, Mode::Causal);
    let away = 2;
    let mut client = cluster.client(0);
    write_all(&mut client, 0);
    cluster.wait_converged();
    let before: Vec<_> = (0..2).map(|node| resident_bytes(cluster.pid(node))).collect();
    let logged = cluster.logged(away).len();
    leave(&mut cluster, away);
    for round in 1..=ROUNDS {
        write_all(&mut client, round);
    }
    cluster.client(1).put("last", "v").expect("it serves");
    eventually("the other has all of it", || {
        cluster.client(0).get("last") == Ok(Some("v".to_owned()))
    });
    for (node, before) in before.iter().enumerate() {
        let growth = resident_bytes(cluster.pid(node)).saturating_sub(*before);
        assert!(growth < GROWTH_BYTES_MAX, "{} grew by {growth} bytes", cluster.name(node));
    }
    back(&mut cluster, away);
    cluster.wait_converged();
    let value = format!("{ROUNDS:0VALUE_BYTES$}");
    assert_eq!(cluster.client(away).get("fill/001999"), Ok(Some(value)));
    let log = cluster.logged(away).split_off(logged);
    assert!(log.contains("takes over the causal keys that it lacks"), "the log had all of it");
    // Nothing is owed to anybody any more.
    eventually("the logs are empty", || {
        (0..3).all(|node| {
            let status = cluster.client(node).status();
            status.causal.is_some_and(|causal| causal.log_writes == 0)
        })
    });
}

#[test]
fn who_is_dead_for_long_costs_no_memory_and_comes_back() {
    stay_away(LocalCluster::kill, LocalCluster::restart);
}

#[test]
fn who_stands_still_for_long_costs_no_memory_and_comes_back() {
    stay_away(LocalCluster::pause, LocalCluster::resume);
}

#[test]
fn who_is_cut_off_for_long_costs_no_memory_and_comes_back() {
    stay_away(
        |cluster, node| cluster.fault(node, FaultKind::Isolate, &[]),
        |cluster, node| cluster.fault(node, FaultKind::Heal, &[]),
    );
}

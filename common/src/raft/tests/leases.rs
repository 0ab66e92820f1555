//! Leases, which end by the clock of the log.

use super::*;
use crate::control::failure::ErrorCode;
use crate::control::kv::Kv;
use crate::identity::LeaseId;

/// The end of a lease is late by so much at most.
const TICK: Duration = Duration::from_millis(250);

const LEASE: LeaseId = LeaseId(7);

fn grant(cluster: &mut Cluster, ttl: Duration) {
    cluster.ask_kv(1, Kv::LeaseGrant { ttl, lease: Some(LEASE) }, None);
    cluster.settle();
}

fn has_lease(cluster: &Cluster, node: u64) -> bool {
    cluster.node(node).state().leases.get(LEASE).is_some()
}

#[test]
fn the_time_is_told_only_while_leases_run() {
    let mut cluster = Cluster::led(3);
    let length = |cluster: &Cluster| cluster.log(1).len();
    let before = length(&cluster);
    cluster.pass(Duration::from_secs(3));
    assert_eq!(length(&cluster), before);
    grant(&mut cluster, Duration::from_secs(1));
    cluster.pass(Duration::from_secs(3));
    let after = length(&cluster);
    assert!((before + 4..=before + 7).contains(&after), "{before} entries, then {after}");
    cluster.pass(Duration::from_secs(3));
    assert_eq!(length(&cluster), after);
}

/// T1: a change of leaders neither lets a lease begin anew nor ends it: it lasts as much longer as
/// there was no leader, and what had passed since the last tick of each.
#[test]
fn a_lease_ends_in_time_through_five_leaders() {
    let mut cluster = Cluster::led(3);
    let ttl = Duration::from_secs(20);
    grant(&mut cluster, ttl);
    let granted = cluster.now;
    let mut allowance = TICK + HEARTBEAT;
    for leader in [2, 3, 1, 2, 3] {
        cluster.pass(Duration::from_secs(2));
        let before = cluster.now;
        cluster.elect(leader);
        allowance += cluster.now.since(before) + TICK + HEARTBEAT;
    }
    while has_lease(&cluster, 3) {
        cluster.pass(HEARTBEAT);
        assert!(cluster.now.since(granted) <= ttl + allowance, "it lasts too long");
    }
    assert!(cluster.now.since(granted) >= ttl, "it ends too early");
    cluster.pass(HEARTBEAT);
    assert!((1..=3).all(|node| !has_lease(&cluster, node)));
}

/// T4: the leader of before, cut off, can't keep a lease alive that the next one ends.
#[test]
fn a_keep_alive_at_a_deposed_leader_does_not_count() {
    let mut cluster = Cluster::led(3);
    grant(&mut cluster, Duration::from_secs(3));
    cluster.pass(Duration::from_secs(1));
    let kept = cluster.ask_kv(1, Kv::LeaseKeepAlive(LEASE), None);
    cluster.pool.clear();
    cluster.elect_among(2, &[2, 3]);
    cluster.pass_among(&[2, 3], Duration::from_secs(3));
    assert!(!has_lease(&cluster, 2));
    assert!(cluster.answer(kept).is_none());
    cluster.pass(Duration::from_secs(1));
    assert_eq!(cluster.failure(kept).code, ErrorCode::LeaseLost);
}

//! Real daemons in causal mode that are killed, restarted and wiped: what was acknowledged lasts, and
//! nothing counts twice.

use std::collections::BTreeSet;
use std::fs;

use common::control::acks::Acks;
use common::control::failure::ErrorCode;
use common::control::reply::Put;
use common::control::request::Request;
use tests::cluster::LocalCluster;
use tests::cluster::causal::write_during;
use tests::cluster::client::{key, text};
use tests::sim::dice::Dice;

/// Clients that write all the while.
const CLIENTS: usize = 4;

/// Writes of all together that show that a cluster is at work.
const A_FEW: u64 = 50;

/// Snapshots are part of what a restart begins from.
const FLAGS: &[&str] = &["--snapshot-every", "200", "--segment-size", "64K"];

/// L1, L2: whoever is killed, and when, has what it has answered.
#[test]
fn nodes_that_are_killed_lose_nothing() {
    let mut cluster = LocalCluster::start_causal(3, FLAGS);
    let mut dice = Dice::new(1);
    let sockets = cluster.sockets();
    let written = write_during(&sockets, CLIENTS, 1, |progress| {
        for _ in 0..8 {
            let node = dice.below(3);
            progress.wait_for(A_FEW);
            cluster.kill(node);
            progress.wait_for(A_FEW);
            cluster.restart(node);
        }
    });
    cluster.wait_formed();
    cluster.wait_converged();
    written.assert_kept(&cluster);
}

/// L1: all are killed at once, in the middle of everything.
#[test]
fn all_nodes_that_are_killed_at_once_lose_nothing() {
    let mut cluster = LocalCluster::start_causal(3, FLAGS);
    let sockets = cluster.sockets();
    let written = write_during(&sockets, CLIENTS, 1, |progress| {
        for _ in 0..3 {
            progress.wait_for(2 * A_FEW);
            cluster.kill_all();
            cluster.restart_all();
        }
    });
    cluster.wait_formed();
    cluster.wait_converged();
    written.assert_kept(&cluster);
}

/// A node that starts where no other can be reached has all that it had, and takes writes.
#[test]
fn a_node_alone_serves_after_a_restart() {
    let mut cluster = LocalCluster::start_causal(3, FLAGS);
    let written = write_during(&cluster.sockets(), CLIENTS, 1, |progress| {
        progress.wait_for(4 * A_FEW);
    });
    cluster.wait_converged();
    cluster.kill_all();
    for node in 0..3 {
        cluster.restart(node);
        written.assert_kept(&cluster);
        let mut client = cluster.client(node);
        client.put(&format!("alone/{node}"), "v").expect("it needs nobody");
        cluster.kill(node);
    }
    cluster.restart_all();
    cluster.wait_formed();
    cluster.wait_converged();
    for node in 0..3 {
        assert_eq!(cluster.client(2).get(&format!("alone/{node}")), Ok(Some("v".to_owned())));
    }
}

/// L6, S8: a node that has lost its disk comes back as another one. It serves when it has all that
/// others have, and what it writes then is not taken for what it wrote before.
#[test]
fn a_wiped_node_is_a_new_one() {
    let mut cluster = LocalCluster::start_causal(3, FLAGS);
    let wiped = 2;
    let put = |cluster: &LocalCluster, name: &str| {
        let mut put = Request::put(key(name), text("v"));
        if let Request::Put { acks, .. } = &mut put {
            *acks = Acks::Majority;
        }
        cluster.client(wiped).ask::<Put>(put).expect("it serves")
    };
    for count in 0..50 {
        put(&cluster, &format!("before/{count}"));
    }
    let before = cluster.client(wiped).status();
    let sockets = &cluster.sockets()[..wiped];
    let written = write_during(sockets, CLIENTS, 1, |progress| {
        progress.wait_for(A_FEW);
        cluster.kill(wiped);
        fs::remove_dir_all(cluster.data_dir(wiped)).expect("it is ours");
        progress.wait_for(2 * A_FEW);
        cluster.restart(wiped);
        // S8: as long as it has not got all, it says so.
        let mut client = cluster.client(wiped);
        loop {
            match client.get("before/0") {
                Err(failure) => assert_eq!(failure.code, ErrorCode::NotReady),
                Ok(found) => break assert_eq!(found.as_deref(), Some("v")),
            }
        }
        progress.wait_for(A_FEW);
    });
    for count in 0..50 {
        put(&cluster, &format!("after/{count}"));
    }
    assert_ne!(cluster.client(wiped).status().id, before.id);
    cluster.wait_converged();
    written.assert_kept(&cluster);
    for node in 0..3 {
        for count in 0..50 {
            for when in ["before", "after"] {
                let found = cluster.client(node).get(&format!("{when}/{count}"));
                assert_eq!(found, Ok(Some("v".to_owned())), "{when}/{count} at {node}");
            }
        }
    }
}

/// S8: a node that joins while others write has all that was acknowledged before it serves.
#[test]
fn a_node_that_joins_has_everything_before_it_serves() {
    let mut cluster = LocalCluster::start_causal(2, FLAGS);
    let known: Vec<String> = (0..300).map(|count| format!("known/{count}")).collect();
    for name in &known {
        cluster.client(0).put(name, "v").expect("it serves");
    }
    cluster.wait_converged();
    let sockets = cluster.sockets();
    let written = write_during(&sockets, CLIENTS, 1, |progress| {
        progress.wait_for(A_FEW);
        let newcomer = cluster.add();
        let mut client = cluster.client(newcomer);
        let mut lacking: BTreeSet<&String> = known.iter().collect();
        while let Some(name) = lacking.first().copied() {
            match client.get(name) {
                Err(failure) => assert_eq!(failure.code, ErrorCode::NotReady, "{failure:?}"),
                Ok(found) => {
                    assert_eq!(found.as_deref(), Some("v"), "{name} was there before it joined");
                    lacking.remove(name);
                }
            }
        }
        progress.wait_for(A_FEW);
    });
    cluster.wait_formed();
    cluster.wait_converged();
    written.assert_kept(&cluster);
}

//! Real daemons in causal mode while links fail, in every shape: all that was acknowledged is
//! everywhere in the end, and nothing counts twice.

use std::time::{Duration, Instant};

use common::control::fault::{Direction, FaultKind};
use tests::cluster::LocalCluster;
use tests::cluster::causal::{Written, write_during};

/// Clients that write all the while.
const CLIENTS: usize = 4;

/// Writes of all together that show that a cluster is at work.
const A_FEW: u64 = 100;

/// Issue 4: how soon after a heal all nodes hold the same.
const CONVERGENCE_TIME_MAX: Duration = Duration::from_secs(2);

/// Ends all faults; all nodes hold the same in time, and all that was written.
fn judge(cluster: &LocalCluster, written: &Written) {
    for node in cluster.running() {
        cluster.fault(node, FaultKind::Heal, &[]);
    }
    let began = Instant::now();
    cluster.wait_converged();
    let took = began.elapsed();
    assert!(took <= CONVERGENCE_TIME_MAX, "it took {took:?}");
    written.assert_kept(cluster);
    assert!(written.count() > 0, "nothing was written");
}

/// Clients write before the harm and while it lasts.
fn write_through(cluster: &LocalCluster, number: u64, harm: impl FnOnce()) -> Written {
    write_during(&cluster.sockets(), CLIENTS, number, |progress| {
        progress.wait_for(A_FEW);
        harm();
        progress.wait_for(2 * A_FEW);
    })
}

/// All parts of a split take writes, whether it lasts for a moment or until all have noticed.
#[test]
fn a_split_loses_nothing() {
    let cluster = LocalCluster::start_causal(5, &[]);
    let written = write_through(&cluster, 1, || {
        cluster.fault(0, FaultKind::Partition, &[1, 2, 3, 4]);
    });
    judge(&cluster, &written);
    let written = write_through(&cluster, 2, || cluster.split(&[3, 4], &[0, 1, 2]));
    judge(&cluster, &written);
}

/// No node hears any other, and each takes writes.
#[test]
fn nodes_on_their_own_lose_nothing() {
    let cluster = LocalCluster::start_causal(3, &[]);
    let written = write_through(&cluster, 1, || {
        for node in 0..3 {
            cluster.fault(node, FaultKind::Isolate, &[]);
        }
        cluster.wait_down(0, 1);
    });
    judge(&cluster, &written);
}

/// Two nodes that do not hear each other have all from the third, while it lasts.
#[test]
fn who_is_heard_by_both_relays() {
    let cluster = LocalCluster::start_causal(3, &[]);
    let written = write_through(&cluster, 1, || cluster.partition(0, 1));
    cluster.wait_converged();
    written.assert_kept(&cluster);
    judge(&cluster, &written);
}

/// L14: a link that carries frames one way only stops nothing.
#[test]
fn links_that_work_one_way_only_lose_nothing() {
    let cluster = LocalCluster::start_causal(3, &[]);
    for (number, direction) in [(1, Direction::In), (2, Direction::Out)] {
        let written = write_through(&cluster, number, || {
            cluster.fault_one_way(0, FaultKind::Partition, &[1], direction);
        });
        cluster.wait_converged();
        written.assert_kept(&cluster);
        judge(&cluster, &written);
    }
    // To and from one node nothing but what it sends, or what it is sent.
    for (number, direction) in [(3, Direction::In), (4, Direction::Out)] {
        let written = write_through(&cluster, number, || {
            cluster.fault_one_way(0, FaultKind::Isolate, &[], direction);
        });
        judge(&cluster, &written);
    }
}

/// L2: three frames of ten are lost, each that arrives comes twice, and counters are exact.
#[test]
fn links_that_lose_and_repeat_lose_nothing() {
    let cluster = LocalCluster::start_causal(3, &[]);
    let written = write_through(&cluster, 1, || {
        for node in 0..3 {
            cluster.fault(node, FaultKind::Drop(0.3), &[]);
            cluster.fault(node, FaultKind::Duplicate(1.0), &[]);
        }
    });
    // What is lost is sent again; nothing has to be healed for that.
    cluster.wait_converged();
    written.assert_kept(&cluster);
    judge(&cluster, &written);
}

/// L4: what comes late, and out of step with what others send, takes no newer write's place.
#[test]
fn links_that_are_slow_and_repeat_bring_nothing_back() {
    let cluster = LocalCluster::start_causal(3, &[]);
    let written = write_through(&cluster, 1, || {
        cluster.fault(0, FaultKind::Delay(Duration::from_millis(300)), &[1]);
        cluster.fault(2, FaultKind::Delay(Duration::from_millis(30)), &[]);
        cluster.fault(1, FaultKind::Duplicate(1.0), &[]);
        cluster.fault(2, FaultKind::Duplicate(1.0), &[0]);
    });
    judge(&cluster, &written);
}

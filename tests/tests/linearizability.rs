//! Real clusters under load, judged by what their clients were answered.

use std::time::Duration;

use common::check::linearizability::{self, STEPS_MAX, Verdict};
use common::check::revisions;
use common::control::condition::Condition;
use common::history::{History, Outcome};
use common::modes::Mode;
use tests::cluster::workload::Workload;
use tests::cluster::{LocalCluster, eventually};

/// So many writes make a run.
const WRITES: u64 = 2_000;

/// Eight clients on four keys, so that most operations meet others.
fn workload(cluster: &LocalCluster, nodes: usize) -> Workload {
    Workload {
        sockets: (0..nodes).map(|node| cluster.socket(node)).collect(),
        clients: 8,
        keys: 4,
        timeout: Duration::from_secs(5),
        swaps: false,
        read: None,
        seed: 1,
    }
}

fn count(history: &History, is_it: impl Fn(&Outcome) -> bool) -> usize {
    history.operations().iter().filter(|operation| is_it(&operation.outcome)).count()
}

/// One copy that one task owns is linearizable, and each of its writes has its own revision.
#[test]
fn a_node_alone_is_linearizable() {
    let cluster = LocalCluster::start(1, Mode::Broadcast);
    let history = workload(&cluster, 1).run_during(|| cluster.wait(0, Condition::Revision(WRITES)));
    assert_eq!(linearizability::check(&history, STEPS_MAX), Verdict::Linearizable);
    assert_eq!(revisions::check(&history), Ok(()));
    let answered = count(&history, |outcome| matches!(outcome, Outcome::Known(_)));
    assert_eq!(answered, history.operations().len(), "nothing failed");
}

/// R9: two copies that don't hear each other are not one, and both checkers say so.
#[test]
fn two_copies_in_broadcast_mode_are_not_linearizable() {
    let cluster = LocalCluster::start(2, Mode::Broadcast);
    cluster.partition(0, 1);
    let history = workload(&cluster, 2).run_during(|| {
        for node in 0..2 {
            cluster.wait(node, Condition::Revision(100));
        }
    });
    let verdict = linearizability::check(&history, STEPS_MAX);
    assert!(matches!(verdict, Verdict::Violated(_)), "{verdict:?}");
    assert!(revisions::check(&history).is_err());
}

/// Q2: what a killed node was asked has failed only where nothing was sent, and clients go on.
#[test]
fn clients_outlive_a_node_that_is_killed() {
    let mut cluster = LocalCluster::start(2, Mode::Broadcast);
    let load = workload(&cluster, 2);
    let history = load.run_during(|| {
        cluster.wait(1, Condition::Revision(100));
        cluster.kill(1);
        let revision = cluster.client(0).status().revision;
        cluster.wait(0, Condition::Revision(revision + 100));
        cluster.restart(1);
        eventually("it is back", || cluster.client(1).status().revision > revision);
    });
    assert!(count(&history, |outcome| *outcome == Outcome::Failed) > 0);
    assert!(count(&history, |outcome| matches!(outcome, Outcome::Known(_))) > 200);
}

//! All that keeps a cluster in raft mode busy while harm is done to it, and the judgement
//! afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::cluster::LocalCluster;
use crate::cluster::workload::Workload;
use crate::cluster::writer::{Progress, Writer, Written};
use common::check::{linearizability, revisions};
use common::history::History;

/// Clients of the recorded workload, and the keys they share: few, so that they meet.
const CLIENTS: usize = 4;
const KEYS: usize = 5;

/// Of the recorded requests: about as long as an election takes.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(1);

/// What clients did and saw during a run.
#[derive(Debug)]
pub struct Load {
    history: History,
    /// Of the client that repeats its writes.
    pub written: Written,
}

impl Load {
    /// Keeps the cluster busy while `meanwhile` does it harm. The runs on one cluster have
    /// different numbers.
    pub fn run_during(
        cluster: &mut LocalCluster,
        number: u64,
        meanwhile: impl FnOnce(&mut LocalCluster, &Progress),
    ) -> Self {
        let writer = Writer::new(cluster, u128::from(number));
        let workload = Workload {
            sockets: cluster.sockets(),
            clients: CLIENTS,
            keys: KEYS,
            timeout: REQUEST_TIME_MAX,
            swaps: true,
            read: None,
            seed: number,
        };
        let (is_over, progress) = (AtomicBool::new(false), Progress::default());
        thread::scope(|scope| {
            let written = scope.spawn(|| writer.run(&is_over, &progress));
            let history = workload.run_during(|| {
                let _end = End(&is_over);
                meanwhile(cluster, &progress);
            });
            Self { history, written: written.join().expect("no write was given up") }
        })
    }

    /// Judges what was seen, once the cluster has come to rest and all nodes run: there is one
    /// order of all operations, nothing acknowledged is lost or was applied twice, and all nodes
    /// hold the same.
    pub fn judge(&self, cluster: &LocalCluster) {
        cluster.wait_applied_alike();
        for node in cluster.running() {
            self.written.assert_kept(cluster, node);
        }
        let verdict = linearizability::check(&self.history, linearizability::STEPS_MAX);
        assert_eq!(verdict, linearizability::Verdict::Linearizable);
        revisions::check(&self.history).unwrap_or_else(|violation| panic!("{violation:?}"));
        assert!(self.written.count() > 0, "nothing was written");
        let answered = self.history.operations().iter().filter(|it| it.answer().is_some());
        assert!(answered.count() > 0, "nothing was answered");
    }
}

/// Ends the run when it is dropped, also by a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

//! What must be so after a round, when the cluster has come to rest.

use std::fs;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use crate::soak::machines::Machines;
use crate::soak::report::Report;
use crate::soak::{Options, Seen, spread};
use common::check::{linearizability, revisions};
use common::history::History;

/// Elections for each fault, at most: a fault can cost one when it begins and one when it ends,
/// each of them may be split a few times, and a busy machine may hold one in between.
const TERMS_PER_FAULT: u64 = 8;

/// Judges rounds, the histories of one while the next runs.
#[derive(Debug)]
pub struct Judge {
    dir: PathBuf,
    term: u64,
    judging: Option<JoinHandle<()>>,
}

impl Judge {
    /// Of a cluster in that term.
    pub fn new(options: &Options, term: u64) -> Self {
        Self { dir: options.dir.clone(), term, judging: None }
    }

    /// Judges a round, in which so much harm was done.
    ///
    /// # Panics
    ///
    /// If a promise was broken.
    pub fn judge(&mut self, machines: &mut Machines, seen: Seen, faults: u64, report: &mut Report) {
        self.finish();
        machines.settle();
        let cluster = &machines.cluster;
        spread::sync(cluster);
        cluster.wait_converged();
        for node in 0..machines.members {
            seen.written.assert_kept(cluster, node);
        }
        let (transfers, told) = &seen.transfers;
        transfers.audit(cluster, told);
        seen.causal.assert_kept(cluster);
        seen.locks.judge();
        let nodes: Vec<_> = (0..machines.members).collect();
        let term = cluster.term_of(&nodes);
        report.terms += term - self.term;
        let most = TERMS_PER_FAULT * (faults + 1);
        assert!(term - self.term <= most, "from term {} to {term}, {faults} faults", self.term);
        self.term = term;
        let path = self.dir.join(format!("history-{}.txt", seen.number));
        self.judging = Some(thread::spawn(move || judge_history(&seen.history, path)));
    }

    /// Waits for what is judged at the moment.
    ///
    /// # Panics
    ///
    /// If it was not as it should be.
    pub fn finish(&mut self) {
        if let Some(judging) = self.judging.take() {
            judging.join().expect("the history of the last round is in order");
        }
    }
}

fn judge_history(history: &History, path: PathBuf) {
    let verdict = linearizability::check(history, linearizability::STEPS_MAX);
    let order = revisions::check(history);
    if verdict == linearizability::Verdict::Linearizable && order.is_ok() {
        return;
    }
    let lines: Vec<_> = history.operations().iter().map(|one| format!("{one:?}\n")).collect();
    fs::write(&path, lines.concat()).expect("the run has a directory");
    panic!("{verdict:?} {order:?}; the history is in {}", path.display());
}

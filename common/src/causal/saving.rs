//! What goes to the disk: a record for each commit, and a snapshot now and then.

use crate::causal::record::Record;
use crate::causal::snapshot::Snapshot;
use crate::causal::{Causal, Effects};
use crate::observe::CausalEvent;
use crate::protocol::Task;
use crate::storage::snapshot::{Kind, PASSED_MAX};

/// The snapshots on disk.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The newest goes up to here.
    pub(super) position: u64,
    is_writing: bool,
    /// Those of Raft that were written since.
    passed: u32,
}

impl Causal {
    /// Of the next step.
    pub(super) fn next_position(&self) -> u64 {
        self.position + self.steps.len() as u64 + 1
    }

    /// All that has changed, in one record.
    pub(super) fn save(&mut self, effects: &mut Effects) {
        if self.steps.is_empty() {
            return;
        }
        let steps = std::mem::take(&mut self.steps);
        self.position += steps.len() as u64;
        effects.persist(Record { position: self.position, steps });
        self.trace(effects, |causal| CausalEvent::Sync { position: causal.position });
    }

    /// Takes a snapshot if enough has happened since the last one, or if Raft goes on, and the log
    /// on the disk could go but for what little has. It is a clone that shares all
    /// with the state; writing it goes on beside the node. What is staged is in no snapshot.
    pub(super) fn take_snapshot(&mut self, effects: &mut Effects) {
        let behind = self.position - self.snapshots.position;
        let is_passed = self.snapshots.passed >= PASSED_MAX && behind > 0;
        let is_due = is_passed || behind >= self.config.snapshot_every;
        if !is_due || self.snapshots.is_writing || self.pull.is_some() {
            return;
        }
        self.snapshots.is_writing = true;
        effects.observe(CausalEvent::TakeCausalSnapshot { position: self.position });
        effects.task(Task::WriteCausal(Box::new(Snapshot {
            position: self.position,
            clock: self.clock.clone(),
            lamport: self.lamport,
            time: self.hybrid.latest(),
            ready: self.ready,
            log: self.log.iter().cloned().collect(),
            sessions: self.sessions.clone(),
            store: self.store.clone(),
        })));
    }

    /// A snapshot of Raft is on the disk.
    pub(super) fn on_raft_written(&mut self) {
        self.snapshots.passed += 1;
    }

    pub(super) fn on_snapshot_written(&mut self, position: u64, effects: &mut Effects) {
        self.snapshots = Snapshots { position, ..Snapshots::default() };
        effects.task(Task::Release(Kind::Causal, position));
    }
}

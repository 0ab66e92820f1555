//! Delivered once, behind its past; persistent over restarts; equal clocks, equal versions.
//!
//! A node's disk has a row of steps. They are followed with a clock and a state of the checker's
//! own: a write is the next of its writer, and all that its writer had seen is there (causal
//! delivery: Cachin, Guerraoui, Rodrigues 2011, §3.9); a state that is taken over is closed under
//! causality. After each commit, and after each start, the node has just that clock, and just the
//! versions that the writes in it make (strong eventual consistency: Shapiro et al. 2011).
//!
//! Source: pitfalls L1, L2, L4, L5, L6, L11, L18.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::causal::Causal;
use common::causal::clock::VectorClock;
use common::causal::record::Step;
use common::causal::version::Version;
use common::causal::write::Write;
use common::identity::NodeId;
use common::kv::key::Key;
use common::node::Record;

use super::ledger::Ledger;

/// What each node's disk has.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    all: BTreeMap<NodeId, Replica>,
}

/// What one node's disk has.
#[derive(Debug, Default)]
pub(super) struct Replica {
    clock: VectorClock,
    keys: BTreeMap<Key, Vec<Version>>,
    /// The clock of the donor whose state is on its way here.
    transfer: Option<VectorClock>,
    /// What is on its way to the disk. A crash may leave it there, or not.
    pending: Vec<Step>,
}

/// What a commit has changed.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The node's own writes, each with the versions of its key before.
    pub(super) made: Vec<(Arc<Write>, Vec<Version>)>,
    touched: BTreeSet<Key>,
    has_jumped: bool,
}

impl Replicas {
    /// What a node has on its disk; nothing, as long as nothing was heard of it.
    pub(super) fn clock(&self, node: NodeId) -> VectorClock {
        self.all.get(&node).map(|replica| replica.clock.clone()).unwrap_or_default()
    }

    pub(super) fn on_step(&mut self, node: NodeId, records: &[Record]) {
        let replica = self.all.entry(node).or_default();
        replica.pending.clear();
        for record in records {
            if let Record::Causal(record) = record {
                replica.pending.extend(record.steps.iter().cloned());
            }
        }
    }

    /// The disk has it.
    pub(super) fn on_commit(
        &mut self,
        node: NodeId,
        ledger: &mut Ledger,
        state: &Causal,
    ) -> Result<Progress, String> {
        let replica = self.all.entry(node).or_default();
        let progress = replica.follow(node, ledger)?;
        if replica.clock != *state.clock() {
            let (has, shows) = (&replica.clock, state.clock());
            return Err(format!("the disk of {node} has {has}, and the node shows {shows}"));
        }
        let touched: Vec<Key> = match progress.has_jumped {
            true => ledger.keys().cloned().collect(),
            false => progress.touched.iter().cloned().collect(),
        };
        replica.compare(node, state, touched.iter())?;
        Ok(progress)
    }

    /// A process has started from what its disk had.
    pub(super) fn on_start(
        &mut self,
        node: NodeId,
        ledger: &mut Ledger,
        state: &Causal,
    ) -> Result<(), String> {
        let replica = self.all.entry(node).or_default();
        if replica.clock == *state.clock() {
            replica.pending.clear();
        }
        replica.follow(node, ledger)?;
        replica.transfer = None;
        let (had, has) = (&replica.clock, state.clock());
        if had != has {
            return Err(format!("the disk of {node} had {had}, and now has {has}"));
        }
        replica.compare(node, state, ledger.keys())
    }

    /// All keys of a node that rests.
    pub(super) fn compare_whole(&self, node: NodeId, state: &Causal) -> Result<(), String> {
        let Some(replica) = self.all.get(&node) else { return Ok(()) };
        let held = state.store().iter().count();
        if held != replica.keys.len() {
            return Err(format!("{node} has {held} keys, and should have {}", replica.keys.len()));
        }
        replica.compare(node, state, replica.keys.keys())
    }
}

impl Replica {
    fn follow(&mut self, node: NodeId, ledger: &mut Ledger) -> Result<Progress, String> {
        let mut progress = Progress::default();
        for step in std::mem::take(&mut self.pending) {
            match step {
                Step::Apply(write) => self.apply(node, &write, ledger, &mut progress)?,
                Step::BeginSync { theirs, .. } => self.transfer = Some(theirs),
                Step::EndSync => {
                    let theirs = self.transfer.take().ok_or("a transfer ends twice")?;
                    self.clock.merge(&theirs);
                    ledger.check_closed(&self.clock)?;
                    self.rebuild(ledger);
                    progress.has_jumped = true;
                }
                Step::Stage(_) | Step::Ready => {}
            }
        }
        Ok(progress)
    }

    fn apply(
        &mut self,
        node: NodeId,
        write: &Arc<Write>,
        ledger: &mut Ledger,
        progress: &mut Progress,
    ) -> Result<(), String> {
        let dot = write.dot;
        let next = self.clock.get(dot.node) + 1;
        if dot.counter != next {
            return Err(format!("{node} applies {dot}, and {next} is the next"));
        }
        if dot.node == node {
            let before = self.keys.get(&write.key).cloned().unwrap_or_default();
            ledger.add(write, &self.clock)?;
            progress.made.push((Arc::clone(write), before));
        }
        let Some(known) = ledger.get(dot) else {
            return Err(format!("{node} applies {write:?}, which nobody wrote"));
        };
        if known != write {
            return Err(format!("{node} applies {write:?}, which was written as {known:?}"));
        }
        let past = ledger.past(dot).expect("it is there");
        if let Some(missing) = past.iter().find(|cause| !self.clock.contains(*cause)) {
            return Err(format!(
                "{node} applies {dot} before {missing}, which its writer had seen"
            ));
        }
        self.clock.advance(dot);
        let versions = self.keys.entry(write.key.clone()).or_default();
        versions.retain(|version| !write.replaces.contains(&version.dot));
        versions.extend(Version::of(write));
        versions.sort_unstable_by_key(|version| version.dot);
        if versions.is_empty() {
            self.keys.remove(&write.key);
        }
        progress.touched.insert(write.key.clone());
        Ok(())
    }

    fn rebuild(&mut self, ledger: &Ledger) {
        let versions = |key: &Key| (key.clone(), ledger.versions(key, &self.clock));
        self.keys = ledger.keys().map(versions).filter(|(_, all)| !all.is_empty()).collect();
    }

    fn compare<'a>(
        &self,
        node: NodeId,
        state: &Causal,
        mut keys: impl Iterator<Item = &'a Key>,
    ) -> Result<(), String> {
        let is_other = |key: &Key| {
            let expected = self.keys.get(key).map_or(&[][..], Vec::as_slice);
            state.store().get(key) != expected
        };
        let Some(key) = keys.find(|key| is_other(key)) else { return Ok(()) };
        let (has, expected) = (state.store().get(key), self.keys.get(key));
        Err(format!("{node} has of {key} {has:?}; its clock {} makes {expected:?}", self.clock))
    }
}

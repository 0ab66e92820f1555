//! What the log on the disk keeps of causal mode: one record for each commit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::causal::clock::VectorClock;
use crate::causal::version::Version;
use crate::causal::write::Write;
use crate::kv::key::Key;

/// All that a commit has changed, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts the steps of this node, these included: a snapshot that goes up to here stands for
    /// the record.
    pub position: u64,
    /// What was done.
    pub steps: Vec<Step>,
}

/// A change of the persistent state. A variant is only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A write was applied.
    Apply(Arc<Write>),
    /// The state of a donor is taken over.
    BeginSync {
        /// What it has seen.
        theirs: VectorClock,
        /// Its Lamport clock.
        lamport: u64,
    },
    /// A part of what the two states make together.
    Stage(Vec<(Key, Vec<Version>)>),
    /// What was staged, with what was written meanwhile, is the state.
    EndSync,
    /// The node serves.
    Ready,
}

impl Record {
    /// The record may go when a snapshot reaches up to here.
    pub fn mark(&self) -> u64 {
        self.position
    }
}

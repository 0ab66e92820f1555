//! Traces of nodes, held against the specifications: what the program did must be a behaviour that
//! `spec/` allows, step by step.
//!
//! ```text
//!  simulator ──▶ lines ┐ merged in     ┌─ broadcast ┐                    TraceX.tla
//!                      ├──────────────▶│  causal    ├─▶ TraceData.tla ─┐     │
//!  distdbd --trace ────┘ causal order  └─ raft ─────┘   (tla.rs)       └──▶ TLC ─▶ accepted, or
//!                                       a record a step                     the step that is not
//! ```
//!
//! A lab's converter turns events into steps of its specification: ids into small names, keys into
//! numbers, and what only the future tells (which message is ever received, who crashed) into what
//! the specification needs to know at once. Whether a step is allowed, TLC alone decides.

mod broadcast;
mod causal;
pub mod check;
mod raft;
mod tla;

use std::fs;
use std::io;
use std::path::Path;

use common::identity::{NodeId, NodeName};
use common::observe;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sim::lab::Lab;

/// A line of a trace; see [`observe::Line`].
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Line {
    /// The protocol whose event it is.
    pub lab: u64,
    /// The node's Lamport clock.
    pub lc: u64,
    /// The count of the process's lines.
    pub seq: u64,
    /// The node's name.
    pub node: String,
    /// Its id.
    #[serde(rename = "node_id")]
    pub id: Value,
    /// The event's name.
    pub ev: String,
    /// What belongs to the event.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// What TLC is asked to allow.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// What holds for all steps: the nodes, the keys.
    pub header: Map<String, Value>,
    /// A record for each step. A member `ev` is the action's name.
    pub steps: Vec<Value>,
}

/// A trace with one line that no sound node observes.
#[derive(Debug, Clone)]
pub struct Corrupted {
    /// What is wrong.
    pub what: String,
    /// Which line, counted from 0.
    pub at: usize,
    /// All lines.
    pub lines: Vec<Line>,
}

impl Line {
    /// What a node has observed.
    pub fn of(
        node: (&NodeName, NodeId),
        seq: u64,
        at_us: u64,
        observed: &observe::Observed,
    ) -> Self {
        let line = serde_json::to_value(observe::Line::new(node, seq, at_us, observed));
        let line = line.expect("events are numbers and strings");
        serde_json::from_value(line).expect("it has these members")
    }
}

/// Sorts lines such that none comes before what caused it. Those of a node must be in its order.
pub fn merge(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|one, other| (one.lc, &one.node).cmp(&(other.lc, &other.node)));
    lines
}

/// All lines of the traces in `folder`: files whose names end with `.ndjson`, one for each node; or
/// of a file that has the lines of all. A last line that is not whole, of a process that was killed, is left out.
///
/// # Errors
///
/// A file can't be read, or has something else.
pub fn read(folder: &Path) -> io::Result<Vec<Line>> {
    let mut files = Vec::new();
    if folder.is_file() {
        files.push(folder.to_owned());
    } else {
        for entry in fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "ndjson"));
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let wrong = |error| io::Error::other(format!("{}: {error}: {line}", file.display()));
            lines.push(serde_json::from_str(line).map_err(wrong)?);
        }
    }
    Ok(merge(lines))
}

/// What the lab's specification must allow, if these merged lines are a trace of it.
///
/// # Errors
///
/// Events that make no sense one after another.
pub fn behaviour(lab: Lab, lines: &[Line]) -> Result<Behaviour, String> {
    match lab {
        Lab::Broadcast => broadcast::behaviour(lines),
        Lab::Causal => causal::behaviour(lines),
        Lab::Raft => raft::behaviour(lines),
    }
}

/// The ways in which one line of a trace can be wrong; the lab's specification must allow none of
/// them, or its check checks nothing.
pub fn corruptions(lab: Lab, lines: &[Line]) -> Vec<Corrupted> {
    match lab {
        Lab::Broadcast => broadcast::corruptions(lines),
        Lab::Causal => causal::corruptions(lines),
        Lab::Raft => raft::corruptions(lines),
    }
}

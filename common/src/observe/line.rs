//! Events as traces have them, each with its time by the node's Lamport clock.
//!
//! The lines of several nodes, sorted by `lc`, then by node, then in the order of each node's own,
//! are in an order in which nothing comes before what caused it (Lamport 1978). A process begins
//! with `Start`; where it ended without a word, the next line of its node is another `Start`.

use serde::Serialize;

use crate::identity::{NodeId, NodeName};
use crate::observe::Event;

/// An event, and when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// By the node's Lamport clock: what another node did because of it, it did later.
    pub lamport: u64,
    /// What happened.
    pub event: Event,
}

/// A line of a trace: a JSON object. No event may have a member that is called as one of these.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    v: u32,
    lab: u32,
    lc: u64,
    seq: u64,
    node: &'a NodeName,
    node_id: NodeId,
    at_us: u64,
    #[serde(flatten)]
    event: &'a Event,
}

impl<'a> Line<'a> {
    /// The version of the format.
    pub const VERSION: u32 = 2;

    /// The `seq`-th line of a process of this node, `at_us` microseconds after its start.
    pub fn new(
        (node, node_id): (&'a NodeName, NodeId),
        seq: u64,
        at_us: u64,
        observed: &'a Observed,
    ) -> Self {
        let Observed { lamport, event } = observed;
        Self { v: Self::VERSION, lab: event.lab(), lc: *lamport, seq, node, node_id, at_us, event }
    }
}

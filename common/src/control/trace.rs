//! `trace`: what a node has observed of late, out of its memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    /// Not what is older; all that is kept where it is left out.
    pub last: Option<Duration>,
    /// No more events than that, the newest.
    pub limit: Option<usize>,
}

/// What the node remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Lines as `distdbd --trace` writes them, in the order of the node's Lamport clock `lc`.
    pub events: Vec<Value>,
    /// The time of the answer, in microseconds since the daemon's start, as `at_us` of the lines.
    pub now_us: u64,
    /// How many events since the daemon's start are not kept any more.
    pub forgotten: u64,
}

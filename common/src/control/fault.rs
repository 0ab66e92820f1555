//! Faults that a node makes on request: of its own links, its disk and its clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One change of a node's faults, of its own links, its disk or its clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What happens to frames.
    pub kind: FaultKind,
    /// On the links to these peers, by name; to all where empty.
    pub peers: Vec<String>,
    /// Which way.
    pub direction: Direction,
}

/// What happens to the frames of a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// All links are cut.
    Isolate,
    /// The links are cut.
    Partition,
    /// A frame is lost with this probability, 0 to 1.
    Drop(f64),
    /// Frames are so much later.
    Delay(Duration),
    /// A frame comes twice with this probability, 0 to 1.
    Duplicate(f64),
    /// Each sync of this node's own disk takes so much longer. It names no peers.
    Disk(Duration),
    /// The wall clock of this node is so many milliseconds fast, or slow where it is below 0. It
    /// names no peers.
    Clock(i64),
    /// All is well again, disk and clock too.
    Heal,
}

/// Which way a fault works, seen from the node that has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// What the peer sends.
    In,
    /// What the peer is sent.
    Out,
}

/// The faults of this node's own links, disk and clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Faults {
    /// All that are active.
    pub faults: Vec<ActiveFault>,
}

/// One active fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveFault {
    /// `partition`, `drop`, `delay`, `duplicate`, `disk` or `clock`.
    pub fault: String,
    /// On the links to which peer; `*` for all, and of disk and clock.
    pub peer: String,
    /// Which way.
    pub direction: Direction,
    /// A probability, or milliseconds, of a clock below 0 as well; none of a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<f64>,
}

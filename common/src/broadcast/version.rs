//! Which of two writes of a key is the later.

use serde::{Deserialize, Serialize};

use crate::identity::{Incarnation, NodeId};

/// The largest clock, so that a revision is exact in JSON readers that know only doubles.
pub const CLOCK_MAX: u64 = (1 << 53) - 1;

/// The largest clock that is believed of a peer: what is above it leaves room for more writes than
/// a node will ever make.
pub const CLOCK_PEER_MAX: u64 = 1 << 52;

/// A write's place in logical time: Lamport's clock, ties broken by the node (Lamport 1978).
///
/// The order is that of the members as they stand. The incarnation keeps versions unique: a node
/// that restarts has lost the clock of writes that no peer got, and could give it out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Above every clock that the writer had seen.
    pub clock: u64,
    /// The writer.
    pub node: NodeId,
    /// The writer's start.
    pub incarnation: Incarnation,
}

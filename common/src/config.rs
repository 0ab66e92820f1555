//! What a node is told at its start.

use std::time::Duration;

use crate::identity::{NodeId, NodeName};

/// The part of a daemon's flags that its core needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's id: of its data directory, or a fresh one.
    pub node: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Where its peers reach it, `host:port`.
    pub address: String,
    /// How often a node lets its peers hear from it.
    pub heartbeat_interval: Duration,
    /// A peer that has not been heard for this long is taken for dead.
    pub election_timeout: Duration,
}

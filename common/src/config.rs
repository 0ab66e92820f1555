//! What a node is told at its start.

use std::time::Duration;

use crate::identity::{NodeId, NodeName};
use crate::modes::Mode;

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
    /// The default mode of a cluster that this node founds.
    pub mode: Mode,
    /// A snapshot is taken each time that so many entries were applied.
    pub snapshot_every: u64,
    /// What is kept of the log behind a snapshot, in bytes: a member that was away for a moment
    /// gets entries, which is less than the whole state.
    pub log_kept_bytes: usize,
    /// What is kept in memory of writes in causal mode that members lack, in bytes: a member
    /// further behind is better served by a state transfer.
    pub causal_log_bytes: usize,
    /// Of the dice: no two starts have the same.
    pub seed: u64,
}

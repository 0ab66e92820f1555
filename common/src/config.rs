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
    /// What is kept in raft mode beside the keys as they are.
    pub keeping: Keeping,
    /// Of the dice: no two starts have the same.
    pub seed: u64,
    /// Whether somebody traces the node: then more is observed than logs have a use for.
    pub is_traced: bool,
}

/// Which history is kept, and how much there may be of all.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Changes that are older are forgotten.
    pub age: Duration,
    /// So many changes are kept, and no more.
    pub events: u64,
    /// What they may take, in bytes.
    pub bytes: u64,
    /// What keys and history may take together, in bytes; past it nothing more is stored.
    pub quota_bytes: Option<u64>,
}

impl Default for Keeping {
    /// An hour, and a quarter of a million changes in 256 MiB at most: half a minute of writes at
    /// full speed.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(3_600),
            events: 250_000,
            bytes: 256 * 1024 * 1024,
            quota_bytes: None,
        }
    }
}

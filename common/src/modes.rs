//! Which replication mode a key belongs to.

use serde::{Deserialize, Serialize};

/// How the keys below a prefix are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Lab 1: stored here, sent to every connected peer.
    Broadcast,
}

impl Mode {
    /// The mode as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
        }
    }
}

/// A row of the mode table: all keys that begin with `prefix`, and with no longer one of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeRow {
    /// What the keys begin with; the empty prefix begins every key.
    pub prefix: String,
    /// How they are replicated.
    pub mode: Mode,
}

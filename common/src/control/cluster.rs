//! What a node answers about the cluster as a whole: its members, its modes, and why it works.

use serde::{Deserialize, Serialize};

use crate::identity::NodeName;
use crate::modes::ModeRow;

/// What a change of the members makes, or would make, of the quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChanged {
    /// Whom it is about.
    pub member: NodeName,
    /// Whether it was done: not in a dry run.
    pub changed: bool,
    /// Voters before.
    pub voters_before: usize,
    /// Voters after.
    pub voters_after: usize,
    /// How many of the voters make a quorum then.
    pub quorum_after: usize,
    /// How many of the voters of then answer.
    pub reachable_after: usize,
    /// Whether writes go on then.
    pub safe: bool,
    /// The same in one line, for people.
    pub summary: String,
}

/// Another node leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// Who.
    pub leader: NodeName,
}

/// Which keys are replicated how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// In the order of the prefixes; of a key the longest counts.
    pub modes: Vec<ModeRow>,
    /// Of `mode_set`: whether the table was changed. Not in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
}

/// Why reads or writes work, or don't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// Whether they work.
    pub ok: bool,
    /// In one line.
    pub verdict: String,
    /// What it follows from, in the order in which to look at it.
    pub facts: Vec<Fact>,
    /// What to do next; nothing where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One thing that is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about: `leader`, `quorum`, `peer node2`, `disk`.
    pub what: String,
    /// How it is.
    pub is: String,
    /// Whether that is as it should be.
    pub ok: bool,
}

//! Which of the labs a run is about.

use std::fmt;
use std::str::FromStr;

/// A mode in which clusters are founded, and all that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lab {
    /// Lab 1: stores that are told of writes, and may differ.
    Broadcast,
    /// Lab 2: stores that are told of every write once, behind its past.
    Causal,
    /// Lab 3: one log, and as many copies of its state.
    Raft,
}

impl Lab {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Broadcast, Self::Causal, Self::Raft];
}

impl fmt::Display for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broadcast => "broadcast",
            Self::Causal => "causal",
            Self::Raft => "raft",
        })
    }
}

impl FromStr for Lab {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        let named = all.find(|lab| lab.to_string() == text);
        named.ok_or_else(|| format!("{text:?} is no lab"))
    }
}

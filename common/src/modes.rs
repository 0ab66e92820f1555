//! Which replication mode a key belongs to.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

/// How the keys below a prefix are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Lab 1: stored here, sent to every connected peer.
    Broadcast,
    /// Lab 3: durable on a majority, and applied.
    Raft,
}

impl Mode {
    /// The mode as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Raft => "raft",
        }
    }
}

/// What the concurrent versions of a key in causal mode are to its readers.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Resolver {
    /// The latest, and that there are others.
    #[default]
    Siblings,
    /// The latest: the last writer wins.
    Lww,
    /// The greatest number.
    Max,
    /// The least number.
    Min,
    /// The sum of what each node has counted.
    Counter,
    /// All of them, as the elements of a set.
    Set,
}

impl Resolver {
    /// The resolver as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Siblings => "siblings",
            Self::Lww => "lww",
            Self::Max => "max",
            Self::Min => "min",
            Self::Counter => "counter",
            Self::Set => "set",
        }
    }
}

/// Rows that a table takes: it is looked up for each request.
pub const MODES_MAX: usize = 1_024;

/// The mode of each key, by the longest prefix that it begins with.
///
/// Invariant: there is a row for the empty prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeTable {
    rows: BTreeMap<String, Mode>,
    digest: u64,
}

impl ModeTable {
    /// One mode for all keys.
    pub fn new(mode: Mode) -> Self {
        Self::digested(BTreeMap::from([(String::new(), mode)]))
    }

    /// The table with these rows, if one is for the empty prefix.
    pub fn from_rows(rows: BTreeMap<String, Mode>) -> Option<Self> {
        rows.contains_key("").then(|| Self::digested(rows))
    }

    fn digested(rows: BTreeMap<String, Mode>) -> Self {
        let bytes = postcard::to_stdvec(&rows).expect("rows have no unsized part");
        Self { rows, digest: xxhash_rust::xxh3::xxh3_64(&bytes) }
    }

    /// Equal for equal tables.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// All rows.
    pub fn rows(&self) -> &BTreeMap<String, Mode> {
        &self.rows
    }

    /// The same, as clients are told.
    pub fn to_rows(&self) -> Vec<ModeRow> {
        let row =
            |(prefix, mode): (&String, &Mode)| ModeRow { prefix: prefix.clone(), mode: *mode };
        self.rows.iter().map(row).collect()
    }

    /// Whether any row has this mode.
    pub fn has(&self, mode: Mode) -> bool {
        self.rows.values().any(|row| *row == mode)
    }

    /// How many rows there are.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The mode of a key, or of all keys of a prefix that has no row below it.
    pub fn mode_of(&self, key: &str) -> Mode {
        // Of the prefixes of `key` the longest is the greatest.
        let mut rows = self.rows.range::<str, _>((Bound::Unbounded, Bound::Included(key))).rev();
        if self.rows.len() == 1 {
            return self.rows[""];
        }
        let row = rows.find(|(prefix, _)| key.starts_with(prefix.as_str()));
        *row.expect("the empty prefix begins every key").1
    }

    /// Gives a prefix to a mode.
    pub fn set(&mut self, prefix: String, mode: Mode) {
        self.rows.insert(prefix, mode);
        *self = Self::digested(std::mem::take(&mut self.rows));
    }

    /// Whether every key that begins with `prefix` has one mode.
    pub fn is_uniform(&self, prefix: &str) -> bool {
        let mode = self.mode_of(prefix);
        let below = self.rows.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        below.take_while(|(row, _)| row.starts_with(prefix)).all(|(_, row)| *row == mode)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let mut table = ModeTable::new(Mode::Raft);
        table.set("a/".into(), Mode::Broadcast);
        table.set("a/b/".into(), Mode::Raft);
        let modes = ["", "a", "a/", "a/a", "a/b", "a/b/", "a/b/c", "a/c", "b"];
        let raft = modes.map(|key| table.mode_of(key) == Mode::Raft);
        assert_eq!(raft, [true, true, false, false, false, true, true, false, true]);
        assert!(table.is_uniform("a/b/") && table.is_uniform("b") && !table.is_uniform("a/"));
    }
}

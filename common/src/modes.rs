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
    /// Lab 2: durable here, and on its way to every member until all have it.
    Causal,
}

impl Mode {
    /// The mode as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Raft => "raft",
            Self::Causal => "causal",
        }
    }

    /// Whether a cluster that was founded in it has a log, and Raft with it.
    pub fn has_log(self) -> bool {
        self != Self::Broadcast
    }
}

/// What becomes of concurrent writes of a key in causal mode. All of them are kept; this is what a
/// reader makes of them.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Resolver {
    /// The latest wins, and the others are shown beside it until someone resolves them.
    #[default]
    Siblings,
    /// The latest wins.
    Lww,
    /// The largest number wins.
    Max,
    /// The smallest number wins.
    Min,
    /// What all have added up to.
    Counter,
    /// All of them, as a set's elements.
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

    /// Whether a version is a value as somebody has put it, and not a part of one.
    pub fn shows_values(self) -> bool {
        match self {
            Self::Siblings | Self::Lww | Self::Max | Self::Min => true,
            Self::Counter | Self::Set => false,
        }
    }
}

/// A mode, and what else there is to say of it: what a row of the table holds. A variant is only
/// ever added at the end: the disk and the wire have its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rule {
    /// [`Mode::Broadcast`].
    Broadcast,
    /// [`Mode::Raft`].
    Raft,
    /// [`Mode::Causal`], and what becomes of concurrent writes.
    Causal(Resolver),
}

impl Rule {
    /// The rule of a mode, with that resolver where it has one.
    pub fn new(mode: Mode, resolver: Option<Resolver>) -> Option<Self> {
        match (mode, resolver) {
            (Mode::Broadcast, None) => Some(Self::Broadcast),
            (Mode::Raft, None) => Some(Self::Raft),
            (Mode::Causal, resolver) => Some(Self::Causal(resolver.unwrap_or_default())),
            (Mode::Broadcast | Mode::Raft, Some(_)) => None,
        }
    }

    /// Without what else there is to say.
    pub fn mode(self) -> Mode {
        match self {
            Self::Broadcast => Mode::Broadcast,
            Self::Raft => Mode::Raft,
            Self::Causal(_) => Mode::Causal,
        }
    }

    /// Of causal mode.
    pub fn resolver(self) -> Option<Resolver> {
        match self {
            Self::Broadcast | Self::Raft => None,
            Self::Causal(resolver) => Some(resolver),
        }
    }

    /// Whether keys that go by this rule may go by another: no key changes hands, but what is made
    /// of its versions may change where these are values.
    pub fn may_become(self, other: Self) -> bool {
        match (self, other) {
            (Self::Causal(one), Self::Causal(other)) => {
                one == other || (one.shows_values() && other.shows_values())
            }
            (Self::Broadcast | Self::Raft | Self::Causal(_), other) => self == other,
        }
    }
}

impl From<Mode> for Rule {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Broadcast => Self::Broadcast,
            Mode::Raft => Self::Raft,
            Mode::Causal => Self::Causal(Resolver::default()),
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
    rows: BTreeMap<String, Rule>,
    digest: u64,
}

impl ModeTable {
    /// One mode for all keys.
    pub fn new(mode: Mode) -> Self {
        Self::digested(BTreeMap::from([(String::new(), mode.into())]))
    }

    /// The table with these rows, if one is for the empty prefix.
    pub fn from_rows(rows: BTreeMap<String, Rule>) -> Option<Self> {
        rows.contains_key("").then(|| Self::digested(rows))
    }

    fn digested(rows: BTreeMap<String, Rule>) -> Self {
        let bytes = postcard::to_stdvec(&rows).expect("rows have no unsized part");
        Self { rows, digest: xxhash_rust::xxh3::xxh3_64(&bytes) }
    }

    /// Equal for equal tables.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// All rows.
    pub fn rows(&self) -> &BTreeMap<String, Rule> {
        &self.rows
    }

    /// The same, as clients are told.
    pub fn to_rows(&self) -> Vec<ModeRow> {
        self.rows.iter().map(|(prefix, rule)| ModeRow::new(prefix.clone(), *rule)).collect()
    }

    /// Whether any row has this mode.
    pub fn has(&self, mode: Mode) -> bool {
        self.rows.values().any(|rule| rule.mode() == mode)
    }

    /// What becomes of concurrent writes of a key, where its mode is causal.
    pub fn resolver_of(&self, key: &str) -> Option<Resolver> {
        self.rule_of(key).resolver()
    }

    /// How many rows there are.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The mode of a key, or of all keys of a prefix that has no row below it.
    pub fn mode_of(&self, key: &str) -> Mode {
        self.rule_of(key).mode()
    }

    /// The rule of a key, or of all keys of a prefix that has no row below it.
    pub fn rule_of(&self, key: &str) -> Rule {
        // Of the prefixes of `key` the longest is the greatest.
        let mut rows = self.rows.range::<str, _>((Bound::Unbounded, Bound::Included(key))).rev();
        if self.rows.len() == 1 {
            return self.rows[""];
        }
        let row = rows.find(|(prefix, _)| key.starts_with(prefix.as_str()));
        *row.expect("the empty prefix begins every key").1
    }

    /// Has a prefix go by a rule.
    pub fn set(&mut self, prefix: String, rule: Rule) {
        self.rows.insert(prefix, rule);
        *self = Self::digested(std::mem::take(&mut self.rows));
    }

    /// Whether every key that begins with `prefix` has one mode.
    pub fn is_uniform(&self, prefix: &str) -> bool {
        let mode = self.mode_of(prefix);
        self.below(prefix).all(|rule| rule.mode() == mode)
    }

    /// Whether a key that begins with `prefix` may have that mode.
    pub fn may_have(&self, prefix: &str, mode: Mode) -> bool {
        self.mode_of(prefix) == mode || self.below(prefix).any(|rule| rule.mode() == mode)
    }

    /// The rules of the rows that begin with `prefix`.
    fn below(&self, prefix: &str) -> impl Iterator<Item = Rule> {
        let rows = self.rows.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        rows.take_while(move |(row, _)| row.starts_with(prefix)).map(|(_, rule)| *rule)
    }
}

/// A row of the mode table: all keys that begin with `prefix`, and with no longer one of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeRow {
    /// What the keys begin with; the empty prefix begins every key.
    pub prefix: String,
    /// How they are replicated.
    pub mode: Mode,
    /// In causal mode: what becomes of concurrent writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
}

impl ModeRow {
    /// The row for a rule.
    pub fn new(prefix: String, rule: Rule) -> Self {
        Self { prefix, mode: rule.mode(), resolver: rule.resolver() }
    }

    /// The rule that it holds.
    pub fn rule(&self) -> Option<Rule> {
        Rule::new(self.mode, self.resolver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let mut table = ModeTable::new(Mode::Raft);
        table.set("a/".into(), Rule::Broadcast);
        table.set("a/b/".into(), Rule::Raft);
        let modes = ["", "a", "a/", "a/a", "a/b", "a/b/", "a/b/c", "a/c", "b"];
        let raft = modes.map(|key| table.mode_of(key) == Mode::Raft);
        assert_eq!(raft, [true, true, false, false, false, true, true, false, true]);
        assert!(table.is_uniform("a/b/") && table.is_uniform("b") && !table.is_uniform("a/"));
        assert!(table.may_have("a/", Mode::Raft) && !table.may_have("a/c", Mode::Raft));
    }

    /// Tables and logs that were written when a row held no more than a mode are read as they were.
    #[test]
    fn a_rule_lies_on_the_disk_as_its_mode_did() {
        for mode in [Mode::Broadcast, Mode::Raft] {
            let bytes = postcard::to_stdvec(&mode).expect("bytes");
            assert_eq!(postcard::from_bytes::<Rule>(&bytes), Ok(mode.into()));
        }
        let bytes = postcard::to_stdvec(&Rule::Causal(Resolver::Set)).expect("bytes");
        assert_eq!(bytes, [2, 5]);
    }

    #[test]
    fn a_key_may_change_its_resolver_where_its_versions_are_values() {
        let causal = Rule::Causal;
        assert!(causal(Resolver::Lww).may_become(causal(Resolver::Max)));
        assert!(causal(Resolver::Set).may_become(causal(Resolver::Set)));
        assert!(!causal(Resolver::Lww).may_become(causal(Resolver::Counter)));
        assert!(!causal(Resolver::Set).may_become(causal(Resolver::Siblings)));
        assert!(!causal(Resolver::Lww).may_become(Rule::Raft) && Rule::Raft.may_become(Rule::Raft));
    }
}

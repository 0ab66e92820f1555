//! The log: entries in a row, the oldest of them dropped behind a snapshot.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::kv::state::Stamp;
use crate::raft::configuration::Configuration;

/// A term: Raft's logical clock (§5.1). 0 is before the first election.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Term(pub u64);

/// A position in the log. The first entry has 1.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Index(pub u64);

impl Index {
    /// The one behind.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The one before, or 0.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// An entry's term and index, ordered as Raft §5.4.1 compares logs.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EntryId {
    /// Compared first.
    pub term: Term,
    /// Compared then.
    pub index: Index,
}

/// An entry; its index is where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of the leader that made it.
    pub term: Term,
    /// What it carries.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a leader's first entry, which lets it commit those of terms before (§8).
    Noop,
    /// Who belongs to the cluster, from this entry on (§6, thesis §4.1).
    Configuration(Box<Configuration>),
    /// A [`crate::kv::command::Proposal`], encoded once, where it was proposed. Leaders of before
    /// the data model wrote it so.
    Command(Bytes),
    /// The same, with what the leader took the time to be.
    Written {
        /// By its clocks.
        stamp: Stamp,
        /// The proposal.
        command: Bytes,
    },
}

impl Payload {
    /// The proposal in it, if there is one, and when it was proposed.
    pub fn command(&self) -> Option<(Stamp, &Bytes)> {
        match self {
            Self::Command(command) => Some((Stamp::default(), command)),
            Self::Written { stamp, command } => Some((*stamp, command)),
            Self::Noop | Self::Configuration(_) => None,
        }
    }
}

impl Entry {
    /// About what it takes in memory and on its way.
    pub fn bytes(&self) -> usize {
        const OVERHEAD: usize = 32;
        OVERHEAD
            + match &self.payload {
                Payload::Noop => 0,
                Payload::Configuration(configuration) => 128 * configuration.len(),
                Payload::Command(command) | Payload::Written { command, .. } => command.len(),
            }
    }
}

/// The entries from `base` (exclusive) on.
///
/// Invariants: terms never fall from entry to entry; `bytes` is that of the entries.
#[derive(Debug, Clone, Default)]
pub struct Log {
    base: EntryId,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Log {
    /// An empty log that goes on behind `base`.
    pub fn behind(base: EntryId) -> Self {
        Self { base, ..Self::default() }
    }

    /// The last entry that was dropped.
    pub fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry; the base of an empty log.
    pub fn last(&self) -> EntryId {
        let index = Index(self.base.index.0 + self.entries.len() as u64);
        EntryId { term: self.entries.back().map_or(self.base.term, |entry| entry.term), index }
    }

    /// What the entries take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn position(&self, index: Index) -> Option<usize> {
        let behind = index.0.checked_sub(self.base.index.0 + 1)?;
        usize::try_from(behind).ok().filter(|position| *position < self.entries.len())
    }

    /// The entry at `index`, if it is there.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        self.position(index).map(|position| &self.entries[position])
    }

    /// The term of the entry at `index`, the base included.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.get(index).map(|entry| entry.term)
    }

    /// The id of the entry at `index`, the base included.
    pub fn id_at(&self, index: Index) -> Option<EntryId> {
        self.term_at(index).map(|term| EntryId { term, index })
    }

    /// The entries from `from` on, as many as go into `bytes_max`, but one at least.
    pub fn slice(&self, from: Index, bytes_max: usize) -> Vec<Entry> {
        let Some(position) = self.position(from) else { return Vec::new() };
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let before = bytes;
            bytes += entry.bytes();
            before == 0 || bytes <= bytes_max
        };
        self.entries.range(position..).take_while(fits).cloned().collect()
    }

    /// Appends an entry; returns where it stands.
    pub fn append(&mut self, entry: Entry) -> Index {
        assert!(entry.term >= self.last().term, "terms never fall in a log");
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        self.last().index
    }

    /// Removes all entries from `from` on.
    pub fn truncate(&mut self, from: Index) {
        if let Some(position) = self.position(from) {
            for entry in self.entries.drain(position..) {
                self.bytes -= entry.bytes();
            }
        }
    }

    /// Drops the entries up to `index`.
    fn compact(&mut self, index: Index) {
        let Some(base) = self.id_at(index) else { return };
        let count = usize::try_from(index.0 - self.base.index.0).expect("it is in memory");
        for entry in self.entries.drain(..count) {
            self.bytes -= entry.bytes();
        }
        self.base = base;
    }

    /// Drops entries up to `index`, which a snapshot holds, the oldest first, until those that are
    /// left take at most `bytes_kept`.
    pub fn release(&mut self, index: Index, bytes_kept: usize) {
        let mut bytes = self.bytes;
        let mut base = self.base.index;
        while base < index && bytes > bytes_kept {
            base = base.next();
            bytes -= self.get(base).map_or(0, Entry::bytes);
        }
        self.compact(base);
    }

    /// Goes on behind a snapshot: what follows its last entry is kept if that entry is in the
    /// log, because then it is a prefix of it (§7), else all is dropped.
    pub fn restart(&mut self, last: EntryId) {
        if self.term_at(last.index) == Some(last.term) {
            self.compact(last.index);
        } else {
            *self = Self::behind(last);
        }
    }

    /// The first entry whose term is that of the entry at `index`.
    pub fn first_of_term_at(&self, index: Index) -> Index {
        let term = self.term_at(index);
        let mut first = index;
        while first > self.base.index.next() && self.term_at(first.previous()) == term {
            first = first.previous();
        }
        first
    }

    /// The last entry with a term of at most `term`, not behind `index`.
    pub fn last_up_to_term(&self, index: Index, term: Term) -> Index {
        let mut at = index.min(self.last().index);
        while at > self.base.index && self.term_at(at).is_some_and(|t| t > term) {
            at = at.previous();
        }
        at
    }
}

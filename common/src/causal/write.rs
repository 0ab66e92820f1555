//! Writes: what one node tells all others of a change to a key.

use serde::{Deserialize, Serialize};

use crate::causal::clock::{COUNTER_MAX, Dot, NODES_MAX};
use crate::causal::hybrid::Timestamp;
use crate::kv::command::Tag;
use crate::kv::key::Key;
use crate::kv::outcome::Outcome;
use crate::kv::value::Value;

/// The largest Lamport clock that moves this node's: what is above it leaves room for more writes
/// than a node will ever make.
pub const LAMPORT_PEER_MAX: u64 = 1 << 52;

/// The largest that a sound node can have: JSON readers know it exactly.
pub const LAMPORT_MAX: u64 = (1 << 53) - 1;

/// Versions that a write takes the place of, at most. A client lets a key have a thousand, but many
/// nodes may do so at once.
pub const REPLACES_MAX: usize = 16_384;

/// A change of one key. Two that are concurrent commute, so that it does not matter in which order
/// of all that respects causality a node applies them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Whose how manieth.
    pub dot: Dot,
    /// What the writer had seen when it made this, as far as it is more than when it made its write
    /// before; without the writer itself.
    pub past: Vec<Dot>,
    /// Above that of every write that the writer had seen (Lamport 1978).
    pub lamport: u64,
    /// When, by the writer's hybrid clock.
    pub time: Timestamp,
    /// Of which key.
    pub key: Key,
    /// The versions of the key whose place it takes.
    pub replaces: Vec<Dot>,
    /// The version that it adds; a deletion adds none.
    pub value: Option<Value>,
    /// The Lamport clock of the write that made the key.
    pub created: u64,
    /// How many writes there were since, as the writer knew.
    pub writes: u64,
    /// Of the client's request, on its last write.
    pub request: Option<Tagged>,
}

/// A client's request that carries a tag, and what came of it: a retry at any node that has the
/// write is answered, and not executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// The client's number for it.
    pub tag: Tag,
    /// Of the request.
    pub hash: u64,
    /// What was answered.
    pub outcome: Outcome,
}

impl Write {
    /// Whether it is within bounds. A sound node sends nothing else.
    pub fn is_plausible(&self) -> bool {
        let dots = self.past.iter().chain(&self.replaces).chain([&self.dot]);
        self.dot.counter > 0
            && dots.into_iter().all(|dot| dot.counter < COUNTER_MAX)
            && self.time.is_plausible()
            && self.past.len() <= NODES_MAX
            && self.replaces.len() <= REPLACES_MAX
            && self.past.iter().all(|dot| dot.node != self.dot.node)
            && [self.lamport, self.created, self.writes].iter().all(|n| *n <= LAMPORT_MAX)
            && self.request.as_ref().is_none_or(|request| self.is_outcome(&request.outcome))
    }

    /// Whether a request can have come to that by this write.
    fn is_outcome(&self, outcome: &Outcome) -> bool {
        let Outcome::Originated { dot, revision, .. } = outcome else { return false };
        *dot == self.dot && *revision == self.lamport
    }

    /// What it takes in memory, about, in bytes.
    pub fn weight(&self) -> usize {
        let value = self.value.as_ref().map_or(0, |value| value.as_bytes().len());
        let dots = self.past.len() + self.replaces.len();
        size_of::<Self>() + self.key.as_str().len() + value + dots * size_of::<Dot>()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::causal) fn write(dot: Dot) -> Write {
        Write {
            dot,
            past: Vec::new(),
            lamport: 1,
            time: Timestamp::of_ms(1),
            key: Key::try_from("k").expect("a key"),
            replaces: Vec::new(),
            value: Some(Value::default()),
            created: 1,
            writes: 1,
            request: None,
        }
    }
}

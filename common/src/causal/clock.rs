//! Dots and vector clocks: which writes there are, and which of them a node has.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::NodeId;

/// The largest counter of a dot that is believed of a peer or a client: no node writes this often.
pub const COUNTER_MAX: u64 = 1 << 52;

/// Nodes of which a clock keeps count. Each data directory that was ever written with is one.
pub const NODES_MAX: usize = 4_096;

/// A write: the how manieth of which node. A node id is fresh with each data directory, and the
/// count is durable before anybody hears of it, so a dot is given out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// The writer.
    pub node: NodeId,
    /// Counted from 1, without a gap.
    pub counter: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.counter)
    }
}

/// What was seen of every node's writes: all up to a counter, and none behind it.
///
/// Invariants: no entry is zero (an absent entry means zero), so equal clocks are `==`; entries
/// only grow. Lamport's happens-before is `<` (Fidge 1988; Mattern 1989).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Dot>", into = "Vec<Dot>")]
pub struct VectorClock {
    entries: BTreeMap<NodeId, u64>,
}

impl VectorClock {
    /// How many writes of `node` were seen.
    pub fn get(&self, node: NodeId) -> u64 {
        self.entries.get(&node).copied().unwrap_or(0)
    }

    /// Whether the write was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        dot.counter <= self.get(dot.node)
    }

    /// Whether all that `other` has seen was seen.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|dot| self.contains(dot))
    }

    /// Sees all writes of a node up to this one.
    pub fn advance(&mut self, dot: Dot) {
        if dot.counter > 0 {
            let entry = self.entries.entry(dot.node).or_default();
            *entry = (*entry).max(dot.counter);
        }
    }

    /// Sees all that `other` has seen: the least upper bound of both.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|dot| self.advance(dot));
    }

    /// The last write that was seen of each node, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = Dot> + '_ {
        self.entries.iter().map(|(node, counter)| Dot { node: *node, counter: *counter })
    }

    /// Of how many nodes anything was seen.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it is within bounds.
    pub fn is_plausible(&self) -> bool {
        self.len() <= NODES_MAX && self.entries.values().all(|counter| *counter < COUNTER_MAX)
    }
}

impl FromIterator<Dot> for VectorClock {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut clock = Self::default();
        dots.into_iter().for_each(|dot| clock.advance(dot));
        clock
    }
}

impl From<Vec<Dot>> for VectorClock {
    fn from(dots: Vec<Dot>) -> Self {
        dots.into_iter().collect()
    }
}

impl From<VectorClock> for Vec<Dot> {
    fn from(clock: VectorClock) -> Self {
        clock.iter().collect()
    }
}

/// `NODE:COUNTER,NODE:COUNTER`, in the order of the ids; empty for a clock that has seen nothing.
impl fmt::Display for VectorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, dot) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{dot}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clocks() -> impl Strategy<Value = VectorClock> {
        let dot = (0_u64..4, 0_u64..5);
        let dot = dot.prop_map(|(node, counter)| Dot { node: NodeId(node), counter });
        prop::collection::vec(dot, 0..6).prop_map(|dots| dots.into_iter().collect())
    }

    fn merged(one: &VectorClock, other: &VectorClock) -> VectorClock {
        let mut clock = one.clone();
        clock.merge(other);
        clock
    }

    proptest! {
        /// Merging is a join: commutative, associative, idempotent, and an upper bound.
        #[test]
        fn a_merge_is_the_least_upper_bound(a in clocks(), b in clocks(), c in clocks()) {
            let both = merged(&a, &b);
            prop_assert_eq!(&both, &merged(&b, &a));
            prop_assert_eq!(merged(&both, &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(&merged(&a, &a), &a);
            prop_assert!(both.covers(&a) && both.covers(&b));
            prop_assert_eq!(c.covers(&both), c.covers(&a) && c.covers(&b));
        }

        /// Domination is a partial order, and the clocks that cover each other are equal.
        #[test]
        fn who_covers_each_other_is_equal(a in clocks(), b in clocks(), c in clocks()) {
            prop_assert_eq!(a.covers(&b) && b.covers(&a), a == b);
            prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
        }

        #[test]
        fn a_clock_comes_back_from_its_bytes(clock in clocks()) {
            let bytes = postcard::to_stdvec(&clock).expect("bytes");
            prop_assert_eq!(postcard::from_bytes::<VectorClock>(&bytes), Ok(clock));
        }
    }
}

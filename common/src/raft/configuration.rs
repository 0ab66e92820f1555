//! Who belongs to the cluster, and what a majority of them is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::identity::{NodeId, NodeName};
use crate::raft::log::Index;

/// Members of a cluster, voters and learners: more than anybody runs.
pub const MEMBERS_MAX: usize = 64;

/// Ids of removed members that are remembered; then the oldest are forgotten. They are only
/// remembered to tell them so.
const REMOVED_MAX: usize = 1_024;

/// A member, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What operators call it. Where it is reached is not here, but in what members tell each
    /// other at each start: an address may change while there is no quorum.
    pub name: NodeName,
    /// Whether it votes; if not, it learns: it gets the log, and counts for nothing (thesis
    /// §4.2.1).
    pub votes: bool,
}

/// The members of the cluster. Two that follow each other in the log differ by one voter at most,
/// so that their majorities overlap (thesis §4.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    members: BTreeMap<NodeId, Member>,
    /// Who was a member, and never is again: an id is that of one data directory.
    removed: BTreeSet<NodeId>,
}

/// A step from one configuration to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A node begins to learn.
    Add {
        /// Which.
        node: NodeId,
        /// Its name.
        name: NodeName,
    },
    /// A learner begins to vote.
    Promote(NodeId),
    /// A member is one no longer.
    Remove(NodeId),
}

impl Configuration {
    /// That of a new cluster.
    pub fn alone(node: NodeId, name: NodeName) -> Self {
        let member = Member { name, votes: true };
        Self { members: BTreeMap::from([(node, member)]), removed: BTreeSet::new() }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is a member: that of a node that has not joined.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member.
    pub fn get(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// All members.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.members.iter().map(|(node, member)| (*node, member))
    }

    /// The one of that name.
    pub fn named(&self, name: &NodeName) -> Option<NodeId> {
        self.members().find(|(_, member)| member.name == *name).map(|(node, _)| node)
    }

    /// All who vote.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.members().filter(|(_, member)| member.votes).map(|(node, _)| node)
    }

    /// Whether `node` votes.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|member| member.votes)
    }

    /// Whether `node` was a member, and is none.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.removed.contains(&node)
    }

    /// Who was a member, and is none.
    pub fn removed(&self) -> &BTreeSet<NodeId> {
        &self.removed
    }

    /// How many voters a majority is.
    pub fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// Whether a majority of the voters is so.
    pub fn is_majority(&self, is_so: impl Fn(NodeId) -> bool) -> bool {
        self.voters().filter(|voter| is_so(*voter)).count() >= self.majority()
    }

    /// The highest number that a majority of the voters has reached: of an odd count the median.
    pub fn reached_by_majority(&self, reached: impl Fn(NodeId) -> u64) -> u64 {
        let mut numbers: Vec<u64> = self.voters().map(reached).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.get(self.majority() - 1).copied().unwrap_or(0)
    }

    /// The same for positions in the log.
    pub fn stored_by_majority(&self, stored: impl Fn(NodeId) -> Index) -> Index {
        Index(self.reached_by_majority(|voter| stored(voter).0))
    }

    /// The configuration after `change`; none if it changes nothing.
    pub fn after(&self, change: &Change) -> Option<Self> {
        let mut next = self.clone();
        match change {
            Change::Add { node, name } => {
                let is_known = self.members.contains_key(node) || self.removed.contains(node);
                if is_known || self.named(name).is_some() || self.len() >= MEMBERS_MAX {
                    return None;
                }
                next.members.insert(*node, Member { name: name.clone(), votes: false });
            }
            Change::Promote(node) => {
                let member = next.members.get_mut(node).filter(|member| !member.votes)?;
                member.votes = true;
            }
            Change::Remove(node) => {
                let was_member = next.members.remove(node).is_some();
                // One that knocked and was never taken in may be told not to come again.
                if !next.removed.insert(*node) && !was_member {
                    return None;
                }
                if next.removed.len() > REMOVED_MAX {
                    next.removed.pop_first();
                }
            }
        }
        Some(next)
    }
}

/// The configurations of the log. A node uses the latest one, committed or not (thesis §4.1), and
/// falls back to the one before if it is dropped from the log.
///
/// Invariant: there is one at least, in the order of their places.
#[derive(Debug, Clone)]
pub struct Configurations {
    all: Vec<(Index, Configuration)>,
}

impl Configurations {
    /// Those of a log that goes on behind `index`.
    pub fn behind(index: Index, configuration: Configuration) -> Self {
        Self { all: vec![(index, configuration)] }
    }

    /// The one in force.
    pub fn latest(&self) -> &Configuration {
        &self.all[self.all.len() - 1].1
    }

    /// Where that one stands.
    pub fn latest_index(&self) -> Index {
        self.all[self.all.len() - 1].0
    }

    /// The one that was in force at `index`, or the oldest that is known.
    pub fn at(&self, index: Index) -> &Configuration {
        let before = self.all.iter().rev().find(|(at, _)| *at <= index);
        &before.unwrap_or(&self.all[0]).1
    }

    /// One was appended to the log.
    pub fn append(&mut self, index: Index, configuration: Configuration) {
        assert!(index > self.latest_index(), "a log grows at its end");
        self.all.push((index, configuration));
    }

    /// The log was cut from `index` on.
    pub fn truncate(&mut self, index: Index) {
        assert!(self.all[0].0 < index, "what a snapshot holds is never cut");
        self.all.retain(|(at, _)| *at < index);
    }

    /// The log was dropped up to `index`.
    pub fn compact(&mut self, index: Index) {
        let newer = self.all.iter().filter(|(at, _)| *at > index).count();
        let obsolete = (self.all.len() - newer).saturating_sub(1);
        self.all.drain(..obsolete);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(voters: u64) -> Configuration {
        let name = |n: u64| format!("n{n}").parse().expect("a name");
        let mut all = Configuration::alone(NodeId(1), name(1));
        for n in 2..=voters {
            let add = Change::Add { node: NodeId(n), name: name(n) };
            all = all.after(&add).and_then(|c| c.after(&Change::Promote(NodeId(n)))).expect("new");
        }
        all
    }

    /// openraft's late finding: five voters, acknowledgements out of order; a quorum counts nodes
    /// that have reached an index, and never the acknowledgements that have come.
    #[test]
    fn five_voters_acknowledge_out_of_order() {
        let voters = of(5);
        let reached = |numbers: [u64; 5]| {
            voters.reached_by_majority(|NodeId(n)| numbers[usize::try_from(n).expect("small") - 1])
        };
        assert_eq!(reached([9, 0, 0, 0, 0]), 0);
        assert_eq!(reached([9, 7, 0, 0, 3]), 3);
        assert_eq!(reached([9, 7, 8, 0, 3]), 7);
        assert_eq!(reached([1, 9, 9, 9, 1]), 9);
    }

    /// A learner counts for nothing, and an id is never used again (M4).
    #[test]
    fn a_removed_id_never_comes_back() {
        let without = of(3).after(&Change::Remove(NodeId(2))).expect("a member");
        assert_eq!((without.majority(), without.is_removed(NodeId(2))), (2, true));
        let name = "n2".parse().expect("a name");
        let again = Change::Add { node: NodeId(2), name };
        assert_eq!(without.after(&again), None);
    }

    proptest! {
        /// Thesis §4.1: any majority of one configuration overlaps any majority of the next.
        #[test]
        fn majorities_of_neighbours_overlap(voters in 1_u64..9, left in any::<u16>(), right in any::<u16>(), removed in 1_u64..10) {
            let before = of(voters);
            let change = if removed <= voters { Change::Remove(NodeId(removed)) } else { Change::Promote(NodeId(99)) };
            let after = if removed <= voters { before.after(&change).expect("a member") } else { of(voters + 1) };
            let in_left = |NodeId(n): NodeId| left & (1 << n) != 0;
            let in_right = |NodeId(n): NodeId| right & (1 << n) != 0;
            if before.is_majority(in_left) && after.is_majority(in_right) && !after.is_empty() {
                let mut both = before.voters().filter(|n| after.is_voter(*n));
                prop_assert!(both.any(|n| in_left(n) && in_right(n)));
            }
        }
    }
}

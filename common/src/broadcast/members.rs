//! Who belongs to the cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::identity::{NodeId, NodeName};
use crate::peer::hello::is_address;

/// More members than anybody runs; so that a broken peer can't fill our memory with them.
pub const MEMBERS_MAX: usize = 256;

/// An epoch counts starts; no node starts this often.
const EPOCH_MAX: u64 = 1 << 53;

/// A member, as gossip tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Where it is dialled.
    pub address: String,
    /// Of two records under one name, the one with the higher epoch is the later. A member counts
    /// it up at each start; who takes the name of a member that is gone gets the one after it.
    pub epoch: u64,
}

impl Member {
    /// Whether it is within bounds.
    pub fn is_plausible(&self) -> bool {
        self.epoch < EPOCH_MAX && is_address(&self.address)
    }
}

/// The members by name: a node that lost its data directory comes back under its name with a new
/// id, and takes its old record's place.
///
/// Merging is commutative, associative and idempotent, so gossip may come in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    by_name: BTreeMap<NodeName, Member>,
}

impl Members {
    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_name.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The one of that name.
    pub fn named(&self, name: &NodeName) -> Option<&Member> {
        self.by_name.get(name)
    }

    /// Takes `member` unless a later record of its name, or too many names, are there. Tells
    /// whether it did.
    pub fn merge(&mut self, member: Member) -> bool {
        match self.by_name.get(&member.name) {
            Some(known) if rank(known) >= rank(&member) => return false,
            None if self.by_name.len() >= MEMBERS_MAX => return false,
            Some(_) | None => {}
        }
        self.by_name.insert(member.name.clone(), member);
        true
    }

    /// Forgets all of these. Tells whether there was any.
    pub fn remove_all(&mut self, nodes: &BTreeSet<NodeId>) -> bool {
        let before = self.by_name.len();
        self.by_name.retain(|_, member| !nodes.contains(&member.id));
        self.by_name.len() != before
    }

    /// Equal for equal members.
    pub fn hash(&self) -> u64 {
        let bytes = postcard::to_stdvec(self).expect("members have no unsized part");
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}

fn rank(member: &Member) -> (u64, NodeId, &str) {
    (member.epoch, member.id, &member.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, id: u64, epoch: u64) -> Member {
        let name = name.parse().expect("a name");
        Member { id: NodeId(id), name, address: format!("h:{}", id + 1), epoch }
    }

    #[test]
    fn the_later_record_of_a_name_wins_in_any_order() {
        let mut records =
            vec![member("a", 1, 1), member("a", 1, 2), member("a", 7, 3), member("b", 2, 1)];
        let forward = merged(records.clone());
        records.reverse();
        assert_eq!(forward, merged(records));
        assert_eq!(forward.iter().map(|m| m.id).collect::<Vec<_>>(), [NodeId(7), NodeId(2)]);
    }

    #[test]
    fn there_is_a_bound() {
        let many = (0..1_000).map(|id| member(&format!("n{id}"), id, 1));
        assert_eq!(merged(many).len(), MEMBERS_MAX);
    }

    fn merged(records: impl IntoIterator<Item = Member>) -> Members {
        let mut members = Members::default();
        for record in records {
            members.merge(record);
        }
        members
    }
}

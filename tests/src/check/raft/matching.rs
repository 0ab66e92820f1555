//! Log matching: "if two logs contain an entry with the same index and term, then the logs are
//! identical in all entries up through the given index".
//!
//! Source: Raft §5.3, Figure 3. TLA+: `LogMatching`. It is kept by induction: an entry's index and
//! term tell what it carries and the term of the entry before it, in whosever log it stands.

use std::collections::BTreeMap;

use common::identity::NodeId;
use common::raft::Raft;
use common::raft::log::{EntryId, Index, Term};

use super::ledger::hash;

/// What each entry is, wherever it was seen.
#[derive(Debug, Default)]
pub(super) struct Matching {
    entries: BTreeMap<EntryId, Seen>,
    /// Up to where each node's log was committed when it was last looked at: no entry before is
    /// another one since.
    looked_at: BTreeMap<NodeId, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    before: Option<Term>,
    hash: u64,
}

impl Matching {
    pub(super) fn on_commit(&mut self, node: NodeId, raft: &Raft) -> Result<(), String> {
        let log = raft.log();
        let known = self.looked_at.insert(node, raft.commit_index()).unwrap_or(0);
        for index in known.max(log.base().index.0) + 1..=log.last().index.0 {
            let index = Index(index);
            let entry = log.get(index).expect("it is between base and end");
            let id = EntryId { term: entry.term, index };
            let seen = Seen { before: log.term_at(index.previous()), hash: hash(&entry.payload) };
            let first = *self.entries.entry(id).or_insert(seen);
            if first != seen {
                return Err(format!("{id:?} is {first:?}, and {seen:?} at {node}"));
            }
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.looked_at.remove(&node);
    }
}

//! Persistent: term, vote and log are after a restart what they were when their node last promised
//! anything, or later; and each commit that changes term or vote saves them. Monotone: term, commit index and applied index never fall while a process
//! runs.
//!
//! Source: Raft Figure 2, "updated on stable storage before responding to RPCs". TLA+:
//! `MonotonicTerm`, `MonotonicCommit`. Pitfalls R1, R20, D1.

use std::collections::BTreeMap;

use common::identity::NodeId;
use common::node::Record;
use common::raft::Raft;
use common::raft::log::EntryId;

/// What each node had after its last commit.
#[derive(Debug, Default)]
pub(super) struct Persistence {
    durable: BTreeMap<NodeId, Durable>,
    /// Term and vote as its last record has them.
    saved: BTreeMap<NodeId, (u64, Option<NodeId>)>,
    running: BTreeMap<NodeId, Place>,
}

#[derive(Debug, Clone, Copy)]
struct Durable {
    term: u64,
    voted_for: Option<NodeId>,
    last: EntryId,
    /// A further commit was on its way: the disk may have that one as well.
    is_under_way: bool,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    term: u64,
    commit: u64,
    applied: u64,
}

impl Persistence {
    pub(super) fn on_start(&mut self, node: NodeId, raft: &Raft) -> Result<(), String> {
        self.saved.insert(node, (raft.term(), raft.voted_for()));
        let Some(before) = self.durable.get_mut(&node) else { return Ok(()) };
        let is_under_way = std::mem::take(&mut before.is_under_way);
        let before = *before;
        let (term, vote) = (raft.term(), raft.voted_for());
        let is_vote_kept = vote == before.voted_for || before.voted_for.is_none() && is_under_way;
        if term < before.term || term == before.term && !is_vote_kept {
            return Err(format!("{before:?} became term {term}, vote {vote:?}"));
        }
        let log = raft.log();
        let is_held = before.last.index <= log.base().index
            || log.term_at(before.last.index) == Some(before.last.term);
        if is_held || is_under_way {
            return Ok(());
        }
        Err(format!("{before:?} became a log from {:?} to {:?}", log.base(), log.last()))
    }

    pub(super) fn on_step(&mut self, node: NodeId) {
        if let Some(durable) = self.durable.get_mut(&node) {
            durable.is_under_way = true;
        }
    }

    /// A step is about to be committed with these records: they have what it may promise.
    pub(super) fn on_save(
        &mut self,
        node: NodeId,
        records: &[Record],
        raft: &Raft,
    ) -> Result<(), String> {
        let saved = self.saved.entry(node).or_default();
        for record in records {
            if let Record::Raft(record) = record {
                *saved = (record.term.0, record.voted_for);
            }
        }
        let now = (raft.term(), raft.voted_for());
        if *saved == now { Ok(()) } else { Err(format!("{now:?} is saved as {saved:?}")) }
    }

    pub(super) fn compare(&mut self, node: NodeId, raft: &Raft) -> Result<(), String> {
        let (term, commit, applied) = (raft.term(), raft.commit_index(), raft.applied_index());
        let place = Place { term, commit, applied };
        let Some(before) = self.running.insert(node, place) else { return Ok(()) };
        let fell = term < before.term || commit < before.commit || applied < before.applied;
        if fell || applied > commit || commit > raft.log().last().index.0 {
            return Err(format!("{node} was at {before:?}, is at {place:?}"));
        }
        Ok(())
    }

    pub(super) fn on_commit(&mut self, node: NodeId, raft: &Raft) {
        let (term, voted_for, last) = (raft.term(), raft.voted_for(), raft.log().last());
        let durable = Durable { term, voted_for, last, is_under_way: false };
        self.durable.insert(node, durable);
    }

    pub(super) fn on_crash(&mut self, node: NodeId) {
        self.running.remove(&node);
    }
}

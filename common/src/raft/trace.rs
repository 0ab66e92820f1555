//! What a trace has to know, for `spec/TraceRaft.tla` to tell whether the specification allows it.

use crate::identity::NodeId;
use crate::observe::{Held, RaftEvent};
use crate::raft::log::{Entry, Index};
use crate::raft::message::{Append, Appended, Match};
use crate::raft::{Effects, Raft, Role};

impl Raft {
    /// Tells `event` to a trace; nothing is computed where there is none.
    pub(super) fn trace(&self, effects: &mut Effects, event: impl FnOnce(&Self) -> RaftEvent) {
        if self.config.is_traced {
            effects.observe(event(self));
        }
    }

    /// Tells what the node is, if it has told anything since `before`.
    pub(super) fn trace_state(&self, before: usize, effects: &mut Effects) {
        if effects.observed() > before {
            self.trace(effects, Self::observed_state);
        }
    }

    fn observed_state(&self) -> RaftEvent {
        let last = self.log.last();
        RaftEvent::RaftState {
            term: self.term.0,
            voted_for: self.voted_for,
            role: match self.role {
                Role::Follower { .. } => "follower",
                Role::PreCandidate { .. } => "pre_candidate",
                Role::Candidate { .. } => "candidate",
                Role::Leader(_) => "leader",
            },
            last,
            holds: self.log.get(last.index).map(held),
            commit: self.commit_index.0,
            applied: self.last_applied.0,
            base: self.snapshots.index.0,
            durable: self.durable.0,
        }
    }

    pub(super) fn trace_restart(&self, effects: &mut Effects) {
        self.trace(effects, |raft| {
            let prev = raft.log.base();
            let base = raft.snapshots.index;
            let entries = raft.log.slice(prev.index.next(), usize::MAX);
            RaftEvent::Restart {
                term: raft.term.0,
                voted_for: raft.voted_for,
                base: raft.log.id_at(base).unwrap_or(prev),
                commit: raft.commit_index.0,
                prev,
                entries: entries.iter().map(held).collect(),
                voters: raft.configuration().voters().collect(),
                members: raft.configuration().members().map(|(node, _)| node).collect(),
            }
        });
    }

    pub(super) fn trace_appended(&self, to: NodeId, appended: &Appended, effects: &mut Effects) {
        self.trace(effects, |_| {
            let (ok, Index(index)) = match appended.outcome {
                Match::Up(index) => (true, index),
                Match::Conflict { prev, .. } => (false, prev),
            };
            let (term, round) = (appended.term.0, appended.round);
            RaftEvent::SendAppended { to, term, round, ok, index }
        });
    }
}

/// A leader sends entries.
pub(super) fn sent(to: NodeId, append: &Append) -> RaftEvent {
    let Append { term, prev, entries, commit, round } = append;
    RaftEvent::SendAppend {
        to,
        term: term.0,
        prev: *prev,
        entries: entries.iter().map(held).collect(),
        commit: commit.0,
        round: *round,
    }
}

fn held(entry: &Entry) -> Held {
    let bytes = postcard::to_allocvec(&entry.payload).expect("a payload has no open end");
    let digest = xxhash_rust::xxh3::xxh3_64(&bytes).to_le_bytes();
    let digest = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let command = entry.payload.command().is_some();
    Held { term: entry.term.0, command, digest }
}

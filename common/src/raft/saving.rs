//! What a commit makes durable.

use crate::observe::RaftEvent;
use crate::raft::log::Index;
use crate::raft::record::{Record, Tail};
use crate::raft::{Effects, Raft};

/// What the next frame must hold.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// Term or vote.
    pub(super) vote: bool,
    /// The log from here on.
    pub(super) from: Option<Index>,
    /// The commit index that the last frame has.
    pub(super) commit_index: Index,
}

impl Unsaved {
    pub(super) fn log_from(&mut self, index: Index) {
        self.from = Some(self.from.map_or(index, |from| from.min(index)));
    }
}

impl Raft {
    /// Term and vote, the commit index, and what is new in the log, in one frame.
    pub(super) fn save(&mut self, effects: &mut Effects) {
        let tail = self.unsaved.from.take().map(|from| {
            let prev = self.log.id_at(from.previous()).expect("what is unsaved is in the log");
            Tail { prev, entries: self.log.slice(from, usize::MAX) }
        });
        if tail.is_none() && !self.unsaved.vote {
            return;
        }
        let (term, voted_for, commit_index) = (self.term, self.voted_for, self.commit_index);
        effects.persist(Record { term, voted_for, commit_index, tail });
        self.unsaved = Unsaved { commit_index, ..Unsaved::default() };
        self.durable = self.log.last().index;
        self.trace(effects, |raft| RaftEvent::Sync {
            term: term.0,
            voted_for,
            last: raft.log.last(),
        });
    }
}

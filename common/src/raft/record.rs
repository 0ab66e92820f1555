//! What the log on the disk keeps: a frame for each commit.

use serde::{Deserialize, Serialize};

use crate::identity::NodeId;
use crate::raft::log::{Entry, EntryId, Index, Log, Term};

/// All that a commit changes of the persistent state (Raft Figure 2), whole: so the newest frame
/// alone tells term, vote and commit index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The latest term that the node has seen.
    pub term: Term,
    /// For whom it voted in it.
    pub voted_for: Option<NodeId>,
    /// How far it knew the log to be committed.
    pub commit_index: Index,
    /// What became of the end of the log, if anything did.
    pub tail: Option<Tail>,
}

/// A new end of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The entry before; all behind it were dropped. Where the log has no such entry, a snapshot
    /// up to it has taken the log's place.
    pub prev: EntryId,
    /// What stands behind it.
    pub entries: Vec<Entry>,
}

impl Record {
    /// The last entry that the frame has: it may go when a snapshot reaches up to there.
    pub fn mark(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| tail.prev.index.0 + tail.entries.len() as u64)
    }

    /// The same without entries: what a newer frame must tell where it takes this one's place.
    pub fn without_tail(&self) -> Self {
        let Self { term, voted_for, commit_index, tail: _ } = *self;
        Self { term, voted_for, commit_index, tail: None }
    }
}

impl Tail {
    /// Does to `log` what was done to it then.
    pub fn replay(self, log: &mut Log) {
        if log.id_at(self.prev.index) == Some(self.prev) {
            log.truncate(self.prev.index.next());
        } else {
            *log = Log::behind(self.prev);
        }
        for entry in self.entries {
            log.append(entry);
        }
    }
}

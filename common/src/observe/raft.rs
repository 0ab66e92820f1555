//! What Lab 3 did, as only a trace has to know it: too often for logs, or with more words than they
//! have a use for. Observed only where [`crate::config::Config::is_traced`].

use serde::Serialize;

use crate::identity::NodeId;
use crate::observe::Event;
use crate::raft::log::EntryId;

/// Something that a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ev")]
pub enum RaftEvent {
    /// The node goes on from what its disk has kept, or begins with nothing.
    Restart {
        /// Its term.
        term: u64,
        /// For whom it voted.
        voted_for: Option<NodeId>,
        /// The last entry that a snapshot stands for.
        base: EntryId,
        /// How far it knows the log to be committed.
        commit: u64,
        /// Before the first of `entries`: what is there of the log may begin before `base`.
        prev: EntryId,
        /// The log.
        entries: Vec<Held>,
        /// Who votes.
        voters: Vec<NodeId>,
        /// Who belongs to the cluster.
        members: Vec<NodeId>,
    },
    /// A later term was heard of.
    UpdateTerm {
        /// Which.
        term: u64,
    },
    /// A vote that was granted has come, and counts.
    HandleVote {
        /// Whose.
        from: NodeId,
        /// In which term.
        term: u64,
    },
    /// A leader sends entries, or lets hear from it.
    SendAppend {
        /// To whom.
        to: NodeId,
        /// In which term.
        term: u64,
        /// The entry before them.
        prev: EntryId,
        /// What.
        entries: Vec<Held>,
        /// How far the leader has committed.
        commit: u64,
        /// Of reads.
        round: u64,
    },
    /// The leader is about to be told what became of its entries.
    SendAppended {
        /// Who.
        to: NodeId,
        /// In which term.
        term: u64,
        /// Of reads.
        round: u64,
        /// Whether they are in the log.
        ok: bool,
        /// Up to where; or behind which entry they are not.
        index: u64,
    },
    /// Term, vote and log are on the disk: once this is told, they are.
    Sync {
        /// The term.
        term: u64,
        /// For whom it voted.
        voted_for: Option<NodeId>,
        /// The last entry.
        last: EntryId,
    },
    /// A snapshot is on the disk.
    SaveSnapshot {
        /// Up to where.
        index: u64,
    },
    /// What the node is, at the end of a step that did anything.
    RaftState {
        /// Its term.
        term: u64,
        /// For whom it voted.
        voted_for: Option<NodeId>,
        /// Its office.
        role: &'static str,
        /// The last entry of its log.
        last: EntryId,
        /// What that is; nothing if a snapshot stands for it.
        holds: Option<Held>,
        /// How far it knows the log to be committed.
        commit: u64,
        /// How far it has applied it.
        applied: u64,
        /// How far the newest snapshot on its disk goes.
        base: u64,
        /// How much of the log is in frames that were synced, or are about to be.
        durable: u64,
    },
}

impl From<RaftEvent> for Event {
    fn from(event: RaftEvent) -> Self {
        Self::Raft(event)
    }
}

impl Event {
    /// Whether it is true only once the step's commit is durable.
    pub fn tells_of_disk(&self) -> bool {
        matches!(self, Self::Raft(RaftEvent::Sync { .. }))
    }
}

/// An entry, as short as can be: two that differ have different digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Of the leader that made it.
    pub term: u64,
    /// Whether it is a command.
    pub command: bool,
    /// A hash of what it carries.
    pub digest: u32,
}

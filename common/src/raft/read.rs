//! Linearizable reads without a write (thesis §6.4: ReadIndex).
//!
//! 1. A leader that has committed an entry of its term knows all that is committed (§6.4 step 1).
//! 2. It notes its commit index for the reads that have come, and begins a round: each message to
//!    a member carries the round's number, which is never used again in the term (R10).
//! 3. A majority that acknowledges the round was still in this term after the reads had come; so
//!    no other leader had committed anything behind the noted index by then.
//! 4. The reads are answered from a state that has all up to that index.
//!
//! All reads that come between two commits of this node share a round.
//!
//! A session's read asks for less: that the state has the revision which the session has seen. It
//! is answered here as soon as that is so, and waits until its deadline for it (X6).

use std::collections::VecDeque;

use crate::control::request::Read;
use crate::observe::Event;
use crate::protocol::Answer;
use crate::raft::log::Index;
use crate::raft::message::{Answered, Message};
use crate::raft::replication::Origin;
use crate::raft::{Effects, Raft, Role, Way};

/// The reads at a leader.
///
/// Invariant: rounds and indexes of `waiting` grow from front to back.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The highest that was begun.
    round: u64,
    /// Whether one is to begin, reads or not: it is how a leader hears of its members.
    is_due: bool,
    queued: Vec<Origin>,
    waiting: VecDeque<Round>,
}

#[derive(Debug)]
struct Round {
    number: u64,
    index: Index,
    readers: Vec<Origin>,
}

/// How fresh the state must be that a request is answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// All that was answered before the request came is in it.
    Linearizable,
    /// It has this revision.
    Session(u64),
    /// Any will do.
    Stale,
}

impl Freshness {
    pub(super) fn of(read: Option<Read>, min_revision: Option<u64>) -> Self {
        match read {
            None | Some(Read::Linearizable) => Self::Linearizable,
            Some(Read::Session) => Self::Session(min_revision.unwrap_or(0)),
            Some(Read::Stale) => Self::Stale,
        }
    }
}

impl Reads {
    /// The highest round that was begun.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// Lets a round begin.
    pub(super) fn begin(&mut self) {
        self.is_due = true;
    }

    pub(super) fn queue(&mut self, reader: Origin) {
        self.queued.push(reader);
    }

    pub(super) fn into_readers(self) -> impl Iterator<Item = Origin> {
        self.queued.into_iter().chain(self.waiting.into_iter().flat_map(|round| round.readers))
    }
}

impl Raft {
    /// Whether the state of this node has that revision.
    pub(super) fn has_reached(&self, revision: u64) -> bool {
        self.knows_modes() && self.state.revision >= revision
    }

    /// Begins the round for all reads that have come.
    pub(super) fn begin_round(&mut self, effects: &mut Effects) {
        let commit_index = self.commit_index;
        let Role::Leader(leader) = &mut self.role else { return };
        let reads = &mut leader.reads;
        let may_read = commit_index >= leader.first && !reads.queued.is_empty();
        if !may_read && !reads.is_due {
            return;
        }
        reads.is_due = false;
        reads.round += 1;
        if may_read {
            let readers = std::mem::take(&mut reads.queued);
            effects.observe(Event::BeginRead { round: reads.round, index: commit_index.0 });
            let round = Round { number: reads.round, index: commit_index, readers };
            reads.waiting.push_back(round);
        }
    }

    /// Answers the reads whose round a majority has acknowledged.
    pub(super) fn confirm_reads(&mut self, effects: &mut Effects, way: Way) {
        let node = self.config.node;
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reads.waiting.is_empty() {
            return;
        }
        let acknowledged = self.configurations.latest().reached_by_majority(|voter| {
            if voter == node {
                return u64::MAX;
            }
            leader.progress.get(&voter).map_or(0, |progress| progress.round)
        });
        let mut confirmed = Vec::new();
        while let Some(round) = leader.reads.waiting.front()
            && round.number <= acknowledged
            && round.index <= self.last_applied
            && let Some(round) = leader.reads.waiting.pop_front()
        {
            confirmed.push(round);
        }
        for Round { number, index, readers } in confirmed {
            effects.observe(Event::ServeRead { round: number, index: index.0 });
            for reader in readers {
                self.serve(reader, index, way, effects);
            }
        }
    }

    fn serve(&mut self, reader: Origin, index: Index, way: Way, effects: &mut Effects) {
        match reader {
            Origin::Client(request) => self.read_now(request, way, effects),
            Origin::Peer { node, ask } => {
                // The node can't serve it before it knows that so much is committed.
                self.tell_commit();
                let outcome = Answered::ReadAt(index);
                self.tell(node, Message::Answer { ask, outcome }, way, effects);
            }
            Origin::Upkeep => {}
        }
    }

    /// A read whose leader has left office is asked of the next one: it changes nothing.
    pub(super) fn read_again(&mut self, reader: Origin, effects: &mut Effects) {
        match reader {
            Origin::Client(request) => self.requests.retry(request),
            Origin::Peer { node, ask } => {
                let outcome = Answered::NotLeader;
                self.tell(node, Message::Answer { ask, outcome }, Way::Early, effects);
            }
            Origin::Upkeep => {}
        }
    }

    /// Lets an answer out.
    pub(super) fn answer(
        way: Way,
        to: crate::protocol::RequestId,
        answer: Answer,
        effects: &mut Effects,
    ) {
        match way {
            Way::Early => effects.answer_early(to, answer),
            Way::Late => effects.answer(to, answer),
        }
    }
}

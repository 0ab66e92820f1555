//! Applying what is committed, and comparing what came of it.

use std::collections::VecDeque;

use crate::identity::NodeId;
use crate::kv::state::{Applied, State};
use crate::observe::Event;
use crate::raft::log::{EntryId, Index, Payload};
use crate::raft::message::{Answered, Message};
use crate::raft::replication::Origin;
use crate::raft::{Effects, Raft, Role, Standing, Way};
use crate::time::Time;

/// Each so manieth entry's state is remembered by its hash.
const CHECKPOINT_EVERY: u64 = 256;

/// So many are remembered: followers are rarely further behind, and then compare the next one.
const CHECKPOINTS_MAX: usize = 64;

/// What came of comparing a member's state with the leader's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    index: Index,
    agrees: bool,
}

/// Hashes of the state at some indexes, the latest last.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    all: VecDeque<(Index, u64)>,
}

impl Checkpoints {
    fn note(&mut self, index: Index, state: &State) {
        if index.0.is_multiple_of(CHECKPOINT_EVERY) {
            if self.all.len() == CHECKPOINTS_MAX {
                self.all.pop_front();
            }
            self.all.push_back((index, state.hash()));
        }
    }

    /// What a follower tells its leader: while entries flow that of the latest full row, because
    /// the leader remembers that one too, else that of this moment.
    pub(super) fn latest(
        &self,
        applied: Index,
        is_idle: bool,
        state: &State,
    ) -> Option<(Index, u64)> {
        if is_idle { Some((applied, state.hash())) } else { self.all.back().copied() }
    }

    fn at(&self, index: Index) -> Option<u64> {
        self.all.iter().rev().find(|(at, _)| *at == index).map(|(_, hash)| *hash)
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }
}

impl Raft {
    /// "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state
    /// machine" (Raft Figure 2).
    pub(super) fn apply(&mut self, now: Time, effects: &mut Effects, way: Way) {
        if self.last_applied == self.commit_index {
            return;
        }
        while self.last_applied < self.commit_index {
            self.apply_next(now, effects, way);
        }
        let (index, hash) = (self.last_applied.0, self.state.hash());
        effects.observe(Event::Apply { index, hash });
        self.serve_reached(way, effects);
        self.take_turns(way, effects);
    }

    /// Answers the reads that waited for the state to come this far.
    pub(super) fn serve_reached(&mut self, way: Way, effects: &mut Effects) {
        while let Some(first) = self.requests.at_index.first_entry()
            && *first.key() <= self.last_applied
        {
            for id in first.remove() {
                self.read_now(id, way, effects);
            }
        }
        while let Some(first) = self.requests.at_revision.first()
            && self.has_reached(first.0)
            && let Some((_, id)) = self.requests.at_revision.pop_first()
        {
            self.read_now(id, way, effects);
        }
    }

    fn apply_next(&mut self, now: Time, effects: &mut Effects, way: Way) {
        let index = self.last_applied.next();
        let entry = self.log.get(index).expect("what is committed is in the log").clone();
        self.last_applied = index;
        if let Payload::Configuration(configuration) = &entry.payload {
            self.on_configuration_committed(now, index, configuration, way, effects);
        }
        let outcome = entry.payload.command().map(|(stamp, command)| {
            self.snapshots.applied_bytes += command.len() as u64;
            let Applied { outcome, duplicate, turns } = self.state.apply(index.0, stamp, command);
            self.requests.turns.extend(turns);
            (outcome, duplicate)
        });
        self.checkpoints.note(index, &self.state);
        let id = EntryId { term: entry.term, index };
        while let Some((proposed, origin)) = self.proposed.take_up_to(index) {
            match &outcome {
                Some((outcome, duplicate)) if proposed == id => {
                    let (outcome, duplicate) = (outcome.clone(), *duplicate);
                    self.respond(origin, Answered::Applied { outcome, duplicate }, way, effects);
                }
                // Another entry has its place for ever: it will never be applied (R12).
                Some(_) | None => self.respond(origin, Answered::NotLeader, way, effects),
            }
        }
    }

    /// Applies what the disk says was committed, before anybody asks.
    pub(super) fn apply_silently(&mut self) {
        while self.last_applied < self.commit_index {
            self.last_applied = self.last_applied.next();
            let entry = self.log.get(self.last_applied).expect("it is in the log");
            if let Some((stamp, command)) = entry.payload.command() {
                self.state.apply(self.last_applied.0, stamp, command);
            }
            self.checkpoints.note(self.last_applied, &self.state);
        }
    }

    /// A follower has told the hash of its state. Where a majority has another one than it, its
    /// state is wrong; where a majority has another one than this leader, this leader's is.
    pub(super) fn compare_checkpoint(
        &mut self,
        now: Time,
        from: NodeId,
        checkpoint: Option<(Index, u64)>,
        effects: &mut Effects,
    ) {
        let Some((index, theirs)) = checkpoint else { return };
        let is_now = index == self.last_applied;
        let ours = if is_now { Some(self.state.hash()) } else { self.checkpoints.at(index) };
        let Some(ours) = ours else { return };
        let node = self.config.node;
        let Role::Leader(leader) = &mut self.role else { return };
        leader.agreement.insert(from, Compared { index, agrees: ours == theirs });
        let compared = &leader.agreement;
        let Some(first) = compared.values().filter(|c| !c.agrees).map(|c| c.index).min() else {
            return;
        };
        // States that were equal further on were equal before, and those that differed still do.
        let agrees = |voter| {
            let is_known = compared.get(&voter).is_some_and(|c| c.agrees && c.index >= first);
            voter == node || is_known
        };
        let differs = |voter| compared.get(&voter).is_some_and(|compared| !compared.agrees);
        let configuration = self.configurations.latest();
        if configuration.is_majority(agrees) {
            let wrong: Vec<_> =
                compared.keys().copied().filter(|member| differs(*member)).collect();
            for member in wrong {
                self.tell(member, Message::Diverged { index: first }, Way::Early, effects);
            }
        } else if configuration.is_majority(differs) {
            self.on_diverged(now, first, effects);
        }
    }

    /// This node's state is not that of the others: it serves no more, and has no office. Its log
    /// may be sound, so it votes and acknowledges.
    pub(super) fn on_diverged(&mut self, now: Time, index: Index, effects: &mut Effects) {
        if self.standing == Standing::Good {
            self.standing = Standing::Diverged;
            effects.observe(Event::Diverged { index: index.0 });
            if self.leads() {
                self.become_follower(now, self.term, None, effects);
            }
        }
    }

    /// Whoever proposed what stands up to `index` will not hear what it did: a snapshot has passed
    /// it over.
    pub(super) fn forget_proposed(&mut self, index: Index, effects: &mut Effects) {
        while let Some((_, origin)) = self.proposed.take_up_to(index) {
            match origin {
                Origin::Client(id) => self.on_lost(vec![id], effects),
                Origin::Peer { .. } => {
                    let failure = crate::raft::answer::lost();
                    let outcome = crate::raft::forward::refused(failure);
                    self.respond(origin, outcome, Way::Early, effects);
                }
                Origin::Upkeep => {}
            }
        }
    }
}

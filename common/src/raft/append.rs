//! A follower's side of replication (Raft §5.3).

use crate::identity::NodeId;
use crate::observe::Event;
use crate::raft::log::{EntryId, Index, Payload, Term};
use crate::raft::message::{Append, Appended, Match};
use crate::raft::{Effects, Raft, Role, Way};
use crate::time::Time;

impl Raft {
    pub(super) fn on_append(
        &mut self,
        now: Time,
        from: NodeId,
        append: Append,
        effects: &mut Effects,
    ) {
        if append.term < self.term {
            // "If a server receives a request with a stale term number, it rejects the request"
            // (§5.1); the answer carries the term, and the old leader steps down.
            self.acknowledge_at_once(from, append.round, effects);
            return;
        }
        if append.term == self.term && self.leads() {
            return; // Two leaders in a term: only a peer that is broken says so (§5.2).
        }
        self.become_follower(now, append.term, Some(from), effects);
        self.leader_heard = now;
        self.await_leader(now);
        let Append { term, prev, entries, commit, round } = append;
        let count = entries.len();
        let outcome = match self.take(prev, entries) {
            Ok(outcome) => outcome,
            Err(Contradiction) => {
                effects.observe(Event::Contradiction { from, index: prev.index.0 });
                return;
            }
        };
        effects.observe(Event::HandleAppend {
            from,
            term: term.0,
            prev,
            entries: count,
            commit: commit.0,
            round,
            outcome,
        });
        if let Match::Up(index) = outcome {
            // "set commitIndex = min(leaderCommit, index of last new entry)" (Figure 2; R7). What
            // is behind the last new entry may be of another leader.
            self.commit_up_to(commit.min(index), effects);
            self.apply(now, effects, Way::Early);
        }
        let is_asked = count > 0 || round > self.round || matches!(outcome, Match::Conflict { .. });
        self.round = self.round.max(round);
        if is_asked {
            self.acknowledge(from, outcome, count == 0);
        }
    }

    /// Takes what is new. What is there already stays, however late the message comes (R6).
    fn take(
        &mut self,
        prev: EntryId,
        entries: Vec<crate::raft::log::Entry>,
    ) -> Result<Match, Contradiction> {
        let base = self.log.base();
        let end = Index(prev.index.0 + entries.len() as u64);
        let mut at = prev.index;
        let mut entries = entries.into_iter();
        if at < base.index {
            // All up to the base is committed, so it is what the leader has.
            let known = usize::try_from(base.index.0 - at.0).unwrap_or(usize::MAX);
            entries.by_ref().take(known).for_each(drop);
            at = base.index;
        } else if self.log.term_at(at) != Some(prev.term) {
            let hint = self.log.last_up_to_term(at.previous(), prev.term);
            let hint = self.log.id_at(hint).unwrap_or(base);
            return Ok(Match::Conflict { prev: at, hint });
        }
        for entry in entries {
            let index = at.next();
            if self.log.term_at(index) == Some(entry.term) {
                at = index;
                continue;
            }
            if self.disk_full {
                break; // It keeps its room for votes; what it has, it has acknowledged.
            }
            if index <= self.log.last().index {
                // "If an existing entry conflicts with a new one, delete the existing entry and
                // all that follow it" (Figure 2).
                self.cut(index)?;
            }
            self.take_entry(index, entry)?;
            at = index;
        }
        Ok(Match::Up(at.min(end).max(base.index.min(self.commit_index))))
    }

    fn take_entry(
        &mut self,
        index: Index,
        entry: crate::raft::log::Entry,
    ) -> Result<(), Contradiction> {
        if entry.term < self.log.last().term {
            return Err(Contradiction);
        }
        if let Payload::Configuration(configuration) = &entry.payload {
            // "a server always uses the latest configuration in its log" (thesis §4.1; M1).
            self.configurations.append(index, (**configuration).clone());
        }
        self.append(entry);
        Ok(())
    }

    fn cut(&mut self, from: Index) -> Result<(), Contradiction> {
        if from <= self.commit_index {
            return Err(Contradiction);
        }
        self.log.truncate(from);
        self.configurations.truncate(from);
        self.unsaved.log_from(from);
        self.durable = self.durable.min(from.previous());
        Ok(())
    }

    pub(super) fn commit_up_to(&mut self, index: Index, effects: &mut Effects) {
        if index > self.commit_index {
            self.commit_index = index;
            effects.observe(Event::AdvanceCommit { index: index.0 });
        }
    }

    /// Tells the leader behind this commit. Of several answers the last says all, but that a
    /// match goes no further back than the one before.
    fn acknowledge(&mut self, leader: NodeId, outcome: Match, is_idle: bool) {
        let before = match self.acknowledgement {
            Some((to, Appended { outcome: Match::Up(before), term, .. }))
                if to == leader && term == self.term =>
            {
                before
            }
            Some(_) | None => Index(0),
        };
        let outcome = match outcome {
            Match::Up(index) => Match::Up(index.max(before)),
            Match::Conflict { .. } => outcome,
        };
        let checkpoint = self.checkpoints.latest(self.last_applied, is_idle, &self.state);
        let appended = Appended { term: self.term, round: self.round, outcome, checkpoint };
        self.acknowledgement = Some((leader, appended));
    }

    /// The term is all that matters to a leader of an earlier one.
    fn acknowledge_at_once(&self, leader: NodeId, round: u64, effects: &mut Effects) {
        let outcome = Match::Up(Index(0));
        let appended = Appended { term: self.term, round, outcome, checkpoint: None };
        effects.send(leader, crate::raft::message::Message::Appended(appended));
    }

    /// How long the leader has not been heard.
    pub(super) fn leader_silence(&self, now: Time) -> Option<std::time::Duration> {
        matches!(self.role, Role::Follower { leader: Some(_) })
            .then(|| now.since(self.leader_heard))
    }

    /// The term of the entry at `index`, or zero.
    pub(super) fn term_of(&self, index: Index) -> Term {
        self.log.term_at(index).unwrap_or_default()
    }
}

/// A leader that contradicts what is committed: it is broken, or this node is. Nothing was
/// changed.
#[derive(Debug)]
struct Contradiction;

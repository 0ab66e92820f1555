//! Elections: who asks for votes, and who gets them (Raft §5.2, §5.4.1; thesis §9.6, §4.2.3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::rand_core::Rng;

use crate::identity::NodeId;
use crate::observe::{Event, RaftEvent};
use crate::protocol::Recipients;
use crate::raft::log::{Entry, EntryId, Index, Payload, Term};
use crate::raft::membership::Joins;
use crate::raft::message::{Ballot, Message};
use crate::raft::progress::Progress;
use crate::raft::read::Reads;
use crate::raft::upkeep::Upkeep;
use crate::raft::{Effects, Leader, Raft, Role, Standing, Timer};
use crate::time::Time;

impl Raft {
    /// "If a follower receives no communication over a period of time called the election timeout,
    /// then it assumes there is no viable leader and begins an election" (§5.2).
    pub(super) fn on_election_timeout(&mut self, now: Time, effects: &mut Effects) {
        if self.leads() {
            return;
        }
        if let Role::Follower { leader: Some(_) } = self.role {
            self.role = Role::Follower { leader: None };
        }
        if self.may_lead() {
            self.campaign(now, effects);
        } else {
            self.await_leader(now);
            self.timers.set(Timer::Join, now);
        }
        self.dispatch(now, effects);
    }

    /// A learner counts for nothing, a full disk takes no entries, and one that ends should not
    /// begin.
    pub(super) fn may_lead(&self) -> bool {
        self.configuration().is_voter(self.config.node)
            && self.standing == Standing::Good
            && !self.disk_full
            && !self.is_retiring
    }

    /// Asks whether an election could be won, and changes nothing by it (thesis §9.6).
    pub(super) fn campaign(&mut self, now: Time, effects: &mut Effects) {
        let votes = BTreeSet::from([self.config.node]);
        self.role = Role::PreCandidate { votes };
        effects.observe(Event::BecomePreCandidate { term: self.term.0 });
        self.await_leader(now);
        if self.has_won() {
            self.become_candidate(now, Ballot::Real, effects);
        } else {
            let term = Term(self.term.0 + 1);
            let message = Message::RequestVote { term, last: self.log.last(), ballot: Ballot::Pre };
            effects.send_early(self.other_voters(), message);
        }
    }

    /// "To begin an election, a follower increments its current term and transitions to candidate
    /// state. It then votes for itself and issues RequestVote RPCs" (§5.2).
    pub(super) fn become_candidate(&mut self, now: Time, ballot: Ballot, effects: &mut Effects) {
        self.term = Term(self.term.0 + 1);
        self.voted_for = Some(self.config.node);
        self.unsaved.vote = true;
        self.round = 0;
        self.acknowledgement = None;
        let votes = BTreeSet::from([self.config.node]);
        self.role = Role::Candidate { votes, refusals: BTreeSet::new() };
        let last = self.log.last();
        effects.observe(Event::BecomeCandidate { term: self.term.0, last });
        self.await_leader(now);
        if self.has_won() {
            self.become_leader(now, effects);
            return;
        }
        let term = self.term;
        for voter in self.other_voters().as_slice() {
            effects.send(*voter, Message::RequestVote { term, last, ballot });
        }
    }

    fn has_won(&self) -> bool {
        let (Role::PreCandidate { votes } | Role::Candidate { votes, .. }) = &self.role else {
            return false;
        };
        self.configuration().is_majority(|voter| votes.contains(&voter))
    }

    pub(super) fn other_voters(&self) -> Recipients {
        let voters = self.configuration().voters();
        Recipients::Each(voters.filter(|voter| *voter != self.config.node).collect())
    }

    pub(super) fn on_request_vote(
        &mut self,
        now: Time,
        from: NodeId,
        term: Term,
        last: EntryId,
        ballot: Ballot,
        effects: &mut Effects,
    ) {
        // "If a server receives a RequestVote request within the minimum election timeout of
        // hearing from a current leader, it does not update its term or grant its vote" (thesis
        // §4.2.3), unless that leader wants it so (§3.10).
        let is_led = ballot != Ballot::Transfer && self.hears_leader(now);
        if is_led && term >= self.term {
            return;
        }
        if ballot != Ballot::Pre && term > self.term {
            self.become_follower(now, term, None, effects);
        }
        let granted = match ballot {
            Ballot::Pre => term > self.term && self.is_up_to_date(last),
            Ballot::Real | Ballot::Transfer => {
                let is_free = self.voted_for.is_none_or(|candidate| candidate == from);
                term == self.term && is_free && self.is_up_to_date(last)
            }
        };
        let (at, asked) = (self.term.0, term.0);
        effects.observe(Event::HandleRequestVote { from, term: at, asked, ballot, granted });
        if granted && ballot != Ballot::Pre {
            self.voted_for = Some(from);
            self.unsaved.vote = true;
            self.role = Role::Follower { leader: None };
            // "... or granting vote to candidate": just then the timer begins anew (Figure 2; R4).
            self.await_leader(now);
        }
        let term = if granted { term } else { self.term };
        effects.send(from, Message::Vote { term, ballot, granted });
    }

    /// Whether a leader lives, as far as this node can tell.
    fn hears_leader(&self, now: Time) -> bool {
        match &self.role {
            Role::Leader(_) => true,
            Role::Follower { leader: Some(_) } => {
                now.since(self.leader_heard) < self.config.election_timeout
            }
            Role::Follower { leader: None }
            | Role::PreCandidate { .. }
            | Role::Candidate { .. } => false,
        }
    }

    /// "If the logs have last entries with different terms, then the log with the later term is
    /// more up-to-date. If the logs end with the same term, then whichever log is longer" (§5.4.1).
    fn is_up_to_date(&self, candidate: EntryId) -> bool {
        candidate >= self.log.last()
    }

    pub(super) fn on_vote(
        &mut self,
        now: Time,
        from: NodeId,
        term: Term,
        ballot: Ballot,
        granted: bool,
        effects: &mut Effects,
    ) {
        if !granted && term > self.term {
            self.become_follower(now, term, None, effects);
            return;
        }
        let next = Term(self.term.0 + 1);
        match &mut self.role {
            Role::PreCandidate { votes } if ballot == Ballot::Pre && term == next && granted => {
                votes.insert(from);
                if self.has_won() {
                    self.become_candidate(now, Ballot::Real, effects);
                }
            }
            Role::Candidate { votes, .. }
                if ballot != Ballot::Pre && term == self.term && granted =>
            {
                votes.insert(from);
                self.trace(effects, |_| RaftEvent::HandleVote { from, term: term.0 });
                if self.has_won() {
                    self.become_leader(now, effects);
                }
            }
            Role::Candidate { refusals, .. } if ballot != Ballot::Pre && term == self.term => {
                refusals.insert(from);
                self.retry_if_split(now);
            }
            // An answer to a question of another time.
            Role::PreCandidate { .. }
            | Role::Candidate { .. }
            | Role::Follower { .. }
            | Role::Leader(_) => {}
        }
    }

    /// Once so many have refused that nobody can win, as when two have asked at once, there is
    /// nothing to wait for: another try comes soon, and not for all at the same time (§5.2: "split
    /// votes").
    fn retry_if_split(&mut self, now: Time) {
        let Role::Candidate { refusals, .. } = &self.role else { return };
        if !self.configuration().is_majority(|voter| !refusals.contains(&voter)) {
            let soon = self.draw(self.config.heartbeat_interval * 2);
            self.timers.set(Timer::Election, now + soon);
        }
    }

    fn become_leader(&mut self, now: Time, effects: &mut Effects) {
        effects.observe(Event::BecomeLeader { term: self.term.0 });
        let last = self.log.last().index;
        let others = self.configuration().members().map(|(node, _)| node);
        let others = others.filter(|node| *node != self.config.node);
        // A majority has just been heard of, but not by this leader: it has an election timeout.
        let progress: BTreeMap<_, _> =
            others.map(|node| (node, Progress::new(now, last))).collect();
        self.role = Role::Leader(Box::new(Leader {
            first: last.next(),
            progress,
            reads: Reads::default(),
            joins: Joins::default(),
            transfer: None,
            is_notice_due: false,
            agreement: BTreeMap::new(),
            since: now,
            upkeep: Upkeep::new(now),
        }));
        self.clock.begin_office(now, self.last_log_ms());
        self.timers.cancel(Timer::Election);
        self.timers.set(Timer::Heartbeat, now);
        // "... by having each leader commit a blank no-op entry into the log at the start of its
        // term" (§8; R3).
        self.append(Entry { term: self.term, payload: Payload::Noop });
        self.dispatch(now, effects);
    }

    /// Who hears of a later term is in it, as a follower (Raft §5.1).
    pub(super) fn become_follower(
        &mut self,
        now: Time,
        term: Term,
        leader: Option<NodeId>,
        effects: &mut Effects,
    ) {
        assert!(term >= self.term, "terms never fall");
        if term > self.term {
            self.term = term;
            self.voted_for = None;
            self.unsaved.vote = true;
            self.round = 0;
            self.acknowledgement = None;
            self.trace(effects, |_| RaftEvent::UpdateTerm { term: term.0 });
        }
        let was_office = !matches!(self.role, Role::Follower { .. });
        let is_news = !matches!(self.role, Role::Follower { leader: known } if known == leader);
        if was_office {
            effects.observe(Event::StepDown { term: self.term.0 });
        }
        let former = std::mem::replace(&mut self.role, Role::Follower { leader });
        if let Role::Leader(former) = former {
            self.resign(*former, effects);
        }
        if was_office {
            self.await_leader(now);
        }
        if let Some(leader) = leader
            && is_news
        {
            effects.observe(Event::Follow { term: self.term.0, leader });
            self.tell_successor(leader, effects);
            self.ask_again(leader);
            self.dispatch(now, effects);
        }
    }

    /// Lets an election timeout pass, drawn anew (§5.2; R24).
    pub(super) fn await_leader(&mut self, now: Time) {
        let timeout = self.config.election_timeout;
        let after = timeout + self.draw(timeout / 2);
        self.timers.set(Timer::Election, now + after);
    }

    /// A random time of at most `most`.
    pub(super) fn draw(&mut self, most: Duration) -> Duration {
        let microseconds = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.dice.next_u64() % microseconds)
    }

    /// Appends to the leader's own log.
    pub(super) fn append(&mut self, entry: Entry) -> Index {
        let index = self.log.append(entry);
        self.unsaved.log_from(index);
        index
    }
}

//! Another leader, on request (thesis §3.10): the target is brought up to date, then told to begin
//! an election at once. Meanwhile proposals wait.

use crate::control::failure::{ErrorCode, Failure};
use crate::identity::NodeId;
use crate::observe::Event;
use crate::raft::forward::refused;
use crate::raft::log::{Index, Term};
use crate::raft::message::{Answered, Ballot, Message};
use crate::raft::progress::Progress;
use crate::raft::replication::Origin;
use crate::raft::{Effects, Raft, Role, Way};
use crate::time::Time;

/// A transfer that is under way.
#[derive(Debug)]
pub(super) struct Transfer {
    target: NodeId,
    /// "If leadership transfer does not complete after about an election timeout, the prior leader
    /// aborts the transfer and resumes accepting client requests."
    deadline: Time,
    /// Who asked for it.
    origins: Vec<Origin>,
    is_asked: bool,
}

impl Raft {
    /// Hands over for somebody who is told when it is done.
    pub(super) fn transfer(
        &mut self,
        now: Time,
        origin: Origin,
        member: Option<&str>,
        effects: &mut Effects,
    ) -> Result<Option<Answered>, Failure> {
        let target = member.map(|member| self.member_called(member)).transpose()?;
        if target == Some(self.config.node) {
            return Ok(Some(Answered::Transferred(self.config.name.clone())));
        }
        if let Some(target) = target
            && !self.configuration().is_voter(target)
        {
            return Err(Failure::bad_request("a learner can't lead"));
        }
        self.begin_transfer(now, target, Some(origin), effects)?;
        Ok(None)
    }

    /// Hands over to `target`, or to the one that has most of the log.
    pub(super) fn begin_transfer(
        &mut self,
        now: Time,
        target: Option<NodeId>,
        origin: Option<Origin>,
        effects: &mut Effects,
    ) -> Result<(), Failure> {
        let deadline = now + self.config.election_timeout;
        let target = match target {
            Some(target) if self.is_heard(now, target) => Some(target),
            Some(_) => None,
            None => self.best_successor(now),
        };
        let target = target.ok_or_else(|| {
            Failure::new(ErrorCode::NoQuorum, "no voter that could lead was heard of lately")
        })?;
        let Role::Leader(leader) = &mut self.role else { return Ok(()) };
        if let Some(transfer) = &mut leader.transfer {
            if origin.is_some() && transfer.target != target {
                let message = "leadership is being handed over to another";
                return Err(Failure::new(ErrorCode::Busy, message).retry_after_ms(500));
            }
            transfer.origins.extend(origin);
            return Ok(());
        }
        effects.observe(Event::Transfer { to: target });
        let origins = origin.into_iter().collect();
        leader.transfer = Some(Transfer { target, deadline, origins, is_asked: false });
        self.hand_over_if_ready(effects);
        Ok(())
    }

    fn best_successor(&self, now: Time) -> Option<NodeId> {
        let Role::Leader(leader) = &self.role else { return None };
        let voters = self.configuration().voters().filter(|voter| *voter != self.config.node);
        let heard = voters.filter(|voter| self.is_heard(now, *voter));
        heard.max_by_key(|voter| leader.progress.get(voter).map(Progress::match_index))
    }

    /// Asks the target to begin, once it has all that this leader has (R27).
    pub(super) fn hand_over_if_ready(&mut self, effects: &mut Effects) {
        let (last, term) = (self.log.last().index, self.term);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(transfer) = &mut leader.transfer else { return };
        let progress = leader.progress.get(&transfer.target);
        if !transfer.is_asked && progress.map_or(Index(0), Progress::match_index) == last {
            transfer.is_asked = true;
            let target = transfer.target;
            self.tell(target, Message::TimeoutNow { term }, Way::Early, effects);
        }
    }

    pub(super) fn tend_transfer(&mut self, now: Time, effects: &mut Effects) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(transfer) = leader.transfer.take_if(|transfer| transfer.deadline <= now) else {
            return;
        };
        for origin in transfer.origins {
            let message = "the other node did not take over in an election timeout";
            let outcome = refused(Failure::new(ErrorCode::Timeout, message));
            self.respond(origin, outcome, Way::Early, effects);
        }
        self.dispatch(now, effects);
    }

    /// This node no longer leads; who asked for it is told who does, once that is known.
    pub(super) fn await_successor(&mut self, transfer: Transfer) {
        self.successor_awaited.extend(transfer.origins);
    }

    pub(super) fn tell_successor(&mut self, leader: NodeId, effects: &mut Effects) {
        let Some(member) = self.configuration().get(leader) else { return };
        let name = member.name.clone();
        for origin in std::mem::take(&mut self.successor_awaited) {
            self.respond(origin, Answered::Transferred(name.clone()), Way::Early, effects);
        }
    }

    /// The leader wants this node to lead: it needs not wait, and voters need not think that the
    /// leader is dead.
    pub(super) fn on_timeout_now(
        &mut self,
        now: Time,
        from: NodeId,
        term: Term,
        effects: &mut Effects,
    ) {
        let is_its = matches!(self.role, Role::Follower { leader: Some(leader) } if leader == from);
        if term == self.term && is_its && self.may_lead() {
            self.become_candidate(now, Ballot::Transfer, effects);
        }
    }

    /// The node is about to end: another leads, if there is one.
    pub(super) fn on_retire(&mut self, now: Time, effects: &mut Effects) {
        self.is_retiring = true;
        // Without one the members find out by themselves that this one is gone.
        let _ = self.begin_transfer(now, None, None, effects);
    }

    /// A leader that can't write hands over (D4).
    pub(super) fn on_disk_full(&mut self, now: Time, is_full: bool, effects: &mut Effects) {
        if is_full != self.disk_full {
            self.disk_full = is_full;
            effects.observe(Event::DiskFull { is_full });
            if is_full {
                // If nobody else can lead, reads go on here.
                let _ = self.begin_transfer(now, None, None, effects);
            }
        }
    }
}

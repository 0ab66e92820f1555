//! What clients hear: of their requests, and why not.

use crate::control::failure::{Applied, ErrorCode, Failure};
use crate::control::reply::{Header, Reply, Served};
use crate::modes::Mode;
use crate::protocol::{Answer, RequestId};
use crate::raft::request::{Pending, RETRY_AFTER_MS};
use crate::raft::work::Work;
use crate::raft::{Effects, Raft, Standing, Way};

impl Raft {
    /// A node that is about to end, has diverged or was removed serves nothing.
    ///
    /// # Errors
    ///
    /// Why.
    pub fn check_standing(&self) -> Result<(), Failure> {
        let name = &self.config.name;
        match self.standing {
            Standing::Good => Ok(()),
            Standing::Removed => {
                Err(Failure::new(ErrorCode::Removed, format!("{name} is no longer a member")))
            }
            Standing::Diverged => {
                let message = format!("the state of {name} is not that of the other members");
                let hint =
                    "wipe its data directory and let it join again; keep a copy to find out why";
                Err(Failure::new(ErrorCode::Corrupt, message).with_hint(hint))
            }
        }
    }

    /// Whether a leader can take a write.
    pub(super) fn check_room(&self) -> Result<(), Failure> {
        if self.disk_full {
            let message = format!("the disk of {}, the leader, is full", self.config.name);
            return Err(Failure::new(ErrorCode::Quota, message)
                .retry_after_ms(1_000)
                .with_hint("make room; writes go on by themselves then"));
        }
        if !self.has_room() {
            let message = "too much is proposed and not committed";
            let failure = Failure::new(ErrorCode::Overloaded, message);
            return Err(failure.retry_after_ms(RETRY_AFTER_MS));
        }
        Ok(())
    }

    /// The same, for this proposal.
    pub(super) fn check_room_for(&self, id: RequestId) -> Result<(), Failure> {
        self.check_room()?;
        match self.requests.pending.get(&id).map(|pending| &pending.work) {
            Some(Work::Write { command, .. }) => self.check_quota(command),
            Some(Work::Read(_) | Work::Lead(_) | Work::Await(_)) | None => Ok(()),
        }
    }

    /// Why a request is late, and whether it may be carried out yet.
    pub(super) fn late(&self, pending: &Pending) -> Failure {
        if pending.may_be_applied() {
            let message = "it was proposed, and whether it is committed was not known in time";
            let failure = Failure::new(ErrorCode::Timeout, message);
            return Failure { applied: Some(Applied::Unknown), ..failure };
        }
        match pending.session {
            Some(revision) => self.behind(revision),
            None => self.unavailable(),
        }
    }

    /// Why a session is not served.
    fn behind(&self, revision: u64) -> Failure {
        let (name, reached) = (&self.config.name, self.state.revision);
        let message =
            format!("{name} is at revision {reached}, and the session has seen {revision}");
        let hint = "another node may have it; distdbctl explain tells what keeps this one behind";
        Failure::new(ErrorCode::Behind, message).with_hint(hint)
    }

    /// Why nothing is committed.
    fn unavailable(&self) -> Failure {
        let hint = "distdbctl explain tells why";
        if self.leads() {
            let message = "a majority of the voters was not heard of in time";
            return Failure::new(ErrorCode::NoQuorum, message).with_hint(hint);
        }
        if !self.is_member() {
            let message = format!("{} has not been taken into the cluster yet", self.config.name);
            return Failure::new(ErrorCode::NotReady, message).with_hint(hint);
        }
        if self.disk_full && self.leader().is_some() {
            let name = &self.config.name;
            let message = format!("the disk of {name} is full, so it falls behind the leader");
            let hint = "make room, or ask another node";
            return Failure::new(ErrorCode::Behind, message).with_hint(hint);
        }
        let message = match self.leader() {
            Some(_) => "the leader did not answer in time",
            None => "no leader is known, so there may be no majority",
        };
        Failure::new(ErrorCode::NoLeader, message).with_hint(hint)
    }

    /// This try took no effect; one before it, through another leader, may have.
    pub(super) fn fail_try(
        &mut self,
        id: RequestId,
        failure: Failure,
        way: Way,
        effects: &mut Effects,
    ) {
        let is_uncertain = self.requests.pending.get(&id).is_some_and(|p| p.is_uncertain);
        let applied = if is_uncertain { Some(Applied::Unknown) } else { failure.applied };
        self.fail(id, Failure { applied, ..failure }, way, effects);
    }

    pub(super) fn fail(
        &mut self,
        id: RequestId,
        failure: Failure,
        way: Way,
        effects: &mut Effects,
    ) {
        if self.requests.take(id).is_some() {
            let answer = Answer::Reply(self.header(None), Err(failure));
            Self::answer(way, id, answer, effects);
        }
    }

    pub(super) fn succeed(&mut self, id: RequestId, reply: Reply, way: Way, effects: &mut Effects) {
        self.succeed_at(id, reply, 0, way, effects);
    }

    /// The leader may have told the outcome of a write before this node has applied it: the header
    /// is not to be of an earlier state than the reply.
    pub(super) fn succeed_at(
        &mut self,
        id: RequestId,
        reply: Reply,
        revision: u64,
        way: Way,
        effects: &mut Effects,
    ) {
        if self.requests.take(id).is_some() {
            let header = self.header(None);
            let revision = header.revision.max(Some(revision));
            let answer = Answer::Reply(Header { revision, ..header }, Ok(reply));
            Self::answer(way, id, answer, effects);
        }
    }

    /// The header of an answer of this mode.
    pub fn header(&self, served: Option<Served>) -> Header {
        Header {
            node: self.config.name.clone(),
            mode: Some(Mode::Raft),
            term: Some(self.term.0),
            revision: Some(self.state.revision),
            served,
        }
    }

    pub(super) fn on_stop(&mut self, effects: &mut Effects) {
        for (id, pending) in std::mem::take(&mut self.requests.pending) {
            let failure = Failure::new(ErrorCode::ShuttingDown, "the node is about to end");
            let applied = if pending.may_be_applied() { Applied::Unknown } else { Applied::No };
            let failure = Failure { applied: Some(applied), ..failure };
            effects.answer(id, Answer::Reply(self.header(None), Err(failure)));
        }
    }
}

/// The leader is gone, and took the outcome along.
pub(super) fn lost() -> Failure {
    let message = "the leader was lost before it told the outcome";
    let failure = Failure::new(ErrorCode::LeaderLost, message);
    Failure { applied: Some(Applied::Unknown), ..failure }
}

/// A prefix can't change its mode.
pub fn has_keys() -> Failure {
    let message = "keys begin with that prefix, and none may change its mode";
    Failure::new(ErrorCode::ConditionFailed, message)
        .with_hint("delete them first: distdbctl delete --prefix PREFIX")
}

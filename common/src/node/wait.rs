//! Clients that wait until something is so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::causal::Causal;
use crate::control::Id;
use crate::control::condition::Condition;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Reply, Waited};
use crate::control::status::PeerState;
use crate::modes::Mode;
use crate::node::Node;
use crate::protocol::{Answer, Effects, RequestId};
use crate::raft::Raft;
use crate::time::Time;

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Waits {
    all: BTreeMap<RequestId, Wait>,
}

/// A client that waits.
#[derive(Debug)]
struct Wait {
    id: Option<Id>,
    condition: Condition,
    deadline: Option<Time>,
}

impl Waits {
    pub(super) fn forget(&mut self, request: RequestId) {
        self.all.remove(&request);
    }

    pub(super) fn forget_connection(&mut self, connection: u64) {
        self.all.retain(|request, _| request.connection != connection);
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.all.values().filter_map(|wait| wait.deadline).min()
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        std::mem::take(&mut self.all).into_keys()
    }

    /// Forgets the wait that the client of `connection` calls `id`.
    pub(super) fn cancel(&mut self, connection: u64, id: &Id) -> Option<RequestId> {
        let mut all = self.all.iter();
        let found = all.find(|(request, wait)| {
            request.connection == connection && wait.id.as_ref() == Some(id)
        });
        let request = *found?.0;
        self.all.remove(&request);
        Some(request)
    }
}

impl Node {
    /// The outcome, if it is known at once.
    pub(super) fn wait(
        &mut self,
        now: Time,
        request: RequestId,
        id: Option<Id>,
        condition: Condition,
        timeout: Option<Duration>,
    ) -> Option<Result<Reply, Failure>> {
        if condition == Condition::Leader && self.raft.is_none() && self.cluster().is_some() {
            let message = "broadcast mode has no leader to wait for";
            return Some(Err(Failure::new(ErrorCode::ModeMismatch, message)));
        }
        if self.holds(&condition) {
            return Some(Ok(Reply::Wait(Waited { became: condition.to_string() })));
        }
        let deadline = timeout.map(|timeout| now + timeout);
        self.waits.all.insert(request, Wait { id, condition, deadline });
        None
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Leader => self.raft.as_ref().is_some_and(|raft| raft.leader().is_some()),
            Condition::Synced => self.is_ready(),
            Condition::Members(n) => self.is_ready() && self.members_up().0 >= *n,
            Condition::Key(key) => match (self.mode_of(key.as_str()), &self.raft) {
                (Ok(Mode::Raft), Some(raft)) => raft.state().store.get(key).is_some(),
                (Ok(Mode::Broadcast), _) => {
                    self.broadcast.is_ready() && self.broadcast.store().live(key).is_some()
                }
                (Ok(Mode::Causal), _) => self.causal.as_ref().is_some_and(|causal| causal.has(key)),
                (Ok(Mode::Raft), None) | (Err(_), _) => false,
            },
            Condition::Revision(n) => match &self.raft {
                Some(raft) => raft.state().revision >= *n,
                None => self.broadcast.is_ready() && self.broadcast.revision() >= *n,
            },
        }
    }

    pub(super) fn answer_waits(&mut self, now: Time, effects: &mut Effects<Self>) {
        if self.waits.all.is_empty() {
            return;
        }
        let outcome_of = |wait: &Wait| {
            if self.holds(&wait.condition) {
                let became = wait.condition.to_string();
                return Some(Ok(Reply::Wait(Waited { became })));
            }
            let is_late = wait.deadline.is_some_and(|deadline| deadline <= now);
            is_late.then(|| {
                let message = format!("{} did not become true in time", wait.condition);
                Err(Failure::new(ErrorCode::Timeout, message))
            })
        };
        let waits = self.waits.all.iter();
        let over: Vec<_> = waits.filter_map(|(id, w)| Some((*id, outcome_of(w)?))).collect();
        for (id, outcome) in over {
            self.waits.all.remove(&id);
            effects.answer(id, Answer::Reply(self.header(), outcome));
        }
    }

    /// Whether the node serves: in both modes, where keys belong to both.
    pub fn is_ready(&self) -> bool {
        let has_joined = self.raft.is_some() || !self.config.mode.has_log();
        has_joined
            && self.raft.as_ref().is_none_or(|raft| self.raft_readiness(raft).is_ok())
            && (!self.has_broadcast_keys() || self.broadcast.is_ready())
            && (!self.has_causal_keys() || self.causal.as_ref().is_some_and(Causal::is_ready))
    }

    /// Whether any key could belong to broadcast mode.
    pub(super) fn has_broadcast_keys(&self) -> bool {
        let of_broadcast = |raft: &Raft| raft.state().modes.has(Mode::Broadcast);
        self.raft.as_ref().is_none_or(of_broadcast)
    }

    /// Whether any key could belong to causal mode.
    pub(super) fn has_causal_keys(&self) -> bool {
        self.raft.as_ref().is_some_and(|raft| raft.state().modes.has(Mode::Causal))
    }

    /// How many members serve, as far as this node knows, and how many there are. Where Raft runs,
    /// who does not vote yet does not count as one that serves.
    pub fn members_up(&self) -> (usize, usize) {
        let all = self.other_members().count() + 1;
        let Some(raft) = &self.raft else { return (self.broadcast.members_up(), all) };
        let is_up = |node| {
            raft.configuration().is_voter(node)
                && (node == self.config.node || self.peer_state(raft, node) == PeerState::Up)
        };
        let nodes = self.other_members().map(|member| member.id).chain([self.config.node]);
        (nodes.filter(|node| is_up(*node)).count(), all)
    }
}

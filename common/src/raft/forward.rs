//! What a node has the leader do for its clients, and what it does as leader for others' (Raft §8:
//! "the server will reject the client's request and supply information about the most recent
//! leader"; here the server goes there itself).

use crate::control::failure::{Applied, Failure};
use crate::control::reply::Reply;
use crate::identity::NodeId;
use crate::protocol::RequestId;
use crate::raft::message::{Answered, Ask, Message};
use crate::raft::replication::Origin;
use crate::raft::request::Asked;
use crate::raft::work::Work;
use crate::raft::{Effects, Raft, Role, Way};
use crate::time::Time;

impl Raft {
    /// Asks the leader for a client of this node. Reads are gathered until the commit.
    pub(super) fn ask(&mut self, id: RequestId, leader: NodeId, effects: &mut Effects) {
        let Some(pending) = self.requests.pending.get_mut(&id) else { return };
        let what = match &pending.work {
            Work::Read(_) => {
                self.requests.unasked.push(id);
                return;
            }
            Work::Await(_) => return,
            Work::Write { command, .. } => Ask::Propose(command.clone()),
            Work::Lead(ask) => ask.clone(),
        };
        pending.is_under_way = true;
        self.send_ask(leader, vec![id], what, effects);
    }

    /// One question for all reads that have come.
    pub(super) fn ask_leader(&mut self, effects: &mut Effects) {
        if self.requests.unasked.is_empty() {
            return;
        }
        let reads = std::mem::take(&mut self.requests.unasked);
        match self.role {
            Role::Follower { leader: Some(leader) } => {
                self.send_ask(leader, reads, Ask::Read, effects);
            }
            Role::Follower { leader: None }
            | Role::PreCandidate { .. }
            | Role::Candidate { .. }
            | Role::Leader(_) => reads.into_iter().for_each(|id| self.requests.retry(id)),
        }
    }

    fn send_ask(
        &mut self,
        node: NodeId,
        requests: Vec<RequestId>,
        what: Ask,
        effects: &mut Effects,
    ) {
        self.requests.asks_made += 1;
        let ask = self.requests.asks_made;
        self.requests.asks.insert(ask, Asked { node, requests });
        self.tell(node, Message::Ask { ask, what }, Way::Early, effects);
    }

    /// Another node asks for its client.
    pub(super) fn on_ask(
        &mut self,
        now: Time,
        node: NodeId,
        ask: u64,
        what: Ask,
        effects: &mut Effects,
    ) {
        let last = self.asked.entry(node).or_default();
        if ask <= *last {
            return;
        }
        *last = ask;
        let origin = Origin::Peer { node, ask };
        let Role::Leader(leader) = &mut self.role else {
            self.respond(origin, Answered::NotLeader, Way::Early, effects);
            return;
        };
        match what {
            Ask::Propose(_) if leader.transfer.is_some() => {
                self.respond(origin, Answered::NotLeader, Way::Early, effects);
            }
            Ask::Propose(command) => match self.check_room().and(self.check_quota(&command)) {
                Ok(()) => self.propose(command, origin, effects),
                Err(failure) => self.respond(origin, refused(failure), Way::Early, effects),
            },
            Ask::Read => leader.reads.queue(origin),
            Ask::Member { .. } | Ask::Transfer(_) => self.do_lead(now, origin, what, effects),
        }
    }

    /// What became of something that was asked of this leader.
    pub(super) fn respond(
        &mut self,
        origin: Origin,
        outcome: Answered,
        way: Way,
        effects: &mut Effects,
    ) {
        match origin {
            Origin::Client(id) => self.take_answer(id, outcome, way, effects),
            Origin::Peer { node, ask } => {
                self.tell(node, Message::Answer { ask, outcome }, way, effects);
            }
            Origin::Upkeep => {}
        }
    }

    /// The leader has answered.
    pub(super) fn on_answer(&mut self, ask: u64, outcome: Answered, effects: &mut Effects) {
        let Some(asked) = self.requests.asks.remove(&ask) else { return };
        if let Answered::ReadAt(index) = outcome {
            if self.last_applied < index {
                self.requests.at_index.entry(index).or_default().extend(asked.requests);
                return;
            }
            for id in asked.requests {
                self.read_now(id, Way::Early, effects);
            }
            return;
        }
        for id in asked.requests {
            self.take_answer(id, outcome.clone(), Way::Early, effects);
        }
    }

    fn take_answer(&mut self, id: RequestId, outcome: Answered, way: Way, effects: &mut Effects) {
        match outcome {
            Answered::Applied { outcome, duplicate } => {
                self.complete(id, outcome, duplicate, way, effects);
            }
            Answered::Member(changed) => {
                self.succeed(id, Reply::MemberChanged(changed), way, effects);
            }
            Answered::Transferred(leader) => {
                let reply = crate::control::cluster::Transferred { leader };
                self.succeed(id, Reply::Transferred(reply), way, effects);
            }
            Answered::NotLeader => {
                if let Some(pending) = self.requests.pending.get_mut(&id) {
                    pending.is_under_way = false;
                }
                self.requests.retry(id);
            }
            Answered::Refused { code, applied, message, hint } => {
                let applied = Some(applied);
                let failure = Failure { applied, hint, ..Failure::new(code, message) };
                self.fail_try(id, failure, way, effects);
            }
            // Answered above; a leader asks nobody.
            Answered::ReadAt(_) => {}
        }
    }
}

/// A failure on its way to the node whose client is concerned.
pub(super) fn refused(failure: Failure) -> Answered {
    let Failure { code, applied, message, hint, .. } = failure;
    Answered::Refused { code, applied: applied.unwrap_or(Applied::No), message, hint }
}

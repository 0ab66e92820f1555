//! What tests of the data model ask of a cluster.

use super::*;
use crate::control::failure::Failure;
use crate::control::kv::Kv;
use crate::control::kv::reply::KvReply;

impl Cluster {
    /// A request of the data model, on a connection of its own.
    pub(super) fn ask_kv(&mut self, node: u64, kv: Kv, timeout: Option<Duration>) -> RequestId {
        self.requests += 1;
        let id = RequestId { connection: self.requests, sequence: 1 };
        let call = Call { timeout, ..Call::new(Request::Kv(Box::new(kv))) };
        self.step(node, Input::Request { id, call });
        id
    }

    /// What a request of the data model was answered.
    pub(super) fn kv_reply(&self, id: RequestId) -> &KvReply {
        match self.answer(id) {
            Some(Answer::Reply(_, Ok(Reply::Kv(reply)))) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// Why a request was refused.
    pub(super) fn failure(&self, id: RequestId) -> &Failure {
        match self.answer(id) {
            Some(Answer::Reply(_, Err(failure))) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// Time passes for some nodes, and what they send each other arrives at once.
    pub(super) fn pass_among(&mut self, nodes: &[u64], duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + HEARTBEAT / 4;
            nodes.iter().for_each(|node| self.live(*node));
            self.settle_among(nodes);
        }
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        let all: Vec<u64> = self.nodes.keys().copied().collect();
        self.pass_among(&all, duration);
    }
}

//! Answered once: each request gets one last answer, and nothing under an id that is not open. All
//! but those that wait for something are answered in the commit that took them.
//!
//! Source: pitfalls P12, P13. Not in the specification, which has no clients that wait.

use std::collections::BTreeSet;

use common::control::request::Request;
use common::identity::NodeId;
use common::protocol::{Input, RequestId};

use super::{Batch, Check};

/// The requests that are still to be answered.
#[derive(Debug, Default)]
pub(super) struct AnsweredOnce {
    open: BTreeSet<(NodeId, RequestId)>,
    /// Not read any more; it may have been answered in the same commit.
    abandoned: BTreeSet<(NodeId, RequestId)>,
}

impl Check for AnsweredOnce {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for input in batch.inputs {
            self.note(batch.node, input);
        }
        for (id, answer) in &batch.outbox.answers {
            let request = (batch.node, *id);
            if self.abandoned.contains(&request) {
                continue;
            }
            let is_open = if answer.is_last() {
                self.open.remove(&request)
            } else {
                self.open.contains(&request)
            };
            if !is_open {
                return Err(format!("{id:?} is answered, and nobody waits: {answer:?}"));
            }
        }
        let mut inputs = batch.inputs.iter();
        let late = inputs.find(|input| self.is_late(batch.node, input));
        late.map_or(Ok(()), |input| Err(format!("it is not answered at once: {input:?}")))
    }

    fn on_crash(&mut self, node: NodeId) {
        self.open.retain(|(owner, _)| *owner != node);
        self.abandoned.retain(|(owner, _)| *owner != node);
    }
}

impl AnsweredOnce {
    fn is_late(&self, node: NodeId, input: &Input<common::node::Message>) -> bool {
        let Input::Request { id, call } = input else {
            return false;
        };
        let waits =
            matches!(call.request, Request::Watch { .. } | Request::Wait(_) | Request::Sync { .. });
        !waits && self.open.contains(&(node, *id))
    }

    fn note(&mut self, node: NodeId, input: &Input<common::node::Message>) {
        match input {
            Input::Request { id, .. } => {
                self.open.insert((node, *id));
            }
            Input::Abandoned(id) => {
                self.open.remove(&(node, *id));
                self.abandoned.insert((node, *id));
            }
            Input::Closed { connection } => {
                let of_it = |request: &&(NodeId, RequestId)| {
                    request.0 == node && request.1.connection == *connection
                };
                let closed: Vec<_> = self.open.iter().filter(of_it).copied().collect();
                for request in closed {
                    self.open.remove(&request);
                    self.abandoned.insert(request);
                }
            }
            Input::Start | Input::Tick | Input::Stop | Input::Retire | Input::DiskFull(_) => {}
            Input::PeerUp(_) | Input::PeerDown(_) | Input::Message { .. } | Input::Wall(_) => {}
            Input::SnapshotWritten(_) | Input::CausalWritten(_) | Input::SnapshotReceived(_) => {}
            Input::SnapshotSent { .. } | Input::Verified { .. } | Input::Room { .. } => {}
        }
    }
}

//! Answered once: each request gets one last answer, and nothing under an id that is not open.
//!
//! Source: pitfalls P12, P13. Not in the specification, which has no clients that wait.

use std::collections::BTreeSet;

use common::control::request::Request;
use common::identity::NodeId;
use common::node::Message;
use common::protocol::{Answer, Input, RequestId};

type Place = (NodeId, RequestId);

/// The requests of running processes.
#[derive(Debug, Default)]
pub(super) struct Answers {
    open: BTreeSet<Place>,
    /// They last until somebody ends them.
    watches: BTreeSet<Place>,
    /// Not read any more; they may be answered in the same commit.
    abandoned: BTreeSet<Place>,
}

impl Answers {
    pub(super) fn note(&mut self, node: NodeId, inputs: &[Input<Message>]) {
        for input in inputs {
            if let Input::Request { id, call } = input {
                let place = (node, *id);
                self.open.insert(place);
                if matches!(call.request, Request::Watch { .. }) {
                    self.watches.insert(place);
                }
            } else if let Input::Abandoned(id) = input {
                self.abandon(|place| *place == (node, *id));
            } else if let Input::Closed { connection } = input {
                self.abandon(|(owner, id)| *owner == node && id.connection == *connection);
            }
        }
    }

    fn abandon(&mut self, is_it: impl Fn(&Place) -> bool) {
        let gone: Vec<Place> = self.open.iter().filter(|place| is_it(place)).copied().collect();
        for place in gone {
            self.open.remove(&place);
            self.abandoned.insert(place);
        }
    }

    pub(super) fn judge(
        &mut self,
        node: NodeId,
        answers: &[(RequestId, Answer)],
    ) -> Result<(), String> {
        for (id, answer) in answers {
            let place = (node, *id);
            if self.abandoned.contains(&place) {
                continue;
            }
            let is_open = if answer.is_last() {
                self.open.remove(&place)
            } else {
                self.open.contains(&place)
            };
            if !is_open {
                return Err(format!("{id:?} is answered, and nobody waits: {answer:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        for places in [&mut self.open, &mut self.watches, &mut self.abandoned] {
            places.retain(|(owner, _)| *owner != node);
        }
    }

    /// One that is to be answered and was not yet.
    pub(super) fn waiting(&self) -> Option<String> {
        let waiting = self.open.iter().find(|place| !self.watches.contains(place));
        waiting.map(|(node, id)| format!("{node} has not answered {id:?}"))
    }
}

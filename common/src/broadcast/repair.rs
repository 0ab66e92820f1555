//! How a node that serves merges the states of its peers once more.

use std::collections::BTreeSet;

use crate::broadcast::{Broadcast, Effects};
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Reply, Synced};
use crate::identity::{NodeId, NodeName};
use crate::observe::Event;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// The states of all ready peers, one after another.
#[derive(Debug)]
pub(super) struct Repair {
    /// Who asked; none where this node did itself.
    pub(super) request: Option<RequestId>,
    pub(super) left: BTreeSet<NodeId>,
    pub(super) from: Vec<NodeName>,
    pub(super) changed: u64,
}

impl Broadcast {
    /// Begins to merge the states of all ready peers. The outcome comes later, but if there is
    /// nothing to do.
    pub(super) fn repair(
        &mut self,
        now: Time,
        request: RequestId,
        effects: &mut Effects,
    ) -> Option<Result<Reply, Failure>> {
        if let Err(failure) = self.check_ready() {
            return Some(Err(failure));
        }
        if self.sync.repair.is_some() {
            return Some(Err(Failure::new(ErrorCode::Busy, "a sync is under way already")));
        }
        if self.links.ready().next().is_none() && self.other_members().next().is_some() {
            let message = "no ready member is connected";
            return Some(Err(Failure::new(ErrorCode::NotReady, message)
                .with_hint("distdbctl nodes shows who is down")));
        }
        self.begin_repair(now, Some(request), effects);
        None
    }

    pub(super) fn begin_repair(
        &mut self,
        now: Time,
        request: Option<RequestId>,
        effects: &mut Effects,
    ) {
        let left = self.links.ready().collect();
        self.sync.repair = Some(Repair { request, left, from: Vec::new(), changed: 0 });
        self.continue_repair(now, effects);
    }

    pub(super) fn continue_repair(&mut self, now: Time, effects: &mut Effects) {
        let Some(repair) = &mut self.sync.repair else { return };
        while let Some(donor) = repair.left.pop_first() {
            if self.links.get(donor).is_some_and(|link| link.ready) {
                self.begin_session(now, donor, effects);
                return;
            }
        }
        let Some(Repair { request, from, changed, .. }) = self.sync.repair.take() else { return };
        effects.observe(Event::Repair { changed });
        if let Some(request) = request {
            let reply = Reply::Sync(Synced { from, changed, differing: None });
            effects.answer(request, Answer::Reply(self.header(), Ok(reply)));
        }
    }
}

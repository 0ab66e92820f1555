//! Requests that wait until this node has seen what their client has.

use std::collections::BTreeMap;

use crate::causal::context::Context;
use crate::causal::message::Message;
use crate::causal::{Causal, Effects, Timer};
use crate::control::failure::{ErrorCode, Failure};
use crate::control::request::Call;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// Requests that wait. More are refused: those that are there must be served first.
const PARKED_MAX: usize = 10_000;

/// The requests that wait, in the order in which each connection has sent them.
#[derive(Debug, Default)]
pub(super) struct Parked {
    all: BTreeMap<RequestId, (Call, Time)>,
}

impl Parked {
    pub(super) fn forget(&mut self, request: RequestId) {
        self.all.remove(&request);
    }

    pub(super) fn forget_connection(&mut self, connection: u64) {
        self.all.retain(|request, _| request.connection != connection);
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.all.values().map(|(_, deadline)| *deadline).min()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether a write that came before on the same connection waits: those of a connection take
    /// effect in the order sent.
    fn holds_up(&self, request: RequestId) -> bool {
        let first = RequestId { sequence: 0, ..request };
        self.all.range(first..request).any(|(_, (call, _))| call.request.is_write())
    }
}

impl Causal {
    /// Whether a request can be carried out; if not it waits.
    pub(super) fn may_proceed(
        &mut self,
        id: RequestId,
        call: &Call,
        deadline: Time,
        effects: &mut Effects,
    ) -> bool {
        let is_held_up = call.request.is_write()
            && (self.parked.holds_up(id) || self.deletions.has(id.connection));
        let lacks =
            call.request.context().is_some_and(|context| !context.is_covered_by(&self.clock));
        if !is_held_up && !lacks {
            return true;
        }
        if self.parked.len() >= PARKED_MAX {
            let failure = Failure::new(ErrorCode::Overloaded, "too many requests wait here");
            let failure = failure.retry_after_ms(100);
            effects.answer(id, Answer::Reply(self.header(None), Err(failure)));
            return false;
        }
        self.parked.all.insert(id, (call.clone(), deadline));
        self.timers.set_by(Timer::Deadline, deadline);
        false
    }

    /// What requests wait for should have come by itself: asks all for it (read repair).
    pub(super) fn want(&mut self, effects: &mut Effects) {
        if self.parked.len() > 0 {
            let to: Vec<_> = self.peers.keys().copied().collect();
            effects.send_each(&to.into(), Message::Want(self.ack()));
        }
    }

    /// Carries out those that need not wait any longer.
    pub(super) fn unpark(&mut self, now: Time, effects: &mut Effects) {
        if !std::mem::take(&mut self.has_advanced) || self.parked.len() == 0 {
            return;
        }
        let covers =
            |context: Option<&Context>| context.is_none_or(|c| c.is_covered_by(&self.clock));
        let ready = self.parked.all.iter().filter(|(_, (call, _))| covers(call.request.context()));
        let ready: Vec<RequestId> = ready.map(|(id, _)| *id).collect();
        for id in ready {
            if let Some((call, deadline)) = self.parked.all.remove(&id)
                && self.may_proceed(id, &call, deadline, effects)
            {
                self.carry_out(now, id, call, deadline, effects);
            }
        }
        // What was written just now may be what another waits for.
        self.has_advanced = false;
    }

    /// Answers those that have waited too long.
    pub(super) fn end_late_parked(&mut self, now: Time, effects: &mut Effects) {
        let late = self.parked.all.iter().filter(|(_, (_, deadline))| *deadline <= now);
        let late: Vec<RequestId> = late.map(|(id, _)| *id).collect();
        for id in late {
            let Some((call, _)) = self.parked.all.remove(&id) else { continue };
            let failure = self.behind(call.request.context());
            effects.answer(id, Answer::Reply(self.header(None), Err(failure)));
        }
        self.has_advanced = true;
    }

    /// The time of somebody who waits is up.
    pub(super) fn on_deadline(&mut self, now: Time, effects: &mut Effects) {
        // What has come in the same moment is in time.
        self.answer_acknowledged(effects);
        self.end_late_acks(now, effects);
        self.end_late_parked(now, effects);
        let next = [self.acks.deadline(), self.parked.deadline()].into_iter().flatten().min();
        if let Some(next) = next {
            self.timers.set(Timer::Deadline, next);
        }
    }

    fn behind(&self, context: Option<&Context>) -> Failure {
        let missing = context.into_iter().flat_map(Context::iter);
        let missing = missing.filter(|dot| !self.clock.contains(*dot)).map(|dot| {
            let name = self.members.get(&dot.node);
            let name = name.map_or_else(|| dot.node.to_string(), ToString::to_string);
            format!("{} of {name}", dot.counter - self.clock.get(dot.node))
        });
        let missing = missing.collect::<Vec<_>>().join(", ");
        if missing.is_empty() {
            let message = "a write that this connection has sent before is not done yet";
            return Failure::new(ErrorCode::Timeout, message);
        }
        let message = format!(
            "{} has not seen what the session has seen; it lacks writes: {missing}",
            self.config.name
        );
        Failure::new(ErrorCode::Behind, message)
            .with_hint("ask a node that is connected with the writer, or wait longer (--timeout)")
    }

    /// The node ends.
    pub(super) fn end_all_parked(&mut self, effects: &mut Effects) {
        for (id, _) in std::mem::take(&mut self.parked.all) {
            let failure = Failure::new(ErrorCode::ShuttingDown, "the node is about to end");
            effects.answer(id, Answer::Reply(self.header(None), Err(failure)));
        }
    }
}

//! Who waits until how many members have a write.

use std::collections::BTreeMap;

use crate::causal::clock::Dot;
use crate::causal::context::Context;
use crate::causal::{Causal, Effects, Timer};
use crate::control::acks::Acks;
use crate::control::failure::{Applied, ErrorCode, Failure};
use crate::control::reply::Reply;
use crate::identity::{NodeId, NodeName};
use crate::observe::CausalEvent;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// The clients that wait, by the write that they wait for: this node's, or one that another has
/// made for the same request.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    by_write: BTreeMap<(Dot, RequestId), Wait>,
}

/// A client that waits.
#[derive(Debug)]
struct Wait {
    acks: Acks,
    deadline: Time,
    /// What it is told once there are enough.
    reply: Reply,
    /// What it has seen then; all that this node has, where it did not say what it had seen before.
    seen: Option<Context>,
}

impl Awaited {
    /// Whether anybody waits.
    pub(super) fn is_awaited(&self) -> bool {
        !self.by_write.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.by_write.len()
    }

    pub(super) fn forget(&mut self, request: RequestId) {
        self.by_write.retain(|(_, waiting), _| *waiting != request);
    }

    pub(super) fn forget_connection(&mut self, connection: u64) {
        self.by_write.retain(|(_, request), _| request.connection != connection);
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.by_write.values().map(|wait| wait.deadline).min()
    }
}

impl Causal {
    /// Answers a request once enough members have its last write; at once, if it made none.
    pub(super) fn answer_when_acknowledged(
        &mut self,
        request: RequestId,
        (acks, deadline): (Acks, Time),
        (reply, dot): (Reply, Option<Dot>),
        mut seen: Option<Context>,
        effects: &mut Effects,
    ) {
        if let (Some(seen), Some(dot)) = (&mut seen, dot) {
            seen.add(dot);
        }
        let wait = Wait { acks, deadline, reply, seen };
        let Some(dot) = dot.filter(|dot| !self.is_enough(*dot, acks)) else {
            self.answer_awaited(request, dot, wait, effects);
            return;
        };
        self.acks.by_write.insert((dot, request), wait);
        self.timers.set_by(Timer::Deadline, deadline);
    }

    /// More than there are members will never have it.
    pub(super) fn check_acks(&self, acks: Acks) -> Result<(), Failure> {
        let members = self.members.len();
        match acks {
            Acks::Nodes(n) if n as usize > members => Err(Failure::bad_request(format!(
                "member `acks` is {n}, and there are {members} members"
            ))),
            Acks::Nodes(_) | Acks::Majority | Acks::All => Ok(()),
        }
    }

    fn needed(&self, acks: Acks) -> usize {
        match acks {
            Acks::Nodes(n) => n as usize,
            Acks::Majority => self.members.len() / 2 + 1,
            Acks::All => self.members.len(),
        }
    }

    /// The members that have a write, each once; who is no member does not count (L16).
    fn holders(&self, dot: Dot) -> impl Iterator<Item = (&NodeId, &NodeName)> + '_ {
        let has = move |id: &NodeId| match *id == self.config.node {
            true => self.clock.contains(dot),
            false => self.known.get(id).is_some_and(|known| known.contains(dot)),
        };
        self.members.iter().filter(move |(id, _)| has(id))
    }

    fn is_enough(&self, dot: Dot, acks: Acks) -> bool {
        self.holders(dot).count() >= self.needed(acks)
    }

    fn names(&self, dot: Dot) -> Vec<NodeName> {
        let mut names: Vec<_> = self.holders(dot).map(|(_, name)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Members have more than before, or are others: answers those who have waited for that.
    pub(super) fn answer_acknowledged(&mut self, effects: &mut Effects) {
        let waiting = self.acks.by_write.iter();
        let done = waiting.filter(|((dot, _), wait)| self.is_enough(*dot, wait.acks));
        let done: Vec<_> = done.map(|(place, _)| *place).collect();
        for place in done {
            let wait = self.acks.by_write.remove(&place).expect("it was just seen");
            self.answer_awaited(place.1, Some(place.0), wait, effects);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other is an answer to a write")]
    fn answer_awaited(
        &mut self,
        request: RequestId,
        dot: Option<Dot>,
        wait: Wait,
        effects: &mut Effects,
    ) {
        if let Some(dot) = dot {
            let needed = self.needed(wait.acks);
            self.trace(effects, |causal| {
                let holders = causal.holders(dot).map(|(id, _)| *id).collect();
                CausalEvent::Answer { dot, needed, holders }
            });
        }
        let names = Some(dot.map_or_else(Vec::new, |dot| self.names(dot)));
        let context = Some(self.context_after(wait.seen));
        let mut reply = wait.reply;
        match &mut reply {
            Reply::Put(put) => (put.acks, put.context) = (names, context),
            Reply::Delete(delete) => (delete.acks, delete.context) = (names, context),
            Reply::Count(count) => (count.acks, count.context) = (names, context),
            _ => unreachable!("these are the answers to writes"),
        }
        effects.answer(request, Answer::Reply(self.header(None), Ok(reply)));
    }

    fn context_after(&self, seen: Option<Context>) -> String {
        seen.map_or_else(|| self.context(), |seen| seen.to_string())
    }

    /// Tells those who have waited too long how far their write has come. It is still on its way.
    pub(super) fn end_late_acks(&mut self, now: Time, effects: &mut Effects) {
        let late = self.acks.by_write.iter().filter(|(_, wait)| wait.deadline <= now);
        let late: Vec<_> = late.map(|(place, _)| *place).collect();
        for place in late {
            let wait = self.acks.by_write.remove(&place).expect("it was just seen");
            let names = self.names(place.0);
            let message = format!(
                "{} of {} members have acknowledged; the write is durable here, and goes on to the \
                 others",
                names.len(),
                self.needed(wait.acks).max(1)
            );
            let failure = Failure {
                applied: Some(Applied::Yes),
                acks: Some(names),
                context: Some(self.context_after(wait.seen)),
                ..Failure::new(ErrorCode::Timeout, message)
            };
            effects.answer(place.1, Answer::Reply(self.header(None), Err(failure)));
        }
    }

    /// The node ends.
    pub(super) fn end_all_acks(&mut self, effects: &mut Effects) {
        let all = std::mem::take(&mut self.acks.by_write);
        for ((dot, request), wait) in all {
            let failure = Failure {
                applied: Some(Applied::Yes),
                acks: Some(self.names(dot)),
                context: Some(self.context_after(wait.seen)),
                ..Failure::new(
                    ErrorCode::ShuttingDown,
                    "the node is about to end; the write is durable here, and goes on to the others",
                )
            };
            effects.answer(request, Answer::Reply(self.header(None), Err(failure)));
        }
    }
}

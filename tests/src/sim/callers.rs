//! The clients of raft: each asks one thing at a time, at any node, and remembers what it saw.
//!
//! A write may carry a tag; then it is tried again, through another node, as long as its outcome is
//! not known. What was asked and answered is for [`crate::check::raft::clients`].

use std::time::Duration;

use common::control::Id;
use common::control::failure::{Applied, Failure};
use common::control::kv::OnceId;
use common::control::request::{Call, Request, RequestTag};
use common::protocol::{Answer, Input, RequestId};
use common::time::Time;

use crate::check::raft::clients::{Ask, Heard, Said};
use common::check::Violation;

use super::lab::Lab;
use super::world::{Happening, World};

/// Clients that are there at the same time.
pub(super) const CALLERS: usize = 5;

/// How often a tagged write is tried, at most.
const TRIES_MAX: u32 = 6;

/// All clients of raft.
#[derive(Debug, Default)]
pub(super) struct Callers {
    all: [Caller; CALLERS],
    connections: u64,
    pub(super) values: u64,
    /// What was asked, in order.
    pub(super) said: Vec<Said>,
}

#[derive(Debug, Default)]
struct Caller {
    /// When it does something; what was planned before does not count.
    turn: Time,
    /// Of its tags.
    seq: u64,
    open: Option<Open>,
}

/// Something that was asked.
#[derive(Debug)]
struct Open {
    /// Which of `said`; none of what is only there to be done.
    said: Option<usize>,
    call: Call,
    tries: u32,
    /// Where it was asked; none between two tries.
    place: Option<Place>,
    /// Whether it may be done already, whatever the next answer says.
    is_uncertain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    machine: usize,
    life: u64,
    id: RequestId,
}

impl Callers {
    /// A connection of its own for a request.
    pub(super) fn connect(&mut self) -> RequestId {
        self.connections += 1;
        RequestId { connection: self.connections, sequence: 1 }
    }

    /// A process is gone: nobody will hear of what was asked of it.
    pub(super) fn on_crash(&mut self, machine: usize, life: u64) {
        for open in self.all.iter_mut().filter_map(|caller| caller.open.as_mut()) {
            if open.place.is_some_and(|p| p.machine == machine && p.life == life) {
                open.place = None;
                open.is_uncertain = true;
            }
        }
    }
}

impl World {
    pub(super) fn plan_turns(&mut self) {
        for caller in 0..CALLERS {
            let pause = self.dice.about(self.profile.operations);
            match self.lab {
                Lab::Causal => self.plan_causal_turn(caller, pause),
                Lab::Broadcast | Lab::Raft => self.plan_turn(caller, pause),
            }
        }
    }

    fn plan_turn(&mut self, caller: usize, pause: Duration) {
        let at = self.now + pause;
        self.callers.all[caller].turn = at;
        self.agenda.put(at, Happening::Turn(caller));
    }

    /// A client asks something, tries again, or gives up waiting.
    pub(super) fn take_turn(&mut self, caller: usize) {
        if self.callers.all[caller].turn != self.now {
            return;
        }
        match self.callers.all[caller].open.take() {
            None if self.is_chaos => {
                let open = self.draw_open(caller);
                self.try_at_some_node(caller, open);
            }
            None => {}
            Some(open) => self.give_up_or_try_again(caller, open),
        }
    }

    fn draw_open(&mut self, caller: usize) -> Open {
        let (request, ask) = self.draw_question();
        let is_tagged = request.is_write() && self.dice.chance(self.profile.tagged);
        let caller_state = &mut self.callers.all[caller];
        caller_state.seq += u64::from(is_tagged);
        let tag = is_tagged
            .then(|| RequestTag { client: format!("{:032x}", caller + 1), seq: caller_state.seq });
        let is_long = matches!(&request, Request::Kv(kv) if kv.is_long());
        let has_timeout = self.dice.chance(0.7) || is_long;
        let timeout = has_timeout.then(|| self.dice.about(Duration::from_secs(1)));
        let once = match &ask {
            Some(Ask::Once { key }) => OnceId::new(key.as_str().into()),
            _ => None,
        };
        let call = Call { id: Some(Id::Unsigned(1)), timeout, tag, once, ..Call::new(request) };
        let said = ask.map(|ask| {
            let said = Said { caller, ask, invoked: self.now.0, heard: Heard::Nothing };
            self.callers.said.push(said);
            self.callers.said.len() - 1
        });
        self.statistics.operations += 1;
        Open { said, call, tries: 0, place: None, is_uncertain: false }
    }

    fn try_at_some_node(&mut self, caller: usize, mut open: Open) {
        let machine = self.dice.below(self.machines.len());
        let begun = |m: &super::machine::Machine| m.is_up() && m.has_begun();
        if !begun(&self.machines[machine]) {
            // Nobody listens there.
            open.tries += 1;
            self.settle_or_wait(caller, open);
            return;
        }
        if open.call.tag.is_some() && self.dice.chance(0.1) {
            // It goes two ways at once; nobody listens to the other answer.
            let other = self.dice.below(self.machines.len());
            if begun(&self.machines[other]) {
                let id = self.callers.connect();
                self.give(other, Input::Request { id, call: open.call.clone() });
                open.is_uncertain = true;
            }
        }
        let id = self.callers.connect();
        open.place = Some(Place { machine, life: self.machines[machine].life, id });
        open.tries += 1;
        self.give(machine, Input::Request { id, call: open.call.clone() });
        self.callers.all[caller].open = Some(open);
        let patience = self.dice.about(Duration::from_millis(1_500));
        self.plan_turn(caller, patience);
    }

    fn give_up_or_try_again(&mut self, caller: usize, mut open: Open) {
        if let Some(Place { machine, life, id }) = open.place.take() {
            open.is_uncertain = true;
            let is_there = self.machines[machine].is_up() && self.machines[machine].life == life;
            if is_there && self.dice.chance(0.5) {
                self.give(machine, Input::Abandoned(id));
            } else if is_there && self.dice.chance(0.5) {
                self.give(machine, Input::Closed { connection: id.connection });
            }
            self.settle_or_wait(caller, open);
        } else if open.call.tag.is_none() {
            self.settle_or_wait(caller, open); // Its node has crashed.
        } else {
            self.try_at_some_node(caller, open);
        }
    }

    /// What has a tag is tried again, mostly; what has none ends without an outcome.
    fn settle_or_wait(&mut self, caller: usize, open: Open) {
        let goes_on = open.call.tag.is_some() && open.tries < TRIES_MAX && self.dice.chance(0.9);
        if goes_on && self.is_chaos {
            self.callers.all[caller].open = Some(open);
        }
        let pause = self.dice.about(self.profile.operations);
        self.plan_turn(caller, pause);
    }

    /// A node has answered, perhaps somebody who listens.
    pub(super) fn on_answer(
        &mut self,
        index: usize,
        id: RequestId,
        answer: Answer,
    ) -> Result<(), Violation> {
        if self.inquiries.remove(&id).is_some() {
            self.findings.push((index, answer));
            return Ok(());
        }
        if self.lab == Lab::Causal {
            self.on_causal_answer(index, id, answer);
            return Ok(());
        }
        if self.follow(index, id, &answer) {
            return Ok(());
        }
        let life = self.machines[index].life;
        let place = Some(Place { machine: index, life, id });
        let is_it = |open: &Open| open.place == place;
        let found = self.callers.all.iter().position(|c| c.open.as_ref().is_some_and(is_it));
        let Some(caller) = found else { return Ok(()) };
        let Answer::Reply(header, outcome) = answer else { return Ok(()) };
        let mut open = self.callers.all[caller].open.take().expect("it was found");
        open.place = None;
        match outcome {
            Ok(reply) => {
                let revision = header.revision;
                let place = (index, life);
                let returned = self.now.0;
                let reply = Box::new(reply);
                self.hear(&open, Heard::Reply { returned, place, revision, reply });
                let pause = self.dice.about(self.profile.operations);
                self.plan_turn(caller, pause);
            }
            Err(failure) if has_surely_failed(&failure) && !open.is_uncertain => {
                self.hear(&open, Heard::Failure);
                let pause = self.dice.about(self.profile.operations);
                self.plan_turn(caller, pause);
            }
            Err(failure) => {
                open.is_uncertain |= !has_surely_failed(&failure);
                self.settle_or_wait(caller, open);
            }
        }
        Ok(())
    }

    fn hear(&mut self, open: &Open, heard: Heard) {
        if let Some(said) = open.said {
            self.callers.said[said].heard = heard;
        }
    }
}

fn has_surely_failed(failure: &Failure) -> bool {
    failure.applied == Some(Applied::No)
}

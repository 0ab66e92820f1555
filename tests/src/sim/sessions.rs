//! The clients of causal mode: each asks one thing at a time, at any node, and most carry along
//! what they have seen.
//!
//! A tagged write whose outcome is not known is tried again at the same node, maybe in a later life
//! of it. What is asked and answered is judged by [`crate::check::causal`].

use std::time::Duration;

use bytes::Bytes;

use common::causal::context::Context;
use common::control::Id;
use common::control::acks::Acks;
use common::control::condition::Condition;
use common::control::failure::{Applied, ErrorCode, Failure};
use common::control::reply::Reply;
use common::control::request::{Call, Range, Request, RequestTag, Selection};
use common::kv::value::Value;
use common::modes::{Resolver, Rule};
use common::protocol::{Answer, Input, RequestId};

use super::callers::CALLERS;
use super::world::{Happening, World};

/// How often a tagged write is tried, at most.
const TRIES_MAX: u32 = 6;

/// The rules of the prefixes below which clients write.
const RULES: [(&str, Resolver); 3] =
    [("l/", Resolver::Lww), ("n/", Resolver::Counter), ("s/", Resolver::Set)];

/// How long until somebody asks again for rules.
const RULES_PERIOD: Duration = Duration::from_millis(200);

/// All clients of causal mode.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: [Session; CALLERS],
}

#[derive(Debug, Default)]
struct Session {
    /// When it does something; what was planned before does not count.
    turn: common::time::Time,
    /// Of its tags.
    seq: u64,
    /// What it has seen.
    seen: Context,
    open: Option<Open>,
}

/// Something that was asked.
#[derive(Debug)]
struct Open {
    call: Call,
    tries: u32,
    machine: usize,
    /// In which life of the machine, and under which id; none between two tries.
    place: Option<(u64, RequestId)>,
}

impl Sessions {
    /// A process is gone: nobody will hear of what was asked of it.
    pub(super) fn on_crash(&mut self, machine: usize) {
        for open in self.all.iter_mut().filter_map(|session| session.open.as_mut()) {
            if open.machine == machine {
                open.place = None;
            }
        }
    }
}

impl World {
    /// Asks some node to set the rules that are not yet set. All are told so once they are.
    pub(super) fn set_rules(&mut self) {
        let at = self.dice.below(self.machines.len());
        let raft = self.machines[at].host.node().and_then(common::node::Node::raft);
        let modes = raft.filter(|raft| raft.knows_modes()).map(|raft| &raft.state().modes);
        let missing = modes.map(|modes| {
            let is_missing = |(prefix, _): &&(&str, Resolver)| !modes.rows().contains_key(*prefix);
            RULES.iter().find(is_missing)
        });
        if let Some(Some((prefix, resolver))) = missing
            && self.machines[at].has_begun()
        {
            let rule = Rule::Causal(*resolver);
            let prefix = (*prefix).to_owned();
            let request = Request::ModeSet { prefix, rule, dry_run: false };
            let id = self.callers.connect();
            self.give(at, Input::Request { id, call: Call::new(request) });
        }
        self.agenda.put(self.now + RULES_PERIOD, Happening::Rules);
    }

    pub(super) fn plan_causal_turn(&mut self, session: usize, pause: Duration) {
        let at = self.now + pause;
        self.sessions.all[session].turn = at;
        self.agenda.put(at, Happening::Turn(session));
    }

    /// A client asks something, tries again, or gives up waiting.
    pub(super) fn take_causal_turn(&mut self, session: usize) {
        if self.sessions.all[session].turn != self.now || !self.is_chaos {
            return;
        }
        match self.sessions.all[session].open.take() {
            None => {
                let open = self.draw_causal_open(session);
                self.try_at(session, open);
            }
            Some(mut open) => match open.place.take() {
                Some((_, id)) => {
                    let input = match self.dice.chance(0.5) {
                        true => Input::Abandoned(id),
                        false => Input::Closed { connection: id.connection },
                    };
                    self.give(open.machine, input);
                    self.try_again_or_not(session, open);
                }
                None if open.call.tag.is_some() => self.try_at(session, open),
                None => self.try_again_or_not(session, open), // Its node has crashed.
            },
        }
    }

    fn draw_causal_open(&mut self, session: usize) -> Open {
        let context = self.sessions.all[session].seen.clone();
        // One client knows nothing of sessions, and others forget theirs now and then.
        let context = (session > 0 && self.dice.chance(0.9)).then_some(context);
        let request = self.draw_causal_request(context);
        let is_tagged = request.is_write() && self.dice.chance(self.profile.tagged);
        let state = &mut self.sessions.all[session];
        state.seq += u64::from(is_tagged);
        let tag = is_tagged
            .then(|| RequestTag { client: format!("{:032x}", session + 1), seq: state.seq });
        let timeout = self.dice.chance(0.7).then(|| self.dice.about(Duration::from_secs(1)));
        let call = Call { id: Some(Id::Unsigned(1)), timeout, tag, ..Call::new(request) };
        self.statistics.operations += 1;
        Open { call, tries: 0, machine: self.dice.below(self.machines.len()), place: None }
    }

    fn try_at(&mut self, session: usize, mut open: Open) {
        let machine = &self.machines[open.machine];
        open.tries += 1;
        if !machine.is_up() || !machine.has_begun() {
            self.try_again_or_not(session, open); // Nobody listens there.
            return;
        }
        let life = machine.life;
        let id = self.callers.connect();
        open.place = Some((life, id));
        self.count_late(&open);
        self.give(open.machine, Input::Request { id, call: open.call.clone() });
        self.sessions.all[session].open = Some(open);
        let patience = self.dice.about(Duration::from_millis(1_500));
        self.plan_causal_turn(session, patience);
    }

    fn count_late(&mut self, open: &Open) {
        let causal = self.machines[open.machine].host.node().and_then(common::node::Node::causal);
        if let (Some(causal), Some(context)) = (causal, open.call.request.context())
            && !context.is_covered_by(causal.clock())
        {
            self.statistics.parked += 1;
        }
    }

    fn try_again_or_not(&mut self, session: usize, open: Open) {
        let goes_on = open.call.tag.is_some() && open.tries < TRIES_MAX && self.dice.chance(0.9);
        let pause = self.dice.about(self.profile.operations);
        if goes_on {
            self.sessions.all[session].open = Some(open);
        }
        self.plan_causal_turn(session, pause);
    }

    /// A node has answered, perhaps a client that listens.
    pub(super) fn on_causal_answer(&mut self, index: usize, id: RequestId, answer: Answer) {
        let life = self.machines[index].life;
        let is_it = |open: &Open| open.machine == index && open.place == Some((life, id));
        let mut all = self.sessions.all.iter();
        let found = all.position(|session| session.open.as_ref().is_some_and(is_it));
        let (Some(session), Answer::Reply(_, outcome)) = (found, answer) else { return };
        let mut open = self.sessions.all[session].open.take().expect("it was found");
        open.place = None;
        match outcome {
            Ok(reply) => {
                if let Some(context) = context_of(&reply) {
                    let context: Context = context.parse().expect("an answer has a context");
                    self.sessions.all[session].seen.merge(&context);
                }
                if let Reply::Get(get) = &reply {
                    self.statistics.siblings += u64::from(get.conflict);
                }
                let pause = self.dice.about(self.profile.operations);
                self.plan_causal_turn(session, pause);
            }
            Err(failure) if is_lost(&failure) => {
                // What its disk has lost will never come: the session begins anew.
                self.sessions.all[session].seen = Context::default();
                let pause = self.dice.about(self.profile.operations);
                self.plan_causal_turn(session, pause);
            }
            Err(failure) if failure.applied == Some(Applied::No) => {
                let pause = self.dice.about(self.profile.operations);
                self.plan_causal_turn(session, pause);
            }
            Err(_) => self.try_again_or_not(session, open),
        }
    }

    fn draw_causal_request(&mut self, context: Option<Context>) -> Request {
        let acks = self.draw_acks();
        match self.dice.below(100) {
            0..26 => {
                let (key, value) = (self.draw_key_below("k"), self.draw_value());
                Request::Put { key, value, acks, context }
            }
            26..34 => {
                let (key, value) = (self.draw_key_below("l"), self.draw_value());
                Request::Put { key, value, acks, context }
            }
            34..46 => {
                let delta = self.dice.below(14) as i64 - 3;
                Request::Incr { key: self.draw_key_below("n"), delta, acks, context }
            }
            46..53 => {
                let (key, value) = (self.draw_key_below("s"), self.draw_element());
                Request::Add { key, value, acks, context }
            }
            53..57 => {
                let (key, value) = (self.draw_key_below("s"), self.draw_element());
                Request::Remove { key, value, acks, context }
            }
            57..64 => {
                let folder = self.dice.pick(&["k", "k", "l", "s"]);
                let selection = Selection::Key(self.draw_key_below(folder));
                Request::Delete { selection, acks, context }
            }
            64 => {
                let prefix = self.dice.pick(&["k/", "l/", "s/"]).to_owned();
                Request::Delete { selection: Selection::Prefix(prefix), acks, context }
            }
            65..68 => {
                let (key, value) = (self.draw_key_below("k"), self.draw_value());
                Request::Resolve { key, value, context }
            }
            68..90 => {
                let folder = self.dice.pick(&["k", "k", "l", "n", "s"]);
                let key = self.draw_key_below(folder);
                Request::Get { key, read: None, context, min_revision: None }
            }
            90..94 => {
                let prefix = self.dice.pick(&["k/", "l/", "n/", "s/"]).to_owned();
                Request::List(Range { prefix, context, ..Range::default() })
            }
            94 => Request::Conflicts { prefix: "k/".to_owned(), start: None, limit: None, context },
            _ => self.draw_other_of_causal(),
        }
    }

    fn draw_other_of_causal(&mut self) -> Request {
        let key = self.draw_key_below("k");
        match self.dice.below(6) {
            0 => Request::Sync { prefix: None, dry_run: self.dice.chance(0.5) },
            1 => Request::Watch {
                selection: Selection::Prefix(self.dice.pick(&["k/", "n/"]).to_owned()),
                from: None,
                previous: true,
                only: None,
                progress: None,
            },
            2 => Request::Wait(Condition::Synced),
            3 => Request::Explain { key: Some(key), purpose: None },
            4 => Request::Status,
            _ => Request::Ready,
        }
    }

    fn draw_acks(&mut self) -> Acks {
        let one = Acks::Nodes(1);
        self.dice.pick(&[one, one, one, Acks::Nodes(2), Acks::Majority, Acks::All, Acks::Nodes(9)])
    }

    fn draw_element(&mut self) -> Value {
        let element = format!("e{}", self.dice.below(6));
        Value::try_from(Bytes::from(element.into_bytes())).expect("a short text")
    }
}

fn context_of(reply: &Reply) -> Option<&String> {
    match reply {
        Reply::Put(put) => put.context.as_ref(),
        Reply::Get(get) => get.context.as_ref(),
        Reply::Delete(delete) => delete.context.as_ref(),
        Reply::List(list) => list.context.as_ref(),
        Reply::Count(count) => count.context.as_ref(),
        Reply::Conflicts(conflicts) => conflicts.context.as_ref(),
        Reply::Hello(_)
        | Reply::Watch(_)
        | Reply::Cancel(_)
        | Reply::Status(_)
        | Reply::Members(_)
        | Reply::Wait(_)
        | Reply::Check(_)
        | Reply::Sync(_)
        | Reply::Fault(_)
        | Reply::Trace(_)
        | Reply::MemberChanged(_)
        | Reply::Transferred(_)
        | Reply::Modes(_)
        | Reply::Explain(_)
        | Reply::Kv(_) => None,
    }
}

fn is_lost(failure: &Failure) -> bool {
    failure.code == ErrorCode::Behind
}

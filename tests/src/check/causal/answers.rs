//! What clients are told is so.
//!
//! 1. A write that is answered is in the ledger, as asked; who is said to have it is a member that
//!    has it on its disk, named once, and they are as many as were asked for (pitfalls L1, L16).
//! 2. A deadline is told only if there were not enough.
//! 3. A read shows what the writes in the clock that it tells make, as the key's resolver has it:
//!    the winner is the same on all nodes (pitfalls L9, L10).
//! 4. Sessions (Terry et al. 1994): what is answered tells of all that the client had seen, and a
//!    write's answer of the write. As clients carry that along, they read what they wrote, never go
//!    back, and write after what they read (pitfalls L18, X5).

use std::collections::{BTreeMap, BTreeSet};

use common::causal::clock::{Dot, VectorClock};
use common::causal::context::Context;
use common::causal::write::Write;
use common::control::acks::Acks;
use common::control::failure::{Applied, ErrorCode, Failure};
use common::control::reply::{Count, Get, List, Reply};
use common::control::request::{Call, Request};
use common::identity::{NodeId, NodeName};
use common::kv::command::Tag;
use common::modes::Resolver;
use common::node::Node;
use common::protocol::{Answer, RequestId};

use super::ledger::Ledger;
use super::replicas::Replicas;
use super::views::View;

/// What was asked, of running processes.
#[derive(Debug, Default)]
pub(super) struct Answers {
    open: BTreeMap<(NodeId, RequestId), Call>,
    /// How each node knew the members and the modes after its last commit.
    known: BTreeMap<NodeId, (Vec<NodeId>, u64)>,
}

/// Where an answer is from.
struct Place<'a> {
    node: NodeId,
    name: &'a NodeName,
    state: &'a Node,
    /// The members and modes did not change in this commit.
    is_settled: bool,
}

impl Answers {
    pub(super) fn note(&mut self, node: NodeId, id: RequestId, call: &Call) {
        self.open.insert((node, id), call.clone());
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.open.retain(|(owner, _), _| *owner != node);
        self.known.remove(&node);
    }

    pub(super) fn on_commit(
        &mut self,
        node: NodeId,
        answers: &[(RequestId, Answer)],
        state: &Node,
        (ledger, replicas): (&Ledger, &Replicas),
    ) -> Result<(), String> {
        let raft = state.raft().ok_or("a node of causal mode has a log")?;
        let members = raft.configuration().members().map(|(id, _)| id).collect();
        let known = (members, raft.state().modes.digest());
        let before = self.known.insert(node, known.clone());
        let is_settled = before == Some(known);
        for (id, answer) in answers {
            let Some(call) = self.open.get(&(node, *id)) else { continue };
            let Answer::Reply(header, outcome) = answer else { continue };
            let place = Place { node, name: &header.node, state, is_settled };
            let judged = match outcome {
                Ok(reply) => place.judge(call, reply, ledger, replicas),
                Err(failure) => place.judge_failure(call, failure),
            };
            judged.map_err(|what| format!("{what}: {call:?} is answered {outcome:?}"))?;
            self.open.remove(&(node, *id));
        }
        Ok(())
    }
}

impl Place<'_> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are of no key in this mode")]
    fn judge(
        &self,
        call: &Call,
        reply: &Reply,
        ledger: &Ledger,
        replicas: &Replicas,
    ) -> Result<(), String> {
        let (context, revision) = match reply {
            Reply::Put(put) => (&put.context, Some(put.revision)),
            Reply::Count(count) => (&count.context, Some(count.revision)),
            Reply::Delete(delete) => {
                (&delete.context, (delete.deleted > 0).then_some(delete.revision))
            }
            Reply::Get(get) => (&get.context, None),
            Reply::List(list) => (&list.context, None),
            Reply::Conflicts(conflicts) => (&conflicts.context, None),
            _ => return Ok(()),
        };
        let Some(context) = context else { return Ok(()) }; // It is of another mode.
        let context: Context = context.parse().map_err(|error| format!("{error}"))?;
        if let Some(asked) = call.request.context()
            && let Some(missing) = asked.iter().find(|dot| !context.contains(*dot))
        {
            return Err(format!("the session has seen {missing}, and the answer has not"));
        }
        let clock = replicas.clock(self.node);
        if !context.is_covered_by(&clock) {
            return Err(format!("{} tells of more than its clock {clock}", self.node));
        }
        match reply {
            Reply::Get(get) => return self.judge_get(call, get, &context, ledger),
            Reply::List(list) => return self.judge_list(call, list, &context, ledger),
            _ => {}
        }
        let Some(write) = self.write_of(call, revision, ledger)? else { return Ok(()) };
        if !context.contains(write.dot) {
            return Err(format!("the answer tells of all but {} itself", write.dot));
        }
        if let Reply::Count(count) = reply {
            judge_count(count, write, ledger)?;
        }
        let acks = match reply {
            Reply::Put(put) => &put.acks,
            Reply::Delete(delete) => &delete.acks,
            Reply::Count(count) => &count.acks,
            _ => &None,
        };
        let names = acks.as_ref().ok_or("it is not told who has it")?;
        self.judge_holders(names, write.dot, replicas)?;
        if self.is_settled && names.len() < self.needed(call.request.acks()) {
            return Err("too few have it".to_owned());
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other writes")]
    /// The write that an answer is about. Of a request that was executed before it is any that its
    /// tag made.
    fn write_of<'a>(
        &self,
        call: &Call,
        revision: Option<u64>,
        ledger: &'a Ledger,
    ) -> Result<Option<&'a Write>, String> {
        let Some(revision) = revision else { return Ok(None) };
        let tag = call.tag.as_ref().and_then(Tag::of);
        let of_tag = tag.into_iter().flat_map(|tag| ledger.of_tag(tag));
        let tagged = of_tag.filter(|write| write.lamport == revision).last();
        let write = tagged.or_else(|| ledger.of_lamport(self.node, revision));
        let write = write.ok_or_else(|| format!("there is no write of revision {revision}"))?;
        let is_it = match &call.request {
            Request::Put { key, value, .. }
            | Request::Resolve { key, value, .. }
            | Request::Add { key, value, .. } => {
                write.key == *key && write.value.as_ref() == Some(value)
            }
            Request::Remove { key, .. } => write.key == *key && write.value.is_none(),
            Request::Incr { key, .. } => write.key == *key,
            Request::Delete { selection, .. } => {
                selection.contains(&write.key) && write.value.is_none()
            }
            _ => return Err("it writes nothing".to_owned()),
        };
        is_it.then_some(Some(&**write)).ok_or_else(|| format!("revision {revision} is {write:?}"))
    }

    fn judge_holders(
        &self,
        names: &[NodeName],
        dot: Dot,
        replicas: &Replicas,
    ) -> Result<(), String> {
        let distinct: BTreeSet<&str> = names.iter().map(NodeName::as_str).collect();
        if distinct.len() < names.len() {
            return Err("a node is counted twice".to_owned());
        }
        for name in distinct {
            // One that was wiped may bear the name of the one that it was before.
            let mut named = self.members().filter(|(_, member)| member.as_str() == name).peekable();
            let is_removed = named.peek().is_none() && !self.is_settled;
            if !is_removed && !named.any(|(id, _)| replicas.clock(id).contains(dot)) {
                let members: Vec<_> = self.members().collect();
                return Err(format!("{name} is said to have {dot}, of {members:?}"));
            }
        }
        Ok(())
    }

    /// As the node knows them; one that is about to be taken in counts itself.
    fn members(&self) -> impl Iterator<Item = (NodeId, &NodeName)> {
        let configuration = self.state.raft().expect("it was just there").configuration();
        let known = configuration.members().map(|(id, member)| (id, &member.name));
        let itself = configuration.get(self.node).is_none().then_some((self.node, self.name));
        known.chain(itself)
    }

    fn needed(&self, acks: Acks) -> usize {
        let members = self.members().count();
        match acks {
            Acks::Nodes(n) => n as usize,
            Acks::Majority => members / 2 + 1,
            Acks::All => members,
        }
    }

    fn judge_failure(&self, call: &Call, failure: &Failure) -> Result<(), String> {
        let Some(names) = &failure.acks else { return Ok(()) };
        if failure.applied != Some(Applied::Yes) {
            return Err("what was acknowledged was applied".to_owned());
        }
        let is_late = failure.code == ErrorCode::Timeout && self.is_settled;
        if is_late && names.len() >= self.needed(call.request.acks()) {
            return Err("enough have it".to_owned());
        }
        Ok(())
    }

    /// The clock that a read tells; none where the node has come to know other modes just now.
    fn clock_of(&self, context: &Context, ledger: &Ledger) -> Result<Option<VectorClock>, String> {
        let clock: VectorClock = context.iter().collect();
        ledger.check_closed(&clock)?;
        Ok(self.is_settled.then_some(clock))
    }

    fn resolver_of(&self, key: &str) -> Resolver {
        let raft = self.state.raft().expect("it was just there");
        raft.state().modes.resolver_of(key).unwrap_or_default()
    }

    fn judge_get(
        &self,
        call: &Call,
        get: &Get,
        context: &Context,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let Request::Get { key, .. } = &call.request else {
            return Err("nobody has asked for that".to_owned());
        };
        let Some(clock) = self.clock_of(context, ledger)? else { return Ok(()) };
        let expected = View::of(self.resolver_of(key.as_str()), &ledger.versions(key, &clock));
        let shown = View::shown(get)?;
        if shown == expected {
            return Ok(());
        }
        Err(format!("{clock} makes {expected:?}, and {shown:?} is shown"))
    }

    fn judge_list(
        &self,
        call: &Call,
        list: &List,
        context: &Context,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let Request::List(range) = &call.request else {
            return Err("nobody has asked for that".to_owned());
        };
        let Some(clock) = self.clock_of(context, ledger)? else { return Ok(()) };
        let keys = ledger.keys().filter(|key| key.as_str().starts_with(&range.prefix));
        let mut expected = keys.filter_map(|key| {
            let view = View::of(self.resolver_of(key.as_str()), &ledger.versions(key, &clock));
            view.value.map(|value| (key, value))
        });
        for item in &list.items {
            let shown = View::value(item)?;
            let shown = shown.as_ref().map(|value| (&item.key, value.as_bytes()));
            let next = expected.next();
            if shown != next.as_ref().map(|(key, value)| (*key, value.as_slice())) {
                return Err(format!("{clock} makes {next:?} the next, and {shown:?} is shown"));
            }
        }
        let left = expected.next().map(|(key, _)| key);
        if list.more != left.is_some() {
            return Err(format!("{clock} has {left:?} behind those that are shown"));
        }
        Ok(())
    }
}

/// A counter shows the sum of what its writer had seen, and of the increment itself.
fn judge_count(count: &Count, write: &Write, ledger: &Ledger) -> Result<(), String> {
    if count.duplicate {
        return Ok(()); // It shows what there is by now.
    }
    let mut clock = ledger.past(write.dot).expect("it is there").clone();
    clock.advance(write.dot);
    let view = View::of(Resolver::Counter, &ledger.versions(&write.key, &clock));
    let sum = view.value.map(|value| super::origins::integer(&value));
    if sum == Some(count.value) {
        return Ok(());
    }
    Err(format!("{clock} makes {sum:?}"))
}

//! What clients have this node write.

use std::sync::Arc;
use std::time::Duration;

use crate::causal::clock::Dot;
use crate::causal::context::Context;
use crate::causal::read::SIBLINGS_BYTES_MAX;
use crate::causal::repeated::hash_of;
use crate::causal::version::Version;
use crate::causal::write::{LAMPORT_MAX, Tagged, Write};
use crate::causal::{Causal, Effects};
use crate::causal::{hybrid, resolver};
use crate::control::acks::Acks;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Count, Delete, Put, Reply};
use crate::control::request::{Call, Request, Selection};
use crate::kv::command::Tag;
use crate::kv::key::Key;
use crate::kv::outcome::Outcome;
use crate::kv::value::{VALUE_BYTES_MAX, Value};
use crate::modes::Resolver;
use crate::observe::{Basis, Way};
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// How long a request of a client waits that does not say.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Versions of a key that a client may let come to be (L8): a page of them is one line.
const VERSIONS_MAX: usize = 1_024;

/// What the elements of a set take together, in bytes: a set is read as one value.
const SET_BYTES_MAX: usize = VALUE_BYTES_MAX / 2;

/// What a write does to its key.
struct Change {
    key: Key,
    replaces: Vec<Dot>,
    value: Option<Value>,
    basis: Basis,
    /// Of what it takes the place of: when the key was made, and how many writes there were.
    history: (Option<u64>, u64),
}

impl Change {
    /// One that takes the place of those versions that `is_replaced`.
    fn of(
        key: Key,
        value: Option<Value>,
        held: &[Version],
        basis: Basis,
        is_replaced: impl Fn(&Version) -> bool,
    ) -> Self {
        let replaced = held.iter().filter(|version| is_replaced(version));
        let created = replaced.clone().map(|version| version.created).min();
        let writes = replaced.clone().map(|version| version.writes).max().unwrap_or(0);
        let replaces = replaced.map(|version| version.dot).collect();
        Self { key, replaces, value, basis, history: (created, writes) }
    }
}

/// What a request is answered, and its last write, if it made any.
pub(super) type Done = (Reply, Option<Dot>);

/// A request to write.
pub(super) struct Job {
    id: RequestId,
    pub(super) acks: Acks,
    deadline: Time,
    /// The client's tag, with the hash of what it asks.
    pub(super) tag: Option<(Tag, u64)>,
    /// What the client has seen.
    seen: Option<Context>,
}

/// What a write is made for.
pub(super) struct Cause<'a> {
    /// The tag of the request, on its last write.
    pub(super) tag: Option<(Tag, u64)>,
    /// How many keys the request has deleted, this one counted.
    pub(super) deleted: u64,
    /// What the client had seen.
    pub(super) seen: Option<&'a Context>,
}

impl Causal {
    pub(super) fn on_request(
        &mut self,
        now: Time,
        id: RequestId,
        call: Call,
        effects: &mut Effects,
    ) {
        let deadline = now + call.timeout.unwrap_or(TIMEOUT);
        if let Err(failure) = self.check_ready() {
            effects.answer(id, Answer::Reply(self.header(None), Err(failure)));
        } else if self.may_proceed(id, &call, deadline, effects) {
            self.carry_out(now, id, call, deadline, effects);
        }
    }

    /// Does what is asked; the client's past is here.
    pub(super) fn carry_out(
        &mut self,
        now: Time,
        id: RequestId,
        call: Call,
        deadline: Time,
        effects: &mut Effects,
    ) {
        if !call.request.is_write() {
            self.read(now, id, call.request, effects);
            return;
        }
        if let Some(failure) = self.other_mode(&call.request) {
            effects.answer(id, Answer::Reply(self.header(None), Err(failure)));
            return;
        }
        let tag = call.tag.as_ref().and_then(Tag::of);
        let tag = tag.map(|tag| (tag, hash_of(&call.request)));
        let acks = call.request.acks();
        let seen = call.request.context().cloned();
        let job = Job { id, acks, deadline, tag, seen };
        let outcome = self.check_write(&job).and_then(|known| match known {
            Some(outcome) => Ok(Some(self.told_again(outcome, &call.request))),
            None => self.write_as_asked(now, &job, call.request, effects),
        });
        match outcome {
            Ok(Some(done)) => {
                self.answer_when_acknowledged(id, (acks, deadline), done, job.seen, effects);
            }
            Ok(None) => {}
            Err(failure) => {
                effects.answer(id, Answer::Reply(self.header(None), Err(failure)));
            }
        }
    }

    /// The answer, and the write that was made; none if it comes later.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other is a write of this mode")]
    fn write_as_asked(
        &mut self,
        now: Time,
        job: &Job,
        request: Request,
        effects: &mut Effects,
    ) -> Result<Option<Done>, Failure> {
        let change = match request {
            Request::Put { key, value, context, .. } => self.put(key, value, context.as_ref())?,
            Request::Resolve { key, value, context } => self.put(key, value, context.as_ref())?,
            Request::Incr { key, delta, .. } => return self.incr(now, job, key, delta, effects),
            Request::Add { key, value, .. } => self.add(key, value)?,
            Request::Remove { key, value, context, .. } => {
                let change = self.remove(key, &value, context.as_ref())?;
                return Ok(Some(self.delete_one(now, job, change, effects)));
            }
            Request::Delete { selection: Selection::Key(key), context, .. } => {
                let held = self.store.get(&key);
                let basis = basis_of(context.as_ref());
                let change = Change::of(key.clone(), None, held, basis, is_seen(context.as_ref()));
                return Ok(Some(self.delete_one(now, job, change, effects)));
            }
            Request::Delete { selection: Selection::Prefix(prefix), context, .. } => {
                self.begin_deletion(job.id, prefix, (job.acks, job.deadline), job.tag, context);
                return Ok(None);
            }
            _ => unreachable!("these are the writes"),
        };
        let (dot, revision) = self.write(now, change, &job.cause(0), effects);
        Ok(Some((put_reply(revision, false), Some(dot))))
    }

    /// A put takes the place of what its client has read; of all that is here, where it does not
    /// say (L8).
    fn put(&self, key: Key, value: Value, context: Option<&Context>) -> Result<Change, Failure> {
        let resolver = self.resolver_of(&key);
        resolver.check_put(value.as_bytes()).map_err(Failure::bad_request)?;
        let held = self.store.get(&key);
        let basis = basis_of(context);
        let change = Change::of(key.clone(), Some(value), held, basis, is_seen(context));
        check_room(held, &change)?;
        Ok(change)
    }

    /// An element takes the place of itself; who removes it has to have seen it.
    fn add(&self, key: Key, value: Value) -> Result<Change, Failure> {
        self.check_resolver(&key, Resolver::Set, "add")?;
        let held = self.store.get(&key);
        let is_it = |version: &Version| *version.value == *value.as_bytes();
        let change = Change::of(key.clone(), Some(value.clone()), held, Basis::Some, is_it);
        check_room(held, &change)?;
        let bytes: usize = held.iter().map(|version| version.value.len() + 1).sum();
        if change.replaces.is_empty() && bytes + value.as_bytes().len() > SET_BYTES_MAX {
            let message = format!("the set has {bytes} bytes, and takes {SET_BYTES_MAX}");
            return Err(Failure::new(ErrorCode::Quota, message));
        }
        Ok(change)
    }

    fn remove(
        &self,
        key: Key,
        value: &Value,
        context: Option<&Context>,
    ) -> Result<Change, Failure> {
        self.check_resolver(&key, Resolver::Set, "remove")?;
        let is_seen = is_seen(context);
        let is_it = |version: &Version| *version.value == *value.as_bytes() && is_seen(version);
        Ok(Change::of(key.clone(), None, self.store.get(&key), Basis::Some, is_it))
    }

    /// Each node has its own share of a counter, and no other writes it: so none is counted twice,
    /// and concurrent ones add up (a PN-counter: Shapiro et al. 2011, §3.1.3).
    fn incr(
        &mut self,
        now: Time,
        job: &Job,
        key: Key,
        delta: i64,
        effects: &mut Effects,
    ) -> Result<Option<Done>, Failure> {
        self.check_resolver(&key, Resolver::Counter, "incr")?;
        let is_own = |version: &Version| version.dot.node == self.config.node;
        let held = self.store.get(&key);
        let own = held.iter().filter(|version| is_own(version));
        let mut share = own.filter_map(|version| resolver::integer(&version.value));
        let share = share.try_fold(delta, i64::checked_add);
        let total = self.count_of(&key).checked_add(delta);
        let share = share.filter(|_| total.is_some()).ok_or_else(|| {
            Failure::bad_request(format!("{key} would leave the range of 64-bit integers"))
        })?;
        let value = Value::try_from(share.to_string().into_bytes()).expect("a short text");
        let change = Change::of(key.clone(), Some(value), held, Basis::Share, is_own);
        let (dot, revision) = self.write(now, change, &job.cause(0), effects);
        let value = self.count_of(&key);
        let reply = Count { value, revision, acks: None, context: None, duplicate: false };
        Ok(Some((Reply::Count(reply), Some(dot))))
    }

    /// Removes versions, if there are any.
    fn delete_one(&mut self, now: Time, job: &Job, change: Change, effects: &mut Effects) -> Done {
        if change.replaces.is_empty() {
            return (delete_reply(0, self.lamport, false), None);
        }
        let (dot, revision) = self.write(now, change, &job.cause(1), effects);
        (delete_reply(1, revision, false), Some(dot))
    }

    /// Deletes of a key the versions with these dots.
    pub(super) fn delete_versions(
        &mut self,
        now: Time,
        (key, dots): (Key, &[Dot]),
        cause: &Cause,
        effects: &mut Effects,
    ) -> Dot {
        let held = self.store.get(&key);
        let is_it = |version: &Version| dots.contains(&version.dot);
        let change = Change::of(key.clone(), None, held, Basis::Some, is_it);
        self.write(now, change, cause, effects).0
    }

    /// Makes a write of this node, and applies it; all others are sent it. Spec: Write.
    fn write(
        &mut self,
        now: Time,
        change: Change,
        cause: &Cause,
        effects: &mut Effects,
    ) -> (Dot, u64) {
        let Change { key, replaces, value, basis, history: (created, writes) } = change;
        let own = self.config.node;
        let lamport = self.lamport + 1;
        let (created, writes) = (created.unwrap_or(lamport), (writes + 1).min(LAMPORT_MAX));
        assert!(lamport <= LAMPORT_MAX, "the clock is spent; what moves it is bounded");
        let counter = self.clock.get(own) + 1;
        let news = self.clock.iter().filter(|dot| dot.node != own && !self.told.contains(*dot));
        let past: Vec<Dot> = news.collect();
        past.iter().for_each(|dot| self.told.advance(*dot));
        let walls = self.peers.values().filter_map(|peer| peer.wall);
        let walls = walls.map(|(at, ms)| ms.saturating_add(millis(now.since(at))));
        let limit = hybrid::limit_ms(self.hybrid.wall_ms(now), walls);
        let time = self.hybrid.tick(now, limit);
        let dot = Dot { node: own, counter };
        let outcome = Outcome::Originated { dot, revision: lamport, deleted: cause.deleted };
        let request = cause.tag.map(|(tag, hash)| Tagged { tag, hash, outcome });
        let write =
            Write { dot, past, lamport, time, key, replaces, value, created, writes, request };
        self.observe_write(&write, basis, cause.seen, effects);
        self.apply(now, Arc::new(write), Way::Own, effects);
        (dot, lamport)
    }

    fn check_resolver(&self, key: &Key, needed: Resolver, op: &str) -> Result<(), Failure> {
        let resolver = self.resolver_of(key);
        if resolver == needed {
            return Ok(());
        }
        let (is, needs) = (resolver.as_str(), needed.as_str());
        let message = format!("{key} has the resolver {is}; {op} takes one with {needs}");
        let hint = format!("distdbctl mode set PREFIX causal --resolver {needs}");
        Err(Failure::new(ErrorCode::ModeMismatch, message).with_hint(hint))
    }
}

impl Job {
    fn cause(&self, deleted: u64) -> Cause<'_> {
        Cause { tag: self.tag, deleted, seen: self.seen.as_ref() }
    }
}

/// All that is here, or what the client has seen.
fn basis_of(context: Option<&Context>) -> Basis {
    if context.is_some() { Basis::Context } else { Basis::All }
}

/// Whether a client has seen a version; all, where it does not say.
fn is_seen(context: Option<&Context>) -> impl Fn(&Version) -> bool + '_ {
    move |version| context.is_none_or(|context| context.contains(version.dot))
}

/// Others that stand beside a version: so many, and of so many bytes.
fn check_room(held: &[Version], change: &Change) -> Result<(), Failure> {
    let others = held.iter().filter(|version| !change.replaces.contains(&version.dot));
    let bytes: usize = others.clone().map(|version| version.value.len()).sum();
    let count = others.count();
    if count < VERSIONS_MAX && bytes <= SIBLINGS_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the key has {count} versions of {bytes} bytes side by side; it takes {VERSIONS_MAX} of \
         {SIBLINGS_BYTES_MAX}"
    );
    Err(Failure::new(ErrorCode::Quota, message)
        .with_hint("distdbctl conflicts resolve KEY VALUE; a put without a context does it, too"))
}

pub(super) fn put_reply(revision: u64, duplicate: bool) -> Reply {
    Reply::Put(Put { duplicate, ..Put::of(revision) })
}

pub(super) fn delete_reply(deleted: u64, revision: u64, duplicate: bool) -> Reply {
    Reply::Delete(Delete { duplicate, ..Delete::of(deleted, revision) })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

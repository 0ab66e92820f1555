//! Who follows which keys, and what they are told.
//!
//! A watch is *live* when it was told all that its node has; then it is told each change as it is
//! applied. In raft mode it may begin in the past: as long as it *catches up*, it is told what
//! history has, piece by piece, as fast as its client reads; whole revisions always. So it may begin
//! in the future, too: then it is told nothing before that.
//!
//! Those who follow the same keys in the same way are told the same: it is encoded once.
//!
//! # Invariants
//!
//! - A live watch was told all its changes up to `position`, each once, in order; one that catches
//!   up, those below `next`. Spec: NoGap, Unique, Ordered.
//! - What a watch is told of a revision is one line. Spec: Atomic.
//! - A progress line names no revision of which a change may still come. Spec: ProgressNeverAhead.

mod groups;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::control::Id;
use crate::control::bytes;
use crate::control::failure::Failure;
use crate::control::request::Selection;
use crate::control::watching::{EventKind, Events, WatchEvent, WatchLine};
use crate::kv::history::{Event, History};
use crate::kv::key::Key;
use crate::kv::store::Item;
use crate::kv::value::Value;
use crate::kv::watch::groups::{Groups, Shape};
use crate::modes::Mode;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// Changes that are looked at for a watch that catches up before something else has its turn.
const CATCH_UP_EVENTS: usize = 4_096;

/// Of what it is told then, in bytes.
const CATCH_UP_BYTES: usize = 256 * 1024;

/// Changes that a live watch may be told at once; where there are more, it catches up.
const LIVE_EVENTS_MAX: usize = 4_096;

/// A key holds something else than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// What happened.
    pub kind: EventKind,
    /// Of the change.
    pub revision: u64,
    /// What it held; none if it did not exist.
    pub before: Option<Value>,
    /// What it holds; none if it does not exist.
    pub after: Option<Value>,
}

/// What a client asked to follow.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What it calls the watch.
    pub id: Option<Id>,
    /// Which keys.
    pub selection: Selection,
    /// The mode that these are in.
    pub mode: Mode,
    /// Whether it wants the value before.
    pub previous: bool,
    /// What it wants to be told; all, where it is left out.
    pub only: Option<Vec<EventKind>>,
    /// How often it wants to hear something.
    pub progress: Option<Duration>,
}

#[derive(Debug)]
struct Follower {
    watch: Watch,
    progress_at: Option<Time>,
    /// Of one that catches up: the first revision it was not told.
    next: Option<u64>,
}

/// All watches of a node.
#[derive(Debug, Default)]
pub struct Watches {
    all: BTreeMap<RequestId, Follower>,
    names: BTreeMap<(u64, Id), RequestId>,
    live: BTreeMap<Mode, Groups>,
    catching_up: BTreeSet<RequestId>,
    /// Those that are to be told nothing before a revision.
    future: BTreeSet<(u64, RequestId)>,
    /// The revision of raft mode up to which all that are live were told.
    position: u64,
}

impl Watches {
    /// Begins one, which is told what comes.
    pub fn begin(&mut self, now: Time, request: RequestId, watch: Watch) {
        let progress_at = watch.progress.map(|interval| now + interval);
        if let Some(id) = &watch.id {
            self.names.insert((request.connection, id.clone()), request);
        }
        self.live.entry(watch.mode).or_default().add(request, &watch);
        self.all.insert(request, Follower { watch, progress_at, next: None });
    }

    /// Begins one in raft mode, which is told what was and comes from a revision on.
    pub fn begin_at(&mut self, now: Time, request: RequestId, watch: Watch, from: u64) {
        self.begin(now, request, watch);
        if from == self.position + 1 {
            return;
        }
        let Some(follower) = self.all.get_mut(&request) else { return };
        self.live.entry(Mode::Raft).or_default().remove(request, &follower.watch);
        follower.next = Some(from);
        if from <= self.position {
            self.catching_up.insert(request);
        } else {
            self.future.insert((from, request));
        }
    }

    /// The watch that the client of `connection` calls `id`.
    pub fn find(&self, connection: u64, id: &Id) -> Option<RequestId> {
        self.names.get(&(connection, id.clone())).copied()
    }

    /// Forgets one, if it is there.
    pub fn forget(&mut self, request: RequestId) {
        let Some(Follower { watch, next, .. }) = self.all.remove(&request) else { return };
        if let Some(id) = &watch.id {
            self.names.remove(&(request.connection, id.clone()));
        }
        self.catching_up.remove(&request);
        match next {
            Some(from) => {
                self.future.remove(&(from, request));
            }
            None => self.live.entry(watch.mode).or_default().remove(request, &watch),
        }
    }

    /// Forgets all of a connection.
    pub fn forget_connection(&mut self, connection: u64) {
        let id = |sequence| RequestId { connection, sequence };
        let of_it = self.all.range(id(0)..=id(u64::MAX)).map(|(request, _)| *request);
        for request in of_it.collect::<Vec<_>>() {
            self.forget(request);
        }
    }

    /// Ends one that was told all up to `revision`, and says so.
    pub fn end(
        &mut self,
        request: RequestId,
        revision: u64,
        error: Option<Failure>,
    ) -> Option<Answer> {
        let follower = self.all.get(&request)?;
        let resume = follower.next.unwrap_or(revision + 1);
        let id = follower.watch.id.clone();
        self.forget(request);
        Some(Answer::Watch(WatchLine::End { id, end: true, resume, error }))
    }

    /// Whether nobody follows anything.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All that run.
    pub fn requests(&self) -> Vec<RequestId> {
        self.all.keys().copied().collect()
    }

    /// What a watch follows.
    pub fn get(&self, request: RequestId) -> Option<&Watch> {
        self.all.get(&request).map(|follower| &follower.watch)
    }

    /// What all watches follow.
    pub fn iter(&self) -> impl Iterator<Item = (RequestId, &Watch)> {
        self.all.iter().map(|(request, follower)| (*request, &follower.watch))
    }

    /// The revision of raft mode up to which all that are live were told.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Tells the changes of one revision to all who follow their keys, in one line each.
    pub fn publish(&self, mode: Mode, changes: &[Change], mut tell: impl FnMut(RequestId, Answer)) {
        let Some(groups) = self.live.get(&mode) else { return };
        let Some(revision) = changes.first().map(|change| change.revision) else { return };
        groups.publish(changes, |request, events| {
            let id = self.all[&request].watch.id.clone();
            let events = events.clone();
            tell(request, Answer::Watch(WatchLine::Events { id, events, revision }));
        });
    }

    /// Tells all that are live in raft mode what has come since.
    pub fn advance(
        &mut self,
        revision: u64,
        history: &History,
        mut tell: impl FnMut(RequestId, Answer),
    ) {
        if revision == self.position {
            return;
        }
        if self.all.is_empty() {
            self.position = revision;
            return;
        }
        self.awake(revision);
        let from = self.position + 1;
        let is_far = from < history.floor() || history.since(from).nth(LIVE_EVENTS_MAX).is_some();
        if is_far {
            self.fall_behind(from);
        } else {
            let changes: Vec<_> = history.since(from).map(Change::of).collect();
            for of_one in changes.chunk_by(|one, next| one.revision == next.revision) {
                self.publish(Mode::Raft, of_one, &mut tell);
            }
        }
        self.position = revision;
    }

    /// Those whose time has come catch up with what is new, or are live from here on.
    fn awake(&mut self, revision: u64) {
        while let Some((from, request)) = self.future.first().copied()
            && from <= revision
        {
            self.future.remove(&(from, request));
            self.catching_up.insert(request);
        }
    }

    /// There is too much to tell at once.
    fn fall_behind(&mut self, from: u64) {
        for request in self.live.remove(&Mode::Raft).unwrap_or_default().into_requests() {
            let follower = self.all.get_mut(&request).expect("it is live");
            follower.next = Some(from);
            self.catching_up.insert(request);
        }
    }

    /// The connections of watches that catch up.
    pub fn catching_up(&self) -> BTreeSet<u64> {
        self.catching_up.iter().map(|request| request.connection).collect()
    }

    /// Tells the watches of a connection that catch up what comes next. Those whose next revision
    /// is forgotten by now are returned: they can't go on.
    pub fn catch_up(
        &mut self,
        connection: u64,
        history: &History,
        mut tell: impl FnMut(RequestId, Answer),
    ) -> Vec<RequestId> {
        let id = |sequence| RequestId { connection, sequence };
        let of_it = self.catching_up.range(id(0)..=id(u64::MAX)).copied();
        let mut lost = Vec::new();
        let mut bytes = 0;
        for request in of_it.collect::<Vec<_>>() {
            if bytes > CATCH_UP_BYTES {
                break;
            }
            match self.catch_one_up(request, history, &mut tell) {
                Some(told) => bytes += told,
                None => lost.push(request),
            }
        }
        lost
    }

    /// Tells how many bytes it was told; none if it has come too late.
    fn catch_one_up(
        &mut self,
        request: RequestId,
        history: &History,
        tell: &mut impl FnMut(RequestId, Answer),
    ) -> Option<usize> {
        let follower = self.all.get_mut(&request).expect("it catches up");
        let next = follower.next.expect("it catches up");
        if next < history.floor() {
            return None;
        }
        let shape = Shape::of(&follower.watch);
        let (mut bytes, mut looked_at, mut reached) = (0, 0, self.position);
        let mut told: Vec<WatchEvent> = Vec::new();
        let mut line = |told: &mut Vec<WatchEvent>| {
            let Some(revision) = told.first().map(|event| event.revision) else { return };
            let (id, events) = (follower.watch.id.clone(), Events::new(std::mem::take(told)));
            tell(request, Answer::Watch(WatchLine::Events { id, events, revision }));
        };
        let mut last = next;
        for event in history.since(next) {
            if event.revision != last {
                line(&mut told);
                if looked_at >= CATCH_UP_EVENTS || bytes >= CATCH_UP_BYTES {
                    reached = event.revision - 1;
                    break;
                }
                last = event.revision;
            }
            looked_at += 1;
            if shape.takes(event.kind) && follower.watch.selection.contains(&event.key) {
                let change = Change::of(event);
                bytes += change.bytes();
                told.push(change.to_event(shape.previous));
            }
        }
        line(&mut told);
        follower.next = Some(reached + 1);
        if reached == self.position {
            follower.next = None;
            self.catching_up.remove(&request);
            self.live.entry(Mode::Raft).or_default().add(request, &follower.watch);
        }
        Some(bytes)
    }

    /// When the next quiet watch wants to hear something.
    pub fn deadline(&self) -> Option<Time> {
        self.all.values().filter_map(|follower| follower.progress_at).min()
    }

    /// Those whose time to hear something has come. One that catches up hears enough.
    pub fn take_quiet(&mut self, now: Time) -> Vec<RequestId> {
        let mut quiet = Vec::new();
        for (request, follower) in &mut self.all {
            let Some(interval) = follower.watch.progress else { continue };
            if follower.progress_at.is_some_and(|at| at <= now) {
                follower.progress_at = Some(now + interval);
                if !self.catching_up.contains(request) {
                    quiet.push(*request);
                }
            }
        }
        quiet
    }

    /// The line that says that a watch has heard all up to `revision`.
    pub fn progress(&self, request: RequestId, revision: u64) -> Option<Answer> {
        let follower = self.all.get(&request)?;
        let id = follower.watch.id.clone();
        Some(Answer::Watch(WatchLine::Progress { id, progress: revision }))
    }
}

impl Change {
    fn of(event: &Event) -> Self {
        let Event { key, kind, revision, before, after, .. } = event;
        let [before, after] = [before, after].map(|item| item.as_ref().map(Item::value));
        Self { key: key.clone(), kind: *kind, revision: *revision, before, after }
    }

    fn bytes(&self) -> usize {
        const LINE: usize = 64;
        LINE + self.after.as_ref().map_or(0, |value| value.as_bytes().len())
    }

    fn to_event(&self, with_previous: bool) -> WatchEvent {
        let (value, value_b64) = self.after.clone().map_or((None, None), bytes::split);
        let before = if with_previous { self.before.clone() } else { None };
        let (previous, previous_b64) = before.map_or((None, None), bytes::split);
        WatchEvent {
            kind: self.kind,
            key: self.key.clone(),
            value,
            value_b64,
            previous,
            previous_b64,
            revision: self.revision,
        }
    }
}

#[cfg(test)]
mod tests;

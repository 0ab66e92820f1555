//! What keys held: the changes of the replicated state, in order, as far back as they are kept.
//!
//! ```text
//!            floor                                    revision
//!              │                                          │
//!   forgotten  │ change, change, change, ...       change │  the store: what keys hold
//! ─────────────┴──────────────────────────────────────────┴──
//! ```
//!
//! Every change has what its key held before and after. What a key held at a revision is found from
//! what it holds, back through its changes: each tells which the one before was. So a write costs
//! no more than the end of a list, and who looks back pays for it.
//!
//! The floor is part of the state, and moves by an entry of the log; reads below it are refused at
//! once. What is behind it is let go of piece by piece, by each node as it has time: all but the last
//! change that made what there is at the floor, which tells since when that has been so. Nothing that
//! is asked depends on how far a node is with it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::control::watching::EventKind;
use crate::kv::key::Key;
use crate::kv::store::{Author, Item, Store};

/// What a change takes beside the value that it replaced, in bytes: about.
const CHANGE_BYTES: u64 = 256;

/// A change of a key.
#[derive(Debug, Clone)]
pub struct Event {
    /// Which key.
    pub key: Key,
    /// What happened.
    pub kind: EventKind,
    /// Of the change.
    pub revision: u64,
    /// Who did it, and when.
    pub author: Author,
    /// What the key held.
    pub before: Option<Item>,
    /// What it holds from then on.
    pub after: Option<Item>,
    /// The change of the same key before this one; 0 where none is known.
    previous: u64,
}

/// A change as a snapshot has it: what it made is what the next one found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    key: Key,
    kind: EventKind,
    revision: u64,
    author: Author,
    before: Option<Item>,
    previous: u64,
}

/// The changes from the floor on.
///
/// Invariants: revisions never fall from change to change; `deleted` has the last change of each key
/// that does not exist and was changed since; `bytes` is that of the changes.
#[derive(Debug, Clone)]
pub struct History {
    events: Vector<Event>,
    deleted: OrdMap<Key, u64>,
    /// The first revision whose state can be told.
    floor: u64,
    bytes: u64,
    /// Of all changes that ever were, in order.
    digest: u64,
}

/// Which change was the one before does not count: it may be one that is let go of.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        let what = |event: &Self| (event.kind, event.revision, event.author);
        self.key == other.key
            && what(self) == what(other)
            && (&self.before, &self.after) == (&other.before, &other.after)
    }
}

/// What each node has still to let go of does not count.
impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        self.head() == other.head() && self.since(self.floor).eq(other.since(other.floor))
    }
}

impl Eq for History {}

impl Default for History {
    fn default() -> Self {
        let (events, deleted, bytes, digest) = Default::default();
        Self { events, deleted, floor: 1, bytes, digest }
    }
}

impl History {
    /// Adds a change.
    pub fn push(
        &mut self,
        key: Key,
        kind: EventKind,
        revision: u64,
        author: Author,
        (before, after): (Option<Item>, Option<Item>),
    ) {
        let previous = match &before {
            Some(item) => item.mod_revision,
            None => self.deleted.remove(&key).unwrap_or(0),
        };
        self.digest = xxh3_64_with_seed(key.as_str().as_bytes(), self.digest ^ revision);
        if previous == revision {
            return self.amend(&key, kind, revision, after);
        }
        if after.is_none() {
            self.deleted.insert(key.clone(), revision);
        }
        let event = Event { key, kind, revision, author, before, after, previous };
        self.bytes += event.weight();
        self.events.push_back(event);
    }

    /// What a transaction does to a key twice is one change.
    fn amend(&mut self, key: &Key, kind: EventKind, revision: u64, after: Option<Item>) {
        let is_it = |event: &Event| event.revision == revision && event.key == *key;
        let at = self.events.iter().rposition(is_it).expect("it was changed at this revision");
        let event = self.events.get_mut(at).expect("it was just seen");
        (event.kind, event.after) = (kind, after);
        if event.after.is_some() {
            return;
        }
        let previous = if event.before.is_some() { revision } else { event.previous };
        if event.before.is_none() {
            let nothing = self.events.remove(at);
            self.bytes -= nothing.weight();
        }
        if previous != 0 {
            self.deleted.insert(key.clone(), previous);
        }
    }

    /// The first revision whose state can be told.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Forgets what was before `floor`.
    pub fn compact(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
    }

    /// Lets go of at most `count` changes that are forgotten; tells whether there are more.
    pub fn sweep(&mut self, count: usize) -> bool {
        for _ in 0..count {
            if !self.has_forgotten() {
                return false;
            }
            let event = self.events.pop_front().expect("it was just seen");
            self.bytes -= event.weight();
            if self.deleted.get(&event.key) == Some(&event.revision) {
                self.deleted.remove(&event.key);
            }
        }
        self.has_forgotten()
    }

    /// Whether there is something to sweep.
    pub fn has_forgotten(&self) -> bool {
        let is_behind = self.events.front().is_some_and(|event| event.revision < self.floor);
        is_behind && self.events.get(1).is_some_and(|next| next.revision <= self.floor)
    }

    /// Changes that are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Equal for histories that came about alike.
    pub fn digest(&self) -> u64 {
        xxh3_64_with_seed(&self.floor.to_le_bytes(), self.digest)
    }

    /// The changes from a revision on, in order.
    pub fn since(&self, revision: u64) -> impl Iterator<Item = &Event> {
        let from = self.position(revision.max(self.floor));
        self.events.focus().narrow(from..).into_iter()
    }

    /// The first revision at or behind a point in time; none where there is none yet. Of those below
    /// the floor it may be any, but never one from the floor on in their place.
    pub fn first_at(&self, unix_ms: u64) -> Option<u64> {
        let at = partition(&self.events, |event| event.author.unix_ms < unix_ms);
        self.events.get(at).map(|event| event.revision)
    }

    /// The revision of the change that is so many from the end.
    pub fn nth_from_end(&self, count: usize) -> Option<u64> {
        let at = self.events.len().checked_sub(count)?;
        self.events.get(at).map(|event| event.revision)
    }

    /// What a key held after `revision`, which is not below the floor.
    pub fn at<'a>(&'a self, store: &'a Store, key: &Key, revision: u64) -> Option<&'a Item> {
        let (mut held, mut last) = match store.get(key) {
            Some(item) => (Some(item), item.mod_revision),
            None => (None, *self.deleted.get(key)?),
        };
        while last > revision {
            let event = self.find(key, last)?;
            (held, last) = (event.before.as_ref(), event.previous);
        }
        held
    }

    /// The changes of a key, the newest first.
    pub fn of<'a>(&'a self, store: &Store, key: &'a Key) -> impl Iterator<Item = &'a Event> {
        let last = store.get(key).map(|item| item.mod_revision);
        let mut last = last.or_else(|| self.deleted.get(key).copied()).unwrap_or(0);
        std::iter::from_fn(move || {
            let event = self.find(key, last)?;
            last = event.previous;
            Some(event)
        })
    }

    /// The keys with a prefix that do not exist and were changed, from `start` on.
    pub fn deleted<'a>(
        &'a self,
        prefix: &'a str,
        start: Option<&str>,
    ) -> impl Iterator<Item = &'a Key> {
        let from = start.map_or(prefix, |start| start.max(prefix));
        let bounds = (Bound::Included(from), Bound::Unbounded);
        let keys = self.deleted.range::<_, str>(bounds).map(|(key, _)| key);
        keys.take_while(move |key| key.as_str().starts_with(prefix))
    }

    fn find(&self, key: &Key, revision: u64) -> Option<&Event> {
        if revision < self.floor {
            return None;
        }
        let mut at = self.position(revision);
        while let Some(event) = self.events.get(at)
            && event.revision == revision
        {
            if event.key == *key {
                return Some(event);
            }
            at += 1;
        }
        None
    }

    /// Where the changes from `revision` on begin. Most revisions have one change, so the first
    /// guess is most often right.
    fn position(&self, revision: u64) -> usize {
        let Some(first) = self.events.front() else { return 0 };
        let guess = usize::try_from(revision.saturating_sub(first.revision)).unwrap_or(usize::MAX);
        let is_it = |at: usize| self.events.get(at).is_some_and(|e| e.revision == revision);
        let is_first = |at: usize| at == 0 || !is_it(at - 1);
        if is_it(guess) && is_first(guess) {
            return guess;
        }
        partition(&self.events, |event| event.revision < revision)
    }

    /// The changes, as a snapshot has them.
    pub fn kept(&self) -> impl Iterator<Item = Kept> + use<> {
        self.events.clone().into_iter().map(|event| {
            let Event { key, kind, revision, author, before, after: _, previous } = event;
            Kept { key, kind, revision, author, before, previous }
        })
    }

    /// What else a snapshot has of it.
    pub fn head(&self) -> (u64, u64) {
        (self.floor, self.digest)
    }

    /// The history of a snapshot: what each change made is what the next one of its key found, or
    /// what the store has.
    pub fn restore((floor, digest): (u64, u64), kept: Vec<Kept>, store: &Store) -> Self {
        let mut next: BTreeMap<Key, Option<Item>> = BTreeMap::new();
        let mut history = Self { floor, digest, ..Self::default() };
        for kept in kept.into_iter().rev() {
            let Kept { key, kind, revision, author, before, previous } = kept;
            let after = match next.get(&key) {
                Some(after) => after.clone(),
                None => {
                    let after = store.get(&key).cloned();
                    if after.is_none() {
                        history.deleted.insert(key.clone(), revision);
                    }
                    after
                }
            };
            next.insert(key.clone(), before.clone());
            let event = Event { key, kind, revision, author, before, after, previous };
            history.bytes += event.weight();
            history.events.push_front(event);
        }
        history
    }
}

impl Event {
    fn weight(&self) -> u64 {
        CHANGE_BYTES + self.before.as_ref().map_or(0, |item| item.bytes().len() as u64)
    }
}

/// How many of the events, which are in order, come before.
fn partition(events: &Vector<Event>, is_before: impl Fn(&Event) -> bool) -> usize {
    let found =
        events.binary_search_by(
            |event| {
                if is_before(event) { Ordering::Less } else { Ordering::Greater }
            },
        );
    found.unwrap_or_else(|place| place)
}

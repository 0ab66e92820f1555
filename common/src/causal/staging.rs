//! What two states make together, until it takes the live one's place.

use std::sync::Arc;

use crate::causal::Causal;
use crate::causal::clock::VectorClock;
use crate::causal::message::SyncChunk;
use crate::causal::store::{Store, join};
use crate::causal::tree::{Bucket, BucketSet};
use crate::causal::version::Version;
use crate::causal::write::Write;
use crate::kv::key::Key;

/// This node's keys that are joined in one step: more would hold up others.
const JOIN_KEYS: usize = 10_000;

/// What two states make together, as far as it has come.
#[derive(Debug)]
pub(super) struct Staged {
    /// This node's, when it began.
    pub(super) ours: VectorClock,
    pub(super) theirs: VectorClock,
    /// The donor's.
    pub(super) lamport: u64,
    pub(super) buckets: BucketSet,
    pub(super) store: Store,
    /// All keys up to here are joined.
    pub(super) cursor: Option<Key>,
    /// The versions that have come of the key behind it.
    pub(super) begun: Option<(Key, Vec<Version>)>,
    /// What was written since, and the donor has not seen.
    pub(super) meanwhile: Vec<Arc<Write>>,
    pub(super) keys: u64,
}

/// What became of a chunk.
pub(super) struct Taken {
    /// The keys that have other versions than before, with these.
    pub(super) changed: Vec<(Key, Vec<Version>)>,
    /// Whether it was the last.
    pub(super) done: bool,
}

impl Causal {
    /// A state takes this one's place: `store` with `meanwhile` on top has seen all that this has,
    /// and `theirs`.
    pub(super) fn adopt(
        &mut self,
        mut store: Store,
        theirs: &VectorClock,
        meanwhile: &[Arc<Write>],
    ) {
        for write in meanwhile {
            store.apply(write);
        }
        self.store = store;
        let news = theirs.iter().filter(|dot| !self.clock.contains(*dot));
        for dot in news.collect::<Vec<_>>() {
            self.clock.advance(dot);
            self.log.restart(dot);
        }
        self.incoming.forget(&self.clock);
        (self.has_advanced, self.is_pump_due) = (true, true);
    }
}

impl Staged {
    /// Whether a chunk is the one that was asked for last.
    pub(super) fn is_next(&self, chunk: &SyncChunk) -> bool {
        chunk.after == self.cursor && chunk.skip == self.begun_versions()
    }

    /// The versions that have come of the key behind the cursor.
    pub(super) fn begun_versions(&self) -> u32 {
        let begun = self.begun.as_ref().map_or(0, |(_, versions)| versions.len());
        u32::try_from(begun).unwrap_or(u32::MAX)
    }

    /// Takes the next chunk, and tells which keys have changed, and whether it was the last; none
    /// if no sound node sends it.
    pub(super) fn take(&mut self, chunk: SyncChunk) -> Option<Taken> {
        let SyncChunk { mut entries, mut last, begun, mut done, .. } = chunk;
        if let Some((key, mut versions)) = self.begun.take() {
            let (_, rest) = entries.first_mut().filter(|(first, _)| *first == key)?;
            versions.append(rest);
            *rest = versions;
        }
        let keys = entries.iter().map(|(key, _)| Some(key));
        let is_behind = keys.clone().next().is_none_or(|first| first > self.cursor.as_ref());
        let has_moved = done || last > self.cursor || begun > 0;
        if !is_behind || !has_moved || !keys.is_sorted_by(|one, next| one < next) {
            return None;
        }
        if begun > 0 {
            self.begun = entries.pop();
            if self.begun_versions() != begun {
                return None;
            }
        }
        if let Some(end) = if done { Some(None) } else { last.as_ref().map(Some) }
            && let Some(limit) = self.limit(end)
        {
            // What is behind it is asked for once more.
            entries.retain(|(key, _)| *key <= limit);
            (self.begun, last, done) = (None, Some(limit), false);
        }
        let end = if done { None } else { last.as_ref() };
        let changed = match (done, end) {
            (false, None) => Vec::new(),
            (true, _) | (false, Some(_)) => self.join(entries, end),
        };
        self.cursor = last;
        self.keys += changed.len() as u64;
        Some(Taken { changed, done })
    }

    /// The key up to which to join, where there are too many of this node's up to `end`.
    fn limit(&self, end: Option<&Key>) -> Option<Key> {
        let held = self.store.behind(self.cursor.as_ref()).map(|(key, _)| key);
        held.take_while(|key| end.is_none_or(|end| *key <= end)).nth(JOIN_KEYS).cloned()
    }

    /// Joins the donor's keys up to `end` with those here, both of the buckets that differ, and
    /// tells which have changed.
    fn join(
        &mut self,
        entries: Vec<(Key, Vec<Version>)>,
        end: Option<&Key>,
    ) -> Vec<(Key, Vec<Version>)> {
        // Of two states that have seen the same the one with fewer has lost something.
        let nothing = VectorClock::default();
        let is_same = self.ours == self.theirs;
        let (ours, theirs) =
            if is_same { (&nothing, &nothing) } else { (&self.ours, &self.theirs) };
        let held = self.store.behind(self.cursor.as_ref());
        let held = held.take_while(|(key, _)| end.is_none_or(|end| *key <= end));
        let held = held.filter(|(key, _)| self.buckets.contains(Bucket::of(key)));
        let absent: Vec<Key> = held
            .filter(|(key, _)| entries.binary_search_by(|(other, _)| other.cmp(key)).is_err())
            .map(|(key, _)| key.clone())
            .collect();
        let absent = absent.into_iter().map(|key| (key, Vec::new()));
        let mut changed = Vec::new();
        for (key, versions) in entries.into_iter().chain(absent) {
            let before = self.store.get(&key);
            let after = join((before, ours), (&versions, theirs));
            if before != after {
                changed.push((key, after));
            }
        }
        for (key, versions) in &changed {
            self.store.load(key.clone(), versions.clone());
        }
        changed
    }
}

//! The other side of a state transfer: a node gives what it has.

use crate::causal::clock::VectorClock;
use crate::causal::message::{Message, SyncChunk};
use crate::causal::store::Store;
use crate::causal::tree::{Bucket, BucketSet};
use crate::causal::version::Version;
use crate::causal::{Causal, Effects};
use crate::identity::NodeId;
use crate::kv::key::Key;
use crate::observe::CausalEvent;
use crate::time::Time;

/// Keys and values of a chunk, in bytes; the version that passes it is its last. A frame takes that
/// and the longest value.
const CHUNK_BYTES: usize = 384 * 1024;

/// Keys that are looked at for a chunk: more would hold up others.
const CHUNK_KEYS: usize = 10_000;

/// A state that was not asked about for so many election timeouts is dropped.
const PATIENCE: u32 = 60;

/// States that are pinned at once: each costs what has changed since.
const GIFTS_MAX: usize = 8;

/// A state as it was when it was asked for.
#[derive(Debug)]
pub(super) struct Gift {
    session: u64,
    clock: VectorClock,
    lamport: u64,
    store: Store,
    buckets: BucketSet,
    asked: Time,
}

impl Causal {
    pub(super) fn on_sync_ask(
        &mut self,
        now: Time,
        from: NodeId,
        session: u64,
        effects: &mut Effects,
    ) {
        // A question that comes twice is about the same state, or about none any more: what was
        // told of one must not be taken for another's.
        if let Some(gift) = self.gifts.get_mut(&from).filter(|gift| gift.session == session) {
            gift.asked = now;
            effects.send(from, gift.tree());
            return;
        }
        let last = self.pinned.get(&from);
        if last.is_some_and(|last| !is_later(session, *last)) {
            effects.send(from, Message::SyncRefused { session });
            return;
        }
        self.pinned.insert(from, session);
        self.gifts.remove(&from);
        if !self.ready || self.gifts.len() >= GIFTS_MAX {
            effects.send(from, Message::SyncRefused { session });
            return;
        }
        let (clock, lamport, store) = (self.clock.clone(), self.lamport, self.store.clone());
        let buckets = BucketSet::default();
        let gift = Gift { session, clock, lamport, store, buckets, asked: now };
        effects.observe(CausalEvent::GiveState { to: from, session });
        self.note_traced();
        effects.send(from, gift.tree());
        self.gifts.insert(from, gift);
    }

    pub(super) fn on_sync_branches(
        &mut self,
        now: Time,
        from: NodeId,
        session: u64,
        branches: Vec<u8>,
        effects: &mut Effects,
    ) {
        let Some(gift) = self.gift_of(now, from, session, effects) else { return };
        let leaves = |branch| {
            let leaves = gift.store.tree().leaves(branch);
            (branch, leaves.map_or(Vec::new(), |leaves| leaves.to_vec()))
        };
        let leaves = branches.into_iter().map(leaves).collect();
        effects.send(from, Message::SyncLeaves { session, leaves });
    }

    /// The state that was pinned for the session; a node that has none any more says so.
    fn gift_of(
        &mut self,
        now: Time,
        from: NodeId,
        session: u64,
        effects: &mut Effects,
    ) -> Option<&mut Gift> {
        let gift = self.gifts.get_mut(&from).filter(|gift| gift.session == session);
        match gift {
            Some(gift) => {
                gift.asked = now;
                Some(gift)
            }
            None => {
                effects.send(from, Message::SyncRefused { session });
                None
            }
        }
    }

    pub(super) fn on_sync_fetch(
        &mut self,
        now: Time,
        from: NodeId,
        session: u64,
        buckets: Option<BucketSet>,
        (after, skip): (Option<&Key>, u32),
        effects: &mut Effects,
    ) {
        let Some(gift) = self.gift_of(now, from, session, effects) else { return };
        if let Some(buckets) = buckets {
            gift.buckets = buckets;
        }
        effects.send(from, Message::SyncChunk(gift.chunk(after, skip)));
    }

    /// Who has not asked for long has gone.
    pub(super) fn drop_old_gifts(&mut self, now: Time) {
        let patience = self.config.election_timeout * PATIENCE;
        self.gifts.retain(|_, gift| now.since(gift.asked) <= patience);
    }
}

/// Whether one session was begun after another, by one process.
fn is_later(session: u64, other: u64) -> bool {
    (1..=u64::MAX / 2).contains(&session.wrapping_sub(other))
}

impl Gift {
    fn tree(&self) -> Message {
        let (session, clock, lamport) = (self.session, self.clock.clone(), self.lamport);
        Message::SyncTree { session, clock, lamport, tops: self.store.tree().tops() }
    }

    /// The next part, behind a key and so many versions of the one that follows it.
    fn chunk(&self, after: Option<&Key>, skip: u32) -> SyncChunk {
        let mut chunk = SyncChunk {
            session: self.session,
            after: after.cloned(),
            skip,
            entries: Vec::new(),
            last: after.cloned(),
            begun: 0,
            done: false,
        };
        let (mut bytes, mut skip) = (0, skip as usize);
        for (key, versions) in self.store.behind(after).take(CHUNK_KEYS) {
            if self.buckets.contains(Bucket::of(key)) {
                bytes += key.as_str().len();
                let has_room = |version: &&Version| {
                    let has_room = bytes < CHUNK_BYTES;
                    bytes += version.value.len() + size_of::<Version>();
                    has_room
                };
                let part: Vec<_> = versions.iter().skip(skip).take_while(has_room).collect();
                let sent = skip + part.len();
                if !part.is_empty() {
                    chunk.entries.push((key.clone(), part.into_iter().cloned().collect()));
                }
                if sent < versions.len() {
                    let is_begun = chunk.entries.last().is_some_and(|(last, _)| last == key);
                    chunk.begun =
                        if is_begun { u32::try_from(sent).unwrap_or(u32::MAX) } else { 0 };
                    return chunk;
                }
                skip = 0;
            }
            chunk.last = Some(key.clone());
            if bytes >= CHUNK_BYTES {
                break;
            }
        }
        chunk.done = self.store.behind(chunk.last.as_ref()).next().is_none();
        chunk
    }
}

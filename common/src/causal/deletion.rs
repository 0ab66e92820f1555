//! Deletions of all keys of a prefix: some at a time, so that nobody waits for a million.

use std::collections::VecDeque;

use crate::causal::clock::Dot;
use crate::causal::context::Context;
use crate::causal::request::{Cause, delete_reply};
use crate::causal::store::Store;
use crate::causal::{Causal, Effects};
use crate::control::acks::Acks;
use crate::control::failure::{Applied, ErrorCode, Failure};
use crate::kv::command::Tag;
use crate::kv::key::Key;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// Keys that go in one commit.
const KEYS_MAX: usize = 2_000;

/// Deletions that are under way. Each pins a state.
pub(super) const DELETIONS_MAX: usize = 64;

/// The deletions that are under way, one after another.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    all: VecDeque<Deletion>,
}

#[derive(Debug)]
struct Deletion {
    request: RequestId,
    prefix: String,
    acks: (Acks, Time),
    tag: Option<(Tag, u64)>,
    /// What there was when it was asked for: what is written later stays.
    store: Store,
    /// What its client has seen: other versions stay.
    context: Option<Context>,
    /// The keys behind this one are to come.
    behind: Option<Key>,
    deleted: u64,
    /// The last write that was made for it.
    last: Option<Dot>,
}

impl Deletions {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether one that the connection has asked for is under way: its later writes wait for it.
    pub(super) fn has(&self, connection: u64) -> bool {
        self.all.iter().any(|deletion| deletion.request.connection == connection)
    }

    /// Whether one with that tag is under way.
    pub(super) fn has_tag(&self, tag: Tag) -> bool {
        self.all.iter().any(|deletion| deletion.tag.is_some_and(|(other, _)| other == tag))
    }
}

impl Causal {
    pub(super) fn begin_deletion(
        &mut self,
        request: RequestId,
        prefix: String,
        acks: (Acks, Time),
        tag: Option<(Tag, u64)>,
        context: Option<Context>,
    ) {
        let (behind, deleted, last) = (None, 0, None);
        let store = self.store.clone();
        let all = &mut self.deletions.all;
        all.push_back(Deletion {
            request,
            prefix,
            acks,
            tag,
            store,
            context,
            behind,
            deleted,
            last,
        });
    }

    /// The node ends: some keys may be deleted.
    pub(super) fn end_all_deletions(&mut self, effects: &mut Effects) {
        for deletion in std::mem::take(&mut self.deletions.all) {
            let applied = if deletion.deleted > 0 { Applied::Unknown } else { Applied::No };
            let failure = Failure::new(ErrorCode::ShuttingDown, "the node is about to end");
            let failure = Failure { applied: Some(applied), ..failure };
            effects.answer(deletion.request, Answer::Reply(self.header(None), Err(failure)));
        }
    }

    /// Deletes the next keys of the oldest one.
    pub(super) fn go_on_deleting(&mut self, now: Time, effects: &mut Effects) {
        let Some(mut deletion) = self.deletions.all.pop_front() else { return };
        let keys = deletion.store.range(&deletion.prefix, deletion.behind.as_ref());
        // One more tells whether this is the end: there the request is remembered.
        let of_mode = keys.filter(|(key, _)| self.is_causal(key)).take(KEYS_MAX + 1);
        let context = deletion.context.as_ref();
        let is_seen = |dot: &Dot| context.is_none_or(|context| context.contains(*dot));
        let dots = of_mode.map(|(key, versions)| {
            let dots = versions.iter().map(|version| version.dot).filter(is_seen);
            (key.clone(), dots.collect::<Vec<Dot>>())
        });
        let mut keys: Vec<_> = dots.collect();
        let is_done = keys.len() <= KEYS_MAX;
        keys.truncate(KEYS_MAX);
        deletion.behind = keys.last().map(|(key, _)| key.clone());
        keys.retain(|(key, dots)| {
            self.store.get(key).iter().any(|version| dots.contains(&version.dot))
        });
        deletion.deleted += keys.len() as u64;
        let last = keys.len().wrapping_sub(1);
        for (place, (key, dots)) in keys.iter().enumerate() {
            let tag = deletion.tag.filter(|_| is_done && place == last);
            let cause = Cause { tag, deleted: deletion.deleted, seen: deletion.context.as_ref() };
            let place = (key.clone(), dots.as_slice());
            deletion.last = Some(self.delete_versions(now, place, &cause, effects));
        }
        if is_done {
            self.has_advanced = true; // Who waited for it need not any longer.
            let Deletion { request, acks, deleted, context, last, .. } = deletion;
            let done = (delete_reply(deleted, self.lamport, false), last);
            self.answer_when_acknowledged(request, acks, done, context, effects);
        } else {
            self.deletions.all.push_front(deletion);
        }
    }
}

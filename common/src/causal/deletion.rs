//! Deletions of all keys of a prefix: some at a time, so that nobody waits for a million.

use std::collections::VecDeque;

use crate::causal::request::delete_reply;
use crate::causal::{Causal, Effects};
use crate::control::acks::Acks;
use crate::kv::key::Key;
use crate::protocol::RequestId;
use crate::time::Time;

/// Keys that go in one commit.
const KEYS_MAX: usize = 2_000;

/// The deletions that are under way, one after another.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    all: VecDeque<Deletion>,
}

#[derive(Debug)]
struct Deletion {
    request: RequestId,
    prefix: String,
    acks: Acks,
    deadline: Time,
    /// The keys behind this one are to come.
    behind: Option<Key>,
    deleted: u64,
}

impl Deletions {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Causal {
    pub(super) fn begin_deletion(
        &mut self,
        request: RequestId,
        prefix: String,
        acks: Acks,
        deadline: Time,
    ) {
        let (behind, deleted) = (None, 0);
        self.deletions.all.push_back(Deletion { request, prefix, acks, deadline, behind, deleted });
    }

    /// Deletes the next keys. What is written behind the place that it has come to stays, as if it
    /// had been written after.
    pub(super) fn go_on_deleting(&mut self, now: Time, effects: &mut Effects) {
        let Some(mut deletion) = self.deletions.all.pop_front() else { return };
        let start = deletion.behind.as_ref().map(Key::as_str);
        let keys = self.store.range(&deletion.prefix, start).map(|(key, _)| key);
        let of_mode = keys.filter(|key| self.is_causal(key));
        let keys: Vec<Key> = of_mode.take(KEYS_MAX).cloned().collect();
        deletion.deleted += keys.len() as u64;
        let is_done = keys.len() < KEYS_MAX;
        deletion.behind = keys.last().cloned();
        for key in keys {
            self.delete_key(now, key, effects);
        }
        if is_done {
            let Deletion { request, acks, deadline, deleted, .. } = deletion;
            let reply = delete_reply(deleted, self.lamport, false);
            self.answer_when_acknowledged(request, (acks, deadline), reply, None, effects);
        } else {
            self.deletions.all.push_front(deletion);
        }
    }
}

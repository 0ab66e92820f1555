//! What was done once, and is not to be done again for a day, whoever asks.

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::control::kv::OnceId;
use crate::kv::outcome::Outcome;
use crate::kv::session::Known;

/// How long an id is remembered, by the clock of the log.
pub const ONCE_MS: u64 = 24 * 3_600 * 1_000;

/// Ids that are remembered; more are refused, rather than to forget one too early.
pub const ONCE_MAX: usize = 1_000_000;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    hash: u64,
    outcome: Outcome,
    ends_ms: u64,
}

/// All that was done once.
///
/// Invariant: `by_end` has each of them once, under its `ends_ms`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Once {
    done: OrdMap<OnceId, Done>,
    by_end: OrdSet<(u64, OnceId)>,
}

impl Once {
    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Whether the command with that hash was executed under the id.
    pub fn look_up(&self, id: &OnceId, hash: u64) -> Known {
        match self.done.get(id) {
            None => Known::New,
            Some(done) if done.hash == hash => Known::Done(done.outcome.clone()),
            Some(_) => Known::Other,
        }
    }

    /// Remembers what a command did.
    pub fn remember(&mut self, id: OnceId, hash: u64, outcome: Outcome, now_ms: u64) {
        let ends_ms = now_ms + ONCE_MS;
        self.by_end.insert((ends_ms, id.clone()));
        self.done.insert(id, Done { hash, outcome, ends_ms });
    }

    /// Forgets what is long ago.
    pub fn forget(&mut self, now_ms: u64) {
        while let Some((ends_ms, id)) = self.by_end.get_min().cloned()
            && ends_ms <= now_ms
        {
            self.by_end.remove(&(ends_ms, id.clone()));
            self.done.remove(&id);
        }
    }

    /// The bytes of all.
    pub fn encode(&self) -> Vec<u8> {
        let rows: Vec<(&OnceId, &Done)> = self.done.iter().collect();
        postcard::to_stdvec(&rows).expect("rows have no unsized part")
    }

    /// Those of these bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rows: Vec<(OnceId, Done)> = postcard::from_bytes(bytes).ok()?;
        let by_end = rows.iter().map(|(id, done)| (done.ends_ms, id.clone())).collect();
        Some(Self { done: rows.into_iter().collect(), by_end })
    }
}

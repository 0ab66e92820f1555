//! Who has had which write executed: the table that makes a retry harmless (Raft §8).
//!
//! It is part of the replicated state, so a retry through another leader finds it, and it is
//! forgotten by position in the log, never by a clock.

use std::collections::VecDeque;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::kv::command::Tag;
use crate::kv::outcome::Outcome;

/// Clients that are remembered; then the one that has written least recently is forgotten.
const CLIENTS_MAX: usize = 10_000;

/// Outcomes that are remembered of one client: more than it ever has outstanding at once would be
/// [`crate::control::OUTSTANDING_MAX`]; scripts have one.
const OUTCOMES_MAX: usize = 1_024;

/// What all outcomes may take, in bytes: some have values in them. Past it clients are forgotten as
/// past [`CLIENTS_MAX`].
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The writes of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    /// In the order of their seqs. Shared with snapshots, as all of the state is.
    done: Arc<VecDeque<Done>>,
    /// The highest seq that was forgotten, if any.
    forgotten: Option<u64>,
    /// The position in the log of the latest one.
    used: u64,
}

/// A write that was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    seq: u64,
    /// Of the command.
    hash: u64,
    outcome: Outcome,
}

impl Session {
    fn find(&self, seq: u64) -> Result<&Done, usize> {
        let place = self.done.binary_search_by_key(&seq, |done| done.seq)?;
        Ok(&self.done[place])
    }

    /// Tells how many bytes more it takes then, and how many less.
    fn remember(&mut self, done: Done) -> (u64, u64) {
        let Err(place) = self.find(done.seq) else { return (0, 0) };
        let more = done.outcome.weight();
        let all = Arc::make_mut(&mut self.done);
        all.insert(place, done);
        if all.len() <= OUTCOMES_MAX {
            return (more, 0);
        }
        let oldest = all.pop_front().expect("there are some");
        self.forgotten = Some(oldest.seq);
        (more, oldest.outcome.weight())
    }

    fn bytes(&self) -> u64 {
        self.done.iter().map(|done| done.outcome.weight()).sum()
    }
}

/// The sessions of all clients.
///
/// Invariants: `by_use` has each client once, under its `used`; `bytes` is that of the sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    sessions: OrdMap<u128, Session>,
    by_use: OrdMap<u64, u128>,
    /// What the outcomes take.
    bytes: u64,
    /// Of all that was ever remembered, in order.
    digest: u64,
}

/// What is known of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It was not executed.
    New,
    /// It was executed, and did this.
    Done(Outcome),
    /// Another command was executed under its tag.
    Other,
    /// It is too old to tell.
    Forgotten,
}

impl Sessions {
    /// Whether the command with that hash was executed under `tag`.
    pub fn look_up(&self, tag: Tag, hash: u64) -> Known {
        let Some(session) = self.sessions.get(&tag.client) else { return Known::New };
        match session.find(tag.seq) {
            Ok(done) if done.hash == hash => Known::Done(done.outcome.clone()),
            Ok(_) => Known::Other,
            Err(_) if session.forgotten.is_some_and(|seq| tag.seq <= seq) => Known::Forgotten,
            Err(_) => Known::New,
        }
    }

    /// Remembers what the command at `index` of the log did.
    pub fn remember(&mut self, index: u64, tag: Tag, hash: u64, outcome: Outcome) {
        let session = self.sessions.entry(tag.client).or_default();
        self.by_use.remove(&session.used);
        session.used = index;
        let (more, less) = session.remember(Done { seq: tag.seq, hash, outcome });
        self.bytes = self.bytes + more - less;
        let parts = [self.digest, index, tag.seq, hash].map(u64::to_le_bytes).concat();
        self.digest = xxh3_64(&parts);
        self.by_use.insert(index, tag.client);
        while self.sessions.len() > CLIENTS_MAX || self.bytes > BYTES_MAX && self.sessions.len() > 1
        {
            let (used, client) = *self.by_use.get_min().expect("there are clients");
            self.by_use.remove(&used);
            let session = self.sessions.remove(&client).expect("it is in both");
            self.bytes -= session.bytes();
        }
    }

    /// Equal for tables that came about alike.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many clients are remembered.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The bytes of the table.
    pub fn encode(&self) -> Vec<u8> {
        let rows: Vec<(&u128, &Session)> = self.sessions.iter().collect();
        postcard::to_stdvec(&(self.digest, rows)).expect("rows have no unsized part")
    }

    /// The table of those bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (digest, rows): (u64, Vec<(u128, Session)>) = postcard::from_bytes(bytes).ok()?;
        let by_use = rows.iter().map(|(client, session)| (session.used, *client)).collect();
        let bytes = rows.iter().map(|(_, session)| session.bytes()).sum();
        Some(Self { sessions: rows.into_iter().collect(), by_use, bytes, digest })
    }
}

//! The replicated state: what the log makes, the same on every node.
//!
//! [`State::apply`] is total and deterministic: it looks at nothing but the state and the entry.
//!
//! # Time
//!
//! There are two clocks in it, both told by the leaders, in the entries. `log_ms` is what leases and
//! `once` go by: a leader counts it on from where the state is when its office begins, so it goes
//! no faster than time does, and stands still while nothing is written. `unix_ms` is what leaders
//! take the time to be; people look things up by it, and nothing depends on it. Neither goes back.

mod leases;
mod locks;
mod txn;
mod write;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::control::kv::OnceId;
use crate::identity::LeaseId;
use crate::kv::command::{Encoded, EncodedCommand, More};
use crate::kv::history::{History, Kept};
use crate::kv::key::Key;
use crate::kv::lease::{Lease, Leases};
use crate::kv::lock::{Locks, Turn};
use crate::kv::once::{ONCE_MAX, Once};
use crate::kv::outcome::{Outcome, Refused};
use crate::kv::session::{Known, Sessions};
use crate::kv::store::{Author, Store};
use crate::modes::{MODES_MAX, Mode, ModeTable, Rule};

/// The state of the keys in raft mode, and of what all nodes must agree upon besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The keys.
    pub store: Store,
    /// What they held.
    pub history: History,
    /// What ends together.
    pub leases: Leases,
    /// Who may do what alone.
    pub locks: Locks,
    /// What was done once.
    pub once: Once,
    /// Which writes were executed.
    pub sessions: Sessions,
    /// Which keys belong to which mode.
    pub modes: ModeTable,
    /// Of the last modifying operation; the first has 1.
    pub revision: u64,
    /// See above.
    pub log_ms: u64,
    /// See above.
    pub unix_ms: u64,
}

/// What a leader took the time to be when it proposed an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The clock of the log.
    pub log_ms: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

/// What applying an entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// For the client.
    pub outcome: Outcome,
    /// Whether it was executed before, under the same tag.
    pub duplicate: bool,
    /// What has become of claims to locks.
    pub turns: Vec<Turn>,
}

/// The state's small parts, as a snapshot begins with them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    sessions: Bytes,
    once: Bytes,
    locks: Bytes,
    leases: BTreeMap<LeaseId, Lease>,
    modes: BTreeMap<String, Rule>,
    revision: u64,
    log_ms: u64,
    unix_ms: u64,
    history: (u64, u64),
    events: u64,
    keys: u64,
    hash: u64,
}

/// The entry that is being applied.
struct Step<'a> {
    index: u64,
    author: Author,
    turns: &'a mut Vec<Turn>,
}

impl State {
    /// The state before the first entry.
    pub fn new(mode: Mode) -> Self {
        Self {
            store: Store::default(),
            history: History::default(),
            leases: Leases::default(),
            locks: Locks::default(),
            once: Once::default(),
            sessions: Sessions::default(),
            modes: ModeTable::new(mode),
            revision: 0,
            log_ms: 0,
            unix_ms: 0,
        }
    }

    /// Executes the [`Proposal`](crate::kv::command::Proposal) that the log holds at `index`,
    /// unless it was executed before. What is due by the time of the entry ends before that.
    pub fn apply(&mut self, index: u64, stamp: Stamp, payload: &[u8]) -> Applied {
        self.log_ms = self.log_ms.max(stamp.log_ms);
        self.unix_ms = self.unix_ms.max(stamp.unix_ms);
        let mut turns = Vec::new();
        self.expire(&mut turns);
        self.once.forget(self.log_ms);
        let (outcome, duplicate) = match Encoded::read(payload) {
            None => (Outcome::Refused(Refused::Unreadable), false),
            Some(Encoded { tag: None, command }) => self.execute(index, &command, &mut turns),
            Some(Encoded { tag: Some(tag), command }) => {
                let hash = xxh3_64(payload);
                match self.sessions.look_up(tag, hash) {
                    Known::Done(outcome) => (outcome, true),
                    Known::Other => (Outcome::Refused(Refused::OtherCommand), false),
                    Known::Forgotten => (Outcome::Refused(Refused::Forgotten), false),
                    Known::New => {
                        let done = self.execute(index, &command, &mut turns);
                        self.sessions.remember(index, tag, hash, done.0.clone());
                        done
                    }
                }
            }
        };
        Applied { outcome, duplicate, turns }
    }

    /// Tells also whether it was done before, under the same `once`.
    fn execute(
        &mut self,
        index: u64,
        command: &EncodedCommand<'_>,
        turns: &mut Vec<Turn>,
    ) -> (Outcome, bool) {
        let EncodedCommand::By { uid, once, command: bytes } = command else {
            let author = Author { uid: None, unix_ms: self.unix_ms };
            return (self.run(command, &mut Step { index, author, turns }), false);
        };
        let Some(command) = EncodedCommand::read(bytes) else {
            return (Outcome::Refused(Refused::Unreadable), false);
        };
        let mut step = Step { index, author: Author { uid: *uid, unix_ms: self.unix_ms }, turns };
        match once {
            None => (self.run(&command, &mut step), false),
            Some(id) => self.run_once(id, bytes, &command, &mut step),
        }
    }

    /// What is refused, or finds its condition false and changes nothing, was not done: it may be
    /// tried again. A transaction may write something else where its conditions are false (X1).
    fn run_once(
        &mut self,
        id: &OnceId,
        bytes: &[u8],
        command: &EncodedCommand<'_>,
        step: &mut Step<'_>,
    ) -> (Outcome, bool) {
        let hash = xxh3_64(bytes);
        match self.once.look_up(id, hash) {
            Known::Done(outcome) => return (outcome, true),
            Known::Other => return (Outcome::Refused(Refused::OtherOnce), false),
            Known::New | Known::Forgotten => {}
        }
        if self.once.len() >= ONCE_MAX {
            return (Outcome::Refused(Refused::TooManyOnce), false);
        }
        let before = self.revision;
        let outcome = self.run(command, step);
        let is_void =
            matches!(outcome, Outcome::Refused(_) | Outcome::Txn { succeeded: false, .. });
        if !is_void || self.revision > before {
            self.once.remember(id.clone(), hash, outcome.clone(), self.log_ms);
        }
        (outcome, false)
    }

    fn run(&mut self, command: &EncodedCommand<'_>, step: &mut Step<'_>) -> Outcome {
        self.try_run(command, step).unwrap_or_else(Outcome::Refused)
    }

    fn try_run(
        &mut self,
        command: &EncodedCommand<'_>,
        step: &mut Step<'_>,
    ) -> Result<Outcome, Refused> {
        match command {
            EncodedCommand::Put { key, value } => self.put(key, value, step),
            EncodedCommand::Delete(key) => {
                let key = self.raft_key(key)?;
                Ok(self.delete(vec![key], step))
            }
            EncodedCommand::DeletePrefix(prefix) => {
                let keys = self.raft_keys(prefix);
                Ok(self.delete(keys, step))
            }
            EncodedCommand::SetMode { prefix, rule } => {
                self.check_mode(prefix, *rule)?;
                self.modes.set((*prefix).to_owned(), *rule);
                Ok(Outcome::ModeSet)
            }
            EncodedCommand::More(more) => self.try_more(more, step),
            EncodedCommand::By { .. } => Err(Refused::Unreadable),
        }
    }

    fn try_more(&mut self, more: &More, step: &mut Step<'_>) -> Result<Outcome, Refused> {
        match more {
            More::Put { key, value, options } => self.put_if(key, value, options, step),
            More::Delete { selection, conditions, previous } => {
                self.delete_if(selection, conditions, *previous, step)
            }
            More::Incr { key, delta } => self.incr(key, *delta, step),
            More::Txn(txn) => self.txn(txn, step),
            More::Compact(floor) => self.compact(*floor),
            More::CompactOlder(age_ms) => {
                let since = self.unix_ms.saturating_sub(*age_ms);
                self.compact(self.history.first_at(since).unwrap_or(self.revision))
            }
            More::Grant { lease, ttl_ms } => self.grant(*lease, *ttl_ms, step.index),
            More::Revoke(lease) => self.revoke(*lease, step),
            More::KeepAlive(lease) => self.keep_alive(*lease),
            More::Lock { name, claim, no_wait } => self.lock(name, claim, *no_wait, step),
            More::Unlock { name, by } => Ok(self.unlock(name, *by, step)),
            More::Tick => Ok(Outcome::Ticked),
            More::Withdraw { name, token } => Ok(self.withdraw(name, *token, step)),
        }
    }

    fn compact(&mut self, floor: u64) -> Result<Outcome, Refused> {
        if floor > self.revision.max(1) {
            return Err(Refused::Future);
        }
        self.history.compact(floor);
        Ok(Outcome::Compacted { floor: self.history.floor() })
    }

    /// The key may have got another mode since the command was proposed.
    fn raft_key(&self, key: &str) -> Result<Key, Refused> {
        self.check_raft(key)?;
        Key::try_from(key).map_err(|_| Refused::Unreadable)
    }

    fn check_raft(&self, key: &str) -> Result<(), Refused> {
        match self.modes.mode_of(key) {
            Mode::Raft => Ok(()),
            other @ (Mode::Broadcast | Mode::Causal) => Err(Refused::OtherMode(other)),
        }
    }

    /// Whether `prefix` may go by `rule`: no key may change hands. Of keys in other modes each node
    /// knows its own.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check_mode(&self, prefix: &str, rule: Rule) -> Result<(), Refused> {
        let mut after = self.modes.clone();
        after.set(prefix.to_owned(), rule);
        if after.len() > MODES_MAX {
            return Err(Refused::TooManyModes);
        }
        let mut keys = self.store.range(prefix, None);
        let moves = |key: &Key| !Rule::Raft.may_become(after.rule_of(key.as_str()));
        if keys.any(|(key, _)| moves(key)) { Err(Refused::HasKeys) } else { Ok(()) }
    }

    /// What keys and history take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.store.bytes() + self.history.bytes()
    }

    /// Equal on two nodes that hold the same state.
    pub fn hash(&self) -> u64 {
        let parts = [
            self.store.hash(),
            self.history.digest(),
            self.sessions.digest(),
            self.modes.digest(),
            self.revision,
            self.leases.len() as u64,
            self.locks.claims(),
            self.once.len() as u64,
            self.log_ms,
        ];
        xxh3_64(&parts.map(u64::to_le_bytes).concat())
    }

    /// The small parts.
    pub fn head(&self) -> Head {
        Head {
            sessions: Bytes::from(self.sessions.encode()),
            once: Bytes::from(self.once.encode()),
            locks: Bytes::from(self.locks.encode()),
            leases: self.leases.to_rows(),
            modes: self.modes.rows().clone(),
            revision: self.revision,
            log_ms: self.log_ms,
            unix_ms: self.unix_ms,
            history: self.history.head(),
            events: self.history.len() as u64,
            keys: self.store.keys(),
            hash: self.store.hash(),
        }
    }

    /// The state of a head, its keys and its history, if they belong together.
    pub fn assemble(head: Head, store: Store, kept: Vec<Kept>) -> Option<Self> {
        let found = (store.keys(), store.hash(), kept.len() as u64);
        if found != (head.keys, head.hash, head.events) {
            return None;
        }
        let history = History::restore(head.history, kept, &store);
        Some(Self {
            history,
            store,
            leases: Leases::from_rows(head.leases),
            locks: Locks::decode(&head.locks)?,
            once: Once::decode(&head.once)?,
            sessions: Sessions::decode(&head.sessions)?,
            modes: ModeTable::from_rows(head.modes)?,
            revision: head.revision,
            log_ms: head.log_ms,
            unix_ms: head.unix_ms,
        })
    }
}

#[cfg(test)]
mod tests;

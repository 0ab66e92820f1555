//! Committed entries stay: an entry that any node knows to be committed is the entry of its index
//! for ever, on every node. And all who have applied the same entries hold the same state: the one
//! that a copy of the state machine makes of the ledger.
//!
//! Source: State Machine Safety, Raft §5.4.3 and Figure 3. TLA+: `StateMachineSafety`,
//! `CommittedStays`. Pitfalls R2, R6, R7, R18, R20, R21.
//!
//! A command takes effect once: an untagged one is in one entry, a tagged one may be in many, and
//! changes the state in one. Source: Raft §8; pitfalls R26, X1.
//!
//! Clients move amounts between the keys below `t/`, whose sum is 0; and they count a key below `o/`
//! under a `once` of its name, which gets it to 1.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use common::identity::NodeId;
use common::kv::command::{Encoded, EncodedCommand, Tag};
use common::kv::history::Event as Change;
use common::kv::key::Key;
use common::kv::outcome::Outcome;
use common::kv::state::State;
use common::kv::store::Item;
use common::kv::value::Value;
use common::modes::Mode;
use common::observe::{Event, Observed};
use common::raft::Raft;
use common::raft::log::{Entry, Index, Payload, Term};

/// All that was ever committed, and what came of it.
#[derive(Debug)]
pub(super) struct Ledger {
    /// In which the cluster was founded.
    mode: Mode,
    entries: Vec<Committed>,
    state: State,
    /// How far each running node was followed.
    followed: BTreeMap<NodeId, u64>,
    /// What each key held, from which revision on.
    keys: BTreeMap<Key, Vec<(u64, Option<Value>)>>,
    /// Where each tag took effect.
    tags: BTreeMap<Tag, u64>,
    /// Where each value was put; clients put each one once.
    values: BTreeMap<Bytes, u64>,
    /// All that was ever changed, in order.
    changes: Vec<Change>,
    /// The tokens of all who ever held a lock.
    granted: BTreeSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Committed {
    term: Term,
    /// In which term it was known to be committed, or in one before.
    known_in: u64,
    hash: u64,
    /// Of the state.
    state_hash: u64,
}

impl Ledger {
    /// Of a cluster that was founded in that mode.
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            entries: Vec::new(),
            state: State::new(mode),
            followed: BTreeMap::new(),
            keys: BTreeMap::new(),
            tags: BTreeMap::new(),
            values: BTreeMap::new(),
            changes: Vec::new(),
            granted: BTreeSet::new(),
        }
    }
}

/// What an entry carries, in a number.
pub(super) fn hash(payload: &Payload) -> u64 {
    match payload {
        Payload::Noop => 0,
        Payload::Configuration(configuration) => xxh3_64(format!("{configuration:?}").as_bytes()),
        Payload::Command(bytes) => xxh3_64(bytes),
        Payload::Written { stamp, command } => {
            xxh3_64(command) ^ stamp.log_ms.rotate_left(17) ^ stamp.unix_ms.rotate_left(31)
        }
    }
}

impl Ledger {
    /// The last committed index.
    pub(super) fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The term of a committed entry.
    pub(super) fn term_at(&self, index: u64) -> Term {
        self.at(index).map_or(Term(0), |entry| entry.term)
    }

    /// How far the log was committed before `term`.
    pub(super) fn last_before(&self, term: u64) -> u64 {
        self.entries.iter().take_while(|entry| entry.known_in < term).count() as u64
    }

    fn at(&self, index: u64) -> Option<&Committed> {
        self.entries.get(usize::try_from(index).ok()?.checked_sub(1)?)
    }

    /// The revision of the state.
    pub(super) fn revision(&self) -> u64 {
        self.state.revision
    }

    /// What a key held at a revision.
    pub(super) fn value_at(&self, key: &Key, revision: u64) -> Option<&Value> {
        let before = self.keys.get(key)?.iter().rev().find(|(since, _)| *since <= revision)?;
        before.1.as_ref()
    }

    /// Whether just that revision wrote `key`.
    pub(super) fn is_written_at(&self, key: &Key, revision: u64) -> bool {
        self.keys.get(key).is_some_and(|all| all.iter().any(|(since, _)| *since == revision))
    }

    /// The keys that begin with `prefix` and existed at a revision.
    pub(super) fn range_at<'a>(
        &'a self,
        prefix: &'a str,
        revision: u64,
    ) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        let keys = self.keys.keys().filter(move |key| key.as_str().starts_with(prefix));
        keys.filter_map(move |key| Some((key, self.value_at(key, revision)?)))
    }

    /// All changes from one revision to another, in order.
    pub(super) fn changes(&self, from: u64, upto: u64) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| (from..=upto).contains(&change.revision))
    }

    /// Whether a lock was ever held under a token.
    pub(super) fn was_granted(&self, token: u64) -> bool {
        self.granted.contains(&token)
    }

    /// Whether a value was ever put.
    pub(super) fn has_put(&self, value: &Value) -> bool {
        self.values.contains_key(value.as_bytes())
    }

    /// What this node knows to be committed is what the ledger has, or is entered.
    pub(super) fn follow(&mut self, node: NodeId, raft: &Raft) -> Result<(), String> {
        let (base, commit) = (raft.log().base().index.0, raft.commit_index());
        let from = self.followed.insert(node, commit).unwrap_or(0);
        if base > self.last() {
            return Err(format!("{node} has a snapshot up to {base}, behind all committed"));
        }
        for index in from.max(base) + 1..=commit {
            let entry = raft.log().get(Index(index)).ok_or("what is committed is in the log")?;
            match self.at(index) {
                Some(known) if (known.term, known.hash) == (entry.term, hash(&entry.payload)) => {}
                Some(known) => {
                    return Err(format!("{node} commits {entry:?} at {index}, {known:?} is there"));
                }
                None => self.enter(index, entry, raft.term())?,
            }
        }
        Ok(())
    }

    fn enter(&mut self, index: u64, entry: &Entry, known_in: u64) -> Result<(), String> {
        if let Some((stamp, bytes)) = entry.payload.command() {
            let before = self.state.revision;
            let applied = self.state.apply(index, stamp, bytes);
            for event in self.state.history.since(before + 1) {
                let held = self.keys.entry(event.key.clone()).or_default();
                held.push((event.revision, event.after.as_ref().map(Item::value)));
                self.changes.push(event.clone());
            }
            let turns = applied.turns.iter().filter(|turn| turn.is_granted);
            self.granted.extend(turns.map(|turn| turn.token));
            self.check_numbers()?;
            let proposal = Encoded::read(bytes).ok_or("it is no proposal")?;
            if !applied.duplicate && !matches!(applied.outcome, Outcome::Refused(_)) {
                self.take_effect(index, &proposal)?;
            }
        }
        let state_hash = self.state.hash();
        let hash = hash(&entry.payload);
        self.entries.push(Committed { term: entry.term, known_in, hash, state_hash });
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), String> {
        let number = |item: &Item| {
            let text = std::str::from_utf8(item.bytes()).unwrap_or_default();
            text.parse::<i64>().map_err(|_| format!("{text:?} is no number"))
        };
        let mut sum = 0;
        for (_, item) in self.state.store.range("t/", None) {
            sum += number(item)?;
        }
        if sum != 0 {
            return Err(format!("the sum is {sum} at revision {}", self.state.revision));
        }
        for (key, item) in self.state.store.range("o/", None) {
            if number(item)? != 1 {
                return Err(format!("{key} was counted more than once"));
            }
        }
        Ok(())
    }

    fn take_effect(&mut self, index: u64, proposal: &Encoded<'_>) -> Result<(), String> {
        if let Some(tag) = proposal.tag
            && let Some(first) = self.tags.insert(tag, index)
        {
            return Err(format!("{tag:?} is executed at {first} and {index}"));
        }
        if let EncodedCommand::By { command, .. } = &proposal.command
            && let Some(EncodedCommand::Put { key, value }) = EncodedCommand::read(command)
            && let Some(first) = self.values.insert(Bytes::copy_from_slice(value), index)
        {
            return Err(format!("a put of {key} is executed at {first} and {index}"));
        }
        Ok(())
    }

    /// The state of a node is the ledger's at that index.
    pub(super) fn compare(&self, raft: &Raft, events: &[Observed]) -> Result<(), String> {
        let applied = events.iter().filter_map(|observed| {
            if let Event::Apply { index, hash } = &observed.event {
                Some((*index, *hash))
            } else {
                None
            }
        });
        for (index, hash) in applied.chain([(raft.applied_index(), raft.state_hash())]) {
            let expected = self.at(index).map_or(State::new(self.mode).hash(), |e| e.state_hash);
            if hash != expected {
                return Err(format!("at {index} it is {hash:016x}, should be {expected:016x}"));
            }
        }
        Ok(())
    }

    /// The whole state of a node that has applied all, sessions and modes included.
    pub(super) fn compare_whole(&self, raft: &Raft) -> Result<(), String> {
        if raft.applied_index() != self.last() {
            return Err(format!("{} of {} are applied", raft.applied_index(), self.last()));
        }
        if *raft.state() == self.state {
            return Ok(());
        }
        Err("states differ, though their hashes do not".to_owned())
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.followed.remove(&node);
    }
}

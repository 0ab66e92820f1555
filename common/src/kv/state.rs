//! The replicated state: what the log makes, the same on every node.
//!
//! [`State::apply`] is total and deterministic: it looks at nothing but the state and the command.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::kv::command::{Encoded, EncodedCommand, Outcome, Refused};
use crate::kv::key::Key;
use crate::kv::session::{Known, Sessions};
use crate::kv::store::{Item, Store};
use crate::kv::value::{VALUE_BYTES_MAX, Value};
use crate::kv::watch::Change;
use crate::modes::{MODES_MAX, Mode, ModeTable, Rule};

/// The state of the keys in raft mode, and of what all nodes must agree upon besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The keys.
    pub store: Store,
    /// Which writes were executed.
    pub sessions: Sessions,
    /// Which keys belong to which mode.
    pub modes: ModeTable,
    /// Of the last modifying operation; the first has 1.
    pub revision: u64,
}

/// What applying an entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// For the client.
    pub outcome: Outcome,
    /// Whether it was executed before, under the same tag.
    pub duplicate: bool,
}

/// The state's small parts, as a snapshot begins with them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    sessions: Bytes,
    modes: BTreeMap<String, Rule>,
    revision: u64,
    keys: u64,
    hash: u64,
}

impl State {
    /// The state before the first entry.
    pub fn new(mode: Mode) -> Self {
        let (store, sessions) = (Store::default(), Sessions::default());
        Self { store, sessions, modes: ModeTable::new(mode), revision: 0 }
    }

    /// Executes the [`Proposal`](crate::kv::command::Proposal) that the log holds at `index`,
    /// unless it was executed before. `changes` are for those who watch; all are of one revision.
    pub fn apply(
        &mut self,
        index: u64,
        payload: &[u8],
        changes: Option<&mut Vec<Change>>,
    ) -> Applied {
        let refused = |why| Applied { outcome: Outcome::Refused(why), duplicate: false };
        let Some(proposal) = Encoded::read(payload) else { return refused(Refused::Unreadable) };
        let Encoded { tag, command } = proposal;
        let Some(tag) = tag else { return self.execute(&command, changes) };
        let hash = xxh3_64(payload);
        match self.sessions.look_up(tag, hash) {
            Known::Done(outcome) => Applied { outcome, duplicate: true },
            Known::Other => refused(Refused::OtherCommand),
            Known::Forgotten => refused(Refused::Forgotten),
            Known::New => {
                let applied = self.execute(&command, changes);
                self.sessions.remember(index, tag, hash, applied.outcome.clone());
                applied
            }
        }
    }

    fn execute(
        &mut self,
        command: &EncodedCommand<'_>,
        changes: Option<&mut Vec<Change>>,
    ) -> Applied {
        let outcome = self.try_execute(command, changes).unwrap_or_else(Outcome::Refused);
        Applied { outcome, duplicate: false }
    }

    fn try_execute(
        &mut self,
        command: &EncodedCommand<'_>,
        changes: Option<&mut Vec<Change>>,
    ) -> Result<Outcome, Refused> {
        match command {
            EncodedCommand::Put { key, value } => {
                let key = self.raft_key(key)?;
                if value.len() > VALUE_BYTES_MAX {
                    return Err(Refused::Unreadable);
                }
                self.revision += 1;
                let before = self.store.put(key.clone(), value, self.revision);
                if let Some(changes) = changes {
                    let (before, after) = (before.as_ref(), self.store.get(&key));
                    let [before, after] = [before, after].map(|item| item.map(Item::value));
                    changes.push(self.change(key, before, after));
                }
                Ok(Outcome::Put { revision: self.revision })
            }
            EncodedCommand::Delete(key) => Ok(self.delete(vec![self.raft_key(key)?], changes)),
            EncodedCommand::DeletePrefix(prefix) => {
                let keys = self.store.range(prefix, None).map(|(key, _)| key.clone());
                let keys = keys.filter(|key| self.check_raft(key.as_str()).is_ok()).collect();
                Ok(self.delete(keys, changes))
            }
            EncodedCommand::SetMode { prefix, rule } => {
                self.check_mode(prefix, *rule)?;
                self.modes.set((*prefix).to_owned(), *rule);
                Ok(Outcome::ModeSet)
            }
        }
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

    fn delete(&mut self, keys: Vec<Key>, mut changes: Option<&mut Vec<Change>>) -> Outcome {
        let revision = self.revision + 1;
        let mut deleted = 0;
        for key in keys {
            if let Some(before) = self.store.remove(&key) {
                self.revision = revision;
                deleted += 1;
                if let Some(changes) = changes.as_deref_mut() {
                    changes.push(self.change(key, Some(before.value()), None));
                }
            }
        }
        Outcome::Deleted { deleted, revision: self.revision }
    }

    fn change(&self, key: Key, before: Option<Value>, after: Option<Value>) -> Change {
        Change { key, revision: self.revision, before, after }
    }

    /// Equal on two nodes that hold the same state.
    pub fn hash(&self) -> u64 {
        let parts = [self.store.hash(), self.sessions.digest(), self.modes.digest(), self.revision];
        xxh3_64(&parts.map(u64::to_le_bytes).concat())
    }

    /// The small parts.
    pub fn head(&self) -> Head {
        Head {
            sessions: Bytes::from(self.sessions.encode()),
            modes: self.modes.rows().clone(),
            revision: self.revision,
            keys: self.store.keys(),
            hash: self.store.hash(),
        }
    }

    /// The state of a head and its keys, if they belong together.
    pub fn assemble(head: &Head, store: Store) -> Option<Self> {
        if (store.keys(), store.hash()) != (head.keys, head.hash) {
            return None;
        }
        let sessions = Sessions::decode(&head.sessions)?;
        let modes = ModeTable::from_rows(head.modes.clone())?;
        Some(Self { store, sessions, modes, revision: head.revision })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kv::command::{Command, Proposal, Tag};

    fn put(seq: Option<u64>, value: &str) -> Bytes {
        let key = Key::try_from("k").expect("a key");
        let value = Value::try_from(value.as_bytes().to_vec()).expect("short");
        let command = Command::Put { key, value };
        Proposal { tag: seq.map(|seq| Tag { client: 7, seq }), command }.encode()
    }

    /// Raft §8: "if it receives a command whose serial number has already been executed, it
    /// responds immediately without re-executing the request." X1, X3.
    #[test]
    fn a_retry_is_answered_and_not_executed() {
        let mut state = State::new(Mode::Raft);
        let first = state.apply(1, &put(Some(1), "a"), None);
        assert_eq!(first.outcome, Outcome::Put { revision: 1 });
        state.apply(2, &put(None, "b"), None);
        let again = state.apply(3, &put(Some(1), "a"), None);
        assert_eq!((again.outcome, again.duplicate), (first.outcome, true));
        assert_eq!(state.revision, 2);
        let other = state.apply(4, &put(Some(1), "c"), None).outcome;
        assert_eq!(other, Outcome::Refused(Refused::OtherCommand));
        let key = Key::try_from("k").expect("a key");
        assert_eq!(state.store.get(&key).expect("there").value().as_bytes(), b"b");
    }

    #[test]
    fn a_deletion_of_nothing_has_no_revision() {
        let mut state = State::new(Mode::Raft);
        let delete = Command::Delete(Key::try_from("k").expect("a key"));
        let none = state.apply(1, &Proposal { tag: None, command: delete }.encode(), None);
        assert_eq!(none.outcome, Outcome::Deleted { deleted: 0, revision: 0 });
    }

    #[test]
    fn a_prefix_with_keys_keeps_its_mode() {
        let mut state = State::new(Mode::Raft);
        state.apply(1, &put(None, "a"), None);
        let set = |prefix: &str| Command::SetMode { prefix: prefix.into(), rule: Rule::Broadcast };
        let mut apply =
            |command| state.apply(2, &Proposal { tag: None, command }.encode(), None).outcome;
        assert_eq!(apply(set("k")), Outcome::Refused(Refused::HasKeys));
        assert_eq!(apply(set("j")), Outcome::ModeSet);
    }

    proptest! {
        /// R21: the same log makes the same state, and a snapshot in between changes nothing.
        #[test]
        fn a_snapshot_is_the_state(values in prop::collection::vec((0_u64..4, "[a-c]"), 1..40), at: prop::sample::Index) {
            let mut state = State::new(Mode::Raft);
            let mut restored = None;
            let at = at.index(values.len());
            for (n, (seq, value)) in values.into_iter().enumerate() {
                if n == at {
                    let mut store = Store::default();
                    for (key, item) in state.store.iter() {
                        store.load(key.clone(), item.clone());
                    }
                    restored = State::assemble(&state.head(), store);
                    prop_assert!(restored.is_some());
                }
                let proposal = put((seq > 0).then_some(seq), &value);
                let applied = state.apply(n as u64 + 1, &proposal, None);
                if let Some(restored) = &mut restored {
                    prop_assert_eq!(&applied, &restored.apply(n as u64 + 1, &proposal, None));
                }
            }
            prop_assert_eq!(Some(state), restored);
        }
    }
}

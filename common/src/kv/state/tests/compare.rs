//! What the state and its model must have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Held, Keys, Model};
use super::random::{key, name};
use super::*;
use crate::control::watching::EventKind;
use crate::kv::store::Item;

impl Model {
    /// The state holds what the model does, and held what it did.
    pub(super) fn compare(&self, state: &State) {
        assert_eq!((state.revision, state.log_ms), (self.revision, self.now));
        assert_eq!(state.history.floor(), self.floor);
        let held: Keys =
            state.store.iter().map(|(key, item)| (key.to_string(), of(item))).collect();
        assert_eq!(held, self.keys);
        for revision in self.floor..=self.revision {
            let (_, past) = self.past.range(..=revision).next_back().expect("it was noted");
            for n in 0..4 {
                let then = state.history.at(&state.store, &key(n), revision).map(of);
                assert_eq!(then.as_ref(), past.get(&name(n)), "{} at {revision}", name(n));
            }
            self.compare_events(state, revision);
        }
        let leases: BTreeMap<u64, (u64, u64, bool)> = state
            .leases
            .iter()
            .map(|(id, lease)| (id.0, (lease.ttl_ms, lease.ends_ms, lease.is_own)))
            .collect();
        assert_eq!(leases, self.leases);
        for (lock, claims) in &self.locks {
            let lock_key = Key::try_from(lock.as_str()).expect("a key");
            let held = state.locks.held(&lock_key);
            let holders = self.holders(lock);
            assert_eq!(held.first.map(|(token, _)| token), claims.first().map(|claim| claim.0));
            assert_eq!((held.holders, held.waiting), (holders.len(), claims.len() - holders.len()));
            for token in self.valid.get(lock).into_iter().flatten() {
                assert!(state.locks.is_valid(*token), "{token} of {lock} is fenced off");
            }
        }
        for token in 1..=self.revision {
            let is_valid = self.valid.values().any(|tokens| tokens.contains(&token));
            assert_eq!(state.locks.is_valid(token), is_valid, "the fence of {token}");
        }
    }

    /// W7, W11: what a revision changed, each key once, with what it held before.
    fn compare_events(&self, state: &State, revision: u64) {
        let Some(after) = self.past.get(&revision) else { return };
        let (_, before) = self.past.range(..revision).next_back().expect("0 was noted");
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
        let expected: BTreeMap<_, _> = changed
            .map(|name| {
                let kind = match after.get(name) {
                    Some(_) => EventKind::Put,
                    None if self.expired.contains(&revision) => EventKind::Expire,
                    None => EventKind::Delete,
                };
                (name.clone(), (kind, before.get(name).cloned(), after.get(name).cloned()))
            })
            .collect();
        let events = state.history.since(revision).take_while(|e| e.revision == revision);
        let events: Vec<_> = events.collect();
        let told: BTreeMap<_, _> = events
            .iter()
            .map(|e| {
                let (before, after) = (e.before.as_ref().map(of), e.after.as_ref().map(of));
                (e.key.to_string(), (e.kind, before, after))
            })
            .collect();
        assert_eq!(told.len(), events.len(), "a key is told twice at {revision}");
        assert_eq!(told, expected, "at {revision}");
    }
}

fn of(item: &Item) -> Held {
    let value = String::from_utf8(item.bytes().to_vec()).expect("all are numbers");
    let lease = item.lease.map(|lease| lease.0);
    (value, item.create_revision, item.mod_revision, item.version, lease)
}

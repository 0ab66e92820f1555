//! Commands that store and remove keys.

use crate::control::kv::PutOptions;
use crate::control::request::Selection;
use crate::control::watching::EventKind;
use crate::identity::LeaseId;
use crate::kv::condition::Conditions;
use crate::kv::key::Key;
use crate::kv::outcome::{Outcome, Refused};
use crate::kv::state::{State, Step};
use crate::kv::store::{Author, Item, Writing};
use crate::kv::value::{VALUE_BYTES_MAX, Value};

impl State {
    pub(super) fn put(
        &mut self,
        key: &str,
        value: &[u8],
        step: &Step<'_>,
    ) -> Result<Outcome, Refused> {
        let key = self.raft_key(key)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(Refused::Unreadable);
        }
        self.revision += 1;
        self.store_at(key, value, None, self.revision, step.author);
        Ok(Outcome::Put { revision: self.revision })
    }

    pub(super) fn put_if(
        &mut self,
        key: &Key,
        value: &Value,
        options: &PutOptions,
        step: &Step<'_>,
    ) -> Result<Outcome, Refused> {
        self.check_raft(key.as_str())?;
        self.check(key, &options.conditions)?;
        let lease = match (options.lease, options.ttl_ms) {
            (Some(lease), _) => Some(self.running(lease)?),
            (None, Some(ttl_ms)) => Some(self.grant_own(ttl_ms, step.index)?),
            (None, None) => None,
        };
        self.revision += 1;
        let revision = self.revision;
        let before = self.store_at(key.clone(), value.as_bytes(), lease, revision, step.author);
        let previous = if options.previous { before.as_ref().map(Item::value) } else { None };
        let lease = options.ttl_ms.and(lease);
        Ok(Outcome::Written { revision, previous, lease })
    }

    pub(super) fn delete_if(
        &mut self,
        selection: &Selection,
        conditions: &Conditions,
        previous: bool,
        step: &Step<'_>,
    ) -> Result<Outcome, Refused> {
        let keys = match selection {
            Selection::Key(key) => {
                self.check_raft(key.as_str())?;
                self.check(key, conditions)?;
                vec![key.clone()]
            }
            Selection::Prefix(prefix) => {
                self.check_fence(conditions)?;
                self.raft_keys(prefix)
            }
        };
        let held = match keys.as_slice() {
            [key] if previous => self.store.get(key).map(Item::value),
            _ => None,
        };
        let Outcome::Deleted { deleted, revision } = self.delete(keys, step) else {
            unreachable!("that is what a deletion does");
        };
        Ok(Outcome::Removed { deleted, revision, previous: held })
    }

    pub(super) fn incr(
        &mut self,
        key: &Key,
        delta: i64,
        step: &Step<'_>,
    ) -> Result<Outcome, Refused> {
        let revision = self.revision + 1;
        let value = self.add_at(key, delta, revision, step.author)?;
        self.revision = revision;
        Ok(Outcome::Counted { value, revision })
    }

    /// A key that does not exist is at 0. A lease stays.
    pub(super) fn add_at(
        &mut self,
        key: &Key,
        delta: i64,
        revision: u64,
        author: Author,
    ) -> Result<i64, Refused> {
        self.check_raft(key.as_str())?;
        let held = self.store.get(key);
        let lease = held.and_then(|item| item.lease);
        let before: i64 = match held {
            None => 0,
            Some(item) => {
                let text = std::str::from_utf8(item.bytes()).map_err(|_| Refused::NotANumber)?;
                text.trim().parse().map_err(|_| Refused::NotANumber)?
            }
        };
        let after = before.checked_add(delta).ok_or(Refused::Overflow)?;
        let value = after.to_string();
        self.store_at(key.clone(), value.as_bytes(), lease, revision, author);
        Ok(after)
    }

    /// Removes those of the keys that exist, all at one revision.
    pub(super) fn delete(&mut self, keys: Vec<Key>, step: &Step<'_>) -> Outcome {
        let revision = self.revision + 1;
        let mut deleted = 0;
        for key in keys {
            if self.remove_at(key, EventKind::Delete, revision, step.author).is_some() {
                self.revision = revision;
                deleted += 1;
            }
        }
        Outcome::Deleted { deleted, revision: self.revision }
    }

    /// The keys in raft mode of a prefix.
    pub(super) fn raft_keys(&self, prefix: &str) -> Vec<Key> {
        let keys = self.store.range(prefix, None).map(|(key, _)| key);
        keys.filter(|key| self.check_raft(key.as_str()).is_ok()).cloned().collect()
    }

    /// Stores a value at `revision`; returns what the key held.
    pub(super) fn store_at(
        &mut self,
        key: Key,
        value: &[u8],
        lease: Option<LeaseId>,
        revision: u64,
        author: Author,
    ) -> Option<Item> {
        let (before, after) = self.store.put(&key, Writing { value, lease, revision, author });
        let lease_before = before.as_ref().and_then(|item| item.lease);
        if lease_before != lease {
            // A key that is written without its lease no longer ends with it (T10).
            if let Some(lease) = lease_before {
                self.leases.detach(lease, &key);
            }
            if let Some(lease) = lease {
                self.leases.attach(lease, key.clone());
            }
        }
        let held = (before.clone(), Some(after));
        self.history.push(key, EventKind::Put, revision, author, held);
        before
    }

    /// Removes a key at `revision`; returns what it held.
    pub(super) fn remove_at(
        &mut self,
        key: Key,
        kind: EventKind,
        revision: u64,
        author: Author,
    ) -> Option<Item> {
        let before = self.store.remove(&key)?;
        if let Some(lease) = before.lease {
            self.leases.detach(lease, &key);
        }
        self.history.push(key, kind, revision, author, (Some(before.clone()), None));
        Some(before)
    }

    fn check(&self, key: &Key, conditions: &Conditions) -> Result<(), Refused> {
        self.check_fence(conditions)?;
        let Conditions { if_absent, if_exists, if_revision, if_value, fence: _ } = conditions;
        let held = self.store.get(key);
        let mod_revision = held.map_or(0, |item| item.mod_revision);
        let exists_as_asked = if held.is_some() { !if_absent } else { !if_exists };
        let holds = exists_as_asked
            && if_revision.is_none_or(|revision| revision == mod_revision)
            && if_value
                .as_ref()
                .is_none_or(|value| held.is_some_and(|item| item.bytes() == value.as_bytes()));
        if holds { Ok(()) } else { Err(Refused::Condition { mod_revision }) }
    }

    fn check_fence(&self, conditions: &Conditions) -> Result<(), Refused> {
        match conditions.fence {
            Some(token) if !self.locks.is_valid(token) => Err(Refused::Fenced),
            Some(_) | None => Ok(()),
        }
    }
}

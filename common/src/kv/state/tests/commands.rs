//! What commands do in the [`Model`].

use super::model::Model;
use super::*;
use crate::control::kv::{PutOptions, Txn, TxnOp};
use crate::control::request::Selection;
use crate::kv::command::Command;
use crate::kv::condition::{Compare, Conditions, Relation, Target};
use crate::kv::outcome::OpOutcome;
use crate::kv::store::Item;

type Done = Result<Outcome, Refused>;

impl Model {
    pub(super) fn try_run(&mut self, command: &Command) -> Done {
        match command {
            Command::Put { key, value } => {
                self.check_mode(key)?;
                self.store(key, value.as_bytes(), None);
                Ok(Outcome::Put { revision: self.close_with_deletions() })
            }
            Command::Delete(key) => {
                self.check_mode(key)?;
                let deleted = self.delete(std::slice::from_ref(key));
                Ok(Outcome::Deleted { deleted, revision: self.revision() })
            }
            Command::DeletePrefix(prefix) => {
                let deleted = self.delete(&self.with_prefix(prefix));
                Ok(Outcome::Deleted { deleted, revision: self.revision() })
            }
            Command::SetMode { prefix, rule } => {
                let mut after = self.modes.clone();
                after.set(prefix.clone(), *rule);
                if self.keys.keys().any(|key| after.mode_of(key.as_str()) != Mode::Raft) {
                    return Err(Refused::HasKeys);
                }
                self.modes = after;
                Ok(Outcome::ModeSet)
            }
            Command::More(more) => self.more(more),
            Command::By { .. } => Err(Refused::Unreadable),
        }
    }

    fn more(&mut self, more: &More) -> Done {
        match more {
            More::Put { key, value, options } => self.put(key, value, options),
            More::Delete { selection: Selection::Key(key), conditions, previous } => {
                self.check_mode(key)?;
                self.check(key, conditions)?;
                let held = self.keys.get(key).filter(|_| *previous).map(Item::value);
                let deleted = self.delete(std::slice::from_ref(key));
                Ok(Outcome::Removed { deleted, revision: self.revision(), previous: held })
            }
            More::Delete { selection: Selection::Prefix(prefix), conditions, previous } => {
                self.check_fence(conditions)?;
                let keys = self.with_prefix(prefix);
                let held = match keys.as_slice() {
                    [key] if *previous => self.keys.get(key).map(Item::value),
                    _ => None,
                };
                let deleted = self.delete(&keys);
                Ok(Outcome::Removed { deleted, revision: self.revision(), previous: held })
            }
            More::Incr { key, delta } => {
                let value = self.add(key, *delta)?;
                Ok(Outcome::Counted { value, revision: self.close_with_deletions() })
            }
            More::Txn(txn) => self.txn(txn),
            More::Compact(floor) => self.compact(*floor),
            More::CompactOlder(age_ms) => self.compact_older(*age_ms),
            More::Grant { lease, ttl_ms } => {
                let lease = self.grant(*lease, *ttl_ms, false)?;
                Ok(Outcome::Leased { lease, ttl_ms: *ttl_ms, keys: 0 })
            }
            More::Revoke(lease) => self.revoke(*lease),
            More::KeepAlive(lease) => self.keep_alive(*lease),
            More::Lock { name, claim, no_wait } => self.lock(name, claim, *no_wait),
            More::Unlock { name, by } => self.unlock(name, *by),
            More::Withdraw { name, token } => self.withdraw(name, *token),
            More::Tick => Ok(Outcome::Ticked),
        }
    }

    fn put(&mut self, key: &Key, value: &Value, options: &PutOptions) -> Done {
        self.check_mode(key)?;
        self.check(key, &options.conditions)?;
        let own = match (options.lease, options.ttl_ms) {
            (None, Some(ttl_ms)) => Some(self.grant(None, ttl_ms, true)?),
            (None, None) | (Some(_), _) => None,
        };
        let lease = options.lease.or(own).map(|lease| self.running(lease)).transpose()?;
        let previous = self.keys.get(key).filter(|_| options.previous).map(Item::value);
        self.store(key, value.as_bytes(), lease);
        let lease = lease.filter(|_| options.ttl_ms.is_some());
        Ok(Outcome::Written { revision: self.close_with_deletions(), previous, lease })
    }

    fn with_prefix(&self, prefix: &str) -> Vec<Key> {
        self.keys.keys().filter(|key| key.as_str().starts_with(prefix)).cloned().collect()
    }

    /// Removes keys at one revision, if there are any.
    fn delete(&mut self, keys: &[Key]) -> u64 {
        let deleted = keys.iter().filter(|key| self.remove(key).is_some()).count();
        if deleted > 0 {
            self.close_with_deletions();
        }
        deleted as u64
    }

    fn add(&mut self, key: &Key, delta: i64) -> Result<i64, Refused> {
        self.check_mode(key)?;
        let (before, lease) = match self.keys.get(key) {
            None => (0, None),
            Some(item) => {
                let text = std::str::from_utf8(item.bytes()).map_err(|_| Refused::NotANumber)?;
                let number = text.trim().parse::<i64>().map_err(|_| Refused::NotANumber)?;
                (number, item.lease)
            }
        };
        let after = before.checked_add(delta).ok_or(Refused::Overflow)?;
        self.store(key, after.to_string().as_bytes(), lease);
        Ok(after)
    }

    fn txn(&mut self, txn: &Txn) -> Done {
        if txn.check().is_err() {
            return Err(Refused::Unreadable);
        }
        for compare in &txn.compares {
            self.check_mode(&compare.key)?;
        }
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let (mut results, mut writes) = (Vec::new(), false);
        for op in if succeeded { &txn.then } else { &txn.otherwise } {
            let result = self.op(op)?;
            writes |= match result {
                OpOutcome::Put { .. } | OpOutcome::Incr { .. } => true,
                OpOutcome::Delete { deleted, .. } => deleted > 0,
                OpOutcome::Get { .. } | OpOutcome::List { .. } => false,
            };
            results.push(result);
        }
        if writes {
            self.close_with_deletions();
        }
        Ok(Outcome::Txn { succeeded, results, revision: self.revision() })
    }

    fn op(&mut self, op: &TxnOp) -> Result<OpOutcome, Refused> {
        Ok(match op {
            TxnOp::Put { key, value, lease, previous } => {
                self.check_mode(key)?;
                let lease = lease.map(|lease| self.running(lease)).transpose()?;
                let before = self.keys.get(key).filter(|_| *previous).map(Item::value);
                self.store(key, value.as_bytes(), lease);
                OpOutcome::Put { previous: before }
            }
            TxnOp::Delete { selection: Selection::Key(key), previous } => {
                self.check_mode(key)?;
                let before = self.remove(key);
                let deleted = u64::from(before.is_some());
                let previous = before.filter(|_| *previous).as_ref().map(Item::value);
                OpOutcome::Delete { deleted, previous }
            }
            TxnOp::Delete { selection: Selection::Prefix(prefix), .. } => {
                let keys = self.with_prefix(prefix);
                let deleted = keys.iter().filter(|key| self.remove(key).is_some()).count() as u64;
                OpOutcome::Delete { deleted, previous: None }
            }
            TxnOp::Get(key) => {
                self.check_mode(key)?;
                OpOutcome::Get { key: key.clone(), item: self.keys.get(key).cloned() }
            }
            TxnOp::List { prefix, limit } => {
                let keys = self.with_prefix(prefix);
                let mut keys = keys.iter();
                let first = (0..limit.unwrap_or(u64::MAX)).map_while(|_| keys.next());
                let items = first.map(|key| (key.clone(), self.keys[key].clone())).collect();
                OpOutcome::List { items, next: keys.next().cloned() }
            }
            TxnOp::Incr { key, delta } => OpOutcome::Incr { value: self.add(key, *delta)? },
        })
    }

    fn holds(&self, compare: &Compare) -> bool {
        fn related<T: Ord>(relation: Relation, one: T, other: T) -> bool {
            match relation {
                Relation::Equal => one == other,
                Relation::NotEqual => one != other,
                Relation::Less => one < other,
                Relation::Greater => one > other,
            }
        }
        let held = self.keys.get(&compare.key);
        let relation = compare.relation;
        match &compare.target {
            Target::Value(value) => {
                held.is_some_and(|item| related(relation, item.bytes(), value.as_bytes()))
            }
            Target::Version(to) => related(relation, held.map_or(0, |item| item.version), *to),
            Target::Create(to) => {
                related(relation, held.map_or(0, |item| item.create_revision), *to)
            }
            Target::Mod(to) => related(relation, held.map_or(0, |item| item.mod_revision), *to),
            Target::Lease(to) => related(relation, held.and_then(|item| item.lease), *to),
        }
    }

    fn check_fence(&self, conditions: &Conditions) -> Result<(), Refused> {
        let is_fenced = conditions.fence.is_some_and(|token| !self.is_valid(token));
        if is_fenced { Err(Refused::Fenced) } else { Ok(()) }
    }

    fn check(&self, key: &Key, conditions: &Conditions) -> Result<(), Refused> {
        self.check_fence(conditions)?;
        let held = self.keys.get(key);
        let mod_revision = held.map_or(0, |item| item.mod_revision);
        let is_false = conditions.if_absent && held.is_some()
            || conditions.if_exists && held.is_none()
            || conditions.if_revision.is_some_and(|revision| revision != mod_revision)
            || conditions
                .if_value
                .as_ref()
                .is_some_and(|value| held.map(Item::bytes) != Some(value.as_bytes()));
        if is_false { Err(Refused::Condition { mod_revision }) } else { Ok(()) }
    }
}

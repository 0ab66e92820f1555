//! Several commands at once: they take effect together, at one revision, or not at all.

use crate::control::kv::{TXN_OPS_MAX, Txn, TxnOp};
use crate::control::request::Selection;
use crate::control::watching::EventKind;
use crate::kv::condition::{Compare, Target};
use crate::kv::key::Key;
use crate::kv::outcome::{OpOutcome, Outcome, Refused};
use crate::kv::state::{State, Step};
use crate::kv::store::{Author, Item};

/// What a transaction may read, in bytes: about as much as a value is long. More would not go
/// through the members' messages with ease.
const READ_BYTES_MAX: u64 = 1024 * 1024;

/// Keys that a list of a transaction has.
const LIST_MAX: u64 = 1_000;

impl State {
    pub(super) fn txn(&mut self, txn: &Txn, step: &Step<'_>) -> Result<Outcome, Refused> {
        let is_bounded = txn.then.len().max(txn.otherwise.len()) <= TXN_OPS_MAX;
        if !is_bounded || txn.check().is_err() {
            return Err(Refused::Unreadable);
        }
        for compare in &txn.compares {
            self.check_raft(compare.key.as_str())?;
        }
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        // A clone takes no time; if an operation is refused, none was done.
        let before = (self.store.clone(), self.history.clone(), self.leases.clone());
        let revision = self.revision + 1;
        match self.do_all(ops, revision, step.author) {
            Ok((results, has_written)) => {
                self.revision += u64::from(has_written);
                Ok(Outcome::Txn { succeeded, results, revision: self.revision })
            }
            Err(why) => {
                (self.store, self.history, self.leases) = before;
                Err(why)
            }
        }
    }

    fn do_all(
        &mut self,
        ops: &[TxnOp],
        revision: u64,
        author: Author,
    ) -> Result<(Vec<OpOutcome>, bool), Refused> {
        let (mut results, mut has_written, mut bytes) = (Vec::new(), false, 0);
        for op in ops {
            let result = self.do_one(op, revision, author)?;
            has_written |= match &result {
                OpOutcome::Put { .. } | OpOutcome::Incr { .. } => true,
                OpOutcome::Delete { deleted, .. } => *deleted > 0,
                OpOutcome::Get { .. } | OpOutcome::List { .. } => false,
            };
            bytes += result.weight();
            if bytes > READ_BYTES_MAX + (TXN_OPS_MAX as u64) * 128 {
                return Err(Refused::TooLarge);
            }
            results.push(result);
        }
        Ok((results, has_written))
    }

    fn do_one(&mut self, op: &TxnOp, revision: u64, author: Author) -> Result<OpOutcome, Refused> {
        Ok(match op {
            TxnOp::Put { key, value, lease, previous } => {
                self.check_raft(key.as_str())?;
                let lease = lease.map(|lease| self.running(lease)).transpose()?;
                let before = self.store_at(key.clone(), value.as_bytes(), lease, revision, author);
                let before = before.filter(|_| *previous);
                OpOutcome::Put { previous: before.as_ref().map(Item::value) }
            }
            TxnOp::Delete { selection: Selection::Key(key), previous } => {
                self.check_raft(key.as_str())?;
                let before = self.remove_at(key.clone(), EventKind::Delete, revision, author);
                let deleted = u64::from(before.is_some());
                let before = before.filter(|_| *previous);
                OpOutcome::Delete { deleted, previous: before.as_ref().map(Item::value) }
            }
            TxnOp::Delete { selection: Selection::Prefix(prefix), .. } => {
                let mut deleted = 0;
                for key in self.raft_keys(prefix) {
                    let before = self.remove_at(key, EventKind::Delete, revision, author);
                    deleted += u64::from(before.is_some());
                }
                OpOutcome::Delete { deleted, previous: None }
            }
            TxnOp::Get(key) => {
                self.check_raft(key.as_str())?;
                OpOutcome::Get { key: key.clone(), item: self.store.get(key).cloned() }
            }
            TxnOp::List { prefix, limit } => self.list(prefix, *limit),
            TxnOp::Incr { key, delta } => {
                OpOutcome::Incr { value: self.add_at(key, *delta, revision, author)? }
            }
        })
    }

    fn list(&self, prefix: &str, limit: Option<u64>) -> OpOutcome {
        let limit = limit.unwrap_or(LIST_MAX).min(LIST_MAX);
        let limit = usize::try_from(limit).expect("it is small");
        let mut rows = self.store.range(prefix, None);
        let items = rows.by_ref().take(limit).map(|(key, item)| (key.clone(), item.clone()));
        let items: Vec<(Key, Item)> = items.collect();
        OpOutcome::List { items, next: rows.next().map(|(key, _)| key.clone()) }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let held = self.store.get(&compare.key);
        let number = |of: fn(&Item) -> u64| held.map_or(0, of);
        let relation = compare.relation;
        match &compare.target {
            Target::Value(value) => {
                held.is_some_and(|item| relation.holds(item.bytes(), value.as_bytes()))
            }
            Target::Version(version) => relation.holds(&number(|item| item.version), version),
            Target::Create(at) => relation.holds(&number(|item| item.create_revision), at),
            Target::Mod(at) => relation.holds(&number(|item| item.mod_revision), at),
            Target::Lease(lease) => relation.holds(&held.and_then(|item| item.lease), lease),
        }
    }
}

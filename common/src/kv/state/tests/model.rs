//! The state against a model of it that is plainly right: whole copies, and no cleverness.

use std::collections::{BTreeMap, BTreeSet};

use super::random::{Op, Small, key, name};
use super::*;
use crate::control::kv::{PutOptions, Sharing};
use crate::kv::condition::Conditions;
use crate::kv::outcome::OpOutcome;
use crate::kv::value::Value;

/// What a key holds: value, create, mod, version, lease.
pub(super) type Held = (String, u64, u64, u64, Option<u64>);
pub(super) type Keys = BTreeMap<String, Held>;
/// Token, lease, sharing.
type Waiting = (u64, u64, Sharing);

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) keys: Keys,
    /// All keys after each revision.
    pub(super) past: BTreeMap<u64, Keys>,
    /// Revisions that came of a lease's end.
    pub(super) expired: BTreeSet<u64>,
    /// How long each lasts, when it ends, and whether it is one key's own.
    pub(super) leases: BTreeMap<u64, (u64, u64, bool)>,
    pub(super) locks: BTreeMap<String, Vec<Waiting>>,
    /// Whose writes are not fenced off.
    pub(super) valid: BTreeMap<String, BTreeSet<u64>>,
    pub(super) revision: u64,
    pub(super) floor: u64,
    pub(super) now: u64,
}

impl Model {
    pub(super) fn new() -> Self {
        let past = BTreeMap::from([(0, Keys::new())]);
        Self { past, floor: 1, ..Self::default() }
    }

    /// Time passes, and what is due ends: the first lease first.
    pub(super) fn advance(&mut self, ms: u64) {
        self.now += ms;
        loop {
            let due = self.leases.iter().filter(|(_, (_, ends, _))| *ends <= self.now);
            let Some((_, lease)) = due.map(|(id, (_, ends, _))| (*ends, *id)).min() else { return };
            if self.end(lease) > 0 {
                self.expired.insert(self.revision);
            }
        }
    }

    fn end(&mut self, lease: u64) -> u64 {
        self.leases.remove(&lease);
        let of_it = |held: &Held| held.4 == Some(lease);
        let deleted = self.keys.values().filter(|held| of_it(held)).count() as u64;
        if deleted > 0 {
            self.revision += 1;
            self.keys.retain(|_, held| !of_it(held));
            self.note();
        }
        for name in self.locks.keys().cloned().collect::<Vec<_>>() {
            self.release(&name, lease);
        }
        deleted
    }

    fn note(&mut self) {
        self.past.insert(self.revision, self.keys.clone());
    }

    fn store(&mut self, name: &str, text: String, lease: Option<u64>, revision: u64) {
        let held = self.keys.get(name).cloned();
        let (create, version) = held.as_ref().map_or((revision, 1), |h| (h.1, h.3 + 1));
        self.keys.insert(name.to_owned(), (text, create, revision, version, lease));
        self.forget_own_leases();
    }

    /// A lease that was made for one key ends when it has none.
    fn forget_own_leases(&mut self) {
        let keys = &self.keys;
        self.leases
            .retain(|id, (_, _, is_own)| !*is_own || keys.values().any(|held| held.4 == Some(*id)));
    }

    fn check(&self, name: &str, conditions: &Conditions) -> Result<(), Refused> {
        let is_valid = |token| self.valid.values().any(|tokens| tokens.contains(&token));
        if conditions.fence.is_some_and(|token| !is_valid(token)) {
            return Err(Refused::Fenced);
        }
        let held = self.keys.get(name);
        let mod_revision = held.map_or(0, |held| held.2);
        let wrong = (conditions.if_absent && held.is_some())
            || (conditions.if_exists && held.is_none())
            || conditions.if_revision.is_some_and(|revision| revision != mod_revision)
            || conditions
                .if_value
                .as_ref()
                .is_some_and(|value| held.is_none_or(|held| held.0.as_bytes() != value.as_bytes()));
        if wrong { Err(Refused::Condition { mod_revision }) } else { Ok(()) }
    }

    pub(super) fn apply(&mut self, index: u64, op: &Op) -> Outcome {
        let outcome = self.try_apply(index, op).unwrap_or_else(Outcome::Refused);
        self.forget_own_leases();
        outcome
    }

    fn try_apply(&mut self, index: u64, op: &Op) -> Result<Outcome, Refused> {
        Ok(match op {
            Op::Put(k, v, options) => self.put(index, &name(*k), *v, options)?,
            Op::Delete(k, conditions) => {
                self.check(&name(*k), conditions)?;
                let held = self.keys.remove(&name(*k));
                let deleted = u64::from(held.is_some());
                self.revision += deleted;
                self.note();
                let previous = held.map(|held| text(&held.0));
                Outcome::Removed { deleted, revision: self.revision, previous }
            }
            Op::DeletePrefix => {
                let deleted = self.keys.len() as u64;
                self.keys.clear();
                self.revision += u64::from(deleted > 0);
                self.note();
                Outcome::Deleted { deleted, revision: self.revision }
            }
            Op::Incr(k, delta) => {
                let value = self.add(&name(*k), (*delta).into(), self.revision + 1)?;
                self.revision += 1;
                self.note();
                Outcome::Counted { value, revision: self.revision }
            }
            Op::Txn(compares, then, otherwise) => self.txn(compares, then, otherwise)?,
            Op::Compact(floor) => {
                let floor = u64::from(*floor);
                if floor > self.revision.max(1) {
                    return Err(Refused::Future);
                }
                self.floor = self.floor.max(floor);
                Outcome::Compacted { floor: self.floor }
            }
            Op::Grant(lease, ttl) => self.grant((*lease).into(), (*ttl).into())?,
            Op::Revoke(lease) => {
                let lease = self.running((*lease).into())?;
                let deleted = self.end(lease);
                Outcome::Revoked { deleted, revision: self.revision }
            }
            Op::KeepAlive(lease) => {
                let lease = self.running((*lease).into())?;
                let entry = self.leases.get_mut(&lease).expect("it runs");
                entry.1 = self.now + entry.0;
                let ttl_ms = entry.0;
                let keys = self.keys.values().filter(|h| h.4 == Some(lease)).count() as u64;
                Outcome::Leased { lease: LeaseId(lease), ttl_ms, keys }
            }
            Op::Lock(n, lease, sharing, no_wait) => {
                self.lock(&name(*n), (*lease).into(), *sharing, *no_wait)?
            }
            Op::Unlock(n, lease) => {
                Outcome::Unlocked { released: self.release(&name(*n), (*lease).into()) }
            }
        })
    }

    fn put(
        &mut self,
        index: u64,
        name: &str,
        v: u8,
        options: &PutOptions,
    ) -> Result<Outcome, Refused> {
        self.check(name, &options.conditions)?;
        let lease = match (options.lease, options.ttl_ms) {
            (Some(lease), _) => Some(self.running(lease.0)?),
            (None, Some(ttl)) => {
                self.leases.insert(index, (ttl, self.now + ttl, true));
                Some(index)
            }
            (None, None) => None,
        };
        let previous = self.keys.get(name).map(|held| text(&held.0));
        self.revision += 1;
        self.store(name, v.to_string(), lease, self.revision);
        self.note();
        let previous = previous.filter(|_| options.previous);
        let lease = options.ttl_ms.and(lease).map(LeaseId);
        Ok(Outcome::Written { revision: self.revision, previous, lease })
    }

    fn add(&mut self, name: &str, delta: i64, revision: u64) -> Result<i64, Refused> {
        let held = self.keys.get(name);
        let before = held.map_or(0, |held| held.0.parse::<i64>().expect("all are numbers"));
        let lease = held.and_then(|held| held.4);
        self.store(name, (before + delta).to_string(), lease, revision);
        Ok(before + delta)
    }

    fn txn(
        &mut self,
        compares: &[(u8, u8)],
        then: &[Small],
        otherwise: &[Small],
    ) -> Result<Outcome, Refused> {
        let holds = |(k, v): &(u8, u8)| {
            self.keys.get(&name(*k)).is_some_and(|held| held.0 == v.to_string())
        };
        let succeeded = compares.iter().all(holds);
        let (revision, mut results, mut has_written) = (self.revision + 1, Vec::new(), false);
        for op in if succeeded { then } else { otherwise } {
            results.push(match *op {
                Small::Put(k, v) => {
                    has_written = true;
                    self.store(&name(k), v.to_string(), None, revision);
                    OpOutcome::Put { previous: None }
                }
                Small::Delete(k) => {
                    let deleted = u64::from(self.keys.remove(&name(k)).is_some());
                    has_written |= deleted > 0;
                    self.forget_own_leases();
                    OpOutcome::Delete { deleted, previous: None }
                }
                Small::Get(k) => OpOutcome::Get { key: key(k), item: None },
                Small::Incr(k) => {
                    has_written = true;
                    OpOutcome::Incr { value: self.add(&name(k), 1, revision)? }
                }
            });
        }
        self.revision += u64::from(has_written);
        self.note();
        Ok(Outcome::Txn { succeeded, results, revision: self.revision })
    }

    fn running(&self, lease: u64) -> Result<u64, Refused> {
        if self.leases.contains_key(&lease) { Ok(lease) } else { Err(Refused::NoLease) }
    }

    fn grant(&mut self, lease: u64, ttl: u64) -> Result<Outcome, Refused> {
        if self.leases.contains_key(&lease) {
            return Err(Refused::LeaseExists);
        }
        self.leases.insert(lease, (ttl, self.now + ttl, false));
        Ok(Outcome::Leased { lease: LeaseId(lease), ttl_ms: ttl, keys: 0 })
    }

    /// The tokens under which a lock is held: those before the first that has to wait.
    pub(super) fn holders(&self, name: &str) -> BTreeSet<u64> {
        let claims = self.locks.get(name).map_or(&[][..], Vec::as_slice);
        let is_held = |at: usize| {
            let all = |is: fn(Sharing) -> bool| claims[..at].iter().all(|claim| is(claim.2));
            at == 0
                || match claims[at].2 {
                    Sharing::Exclusive => false,
                    Sharing::Shared => all(|one| one == Sharing::Shared),
                    Sharing::Slots(slots) => {
                        all(|one| matches!(one, Sharing::Slots(_))) && at < slots as usize
                    }
                }
        };
        let held = (0..claims.len()).take_while(|at| is_held(*at));
        held.map(|at| claims[at].0).collect()
    }

    /// Whoever has got the lock by now has fenced off whoever has not.
    fn grant_lock(&mut self, name: &str) {
        let holders = self.holders(name);
        let valid = self.valid.entry(name.to_owned()).or_default();
        if !holders.is_subset(valid) {
            *valid = holders;
        }
    }

    fn lock(
        &mut self,
        name: &str,
        lease: u64,
        sharing: Sharing,
        no_wait: bool,
    ) -> Result<Outcome, Refused> {
        self.running(lease)?;
        let claims = self.locks.entry(name.to_owned()).or_default();
        let mine = claims.iter().find(|claim| claim.1 == lease).map(|claim| claim.0);
        let token = mine.unwrap_or(self.revision + 1);
        if mine.is_none() {
            claims.push((token, lease, sharing));
            if no_wait && !self.holders(name).contains(&token) {
                self.locks.get_mut(name).expect("it was pushed to").pop();
                return Err(Refused::Busy);
            }
            self.revision = token;
            self.note();
        }
        self.grant_lock(name);
        Ok(Outcome::Claimed { token, is_granted: self.holders(name).contains(&token) })
    }

    fn release(&mut self, name: &str, lease: u64) -> bool {
        let claims = self.locks.entry(name.to_owned()).or_default();
        let count = claims.len();
        claims.retain(|claim| claim.1 != lease);
        let released = claims.len() < count;
        self.grant_lock(name);
        released
    }
}

fn text(text: &str) -> Value {
    Value::try_from(text.as_bytes().to_vec()).expect("short")
}

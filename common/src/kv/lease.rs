//! Leases: what ends together, unless somebody keeps it alive.
//!
//! They go by the clock of the log, which a leader writes into its entries: all nodes end a lease
//! at the same entry, and no wall clock has a say.

use std::collections::BTreeMap;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::identity::LeaseId;
use crate::kv::key::Key;

/// Leases at a time.
pub const LEASES_MAX: usize = 1_000_000;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// How long it lasts without being kept alive.
    pub ttl_ms: u64,
    /// When it ends, by the clock of the log.
    pub ends_ms: u64,
    /// The keys that end with it.
    pub keys: OrdSet<Key>,
    /// The locks that are claimed with it.
    pub locks: OrdSet<Key>,
    /// Whether it was made for one key, and ends when it has neither a key nor a claim.
    pub is_own: bool,
}

/// All leases.
///
/// Invariant: `by_end` has each of them once, under its `ends_ms`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leases {
    all: OrdMap<LeaseId, Lease>,
    by_end: OrdSet<(u64, LeaseId)>,
}

impl Leases {
    /// The lease, if there is such.
    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.all.get(&id)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.all.iter().map(|(id, lease)| (*id, lease))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Begins one.
    pub fn grant(&mut self, id: LeaseId, ttl_ms: u64, now_ms: u64, is_own: bool) {
        let ends_ms = now_ms.saturating_add(ttl_ms);
        let (keys, locks) = Default::default();
        let lease = Lease { ttl_ms, ends_ms, keys, locks, is_own };
        assert!(self.all.insert(id, lease).is_none(), "it has a name of its own");
        self.by_end.insert((ends_ms, id));
    }

    /// Lets one last for its whole time from here on; tells how long that is.
    pub fn keep_alive(&mut self, id: LeaseId, now_ms: u64) -> Option<u64> {
        let lease = self.all.get_mut(&id)?;
        self.by_end.remove(&(lease.ends_ms, id));
        lease.ends_ms = now_ms.saturating_add(lease.ttl_ms);
        self.by_end.insert((lease.ends_ms, id));
        Some(lease.ttl_ms)
    }

    /// Ends one; returns what ends with it.
    pub fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.all.remove(&id)?;
        self.by_end.remove(&(lease.ends_ms, id));
        Some(lease)
    }

    /// The first whose time has come.
    pub fn first_due(&self, now_ms: u64) -> Option<LeaseId> {
        self.by_end.get_min().filter(|(ends_ms, _)| *ends_ms <= now_ms).map(|(_, id)| *id)
    }

    /// A key ends with a lease.
    pub fn attach(&mut self, id: LeaseId, key: Key) {
        let lease = self.all.get_mut(&id).expect("it was looked up before");
        lease.keys.insert(key);
    }

    /// A key no longer ends with a lease.
    pub fn detach(&mut self, id: LeaseId, key: &Key) {
        let Some(lease) = self.all.get_mut(&id) else { return };
        lease.keys.remove(key);
        self.end_own(id);
    }

    /// A lease that was made for a key may have claimed locks: they would outlive it for ever.
    fn end_own(&mut self, id: LeaseId) {
        let is_over = |lease: &Lease| lease.keys.is_empty() && lease.locks.is_empty();
        if self.get(id).is_some_and(|lease| lease.is_own && is_over(lease)) {
            self.remove(id);
        }
    }

    /// A claim to a lock ends with a lease.
    pub fn claim(&mut self, id: LeaseId, name: Key) {
        let lease = self.all.get_mut(&id).expect("it was looked up before");
        lease.locks.insert(name);
    }

    /// A claim is given back.
    pub fn release(&mut self, id: LeaseId, name: &Key) {
        if let Some(lease) = self.all.get_mut(&id) {
            lease.locks.remove(name);
            self.end_own(id);
        }
    }

    /// As a snapshot has them.
    pub fn to_rows(&self) -> BTreeMap<LeaseId, Lease> {
        self.all.iter().map(|(id, lease)| (*id, lease.clone())).collect()
    }

    /// Those of a snapshot.
    pub fn from_rows(rows: BTreeMap<LeaseId, Lease>) -> Self {
        let by_end = rows.iter().map(|(id, lease)| (lease.ends_ms, *id)).collect();
        Self { all: rows.into_iter().collect(), by_end }
    }
}

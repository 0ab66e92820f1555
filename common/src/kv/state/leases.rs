//! Commands about leases.

use crate::control::watching::EventKind;
use crate::identity::LeaseId;
use crate::kv::lease::{LEASES_MAX, Lease};
use crate::kv::lock::Turn;
use crate::kv::outcome::{Outcome, Refused};
use crate::kv::state::{State, Step};
use crate::kv::store::Author;

impl State {
    pub(super) fn grant(
        &mut self,
        lease: Option<LeaseId>,
        ttl_ms: u64,
        index: u64,
    ) -> Result<Outcome, Refused> {
        let lease = match lease {
            Some(lease) if self.leases.get(lease).is_some() => return Err(Refused::LeaseExists),
            Some(lease) => lease,
            None => self.free_name(index),
        };
        self.check_room_for_lease()?;
        self.leases.grant(lease, ttl_ms, self.log_ms, false);
        Ok(Outcome::Leased { lease, ttl_ms, keys: 0 })
    }

    /// A lease for one key.
    pub(super) fn grant_own(&mut self, ttl_ms: u64, index: u64) -> Result<LeaseId, Refused> {
        self.check_room_for_lease()?;
        let lease = self.free_name(index);
        self.leases.grant(lease, ttl_ms, self.log_ms, true);
        Ok(lease)
    }

    fn check_room_for_lease(&self) -> Result<(), Refused> {
        if self.leases.len() < LEASES_MAX { Ok(()) } else { Err(Refused::TooMany) }
    }

    /// The index of the entry, which no other lease was named after, unless a client chose it.
    fn free_name(&self, index: u64) -> LeaseId {
        let mut name = LeaseId(index);
        while self.leases.get(name).is_some() {
            name.0 = name.0.wrapping_add(1 << 48);
        }
        name
    }

    /// A lease that runs: what is due has ended before.
    pub(super) fn running(&self, lease: LeaseId) -> Result<LeaseId, Refused> {
        self.leases.get(lease).map(|_| lease).ok_or(Refused::NoLease)
    }

    pub(super) fn keep_alive(&mut self, lease: LeaseId) -> Result<Outcome, Refused> {
        let ttl_ms = self.leases.keep_alive(lease, self.log_ms).ok_or(Refused::NoLease)?;
        let keys = self.leases.get(lease).map_or(0, |lease| lease.keys.len() as u64);
        Ok(Outcome::Leased { lease, ttl_ms, keys })
    }

    pub(super) fn revoke(
        &mut self,
        lease: LeaseId,
        step: &mut Step<'_>,
    ) -> Result<Outcome, Refused> {
        let ended = self.leases.remove(lease).ok_or(Refused::NoLease)?;
        let deleted = self.end_keys(&ended, EventKind::Delete, step.author);
        self.end_claims(&[(lease, ended)], step.turns);
        Ok(Outcome::Revoked { deleted, revision: self.revision })
    }

    /// Ends all leases whose time is over. T2: it is an entry of the log that says so. No lock goes
    /// from one of them to another (T5).
    pub(super) fn expire(&mut self, turns: &mut Vec<Turn>) {
        let author = Author { uid: None, unix_ms: self.unix_ms };
        let mut all = Vec::new();
        while let Some(id) = self.leases.first_due(self.log_ms) {
            let ended = self.leases.remove(id).expect("it was just seen");
            self.end_keys(&ended, EventKind::Expire, author);
            all.push((id, ended));
        }
        self.end_claims(&all, turns);
    }

    /// All keys of a lease end at one revision.
    fn end_keys(&mut self, ended: &Lease, kind: EventKind, author: Author) -> u64 {
        let revision = self.revision + 1;
        for key in &ended.keys {
            self.remove_at(key.clone(), kind, revision, author);
        }
        let deleted = ended.keys.len() as u64;
        self.revision += u64::from(deleted > 0);
        deleted
    }
}

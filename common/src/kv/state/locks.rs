//! Commands about locks.

use crate::control::kv::Claimant;
use crate::identity::LeaseId;
use crate::kv::key::Key;
use crate::kv::lock::{Claim, Turn};
use crate::kv::outcome::{Outcome, Refused};
use crate::kv::state::{State, Step};

impl State {
    /// A lease claims a lock once: who asks again is told the same. T5: the lease runs, or the claim
    /// is refused; and when it ends, the claim does.
    pub(super) fn lock(
        &mut self,
        name: &Key,
        claim: &Claim,
        no_wait: bool,
        step: &mut Step<'_>,
    ) -> Result<Outcome, Refused> {
        self.check_raft(name.as_str())?;
        self.running(claim.lease)?;
        if let Some((token, is_granted)) = self.locks.claim_of(name, claim.lease) {
            return Ok(Outcome::Claimed { token, is_granted });
        }
        if no_wait && !self.locks.is_free(name, claim.sharing) {
            return Err(Refused::Busy);
        }
        if self.locks.is_full(name) {
            return Err(Refused::TooMany);
        }
        self.revision += 1;
        let token = self.revision;
        self.leases.claim(claim.lease, name.clone());
        let is_granted = self.locks.claim(name.clone(), token, claim.clone(), step.turns);
        Ok(Outcome::Claimed { token, is_granted })
    }

    /// T9: who comes late releases nobody else's claim.
    pub(super) fn unlock(&mut self, name: &Key, by: Claimant, step: &mut Step<'_>) -> Outcome {
        let Some((token, lease)) = self.locks.find(name, by) else {
            return Outcome::Unlocked { released: false };
        };
        self.leases.release(lease, name);
        self.locks.release(name, token, step.turns);
        Outcome::Unlocked { released: true }
    }

    /// A claim whose time is over is given up, if its turn has not come.
    pub(super) fn withdraw(&mut self, name: &Key, token: u64, step: &mut Step<'_>) -> Outcome {
        match self.locks.is_held(name, token) {
            Some(true) => Outcome::Claimed { token, is_granted: true },
            Some(false) | None => self.unlock(name, Claimant::Token(token), step),
        }
    }

    /// A lease has ended, and its claim with it.
    pub(super) fn release_all(&mut self, name: &Key, lease: LeaseId, turns: &mut Vec<Turn>) {
        if let Some((token, _)) = self.locks.find(name, Claimant::Lease(lease)) {
            self.locks.release(name, token, turns);
        }
    }
}

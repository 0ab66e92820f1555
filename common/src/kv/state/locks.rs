//! Commands about locks.

use crate::control::kv::Claimant;
use crate::identity::LeaseId;
use crate::kv::key::Key;
use crate::kv::lease::Lease;
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
        self.locks.end(name, token, step.turns);
        self.locks.grant(name, step.turns);
        Outcome::Unlocked { released: true }
    }

    /// A claim whose time is over is given up, if its turn has not come.
    pub(super) fn withdraw(&mut self, name: &Key, token: u64, step: &mut Step<'_>) -> Outcome {
        match self.locks.is_held(name, token) {
            Some(true) => Outcome::Claimed { token, is_granted: true },
            Some(false) | None => self.unlock(name, Claimant::Token(token), step),
        }
    }

    /// Leases have ended, and their claims with them.
    pub(super) fn end_claims(&mut self, ended: &[(LeaseId, Lease)], turns: &mut Vec<Turn>) {
        let claims =
            ended.iter().flat_map(|(id, lease)| lease.locks.iter().map(move |name| (name, *id)));
        for (name, id) in claims.clone() {
            if let Some((token, _)) = self.locks.find(name, Claimant::Lease(id)) {
                self.locks.end(name, token, turns);
            }
        }
        for (name, _) in claims {
            self.locks.grant(name, turns);
        }
    }
}

//! Locks: claims in the order they came, each granted when those before it let it.
//!
//! A claim is granted if it is the first; or if it and all before it share the lock; or if it and
//! all before it take slots, and fewer stand before it than there are slots. Its token is the
//! revision of the claim, so tokens grow from holder to holder. A write that is fenced by a token
//! is refused once somebody has got the lock who had no right to it while that holder had.

use std::collections::BTreeMap;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::control::kv::{Claimant, Sharing};
use crate::identity::LeaseId;
use crate::kv::key::Key;
use crate::kv::value::Value;

/// Locks that are remembered. Past it those are forgotten that nobody has claimed, the one first
/// whose last holder was the first; writes that are fenced by its token are refused then.
const LOCKS_MAX: usize = 100_000;

/// Claims to one lock.
pub const CLAIMS_MAX: usize = 10_000;

/// A claim to a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// It ends with it.
    pub lease: LeaseId,
    /// With whom the lock may be held.
    pub sharing: Sharing,
    /// What the claimant says of itself.
    pub value: Value,
}

/// The claims to a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Queue {
    /// By their tokens, which are in the order they came.
    claims: OrdMap<u64, Claim>,
    /// The tokens of those who hold it, or held it last.
    valid: OrdSet<u64>,
}

/// Something has become of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// To which lock.
    pub name: Key,
    /// Its token.
    pub token: u64,
    /// Whether the lock is held under it; else the claim has ended.
    pub is_granted: bool,
}

/// Who holds a lock, and who waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<'a> {
    /// The first of the holders, if there is one.
    pub first: Option<(u64, &'a Claim)>,
    /// How many hold it.
    pub holders: usize,
    /// How many wait.
    pub waiting: usize,
}

/// All locks.
///
/// Invariant: `fences` has each valid token once, with its lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    all: OrdMap<Key, Queue>,
    fences: OrdMap<u64, Key>,
    claims: u64,
}

impl Queue {
    /// The tokens under which the lock is held.
    fn holders(&self) -> impl Iterator<Item = u64> {
        let mut before: Option<Sharing> = None;
        let mut count = 0_u32;
        self.claims.iter().map_while(move |(token, claim)| {
            let is_let = match (before, claim.sharing) {
                (None, _) | (Some(Sharing::Shared), Sharing::Shared) => true,
                (Some(Sharing::Slots(_)), Sharing::Slots(slots)) => count < slots,
                (Some(Sharing::Exclusive | Sharing::Shared | Sharing::Slots(_)), _) => false,
            };
            before = Some(claim.sharing);
            count += 1;
            is_let.then_some(*token)
        })
    }

    fn is_held(&self, token: u64) -> bool {
        self.holders().take_while(|held| *held <= token).any(|held| held == token)
    }
}

impl Locks {
    /// Claims to locks, granted or not.
    pub fn claims(&self) -> u64 {
        self.claims
    }

    /// The claim of a lease to a lock, if it has one, and whether it is granted.
    pub fn claim_of(&self, name: &Key, lease: LeaseId) -> Option<(u64, bool)> {
        let queue = self.all.get(name)?;
        let (token, _) = queue.claims.iter().find(|(_, claim)| claim.lease == lease)?;
        Some((*token, queue.is_held(*token)))
    }

    /// Whether the claim is granted; none where there is no such claim.
    pub fn is_held(&self, name: &Key, token: u64) -> Option<bool> {
        let queue = self.all.get(name)?;
        queue.claims.contains_key(&token).then(|| queue.is_held(token))
    }

    /// Whether a claim would be granted at once.
    pub fn is_free(&self, name: &Key, sharing: Sharing) -> bool {
        let Some(queue) = self.all.get(name) else { return true };
        let all = queue.claims.len();
        let are_held = queue.holders().count() == all;
        let last = queue.claims.get_max().map(|(_, claim)| claim.sharing);
        are_held
            && match (last, sharing) {
                (None, _) | (Some(Sharing::Shared), Sharing::Shared) => true,
                (Some(Sharing::Slots(_)), Sharing::Slots(slots)) => all < slots as usize,
                (Some(Sharing::Exclusive | Sharing::Shared | Sharing::Slots(_)), _) => false,
            }
    }

    /// Whether a lock takes no further claim.
    pub fn is_full(&self, name: &Key) -> bool {
        self.all.get(name).is_some_and(|queue| queue.claims.len() >= CLAIMS_MAX)
    }

    /// Whether nobody has got the lock after the holder with this token.
    pub fn is_valid(&self, token: u64) -> bool {
        self.fences.contains_key(&token)
    }

    /// Who holds a lock, and who waits for it.
    pub fn held(&self, name: &Key) -> Held<'_> {
        let Some(queue) = self.all.get(name) else {
            return Held { first: None, holders: 0, waiting: 0 };
        };
        let holders = queue.holders().count();
        let first = queue.claims.get_min().map(|(token, claim)| (*token, claim));
        Held { first, holders, waiting: queue.claims.len() - holders }
    }

    /// Adds a claim behind all others; tells whether it is granted.
    pub fn claim(&mut self, name: Key, token: u64, claim: Claim, turns: &mut Vec<Turn>) -> bool {
        let queue = self.all.entry(name.clone()).or_default();
        queue.claims.insert(token, claim);
        self.claims += 1;
        let is_granted = queue.is_held(token);
        self.grant(&name, turns);
        self.forget_idle();
        is_granted
    }

    /// Whose claim is meant, if there is such: its token and lease.
    pub fn find(&self, name: &Key, by: Claimant) -> Option<(u64, LeaseId)> {
        let queue = self.all.get(name)?;
        let is_it = |(token, claim): &(&u64, &Claim)| match by {
            Claimant::Token(meant) => **token == meant,
            Claimant::Lease(lease) => claim.lease == lease,
        };
        queue.claims.iter().find(is_it).map(|(token, claim)| (*token, claim.lease))
    }

    /// Ends a claim; those which it held up are then to be granted.
    pub fn end(&mut self, name: &Key, token: u64, turns: &mut Vec<Turn>) {
        let Some(queue) = self.all.get_mut(name) else { return };
        if queue.claims.remove(&token).is_some() {
            self.claims -= 1;
            turns.push(Turn { name: name.clone(), token, is_granted: false });
        }
    }

    /// Tells whom the lock is held by that did not hold it before. Who held it then has lost it to
    /// them, unless they hold it together.
    pub fn grant(&mut self, name: &Key, turns: &mut Vec<Turn>) {
        let Some(queue) = self.all.get_mut(name) else { return };
        let holders: OrdSet<u64> = queue.holders().collect();
        let mut is_news = false;
        for token in holders.iter().filter(|token| !queue.valid.contains(*token)) {
            is_news = true;
            self.fences.insert(*token, name.clone());
            turns.push(Turn { name: name.clone(), token: *token, is_granted: true });
        }
        if is_news {
            for lost in queue.valid.iter().filter(|token| !holders.contains(*token)) {
                self.fences.remove(lost);
            }
            queue.valid = holders;
        }
    }

    fn forget_idle(&mut self) {
        while self.all.len() > LOCKS_MAX {
            let is_idle = |name: &Key| self.all.get(name).is_some_and(|q| q.claims.is_empty());
            let Some((_, name)) = self.fences.iter().find(|(_, name)| is_idle(name)) else {
                return;
            };
            let name = name.clone();
            let queue = self.all.remove(&name).expect("it was just seen");
            for token in &queue.valid {
                self.fences.remove(token);
            }
        }
    }

    /// The bytes of all.
    pub fn encode(&self) -> Vec<u8> {
        let rows: BTreeMap<&Key, &Queue> = self.all.iter().collect();
        postcard::to_stdvec(&rows).expect("rows have no unsized part")
    }

    /// Those of these bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rows: BTreeMap<Key, Queue> = postcard::from_bytes(bytes).ok()?;
        let fences = rows.iter();
        let fences =
            fences.flat_map(|(name, queue)| queue.valid.iter().map(|t| (*t, name.clone())));
        let fences = fences.collect();
        let claims = rows.values().map(|queue| queue.claims.len() as u64).sum();
        Some(Self { all: rows.into_iter().collect(), fences, claims })
    }
}

//! The state as plain as can be: maps, and a full copy of the keys for each revision. What changed is
//! what differs between two copies; what a lease has, and who holds a lock, is looked for.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::*;
use crate::control::kv::{Claimant, Sharing};
use crate::control::watching::EventKind;
use crate::kv::command::{Command, Proposal, Tag};
use crate::kv::lock::Claim;
use crate::kv::once::ONCE_MS;
use crate::kv::store::{Item, Writing};

/// What there is at a revision.
type Keys = BTreeMap<Key, Item>;

type Done = Result<Outcome, Refused>;

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) revision: u64,
    pub(super) key: Key,
    pub(super) kind: EventKind,
    pub(super) author: Author,
    pub(super) before: Option<Item>,
    pub(super) after: Option<Item>,
}

#[derive(Debug, Clone)]
pub(super) struct ModelLease {
    pub(super) ttl_ms: u64,
    pub(super) ends_ms: u64,
    is_own: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) keys: Keys,
    /// What there was at each revision, from 0 on.
    pub(super) states: Vec<Keys>,
    pub(super) events: Vec<Told>,
    pub(super) leases: BTreeMap<LeaseId, ModelLease>,
    /// Claims in the order they came.
    pub(super) claims: BTreeMap<Key, Vec<(u64, Claim)>>,
    /// Tokens whose holder has, or had last, what it claimed.
    pub(super) valid: BTreeMap<Key, BTreeSet<u64>>,
    pub(super) once: BTreeMap<OnceId, (Bytes, Outcome, u64)>,
    tags: BTreeMap<Tag, (Bytes, Outcome)>,
    pub(super) modes: ModeTable,
    pub(super) floor: u64,
    pub(super) log_ms: u64,
    pub(super) unix_ms: u64,
    /// Of the command that is being done.
    pub(super) index: u64,
    pub(super) author: Author,
    turns: Vec<Turn>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            keys: Keys::new(),
            states: vec![Keys::new()],
            events: Vec::new(),
            leases: BTreeMap::new(),
            claims: BTreeMap::new(),
            valid: BTreeMap::new(),
            once: BTreeMap::new(),
            tags: BTreeMap::new(),
            modes: ModeTable::new(Mode::Raft),
            floor: 1,
            log_ms: 0,
            unix_ms: 0,
            index: 0,
            author: Author::default(),
            turns: Vec::new(),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    pub(super) fn apply(&mut self, index: u64, stamp: Stamp, proposal: &Proposal) -> Applied {
        self.log_ms = self.log_ms.max(stamp.log_ms);
        self.unix_ms = self.unix_ms.max(stamp.unix_ms);
        (self.index, self.author) = (index, Author { uid: None, unix_ms: self.unix_ms });
        self.turns.clear();
        self.expire();
        let now = self.log_ms;
        self.once.retain(|_, (_, _, ends_ms)| *ends_ms > now);
        let payload = proposal.encode();
        let known = proposal.tag.and_then(|tag| self.tags.get(&tag));
        let (outcome, duplicate) = match (known, proposal.tag) {
            (Some((bytes, outcome)), _) if *bytes == payload => (outcome.clone(), true),
            (Some(_), _) => (Outcome::Refused(Refused::OtherCommand), false),
            (None, tag) => {
                let (outcome, duplicate) = self.execute(&proposal.command);
                if let Some(tag) = tag {
                    self.tags.insert(tag, (payload, outcome.clone()));
                }
                (outcome, duplicate)
            }
        };
        Applied { outcome, duplicate, turns: std::mem::take(&mut self.turns) }
    }

    fn execute(&mut self, command: &Command) -> (Outcome, bool) {
        let Command::By { uid, once, command } = command else {
            return (self.run(command), false);
        };
        self.author.uid = *uid;
        let inner = decode(command);
        let Some(id) = once else { return (self.run(&inner), false) };
        match self.once.get(id) {
            Some((bytes, outcome, _)) if bytes == command => return (outcome.clone(), true),
            Some(_) => return (Outcome::Refused(Refused::OtherOnce), false),
            None => {}
        }
        let before = self.revision();
        let outcome = self.run(&inner);
        let is_void =
            matches!(outcome, Outcome::Refused(_) | Outcome::Txn { succeeded: false, .. });
        if !is_void || self.revision() > before {
            let ends_ms = self.log_ms + ONCE_MS;
            self.once.insert(id.clone(), (command.clone(), outcome.clone(), ends_ms));
        }
        (outcome, false)
    }

    /// What is refused changes nothing.
    fn run(&mut self, command: &Command) -> Outcome {
        let before = self.clone();
        let (expired, held) = (std::mem::take(&mut self.turns), self.holders());
        match self.try_run(command) {
            Ok(outcome) => {
                self.settle(held);
                self.turns.splice(0..0, expired);
                outcome
            }
            Err(why) => {
                *self = before;
                Outcome::Refused(why)
            }
        }
    }

    /// Those who hold locks, by the rule: as many of the first claims as let each other.
    fn holders(&self) -> BTreeMap<Key, BTreeSet<u64>> {
        let of = |claims: &Vec<(u64, Claim)>| {
            let is_let = |n: usize| {
                let all = |is: fn(&Sharing) -> bool| {
                    claims[..=n].iter().all(|(_, claim)| is(&claim.sharing))
                };
                let slots = match claims[n].1.sharing {
                    Sharing::Slots(slots) => slots as usize,
                    Sharing::Exclusive | Sharing::Shared => 0,
                };
                n == 0
                    || all(|sharing| *sharing == Sharing::Shared)
                    || all(|sharing| matches!(sharing, Sharing::Slots(_))) && n < slots
            };
            (0..claims.len()).take_while(|n| is_let(*n)).map(|n| claims[n].0).collect()
        };
        self.claims.iter().map(|(name, claims)| (name.clone(), of(claims))).collect()
    }

    pub(super) fn holders_of(&self, name: &Key) -> BTreeSet<u64> {
        self.holders().remove(name).unwrap_or_default()
    }

    /// Tells who holds what they did not hold before; others who held it have lost it.
    fn settle(&mut self, before: BTreeMap<Key, BTreeSet<u64>>) {
        for (name, holders) in self.holders() {
            let held = before.get(&name).cloned().unwrap_or_default();
            for token in holders.difference(&held) {
                let name = name.clone();
                self.turns.push(Turn { name, token: *token, is_granted: true });
            }
            if holders.difference(&held).next().is_some() {
                self.valid.insert(name, holders);
            }
        }
    }

    fn end_claims(&mut self, is_over: impl Fn(&Key, u64, LeaseId) -> bool) -> bool {
        let mut any = false;
        for (name, claims) in &mut self.claims {
            for (token, _) in claims.extract_if(.., |(t, claim)| is_over(name, *t, claim.lease)) {
                self.turns.push(Turn { name: name.clone(), token, is_granted: false });
                any = true;
            }
        }
        self.end_own_leases();
        any
    }

    /// What is due ends together: a lock goes to none whose time is over as well (T5).
    fn expire(&mut self) {
        let held = self.holders();
        let due = self.leases.iter().filter(|(_, lease)| lease.ends_ms <= self.log_ms);
        let mut due: Vec<_> = due.map(|(id, lease)| (lease.ends_ms, *id)).collect();
        due.sort_unstable();
        for (_, id) in &due {
            self.leases.remove(id);
        }
        for (_, id) in &due {
            self.end_keys(*id, EventKind::Expire);
        }
        self.end_claims(|_, _, lease| due.iter().any(|(_, id)| *id == lease));
        self.settle(held);
    }

    fn end_keys(&mut self, lease: LeaseId, kind: EventKind) -> u64 {
        let there = self.keys.len();
        self.keys.retain(|_, item| item.lease != Some(lease));
        let deleted = there - self.keys.len();
        if deleted > 0 {
            self.close(kind);
        }
        deleted as u64
    }

    /// A lease that was made for one key ends with it, unless it has another, or a claim.
    fn end_own_leases(&mut self) {
        let Self { leases, keys, claims, .. } = self;
        leases.retain(|id, lease| {
            !lease.is_own
                || keys.values().any(|item| item.lease == Some(*id))
                || claims.values().flatten().any(|(_, claim)| claim.lease == *id)
        });
    }

    /// A revision is complete.
    fn close(&mut self, kind_of_removal: EventKind) -> u64 {
        let before = self.states.last().expect("there is one");
        let revision = self.states.len() as u64;
        for key in before.keys().chain(self.keys.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (before.get(key).cloned(), self.keys.get(key).cloned());
            if before != after {
                let kind = if after.is_some() { EventKind::Put } else { kind_of_removal };
                let author = self.author;
                let key = key.clone();
                self.events.push(Told { revision, key, kind, author, before, after });
            }
        }
        self.states.push(self.keys.clone());
        self.end_own_leases();
        revision
    }

    pub(super) fn close_with_deletions(&mut self) -> u64 {
        self.close(EventKind::Delete)
    }

    /// Stores a value at the revision that is being made.
    pub(super) fn store(&mut self, key: &Key, value: &[u8], lease: Option<LeaseId>) {
        let revision = self.revision() + 1;
        let writing = Writing { value, lease, revision, author: self.author };
        let (_, mut item) = Store::default().put(key, writing);
        if let Some(before) = self.keys.get(key) {
            item.create_revision = before.create_revision;
            item.version = before.version + 1;
        }
        self.keys.insert(key.clone(), item);
        self.end_own_leases();
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Item> {
        let before = self.keys.remove(key);
        self.end_own_leases();
        before
    }

    pub(super) fn grant(
        &mut self,
        name: Option<LeaseId>,
        ttl_ms: u64,
        is_own: bool,
    ) -> Result<LeaseId, Refused> {
        let mut free = LeaseId(self.index);
        while self.leases.contains_key(&free) {
            free.0 += 1 << 48;
        }
        if name.is_some_and(|name| self.leases.contains_key(&name)) {
            return Err(Refused::LeaseExists);
        }
        let id = name.unwrap_or(free);
        self.leases.insert(id, ModelLease { ttl_ms, ends_ms: self.log_ms + ttl_ms, is_own });
        Ok(id)
    }

    pub(super) fn running(&self, lease: LeaseId) -> Result<LeaseId, Refused> {
        if self.leases.contains_key(&lease) { Ok(lease) } else { Err(Refused::NoLease) }
    }

    pub(super) fn revoke(&mut self, lease: LeaseId) -> Done {
        self.leases.remove(&lease).ok_or(Refused::NoLease)?;
        let deleted = self.end_keys(lease, EventKind::Delete);
        self.end_claims(|_, _, of| of == lease);
        Ok(Outcome::Revoked { deleted, revision: self.revision() })
    }

    pub(super) fn keep_alive(&mut self, id: LeaseId) -> Done {
        let now = self.log_ms;
        let lease = self.leases.get_mut(&id).ok_or(Refused::NoLease)?;
        lease.ends_ms = now + lease.ttl_ms;
        let ttl_ms = lease.ttl_ms;
        let keys = self.keys.values().filter(|item| item.lease == Some(id)).count() as u64;
        Ok(Outcome::Leased { lease: id, ttl_ms, keys })
    }

    pub(super) fn lock(&mut self, name: &Key, claim: &Claim, no_wait: bool) -> Done {
        self.check_mode(name)?;
        self.running(claim.lease)?;
        let claims = self.claims.entry(name.clone()).or_default();
        if let Some((token, _)) = claims.iter().find(|(_, other)| other.lease == claim.lease) {
            let token = *token;
            let is_granted = self.holders_of(name).contains(&token);
            return Ok(Outcome::Claimed { token, is_granted });
        }
        let token = self.states.len() as u64;
        claims.push((token, claim.clone()));
        self.states.push(self.keys.clone());
        let is_granted = self.holders_of(name).contains(&token);
        if no_wait && !is_granted {
            return Err(Refused::Busy);
        }
        Ok(Outcome::Claimed { token, is_granted })
    }

    pub(super) fn unlock(&mut self, name: &Key, by: Claimant) -> Done {
        let released = self.end_claims(|of, token, lease| {
            of == name && (by == Claimant::Token(token) || by == Claimant::Lease(lease))
        });
        Ok(Outcome::Unlocked { released })
    }

    pub(super) fn withdraw(&mut self, name: &Key, token: u64) -> Done {
        if self.holders_of(name).contains(&token) {
            return Ok(Outcome::Claimed { token, is_granted: true });
        }
        self.unlock(name, Claimant::Token(token))
    }

    pub(super) fn is_valid(&self, token: u64) -> bool {
        self.valid.values().any(|tokens| tokens.contains(&token))
    }

    pub(super) fn compact(&mut self, floor: u64) -> Done {
        if floor > self.revision().max(1) {
            return Err(Refused::Future);
        }
        self.floor = self.floor.max(floor);
        Ok(Outcome::Compacted { floor: self.floor })
    }

    pub(super) fn compact_older(&mut self, age_ms: u64) -> Done {
        let since = self.unix_ms.saturating_sub(age_ms);
        let first = self.events.iter().find(|told| told.author.unix_ms >= since);
        self.compact(first.map_or(self.revision(), |told| told.revision))
    }

    pub(super) fn check_mode(&self, key: &Key) -> Result<(), Refused> {
        match self.modes.mode_of(key.as_str()) {
            Mode::Raft => Ok(()),
            other @ (Mode::Broadcast | Mode::Causal) => Err(Refused::OtherMode(other)),
        }
    }
}

/// The command in some bytes.
pub(super) fn decode(bytes: &[u8]) -> Command {
    let key = |key: &str| Key::try_from(key).expect("a key");
    match EncodedCommand::read(bytes).expect("a command") {
        EncodedCommand::Put { key: at, value } => {
            Command::Put { key: key(at), value: Value::try_from(value.to_vec()).expect("short") }
        }
        EncodedCommand::Delete(at) => Command::Delete(key(at)),
        EncodedCommand::DeletePrefix(prefix) => Command::DeletePrefix(prefix.to_owned()),
        EncodedCommand::SetMode { prefix, rule } => {
            Command::SetMode { prefix: prefix.to_owned(), rule }
        }
        EncodedCommand::More(more) => Command::More(more),
        EncodedCommand::By { .. } => panic!("none is in another"),
    }
}

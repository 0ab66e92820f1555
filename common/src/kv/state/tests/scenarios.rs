//! The smallest scripts of what random commands have found, and of what others got wrong.

use super::*;
use crate::control::kv::{Claimant, PutOptions, Sharing, Txn, TxnOp};
use crate::control::request::Selection;
use crate::control::watching::EventKind;
use crate::kv::command::{Command, Proposal};
use crate::kv::condition::{Compare, Conditions, Relation, Target};
use crate::kv::lock::Claim;

/// A state, and how far its log and its clock are.
struct Script {
    state: State,
    index: u64,
    ms: u64,
}

impl Script {
    fn new() -> Self {
        Self { state: State::new(Mode::Raft), index: 0, ms: 0 }
    }

    fn apply(&mut self, command: Command) -> Applied {
        self.index += 1;
        let stamp = Stamp { log_ms: self.ms, unix_ms: NOW.unix_ms + self.ms };
        self.state.apply(self.index, stamp, &Proposal { tag: None, command }.encode())
    }

    fn run(&mut self, more: More) -> Outcome {
        self.apply(more.into()).outcome
    }

    fn put(&mut self, name: &str, options: PutOptions) -> Outcome {
        self.run(More::Put { key: key(name), value: value("v"), options })
    }

    fn grant(&mut self, lease: u64, ttl_ms: u64) {
        self.run(More::Grant { lease: Some(LeaseId(lease)), ttl_ms });
    }

    /// Claims the lock `l` for itself; tells the token.
    fn claim(&mut self, lease: u64) -> u64 {
        let sharing = Sharing::Exclusive;
        let claim = Claim { lease: LeaseId(lease), sharing, value: Value::default() };
        let outcome = self.run(More::Lock { name: key("l"), claim, no_wait: false });
        let Outcome::Claimed { token, .. } = outcome else { panic!("{outcome:?}") };
        token
    }

    fn fenced_put(&mut self, token: u64) -> Outcome {
        let conditions = Conditions { fence: Some(token), ..Conditions::default() };
        self.put("k", PutOptions { conditions, ..PutOptions::default() })
    }

    fn holder(&self) -> Option<u64> {
        self.state.locks.held(&key("l")).first.map(|(token, _)| token)
    }

    /// The kinds and revisions of all changes, and whether they tell what was there before.
    fn told(&self) -> Vec<(EventKind, u64, bool)> {
        let history = &self.state.history;
        let all = history.since(history.floor());
        all.map(|event| (event.kind, event.revision, event.before.is_some())).collect()
    }
}

fn key(text: &str) -> Key {
    Key::try_from(text).expect("a key")
}

fn value(text: &str) -> Value {
    Value::try_from(text.as_bytes().to_vec()).expect("short")
}

fn turn(token: u64, is_granted: bool) -> Turn {
    Turn { name: key("l"), token, is_granted }
}

/// X1: a retry must not do again what a transaction does where its conditions are false.
#[test]
fn a_transaction_that_writes_otherwise_is_done_once() {
    let mut script = Script::new();
    let absent = Compare { key: key("k"), relation: Relation::Greater, target: Target::Version(0) };
    let otherwise = vec![TxnOp::Incr { key: key("n"), delta: 1 }];
    let txn = Txn { compares: vec![absent], then: Vec::new(), otherwise };
    let command = || Command::from(More::Txn(txn.clone())).by(None, OnceId::new("id".into()));
    let first = script.apply(command());
    let again = script.apply(command());
    assert_eq!((again.outcome, again.duplicate), (first.outcome, true));
    assert_eq!(script.state.store.get(&key("n")).expect("it was made").bytes(), b"1");
}

/// A claim ends with its lease, so the lease must not end unseen: nobody else would ever get the
/// lock.
#[test]
fn a_lease_of_a_key_lasts_as_long_as_a_claim_with_it() {
    let mut script = Script::new();
    let options = PutOptions { ttl_ms: Some(60_000), ..PutOptions::default() };
    let Outcome::Written { lease: Some(lease), .. } = script.put("k", options) else {
        panic!("it has a lease of its own");
    };
    script.claim(lease.0);
    script.apply(Command::Delete(key("k")));
    assert!(script.state.leases.get(lease).is_some());
    script.run(More::Unlock { name: key("l"), by: Claimant::Lease(lease) });
    assert!(script.state.leases.is_empty());
    assert_eq!(script.holder(), None);
}

/// T5: the time of the holder and of the first who waits is over at once. The lock goes to the
/// second, and the first does not hear of it.
#[test]
fn a_lock_does_not_go_to_a_lease_that_ends_as_well() {
    let mut script = Script::new();
    (1..=3).for_each(|lease| script.grant(lease, if lease == 3 { 9_000 } else { 1_000 }));
    let [first, second, third] = [1, 2, 3].map(|lease| script.claim(lease));
    script.ms = 5_000;
    let turns = script.apply(More::Tick.into()).turns;
    assert_eq!(turns, [turn(first, false), turn(second, false), turn(third, true)]);
}

/// T5: a claim that was never granted takes nothing from the last holder.
#[test]
fn the_last_holder_is_not_fenced_off_by_a_claim_that_ended_with_its_own() {
    let mut script = Script::new();
    (1..=2).for_each(|lease| script.grant(lease, 1_000));
    let [first, _] = [1, 2].map(|lease| script.claim(lease));
    script.ms = 5_000;
    script.run(More::Tick);
    assert!(matches!(script.fenced_put(first), Outcome::Written { .. }));
}

/// R21: where history begins must not depend on what a node has let go of by itself. A claim has a
/// revision and no change, so the floor may be at neither.
#[test]
fn history_is_forgotten_alike_by_who_has_swept_and_who_has_not() {
    let mut script = Script::new();
    script.put("k", PutOptions::default());
    script.grant(1, 60_000);
    let token = script.claim(1);
    script.run(More::Compact(token));
    script.ms = 1_000;
    script.put("k", PutOptions::default());
    let mut floors = [false, true].map(|sweeps| {
        let mut state = script.state.clone();
        if sweeps {
            state.history.sweep(100);
        }
        let command = More::CompactOlder(u64::MAX).into();
        state.apply(9, NOW, &Proposal { tag: None, command }.encode());
        state.history.floor()
    });
    floors.sort_unstable();
    assert_eq!(floors, [token, token]);
}

/// W4: the deletion at the floor is told.
#[test]
fn a_deletion_at_the_floor_stays() {
    let mut script = Script::new();
    script.put("k", PutOptions::default());
    script.apply(Command::Delete(key("k")));
    script.run(More::Compact(2));
    script.state.history.sweep(100);
    assert_eq!(script.told(), [(EventKind::Delete, 2, true)]);
    assert_eq!(script.state.history.at(&script.state.store, &key("k"), 2), None);
}

/// W7, W11: whatever ends keys does so at one revision, and tells what they held.
#[test]
fn all_ways_to_end_keys_tell_what_they_held() {
    let mut script = Script::new();
    script.grant(1, 1_000);
    let options = PutOptions { lease: Some(LeaseId(1)), ..PutOptions::default() };
    ["a", "b"].iter().for_each(|name| drop(script.put(name, options.clone())));
    script.ms = 1_000;
    script.run(More::Tick);
    assert_eq!(script.told()[2..], [(EventKind::Expire, 3, true); 2]);
    script.put("a", PutOptions::default());
    script.put("b", PutOptions::default());
    script.apply(Command::DeletePrefix(String::new()));
    assert_eq!(script.told()[6..], [(EventKind::Delete, 6, true); 2]);
    script.put("a", PutOptions::default());
    let delete = TxnOp::Delete { selection: Selection::Key(key("a")), previous: false };
    script.run(More::Txn(Txn { then: vec![delete], ..Txn::default() }));
    assert_eq!(script.told()[9..], [(EventKind::Delete, 8, true)]);
}

/// T6: who has lost the lock to another writes no more. Until then it may.
#[test]
fn a_later_holder_fences_off_the_one_before() {
    let mut script = Script::new();
    (1..=2).for_each(|lease| script.grant(lease, 9_000));
    let first = script.claim(1);
    script.run(More::Revoke(LeaseId(1)));
    assert!(matches!(script.fenced_put(first), Outcome::Written { .. }));
    let second = script.claim(2);
    assert_eq!(script.fenced_put(first), Outcome::Refused(Refused::Fenced));
    assert!(matches!(script.fenced_put(second), Outcome::Written { .. }));
}

/// T8, T9: claims are granted in the order they came, one for each release; who comes late with a
/// token of before releases nobody.
#[test]
fn a_late_release_is_none() {
    let mut script = Script::new();
    (1..=3).for_each(|lease| script.grant(lease, 9_000));
    let [first, second, _] = [1, 2, 3].map(|lease| script.claim(lease));
    let release = || More::Unlock { name: key("l"), by: Claimant::Token(first) };
    let turns = script.apply(release().into()).turns;
    assert_eq!(turns, [turn(first, false), turn(second, true)]);
    assert_eq!(script.run(release()), Outcome::Unlocked { released: false });
    assert_eq!(script.holder(), Some(second));
}

/// T10: a key that is written without its lease does not end with it.
#[test]
fn a_key_that_is_written_without_its_lease_outlives_it() {
    let mut script = Script::new();
    script.grant(1, 1_000);
    let options = PutOptions { lease: Some(LeaseId(1)), ..PutOptions::default() };
    script.put("k", options);
    script.put("k", PutOptions::default());
    script.ms = 2_000;
    script.run(More::Tick);
    assert!(script.state.leases.is_empty() && script.state.store.get(&key("k")).is_some());
}

/// T4: a lease that is due ends before the entry of that time keeps it alive.
#[test]
fn what_is_due_is_not_kept_alive() {
    let mut script = Script::new();
    script.grant(1, 1_000);
    script.ms = 1_000;
    let keep_alive = script.run(More::KeepAlive(LeaseId(1)));
    assert_eq!(keep_alive, Outcome::Refused(Refused::NoLease));
}

/// X2: what was done once is forgotten after a day by the clock of the log, at the same entry on all
/// nodes, and not by the wall clocks of leaders.
#[test]
fn what_was_done_once_is_remembered_for_a_day_of_the_log() {
    let mut script = Script::new();
    let count = || {
        let command = Command::from(More::Incr { key: key("n"), delta: 1 });
        command.by(None, OnceId::new("id".into()))
    };
    script.apply(count());
    let stamp = Stamp { log_ms: 1_000, unix_ms: NOW.unix_ms + 30 * 24 * 3_600_000 };
    let proposal = Proposal { tag: None, command: count() }.encode();
    assert!(script.state.apply(2, stamp, &proposal).duplicate);
    script.ms = 24 * 3_600_000;
    assert!(!script.apply(count()).duplicate);
    assert_eq!(script.state.store.get(&key("n")).expect("it counts").bytes(), b"2");
}

mod compare;
mod model;
mod random;

use proptest::prelude::*;

use super::*;
use crate::kv::command::{Command, Proposal, Tag};
use crate::kv::value::Value;

const NOW: Stamp = Stamp { log_ms: 1_000, unix_ms: 1_700_000_000_000 };

/// The state that a snapshot of this one brings back.
fn restore(state: &State) -> State {
    let head = postcard::to_stdvec(&state.head()).expect("bytes");
    let mut store = Store::default();
    for (key, item) in state.store.iter() {
        store.load(key.clone(), item.clone());
    }
    let kept = state.history.kept().collect();
    State::assemble(postcard::from_bytes(&head).expect("the same"), store, kept).expect("whole")
}

fn put(seq: Option<u64>, value: &str) -> Bytes {
    let key = Key::try_from("k").expect("a key");
    let value = Value::try_from(value.as_bytes().to_vec()).expect("short");
    let command = Command::Put { key, value };
    Proposal { tag: seq.map(|seq| Tag { client: 7, seq }), command }.encode()
}

/// Raft §8: "if it receives a command whose serial number has already been executed, it
/// responds immediately without re-executing the request." X1, X3.
#[test]
fn a_retry_is_answered_and_not_executed() {
    let mut state = State::new(Mode::Raft);
    let first = state.apply(1, NOW, &put(Some(1), "a"));
    assert_eq!(first.outcome, Outcome::Put { revision: 1 });
    state.apply(2, NOW, &put(None, "b"));
    let again = state.apply(3, NOW, &put(Some(1), "a"));
    assert_eq!((again.outcome, again.duplicate), (first.outcome, true));
    assert_eq!(state.revision, 2);
    let other = state.apply(4, NOW, &put(Some(1), "c")).outcome;
    assert_eq!(other, Outcome::Refused(Refused::OtherCommand));
    let key = Key::try_from("k").expect("a key");
    assert_eq!(state.store.get(&key).expect("there").value().as_bytes(), b"b");
}

#[test]
fn a_deletion_of_nothing_has_no_revision() {
    let mut state = State::new(Mode::Raft);
    let delete = Command::Delete(Key::try_from("k").expect("a key"));
    let none = state.apply(1, NOW, &Proposal { tag: None, command: delete }.encode());
    assert_eq!(none.outcome, Outcome::Deleted { deleted: 0, revision: 0 });
}

#[test]
fn a_prefix_with_keys_keeps_its_mode() {
    let mut state = State::new(Mode::Raft);
    state.apply(1, NOW, &put(None, "a"));
    let set = |prefix: &str| Command::SetMode { prefix: prefix.into(), rule: Rule::Broadcast };
    let mut apply =
        |command| state.apply(2, NOW, &Proposal { tag: None, command }.encode()).outcome;
    assert_eq!(apply(set("k")), Outcome::Refused(Refused::HasKeys));
    assert_eq!(apply(set("j")), Outcome::ModeSet);
}

proptest! {
    /// R21: the same log makes the same state, and a snapshot in between changes nothing.
    #[test]
    fn a_snapshot_is_the_state(values in prop::collection::vec((0_u64..4, "[a-c]"), 1..40), at: prop::sample::Index) {
        let mut state = State::new(Mode::Raft);
        let mut restored = None;
        let at = at.index(values.len());
        for (n, (seq, value)) in values.into_iter().enumerate() {
            if n == at {
                restored = Some(restore(&state));
            }
            let proposal = put((seq > 0).then_some(seq), &value);
            let applied = state.apply(n as u64 + 1, NOW, &proposal);
            if let Some(restored) = &mut restored {
                prop_assert_eq!(&applied, &restored.apply(n as u64 + 1, NOW, &proposal));
            }
        }
        prop_assert_eq!(Some(state), restored);
    }
}

fn at(log_ms: u64) -> Stamp {
    Stamp { log_ms, ..NOW }
}

fn run(state: &mut State, index: u64, log_ms: u64, more: More) -> Outcome {
    let proposal = Proposal { tag: None, command: more.into() };
    state.apply(index, at(log_ms), &proposal.encode()).outcome
}

fn incr(once: &str, delta: i64) -> Bytes {
    let key = Key::try_from("n").expect("a key");
    let once = crate::control::kv::OnceId::new(once.into());
    let command = Command::from(More::Incr { key, delta }).by(Some(7), once);
    Proposal { tag: None, command }.encode()
}

/// X2, X3: once in a day of the log, whoever asks; another operation under the id is a mistake.
#[test]
fn what_was_done_once_is_not_done_again_before_a_day_is_over() {
    const DAY: u64 = 24 * 3_600 * 1_000;
    let mut state = State::new(Mode::Raft);
    let first = state.apply(1, at(5), &incr("job", 2));
    assert_eq!(first.outcome, Outcome::Counted { value: 2, revision: 1 });
    let mut state = restore(&state);
    let again = state.apply(2, at(DAY), &incr("job", 2));
    assert_eq!((again.outcome, again.duplicate), (first.outcome, true));
    let other = state.apply(3, at(DAY), &incr("job", 3));
    assert_eq!(other.outcome, Outcome::Refused(Refused::OtherOnce));
    let later = state.apply(4, at(DAY + 5), &incr("job", 2));
    assert_eq!(later.outcome, Outcome::Counted { value: 4, revision: 2 });
}

/// T2, T10: a lease ends at the entry that says so, at one revision for all its keys; a key that was
/// written without it stays.
#[test]
fn a_lease_ends_with_its_keys_and_no_others() {
    let mut state = State::new(Mode::Raft);
    let lease = LeaseId(7);
    run(&mut state, 1, 0, More::Grant { lease: Some(lease), ttl_ms: 100 });
    for (index, name) in [(2, "a"), (3, "b"), (4, "c")] {
        let options = crate::control::kv::PutOptions { lease: Some(lease), ..Default::default() };
        let key = Key::try_from(name).expect("a key");
        run(&mut state, index, 0, More::Put { key, value: Value::default(), options });
    }
    let key = Key::try_from("b").expect("a key");
    let put = Command::Put { key: key.clone(), value: Value::default() };
    state.apply(5, at(0), &Proposal { tag: None, command: put }.encode());
    run(&mut state, 6, 99, More::Tick);
    assert_eq!(state.store.keys(), 3);
    run(&mut state, 7, 100, More::Tick);
    assert_eq!((state.store.keys(), state.revision), (1, 5));
    let kinds: Vec<_> = state.history.since(5).map(|event| event.kind).collect();
    assert_eq!(kinds, [crate::control::watching::EventKind::Expire; 2]);
    let kept = run(&mut state, 8, 100, More::KeepAlive(lease));
    assert_eq!(kept, Outcome::Refused(Refused::NoLease), "T4");
}

/// T5, T6: a claim ends with its lease, and who lost the lock to another can't write under it.
#[test]
fn the_token_of_who_has_lost_the_lock_writes_nothing() {
    let mut state = State::new(Mode::Raft);
    let name = Key::try_from("l").expect("a key");
    let lock = |lease, no_wait| {
        let (sharing, value) = Default::default();
        let claim = crate::kv::lock::Claim { lease: LeaseId(lease), sharing, value };
        More::Lock { name: name.clone(), claim, no_wait }
    };
    let put = |token| {
        let conditions =
            crate::kv::condition::Conditions { fence: Some(token), ..Default::default() };
        let options = crate::control::kv::PutOptions { conditions, ..Default::default() };
        More::Put { key: Key::try_from("k").expect("a key"), value: Value::default(), options }
    };
    for (index, lease, ttl_ms) in [(1, 1, 100), (2, 2, 1_000), (3, 3, 50)] {
        run(&mut state, index, 0, More::Grant { lease: Some(LeaseId(lease)), ttl_ms });
    }
    let first = run(&mut state, 4, 0, lock(1, false));
    assert_eq!(first, Outcome::Claimed { token: 1, is_granted: true });
    assert_eq!(run(&mut state, 5, 0, lock(2, true)), Outcome::Refused(Refused::Busy));
    let third = run(&mut state, 6, 0, lock(3, false));
    assert_eq!(third, Outcome::Claimed { token: 2, is_granted: false });
    let second = run(&mut state, 7, 0, lock(2, false));
    assert_eq!(second, Outcome::Claimed { token: 3, is_granted: false });
    // The one in between is gone before its turn comes (T5).
    let expired = Proposal { tag: None, command: More::Tick.into() }.encode();
    let turns = state.apply(8, at(50), &expired).turns;
    assert_eq!(
        turns.iter().map(|turn| (turn.token, turn.is_granted)).collect::<Vec<_>>(),
        [(2, false)]
    );
    assert!(matches!(run(&mut state, 9, 60, put(1)), Outcome::Written { .. }));
    let turns = state.apply(10, at(100), &expired).turns;
    assert!(turns.iter().any(|turn| turn.token == 3 && turn.is_granted));
    assert_eq!(run(&mut state, 11, 100, put(1)), Outcome::Refused(Refused::Fenced), "T6");
    assert!(matches!(run(&mut state, 12, 100, put(3)), Outcome::Written { .. }));
}

mod commands;
mod model;
mod random;
mod scenarios;

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

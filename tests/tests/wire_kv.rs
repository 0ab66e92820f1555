//! The bytes of the data model in the log and between peers. Postcard is positional: they may change
//! only together with `peer::hello::PROTOCOL` and the formats of files.

use bytes::Bytes;

use common::control::kv::{Claimant, OnceId, PutOptions, Sharing, Txn, TxnOp};
use common::control::request::Selection;
use common::identity::LeaseId;
use common::kv::command::{Command, Encoded, EncodedCommand, More, Proposal};
use common::kv::condition::{Compare, Conditions, Relation, Target};
use common::kv::key::Key;
use common::kv::lock::Claim;
use common::kv::outcome::{OpOutcome, Outcome, Refused};
use common::kv::state::Stamp;
use common::kv::value::Value;
use common::raft::log::{Entry, Payload, Term};

fn hex<T: serde::Serialize>(value: &T) -> String {
    let bytes = postcard::to_stdvec(value).expect("no unsized part");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key() -> Key {
    Key::try_from("k").expect("a key")
}

fn value() -> Value {
    Value::try_from(vec![0xff]).expect("short")
}

#[test]
fn an_entry_tells_when_it_was_proposed() {
    let stamp = Stamp { log_ms: 300, unix_ms: 1 };
    let payload = Payload::Written { stamp, command: Bytes::from_static(b"c") };
    assert_eq!(hex(&Entry { term: Term(2), payload }), "0203ac02010163");
}

#[test]
fn who_asked_stands_before_what() {
    let once = OnceId::new("o".into());
    let command = Command::Put { key: key(), value: value() }.by(Some(7), once);
    let proposal = Proposal { tag: None, command };
    assert_eq!(hex(&proposal), "0004010701016f0500016b01ff");
    let bytes = proposal.encode();
    let read = Encoded::read(&bytes).expect("it reads as it was written");
    let EncodedCommand::By { command, .. } = read.command else { panic!("{read:?}") };
    assert!(matches!(EncodedCommand::read(command), Some(EncodedCommand::Put { .. })));
}

#[test]
fn commands_of_the_data_model_keep_their_bytes() {
    let conditions = Conditions { if_absent: true, fence: Some(9), ..Conditions::default() };
    let options = PutOptions { conditions, ttl_ms: Some(300), ..PutOptions::default() };
    let compare = Compare { key: key(), relation: Relation::Less, target: Target::Mod(3) };
    let put = TxnOp::Put { key: key(), value: value(), lease: None, previous: true };
    let txn = Txn { compares: vec![compare], then: vec![put], otherwise: vec![TxnOp::Get(key())] };
    let claim = Claim { lease: LeaseId(7), sharing: Sharing::Slots(2), value: Value::default() };
    let (selection, conditions) = (Selection::Prefix("p".into()), Conditions::default());
    for (more, expected) in [
        (More::Put { key: key(), value: value(), options }, "0500016b01ff0100000001090001ac0200"),
        (More::Delete { selection, conditions, previous: false }, "0501010170000000000000"),
        (More::Incr { key: key(), delta: -1 }, "0502016b01"),
        (More::Txn(txn), "050301016b0203030100016b01ff00010102016b"),
        (More::Compact(300), "0504ac02"),
        (More::CompactOlder(300), "0505ac02"),
        (More::Grant { lease: Some(LeaseId(7)), ttl_ms: 300 }, "05060107ac02"),
        (More::Revoke(LeaseId(7)), "050707"),
        (More::KeepAlive(LeaseId(7)), "050807"),
        (More::Lock { name: key(), claim, no_wait: true }, "0509016b0702020001"),
        (More::Unlock { name: key(), by: Claimant::Token(5) }, "050a016b0005"),
        (More::Tick, "050b"),
        (More::Withdraw { name: key(), token: 5 }, "050c016b05"),
    ] {
        assert_eq!(hex(&Command::from(more.clone())), expected, "{more:?}");
    }
}

#[test]
fn outcomes_of_the_data_model_keep_their_bytes() {
    let results = vec![OpOutcome::Put { previous: Some(value()) }, OpOutcome::Incr { value: -1 }];
    for (outcome, expected) in [
        (
            Outcome::Written { revision: 300, previous: None, lease: Some(LeaseId(7)) },
            "05ac02000107",
        ),
        (Outcome::Removed { deleted: 1, revision: 2, previous: Some(value()) }, "060102010 1ff"),
        (Outcome::Counted { value: -1, revision: 2 }, "070102"),
        (Outcome::Txn { succeeded: true, results, revision: 2 }, "08010200010 1ff040102"),
        (Outcome::Compacted { floor: 300 }, "09ac02"),
        (Outcome::Leased { lease: LeaseId(7), ttl_ms: 300, keys: 2 }, "0a07ac0202"),
        (Outcome::Revoked { deleted: 1, revision: 2 }, "0b0102"),
        (Outcome::Claimed { token: 5, is_granted: true }, "0c0501"),
        (Outcome::Unlocked { released: true }, "0d01"),
        (Outcome::Refused(Refused::Condition { mod_revision: 300 }), "0306ac02"),
        (Outcome::Refused(Refused::Future), "0311"),
    ] {
        assert_eq!(hex(&outcome), expected.replace(' ', ""), "{outcome:?}");
    }
}

//! The bytes of causal mode: between peers, and in the log on the disk. Postcard is positional: they
//! may change only together with `peer::hello::PROTOCOL` and the formats of files.

use std::sync::Arc;

use common::causal::clock::{Dot, VectorClock};
use common::causal::hybrid::Timestamp;
use common::causal::message::{Ack, Beat, Message, SyncChunk};
use common::causal::record::{Record, Step};
use common::causal::tree::{Bucket, BucketSet};
use common::causal::version::Version;
use common::causal::write::{Tagged, Write};
use common::identity::NodeId;
use common::kv::command::Tag;
use common::kv::key::Key;
use common::kv::outcome::Outcome;
use common::kv::value::Value;
use common::node::Message as NodeMessage;

fn hex<T: serde::Serialize>(value: &T) -> String {
    let bytes = postcard::to_stdvec(value).expect("no unsized part");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes are these, and these are read as the message.
fn assert_message(message: Message, expected: &str) {
    let message = NodeMessage::Causal(message);
    assert_eq!(hex(&message), expected.replace(' ', ""), "{message:?}");
    let bytes = postcard::to_stdvec(&message).expect("no unsized part");
    assert_eq!(postcard::from_bytes(&bytes), Ok(message));
}

fn dot(node: u64, counter: u64) -> Dot {
    Dot { node: NodeId(node), counter }
}

fn key() -> Key {
    Key::try_from("k").expect("a key")
}

fn write() -> Write {
    let tag = Tag { client: 1, seq: 2 };
    Write {
        dot: dot(7, 300),
        past: vec![dot(8, 1)],
        lamport: 5,
        time: Timestamp::of_ms(1),
        key: key(),
        replaces: vec![dot(7, 2)],
        value: Some(Value::try_from(b"v".to_vec()).expect("short")),
        created: 3,
        writes: 4,
        request: Some(Tagged { tag, hash: 6, outcome: Outcome::Put { revision: 5 } }),
    }
}

fn ack() -> Ack {
    let clock: VectorClock = [dot(7, 300), dot(8, 1)].into_iter().collect();
    Ack { clock, beyond: vec![dot(8, 3)] }
}

const WRITE: &str = "07ac02 010801 05 808004 016b 010702 010176 03 04 01 01020600 05";
const ACK: &str = "02 07ac02 0801 01 0803";

#[test]
fn links_keep_their_bytes() {
    let writes = vec![Arc::new(write())];
    assert_message(Message::Writes { writes, is_urgent: true }, &format!("020001{WRITE}01"));
    assert_message(Message::Ack(ack()), &format!("0201{ACK}"));
    let (number, hears, hash) = (4, vec![(NodeId(8), 300)], 9);
    let beat = Beat { ack: ack(), wall_ms: 300, ready: true, number, hears, hash };
    assert_message(Message::Beat(beat), &format!("0202{ACK}ac020104 0108ac02 09"));
    assert_message(Message::Want(ack()), &format!("0203{ACK}"));
    assert_message(Message::Behind, "0204");
}

#[test]
fn state_transfers_keep_their_bytes() {
    let session = 3;
    assert_message(Message::SyncAsk { session }, "020503");
    let (clock, lamport, tops) = (ack().clock, 5, vec![1, 300]);
    let tree = Message::SyncTree { session, clock, lamport, tops };
    assert_message(tree, "020603 0207ac020801 05 0201ac02");
    assert_message(Message::SyncBranches { session, branches: vec![0, 255] }, "0207030200ff");
    let leaves = vec![(255, vec![1]), (0, Vec::new())];
    assert_message(Message::SyncLeaves { session, leaves }, "02080302ff01010000");
    let fetch = Message::SyncFetch { session, buckets: None, after: Some(key()), skip: 2 };
    assert_message(fetch, "02090300 01016b 02");
    let version = Version::of(&write()).expect("it has a value");
    let entries = vec![(key(), vec![version])];
    let (after, last) = (None, Some(key()));
    let chunk = SyncChunk { session, after, skip: 2, entries, last, begun: 1, done: false };
    let expected = "020a03 0002 01 016b 01 07ac02 05 808004 03 04 0176 01016b 01 00";
    assert_message(Message::SyncChunk(chunk), expected);
    assert_message(Message::SyncRefused { session }, "020b03");
}

#[test]
fn a_set_of_buckets_is_a_bitmap() {
    let mut set = BucketSet::default();
    set.insert(Bucket(9));
    let bytes = postcard::to_stdvec(&set).expect("no unsized part");
    assert_eq!((bytes.len(), &bytes[..5]), (8_194, [0x80, 0x40, 0, 2, 0].as_slice()));
}

#[test]
fn records_keep_their_bytes() {
    let record = |steps| hex(&Record { position: 300, steps });
    let version = Version::of(&write()).expect("it has a value");
    let (theirs, lamport) = (ack().clock, 5);
    let steps = vec![
        Step::Apply(Arc::new(write())),
        Step::BeginSync { theirs, lamport },
        Step::Stage(vec![(key(), vec![version])]),
        Step::EndSync,
        Step::Ready,
    ];
    let expected =
        format!("ac0205 00{WRITE} 010207ac02080105 0201016b0107ac0205808004 0304 0176 03 04");
    assert_eq!(record(steps), expected.replace(' ', ""));
}

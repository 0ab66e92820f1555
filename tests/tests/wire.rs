//! The bytes of peers. Postcard is positional: a field that moves, or a variant that is not added
//! at the end, changes what an older node reads. These bytes may change only together with
//! `peer::hello::PROTOCOL`.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use common::broadcast::members::{Member, Members};
use common::broadcast::message::{self, Heard, Heartbeat, SyncChunk};
use common::broadcast::store::{Entry, Write};
use common::broadcast::version::Version;
use common::identity::{ClusterId, Incarnation, NodeId};
use common::kv::key::Key;
use common::kv::value::Value;
use common::modes::Mode;
use common::node::Message;
use common::peer::frame::{self, FRAME_BYTES_MAX, FrameError, Kind};
use common::peer::hello::{Hello, Purpose};

/// The message's frame is these bytes, and these bytes are its frame.
fn assert_wire(message: message::Message, hex: &str) {
    let message = Message::Broadcast(message);
    let mut bytes = Vec::new();
    frame::encode(&message, &mut bytes);
    assert_eq!(to_hex(&bytes), hex.replace([' ', '\n'], ""), "{message:?}");
    let frame = frame::decode(&bytes, FRAME_BYTES_MAX).expect("sound").expect("whole");
    assert_eq!(frame.message(), Ok(message));
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn version(clock: u64, node: u64) -> Version {
    Version { clock, node: NodeId(node), incarnation: Incarnation(2) }
}

fn write(value: Option<&'static [u8]>) -> Write {
    let value = value.map(|value| Value::try_from(Bytes::from_static(value)).expect("short"));
    let entry = Entry { version: version(300, 7), created: 299, writes: 3, value };
    Write { key: Key::try_from("k").expect("a key"), entry }
}

fn member(id: u64, name: &str, epoch: u64) -> Member {
    let address = format!("{name}:7101");
    Member { id: NodeId(id), name: name.parse().expect("a name"), address, epoch }
}

#[test]
fn a_put_keeps_its_bytes() {
    assert_wire(
        message::Message::Write { number: 5, write: write(Some(b"v")) },
        "15000000 a8b94f86 0102 0000 05 016b ac0207 02 ab02 03 010176",
    );
}

#[test]
fn a_deletion_keeps_its_bytes() {
    assert_wire(
        message::Message::Write { number: 5, write: write(None) },
        "13000000 3c5d9e70 0102 0000 05 016b ac0207 02 ab02 03 00",
    );
}

#[test]
fn a_heartbeat_keeps_its_bytes() {
    let beat =
        Heartbeat { number: 5, clock: 300, ready: true, members: 0x0102_0304_0506_0708, mesh: 9 };
    assert_wire(
        message::Message::Heartbeat(beat),
        "16000000 cffd0742 0102 0001 05 ac02 01 888e98a8c0e0808101 09",
    );
}

#[test]
fn members_keep_their_bytes() {
    let members = vec![member(1, "a", 1), member(u64::MAX, "b", 2)];
    assert_wire(
        message::Message::Members(members),
        "28000000 6686bf22 0102 0002 02 01 0161 06613a37313031 01 \
         ffffffffffffffffff01 0162 06623a37313031 02",
    );
}

#[test]
fn a_sync_request_keeps_its_bytes() {
    let after = Some(Key::try_from("k").expect("a key"));
    let message = message::Message::SyncRequest { session: 1, chunk: 2, after };
    assert_wire(message, "0d000000 a3771360 0102 0003 01 02 01016b");
}

#[test]
fn a_sync_chunk_keeps_its_bytes() {
    let heard = Heard { incarnation: Incarnation(2), number: 5, missed: 1 };
    let chunk = SyncChunk {
        session: 1,
        chunk: 0,
        clock: 300,
        heard: BTreeMap::from([(NodeId(7), heard)]),
        connected: BTreeMap::from([(NodeId(7), Incarnation(2))]),
        entries: vec![write(Some(b"v")), write(None)],
        done: true,
    };
    assert_wire(
        message::Message::SyncChunk(chunk),
        "2c000000 1dd16e7c 0102 0004 01 00 ac02 0107020501 010702 \
         02 016bac020702ab0203010176 016bac020702ab020300 01",
    );
}

#[test]
fn a_refusal_keeps_its_bytes() {
    assert_wire(message::Message::SyncRefused { session: 300 }, "0a000000 447129ea 0102 0005 ac02");
}

/// The hello is JSON, for it must be understood before versions are agreed upon.
#[test]
fn a_hello_keeps_its_text() {
    let hello = Hello {
        protocol_min: 1,
        protocol_max: 1,
        cluster: Some(ClusterId(0xc1)),
        node: NodeId(7),
        name: "a".parse().expect("a name"),
        address: "a:7101".to_owned(),
        incarnation: Incarnation(2),
        epoch: 3,
        mode: Mode::Raft,
        purpose: Purpose::Snapshot,
        clock: 9,
    };
    let mut bytes = Vec::new();
    frame::encode_json(Kind::Hello, &hello, &mut bytes);
    let frame = frame::decode(&bytes, FRAME_BYTES_MAX).expect("sound").expect("whole");
    assert_eq!(
        std::str::from_utf8(frame.payload),
        Ok(concat!(
            r#"{"protocol_min":1,"protocol_max":1,"cluster":"00000000000000c1","#,
            r#""node":"0000000000000007","name":"a","address":"a:7101","incarnation":2,"epoch":3,"#,
            r#""mode":"raft","purpose":"snapshot","clock":9}"#,
        ))
    );
    assert_eq!(frame.json(), Ok(hello));
}

#[test]
fn a_clock_keeps_its_bytes() {
    let mut bytes = Vec::new();
    frame::encode_clock(300, &mut bytes);
    assert_eq!(bytes[8..], [1, Kind::Clock as u8, 0xac, 0x02]);
    let frame = frame::decode(&bytes, FRAME_BYTES_MAX).expect("sound").expect("whole");
    assert_eq!((frame.kind, frame.message()), (Kind::Clock, Ok(300_u64)));
}

/// A node that knows but broadcast mode says nothing of modes.
#[test]
fn an_older_hello_is_of_broadcast_mode() {
    let older = r#"{"protocol_min":1,"protocol_max":1,"cluster":null,"node":"0000000000000007",
        "name":"a","address":"a:7101","incarnation":2,"epoch":3}"#;
    let hello: Hello = serde_json::from_str(older).expect("a hello");
    assert_eq!((hello.mode, hello.purpose), (Mode::Broadcast, Purpose::Messages));
}

fn keys() -> impl Strategy<Value = Key> {
    "[a-z/ü]{1,20}".prop_map(|text| Key::try_from(text.as_str()).expect("a key"))
}

fn writes() -> impl Strategy<Value = Write> {
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..50));
    (keys(), any::<[u64; 5]>(), value).prop_map(|(key, numbers, value)| {
        let [clock, node, incarnation, created, writes] = numbers;
        let version = Version { clock, node: NodeId(node), incarnation: Incarnation(incarnation) };
        let value = value.map(|bytes| Value::try_from(bytes).expect("short"));
        Write { key, entry: Entry { version, created, writes, value } }
    })
}

fn all_members() -> impl Strategy<Value = Vec<Member>> {
    // Few names and ids, so that records of one name meet.
    let one = (0_u64..4, "[ab]{1,2}", 0_u64..4, 0_u16..3);
    let one = one.prop_map(|(id, name, epoch, port)| Member {
        address: format!("h:{}", port + 1),
        ..member(id, &name, epoch)
    });
    prop::collection::vec(one, 0..8)
}

fn chunks() -> impl Strategy<Value = SyncChunk> {
    let heard = any::<[u64; 3]>().prop_map(|[incarnation, number, missed]| Heard {
        incarnation: Incarnation(incarnation),
        number,
        missed,
    });
    let ids = || any::<u64>().prop_map(NodeId);
    let heard = prop::collection::btree_map(ids(), heard, 0..4);
    let incarnations = any::<u64>().prop_map(Incarnation);
    let connected = prop::collection::btree_map(ids(), incarnations, 0..4);
    let entries = prop::collection::vec(writes(), 0..8);
    (any::<[u64; 3]>(), heard, connected, entries, any::<bool>()).prop_map(
        |([session, chunk, clock], heard, connected, entries, done)| SyncChunk {
            session,
            chunk,
            clock,
            heard,
            connected,
            entries,
            done,
        },
    )
}

fn messages() -> impl Strategy<Value = message::Message> {
    prop_oneof![
        (any::<u64>(), writes())
            .prop_map(|(number, write)| message::Message::Write { number, write }),
        (any::<[u64; 4]>(), any::<bool>()).prop_map(|([number, clock, members, mesh], ready)| {
            message::Message::Heartbeat(Heartbeat { number, clock, ready, members, mesh })
        }),
        all_members().prop_map(message::Message::Members),
        (any::<u64>(), any::<u64>(), prop::option::of(keys())).prop_map(
            |(session, chunk, after)| message::Message::SyncRequest { session, chunk, after }
        ),
        chunks().prop_map(message::Message::SyncChunk),
        any::<u64>().prop_map(|session| message::Message::SyncRefused { session }),
    ]
}

fn merged(records: impl IntoIterator<Item = Member>) -> Members {
    let mut members = Members::default();
    for record in records {
        members.merge(record);
    }
    members
}

proptest! {
    /// Messages in one stream come out as they went in, however the bytes are cut.
    #[test]
    fn messages_survive_the_wire(sent in prop::collection::vec(messages(), 1..5), cut: prop::sample::Index) {
        let sent: Vec<Message> = sent.into_iter().map(Message::Broadcast).collect();
        let mut bytes = Vec::new();
        for message in &sent {
            frame::encode(message, &mut bytes);
        }
        let cut = cut.index(bytes.len());
        let mut received = Vec::new();
        let mut read = 0;
        for end in [cut, bytes.len()] {
            while let Some(frame) = frame::decode(&bytes[read..end], FRAME_BYTES_MAX)? {
                prop_assert_eq!(frame.kind, Kind::Message);
                received.push(frame.message::<Message>()?);
                read += frame.length;
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert_eq!(read, bytes.len());
    }

    /// A payload cut short is no message, and no reason to stop.
    #[test]
    fn a_shortened_payload_is_refused(sent in messages(), cut: prop::sample::Index) {
        let mut bytes = Vec::new();
        frame::encode(&Message::Broadcast(sent), &mut bytes);
        let frame = frame::decode(&bytes, FRAME_BYTES_MAX)?.expect("whole");
        let payload = &frame.payload[..cut.index(frame.payload.len())];
        let short = frame::Frame { payload, ..frame };
        prop_assert_eq!(short.message::<Message>(), Err(FrameError::Payload));
    }

    /// Gossip may come in any order, any grouping, and any number of times.
    #[test]
    fn members_merge_in_any_order(
        (records, shuffled) in all_members().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        split: prop::sample::Index,
    ) {
        let once = merged(records.clone());
        prop_assert_eq!(&once, &merged(shuffled.iter().cloned()));
        prop_assert_eq!(&once, &merged(records.iter().chain(&shuffled).cloned()));
        let (left, right) = records.split_at(split.index(records.len() + 1));
        let grouped = merged(right.iter().cloned());
        let grouped = merged(grouped.iter().cloned().chain(left.iter().cloned()));
        prop_assert_eq!(once.hash(), grouped.hash());
        prop_assert_eq!(once, grouped);
    }
}

mod both;
mod former;
mod growth;

use super::*;
use crate::broadcast;
use crate::kv::key::Key;
use crate::kv::state::State;
use crate::kv::store::{Author, Writing};
use crate::modes::Mode;
use crate::node::{Found, Record};
use crate::raft::configuration::Configuration;
use crate::raft::log::{Entry, EntryId, Index, Payload, Term};
use crate::raft::record::{self as raft_record, Tail};
use crate::raft::snapshot::Snapshot;
use crate::storage::memory::MemoryDisk;
use crate::storage::snapshot::Content;

const SEGMENT_BYTES: u64 = 4_096;

fn name() -> NodeName {
    "node1".parse().expect("a name")
}

fn identity(mode: Mode) -> Record {
    let broadcast = broadcast::Record::bootstrap(NodeId(2), name(), ClusterId(1));
    Record::Identity(Box::new(Identity { broadcast, mode, founder: true }))
}

fn entry(index: u64) -> raft_record::Record {
    let prev = EntryId { term: Term(u64::from(index > 1)), index: Index(index - 1) };
    let entries = vec![Entry { term: Term(1), payload: Payload::Command(vec![1; 300].into()) }];
    let tail = Some(Tail { prev, entries });
    let (voted_for, commit_index) = (Some(NodeId(2)), prev.index);
    raft_record::Record { term: Term(1), voted_for, commit_index, tail }
}

fn open(disk: MemoryDisk) -> Result<(Storage<MemoryDisk>, Found, Vec<String>), StorageError> {
    Storage::open(disk, &name(), SEGMENT_BYTES)
}

fn reopened(storage: Storage<MemoryDisk>) -> (Storage<MemoryDisk>, Found) {
    let (storage, found, warnings) = open(storage.disk).expect("sound");
    assert_eq!(warnings, [""; 0]);
    (storage, found)
}

/// A node in raft mode with entries up to `last` in its log.
fn with_entries(last: u64) -> Storage<MemoryDisk> {
    let (mut storage, ..) = open(MemoryDisk::default()).expect("empty");
    storage.save(&[identity(Mode::Raft)]).expect("room");
    for index in 1..=last {
        storage.save(&[Record::Raft(entry(index))]).expect("room");
    }
    storage
}

fn snapshot(index: u64) -> Snapshot {
    let mut state = State::new(Mode::Raft);
    for n in 0..index {
        let key = Key::try_from(format!("key{n}").as_str()).expect("a key");
        let author = Author::default();
        state.store.put(&key, Writing { value: &[5; 100], lease: None, revision: n + 1, author });
    }
    state.revision = index;
    let last = EntryId { term: Term(1), index: Index(index) };
    Snapshot { last, configuration: Configuration::alone(NodeId(2), name()), state }
}

fn write_snapshot<C: Content>(storage: &mut Storage<MemoryDisk>, content: &C) {
    let owner = storage.owner().expect("it has one");
    let mut bytes = C::KIND.header(owner).to_vec();
    bytes.extend(content.frames().flatten());
    storage.disk_mut().replace(&C::KIND.name(content.mark()), &bytes).expect("room");
}

#[test]
fn what_was_saved_is_found_again() {
    let (storage, found) = reopened(with_entries(20));
    assert_eq!(found.records, (1..=20).map(entry).collect::<Vec<_>>());
    assert_eq!(found.identity.map(Box::new).map(Record::Identity), Some(identity(Mode::Raft)));
    let id = Owner { cluster: ClusterId(1), node: NodeId(2) };
    assert_eq!((storage.owner(), found.snapshot.is_none()), (Some(id), true));
    let found = open(MemoryDisk::default()).expect("empty").1;
    assert!(found.identity.is_none() && found.records.is_empty());
}

#[test]
fn a_node_in_broadcast_mode_has_no_log() {
    let (mut storage, ..) = open(MemoryDisk::default()).expect("empty");
    storage.save(&[identity(Mode::Broadcast)]).expect("room");
    assert!(storage.reserve().expect("nothing to reserve"));
    let (storage, found) = reopened(storage);
    assert_eq!(storage.disk().files().expect("names"), [RECORD]);
    assert_eq!((found.identity.map(|i| i.mode), storage.wal_bytes()), (Some(Mode::Broadcast), 0));
}

/// D1, M9: a crash between any two steps of the first start leaves a node that starts; and then
/// it has a log, of which nothing is missing.
#[test]
fn d1_an_interrupted_first_start_is_finished() {
    let whole = with_entries(0).disk;
    let Record::Identity(identity) = identity(Mode::Raft) else { unreachable!() };
    let held = record::encode(&Held { identity: *identity, has_log: false });
    let wal = whole.files().expect("names").into_iter().find(|file| file != RECORD);
    let wal = wal.expect("a segment");
    for state in 0..3 {
        let mut disk = MemoryDisk::default();
        disk.replace(RECORD, &held).expect("room");
        disk.replace("node.new", b"half").expect("room");
        if state > 0 {
            disk.create(&wal, SEGMENT_BYTES).expect("room");
        }
        if state > 1 {
            disk.write(&wal, 0, whole.bytes(&wal)).expect("a file");
        }
        let (mut storage, found, _) = open(disk).expect("it goes on");
        assert!(found.identity.is_some() && found.records.is_empty());
        storage.save(&[Record::Raft(entry(1))]).expect("room");
        let (_, found) = reopened(storage);
        assert_eq!(found.records, [entry(1)], "state {state}");
    }
}

/// R1: votes that were lost with the log could be given again, so the node does not start.
#[test]
fn r1_a_lost_log_is_no_new_log() {
    let disk = with_entries(40).disk;
    let mut files: Vec<String> = disk.files().expect("names");
    files.retain(|file| file != RECORD);
    assert!(files.len() > 2);
    let lost = |files: &[String]| {
        let mut disk = disk.clone();
        files.iter().for_each(|file| disk.remove(file).expect("a file"));
        open(disk)
    };
    for file in &files[..files.len() - 1] {
        let error = lost(std::slice::from_ref(file)).err();
        let is_first = *file == files[0];
        assert!(is_first || matches!(error, Some(StorageError::Damaged { .. })), "{file}");
    }
    assert!(matches!(lost(&files), Err(StorageError::Damaged { .. })));
    assert!(matches!(lost(&[RECORD.to_owned()]), Err(StorageError::Damaged { .. })));
}

/// R18, D7: the newest snapshot counts, with all that is in it; what is older goes, and what an
/// interrupted write has left.
#[test]
fn r18_the_newest_snapshot_is_found_and_the_others_go() {
    let mut storage = with_entries(20);
    for index in [5, 9, 12] {
        write_snapshot(&mut storage, &snapshot(index));
    }
    let leftovers = ["snapshot-000000000000000d.new", "node.new"];
    for file in leftovers {
        storage.disk.replace(file, b"half").expect("room");
    }
    storage.disk.replace("notes.new", b"somebody's").expect("room");
    let (mut storage, found) = reopened(storage);
    let read = found.snapshot.expect("a snapshot");
    assert_eq!((read.last, &read.state), (snapshot(12).last, &snapshot(12).state));
    assert_eq!(read.configuration, snapshot(12).configuration);
    let gone =
        leftovers.into_iter().map(str::to_owned).chain([5, 9].map(|index| Kind::Raft.name(index)));
    gone.for_each(|file| assert!(!storage.disk.has(&file), "{file}"));
    assert!(storage.disk.has("notes.new"));
    let before = storage.wal_bytes();
    storage.release(Kind::Raft, 12).expect("removed");
    assert!(storage.wal_bytes() < before);
    let (_, found) = reopened(storage);
    let first = found.records[0].tail.as_ref().expect("a tail").prev.index;
    assert!(first <= Index(12) && found.records.last() == Some(&entry(20)), "{first:?}");
}

/// R18: a snapshot that is damaged is not passed over for an older one: entries behind that are
/// gone already.
#[test]
fn r18_a_damaged_snapshot_is_refused() {
    let mut storage = with_entries(20);
    write_snapshot(&mut storage, &snapshot(5));
    write_snapshot(&mut storage, &snapshot(12));
    let file = Kind::Raft.name(12);
    let length = storage.disk.bytes(&file).len();
    for byte in (0..length).step_by(37) {
        let mut disk = storage.disk.clone();
        disk.flip(&file, byte, 3);
        let error = open(disk).expect_err("damaged");
        assert!(error.to_string().contains(&file), "byte {byte}: {error}");
    }
    let short = storage.disk.bytes(&file)[..length - 1].to_vec();
    storage.disk.replace(&file, &short).expect("room");
    assert!(matches!(open(storage.disk), Err(StorageError::Damaged { offset: 1.., .. })));
}

/// M4, D8: whose files these are is looked at before anything else.
#[test]
fn m4_another_name_is_refused() {
    let storage = with_entries(1);
    let other = "node2".parse().expect("a name");
    let outcome = Storage::open(storage.disk, &other, SEGMENT_BYTES);
    assert!(matches!(outcome, Err(StorageError::OtherName(owner)) if owner == name()));
}

/// D3: what was cut is told.
#[test]
fn d3_a_cut_is_told() {
    let mut storage = with_entries(1);
    storage.disk.set_syncs(false);
    storage.save(&[Record::Raft(entry(2))]).expect("room");
    let mut first = true;
    storage.disk.crash(|| std::mem::take(&mut first));
    storage.disk.set_syncs(true);
    let (_, found, warnings) = open(storage.disk).expect("torn is not damaged");
    assert_eq!(found.records, [entry(1)]);
    assert!(warnings[0].starts_with("wal-0000000000000001: cut at byte"), "{warnings:?}");
}

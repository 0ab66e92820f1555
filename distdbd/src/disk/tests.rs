use std::os::unix::fs::PermissionsExt;

use common::broadcast;
use common::identity::{ClusterId, NodeId};
use common::kv::key::Key;
use common::kv::state::State;
use common::kv::store::{Author, Writing};
use common::modes::Mode;
use common::node::{Found, Identity, Record};
use common::raft::configuration::Configuration;
use common::raft::log::{Entry, EntryId, Index, Payload, Term};
use common::raft::record::{self, Tail};
use common::raft::snapshot::Snapshot;
use common::storage::snapshot::SnapshotError;
use common::storage::{Owner, Save, Storage, TEMPORARY, is_full};

use super::*;
use crate::disk::snapshot::Incoming;

const OWNER: Owner = Owner { cluster: ClusterId(1), node: NodeId(2) };
const SMALL: u64 = 64 * 1024;

fn name() -> NodeName {
    "node1".parse().expect("a name")
}

fn try_open(path: &Path) -> Result<(Storage<DataDir>, Found), Failure> {
    let disk = DataDir::open(path.to_owned(), true)?;
    let opened = Storage::open(disk, &name(), SMALL);
    let (storage, found, _) = opened.map_err(|error| failure(path, &name(), error))?;
    Ok((storage, found))
}

fn open(path: &Path) -> (Storage<DataDir>, Found) {
    try_open(path).unwrap_or_else(|failure| panic!("{:#}", failure.error()))
}

fn identity() -> Record {
    let broadcast = broadcast::Record::bootstrap(OWNER.node, name(), OWNER.cluster);
    Record::Identity(Box::new(Identity { broadcast, mode: Mode::Raft, founder: true }))
}

fn entry(index: u64) -> record::Record {
    let prev = EntryId { term: Term(u64::from(index > 1)), index: Index(index - 1) };
    let entries = vec![Entry { term: Term(1), payload: Payload::Command(vec![1; 900].into()) }];
    let tail = Some(Tail { prev, entries });
    record::Record { term: Term(1), voted_for: None, commit_index: prev.index, tail }
}

fn snapshot_at(index: u64) -> Snapshot {
    let mut state = State::new(Mode::Raft);
    for n in 0..2_000 {
        let key = Key::try_from(format!("key{n}").as_str()).expect("a key");
        let author = Author::default();
        let writing = Writing { value: &[5; 100], lease: None, revision: n + 1, author };
        state.store.put(&key, writing);
    }
    let last = EntryId { term: Term(1), index: Index(index) };
    Snapshot { last, configuration: Configuration::alone(OWNER.node, name()), state }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry"));
    entries.map(|entry| entry.file_name().into_string().expect("text")).collect()
}

/// R23: what a commit has saved is found by the next process, over several segments, and nobody
/// else may read it.
#[test]
fn r23_what_was_saved_is_found_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut storage, _) = open(dir.path());
    storage.save(&[identity()]).expect("room");
    for index in 1..=200 {
        assert!(storage.reserve().expect("room"));
        storage.save(&[Record::Raft(entry(index))]).expect("room");
    }
    drop(storage);
    let (_, found) = open(dir.path());
    assert_eq!(found.records, (1..=200).map(entry).collect::<Vec<_>>());
    // One more may be on its way, beside.
    assert!(names(dir.path()).iter().filter(|file| file.starts_with("wal-")).count() > 2);
    for file in names(dir.path()) {
        let metadata = fs::metadata(dir.path().join(&file)).expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

/// A file has its name when it is whole, and all of it takes room on the disk.
#[test]
fn a_segment_is_allocated_beside_the_running_node() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().expect("a directory");
    let mut disk = DataDir::open(dir.path().to_owned(), true).expect("empty");
    assert!(!disk.prepare("wal-1", 9 << 20).expect("room"));
    disk.create("wal-1", 9 << 20).expect("it waits for what it has begun");
    let metadata = fs::metadata(dir.path().join("wal-1")).expect("a file");
    assert_eq!(metadata.len(), 9 << 20);
    assert!(metadata.blocks() * 512 >= 9 << 20);
    while !disk.prepare("wal-2", 1 << 20).expect("room") {
        thread::yield_now();
    }
    assert!(!names(dir.path()).iter().any(|file| file.ends_with(TEMPORARY)));
}

/// D6: two processes never have one data directory.
#[test]
fn d6_a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let _held = open(dir.path());
    assert!(matches!(try_open(dir.path()), Err(Failure::Configuration(_))));
}

/// D8, M4: what is another node's or a later version's ends with 78, what is damaged with 70; and
/// neither is touched.
#[test]
fn d8_a_foreign_and_a_damaged_directory_are_refused_untouched() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut storage, _) = open(dir.path());
    storage.save(&[identity()]).expect("room");
    drop(storage);
    let file = dir.path().join("node");
    let bytes = fs::read(&file).expect("a record");
    let stranger = "node2".parse().expect("a name");
    let disk = DataDir::open(dir.path().to_owned(), true).expect("free");
    let error = Storage::open(disk, &stranger, SMALL).expect_err("another's");
    let refused = failure(dir.path(), &stranger, error);
    assert!(matches!(&refused, Failure::Configuration(_)));
    assert!(refused.error().to_string().contains("belongs to node1, not to node2"));
    let mut damaged = bytes.clone();
    damaged[20] ^= 1;
    fs::write(&file, &damaged).expect("written");
    assert!(matches!(try_open(dir.path()), Err(Failure::Broken(_))));
    let later = [b"distdb\0\x09", &bytes[8..]].concat();
    fs::write(&file, &later).expect("written");
    assert!(matches!(try_open(dir.path()), Err(Failure::Configuration(_))));
    assert_eq!(fs::read(&file).expect("there"), later);
}

/// R18: a snapshot that comes from a peer is the same there, or nothing is left of it.
#[test]
fn r18_a_snapshot_arrives_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::create_dir(&from).expect("made");
    fs::create_dir(&to).expect("made");
    let sent = snapshot_at(7);
    let bytes = snapshot::write(&from, OWNER, &sent, true).expect("room");
    let mut frames = Vec::new();
    let mut file = snapshot::frames(&from, OWNER, 7).expect("its own");
    file.read_to_end(&mut frames).expect("read");
    assert_eq!(frames.len() as u64 + 64, bytes);
    let receiver = Owner { node: NodeId(3), ..OWNER };
    let receive = |parts: &[&[u8]]| {
        let mut incoming = Incoming::begin(&to, receiver, true).expect("room");
        parts.iter().for_each(|part| incoming.write(part).expect("room"));
        incoming.finish()
    };
    let (most, rest) = frames.split_at(frames.len() - 3);
    for wrong in [vec![most], vec![rest], vec![most, rest, b"more"]] {
        assert!(matches!(receive(&wrong), Err(SnapshotError::Damaged(_))));
        assert_eq!(names(&to), [""; 0]);
    }
    let received = receive(&[most, rest]).expect("whole");
    assert_eq!((received.last, received.state), (sent.last, sent.state));
    assert_eq!(names(&to), ["snapshot-0000000000000007"]);
    assert!(matches!(snapshot::frames(&to, OWNER, 7), Err(SnapshotError::Foreign(_))));
}

/// D4: what the disk says when it is full is understood.
#[test]
fn d4_full_is_full() {
    assert!(is_full(&nix::errno::Errno::ENOSPC.into()));
    assert!(is_full(&nix::errno::Errno::EDQUOT.into()));
    assert!(!is_full(&nix::errno::Errno::EIO.into()));
}

//! What a node writes to its log, and how the log's files are damaged then.
//!
//! The records are those that a sound node writes. What stands in a frame with a right checksum is
//! its own and believed; what is fuzzed is the bytes around.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use common::causal::clock::Dot;
use common::causal::hybrid::Timestamp;
use common::causal::record::Step;
use common::causal::write::Write;
use common::config::{Config, Keeping};
use common::identity::{ClusterId, NodeId, NodeName};
use common::kv::key::Key;
use common::kv::value::Value;
use common::modes::Mode;
use common::node::{Found, Identity, Node, Record};
use common::raft::log::{Entry, EntryId, Index, Payload, Term};
use common::raft::record::Tail;
use common::storage::{Disk, Save, Storage, StorageError};
use common::{broadcast, causal, raft};

use crate::source::Source;

/// Commits of a log; more of them are more of the same.
const COMMITS_MAX: usize = 24;

const SEGMENT_BYTES: u64 = 2_048;

/// Writes a log, damages it, and opens it.
pub fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (files, history) = write(&mut source);
    let whole = files.all();
    let commits = history.commits.len();
    assert_eq!(opened(&files).expect("nothing is damaged").found(&history), commits);
    files.set(whole.clone());
    damage(&files, &mut source);
    let intact = intact(&whole, &files.all(), &history);
    let before = files.all();
    match open(&files) {
        Ok((_, found, _)) => {
            let kept = Opened { found }.found(&history);
            assert!(kept >= intact, "{kept} commits of {commits} are found, {intact} are intact");
            open_again(&files, &history, kept);
        }
        Err(StorageError::Damaged { .. } | StorageError::Foreign { .. }) => {
            assert!(files.all() == before, "a log that is refused is not touched");
        }
        Err(error) => panic!("{error}"),
    }
}

/// A second start finds the same, has nothing to repair, and goes on.
fn open_again(files: &Files, history: &History, kept: usize) {
    let (mut storage, found, warnings) = open(files).expect("it was repaired");
    assert_eq!(warnings, [""; 0], "it was repaired before");
    assert_eq!(Opened { found }.found(history), kept);
    let mut shorter = history.clone();
    shorter.commits.truncate(kept);
    let commit = shorter.last_words();
    storage.save(&commit).expect("room");
    shorter.commits.push(commit);
    assert_eq!(opened(files).expect("nothing is damaged").found(&shorter), kept + 1);
}

/// What was written, commit by commit.
#[derive(Clone, Default)]
struct History {
    commits: Vec<Vec<Record>>,
    /// In which file each commit begins, and where in it, at the least.
    places: Vec<(String, usize)>,
    log: Vec<Term>,
    term: u64,
    commit_index: u64,
    position: u64,
}

impl History {
    /// An election, and what its winner appends at some place behind what is committed.
    fn raft(&mut self, source: &mut Source<'_>) -> Record {
        let kind = source.byte();
        self.term += 1;
        let last = self.log.len() as u64;
        self.commit_index = (self.commit_index + u64::from(kind >> 6)).min(last);
        if kind & 1 != 0 {
            return self.record(None);
        }
        let prev = last - u64::from(kind >> 1 & 7).min(last - self.commit_index);
        self.log.truncate(usize::try_from(prev).expect("short"));
        let term = self.log.last().copied().unwrap_or_default();
        let prev = EntryId { term, index: Index(prev) };
        let entries: Vec<Entry> = (0..kind >> 4 & 3).map(|_| self.entry(source)).collect();
        self.log.extend(entries.iter().map(|entry| entry.term));
        self.record(Some(Tail { prev, entries }))
    }

    fn entry(&self, source: &mut Source<'_>) -> Entry {
        let value = vec![source.byte(); source.word() % 3_000];
        Entry { term: Term(self.term), payload: Payload::Command(value.into()) }
    }

    fn record(&self, tail: Option<Tail>) -> Record {
        let (voted_for, commit_index) = (Some(NodeId(self.term)), Index(self.commit_index));
        Record::Raft(raft::record::Record { term: Term(self.term), voted_for, commit_index, tail })
    }

    fn causal(&mut self, source: &mut Source<'_>) -> Record {
        self.position += 1;
        let value = vec![source.byte(); source.word() % 3_000];
        let write = Write {
            dot: Dot { node: NodeId(1), counter: self.position },
            past: Vec::new(),
            lamport: self.position,
            time: Timestamp::of_ms(self.position),
            key: Key::try_from("key").expect("a key"),
            replaces: Vec::new(),
            value: Some(Value::try_from(value).expect("short")),
            created: 1,
            writes: 1,
            request: None,
        };
        let steps = vec![Step::Apply(Arc::new(write))];
        Record::Causal(causal::record::Record { position: self.position, steps })
    }

    fn last_words(&mut self) -> Vec<Record> {
        self.term += 1;
        vec![self.record(None)]
    }
}

fn write(source: &mut Source<'_>) -> (Files, History) {
    let (files, mut history) = (Files::default(), History::default());
    let mut storage = open(&files).expect("nothing is there").0;
    let broadcast = broadcast::Record::bootstrap(NodeId(1), name(), ClusterId(7));
    let identity = Identity { broadcast, mode: Mode::Raft, founder: false };
    storage.save(&[Record::Identity(Box::new(identity))]).expect("room");
    for _ in 0..usize::from(source.byte()) % COMMITS_MAX {
        let kind = source.byte();
        let mut records = Vec::new();
        if kind & 3 != 0 {
            records.push(history.raft(source));
        }
        if kind & 3 != 1 {
            records.push(history.causal(source));
        }
        if kind & 4 != 0 {
            storage.reserve().expect("nothing fails");
        }
        let before = files.all();
        storage.save(&records).expect("room");
        history.places.push(first_difference(&before, &files.all()).expect("it was written"));
        history.commits.push(records);
    }
    (files, history)
}

/// The first byte of a log that is not the same, by file and offset.
fn first_difference(one: &Contents, other: &Contents) -> Option<(String, usize)> {
    let files = one.keys().chain(other.keys()).filter(|file| file.starts_with("wal-"));
    let mut files: Vec<&String> = files.collect();
    files.sort();
    files.into_iter().find_map(|file| {
        let (one, other) = (one.get(file), other.get(file));
        if one == other {
            return None;
        }
        let (one, other) =
            (one.map_or(&[][..], Vec::as_slice), other.map_or(&[][..], Vec::as_slice));
        let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        // A longer file of zeros is as good as a shorter one, up to its end.
        (same < one.len().max(other.len())).then(|| (file.clone(), same))
    })
}

/// How many commits are before all damage, at the least: the next one begins before it.
fn intact(whole: &Contents, damaged: &Contents, history: &History) -> usize {
    let Some(damage) = first_difference(whole, damaged) else { return history.commits.len() };
    let begun = history.places.iter().filter(|place| **place <= damage).count();
    begun.saturating_sub(1)
}

/// The name of a log's first file.
const OLDEST: &str = "wal-0000000000000001";

fn damage(files: &Files, source: &mut Source<'_>) {
    for _ in 0..4 {
        let Some(kind) = source.next() else { return };
        let mut all = files.all();
        let logs: Vec<String> =
            all.keys().filter(|name| name.starts_with("wal-")).cloned().collect();
        let Some(file) = logs.get(usize::from(source.byte()) % logs.len().max(1)) else { return };
        let mut bytes = all.remove(file).expect("it was listed");
        let at = source.word().min(bytes.len());
        match kind & 7 {
            0 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= source.byte()),
            1 => {
                let sector = at / 512 * 512;
                bytes[sector..].iter_mut().take(512).for_each(|byte| *byte = 0);
            }
            2 => bytes[at..].fill(0),
            3 => bytes.truncate(at),
            4 => {
                let length = usize::from(source.byte());
                bytes[at..].iter_mut().zip(source.take(length)).for_each(|(to, from)| *to = *from);
            }
            5 => {
                let from = source.word().min(bytes.len());
                let moved = bytes[from..].iter().copied().take(512).collect::<Vec<_>>();
                bytes[at..].iter_mut().zip(moved).for_each(|(to, from)| *to = from);
            }
            6 => bytes.extend(vec![source.byte(); source.word() % 2_000]),
            _ => {
                let stray = ["wal-", "wal-2", "wal-ffffffffffffffff", "node.new", "snapshot-1.new"];
                let stray = stray[usize::from(source.byte()) % stray.len()];
                all.insert(stray.to_owned(), bytes[..at].to_vec());
            }
        }
        // Where the oldest file is gone, a snapshot may have taken its place, for all that the log
        // knows.
        if kind & 8 == 0 || file == OLDEST {
            all.insert(file.clone(), bytes);
        }
        files.set(all);
    }
}

type Contents = BTreeMap<String, Vec<u8>>;

/// A directory that is shared with whoever looks at it.
#[derive(Clone, Default)]
struct Files(Rc<RefCell<Contents>>);

impl Files {
    fn all(&self) -> Contents {
        self.0.borrow().clone()
    }

    fn set(&self, all: Contents) {
        *self.0.borrow_mut() = all;
    }
}

impl Disk for Files {
    fn files(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    fn reader(&self, file: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.0.borrow().get(file).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn replace(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().insert(file.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn create(&mut self, file: &str, bytes: u64) -> io::Result<()> {
        self.replace(file, &vec![0; usize::try_from(bytes).expect("short")])
    }

    fn prepare(&mut self, file: &str, bytes: u64) -> io::Result<bool> {
        self.create(file, bytes).map(|()| true)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let file = files.get_mut(file).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).expect("short");
        let room = file.get_mut(from..from + bytes.len()).expect("a file does not grow");
        room.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        let removed = self.0.borrow_mut().remove(file);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn name() -> NodeName {
    "n1".parse().expect("a name")
}

fn open(files: &Files) -> Result<(Storage<Files>, Found, Vec<String>), StorageError> {
    Storage::open(files.clone(), &name(), SEGMENT_BYTES)
}

fn opened(files: &Files) -> Result<Opened, StorageError> {
    open(files).map(|(_, found, _)| Opened { found })
}

struct Opened {
    found: Found,
}

impl Opened {
    /// How many commits of the history were found: these and no others. A node starts from them.
    fn found(self, history: &History) -> usize {
        let (mut raft, mut causal) = (self.found.records.iter(), self.found.causal_records.iter());
        let mut count = 0;
        for commit in &history.commits {
            let mut is_there = |record: &Record| match record {
                Record::Raft(record) => raft.next() == Some(record),
                Record::Causal(record) => causal.next() == Some(record),
                Record::Identity(_) => unreachable!("it is in no commit"),
            };
            let there = commit.iter().filter(|record| is_there(record)).count();
            if there != commit.len() {
                assert_eq!(there, 0, "a commit is found in part");
                break;
            }
            count += 1;
        }
        assert_eq!((raft.next(), causal.next()), (None, None), "what was never written is found");
        if let Err(error) = Node::recover(config(), self.found) {
            panic!("the beginning of a history is none: {error}");
        }
        count
    }
}

fn config() -> Config {
    Config {
        node: NodeId(1),
        name: name(),
        address: "n1:7101".to_owned(),
        heartbeat_interval: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
        mode: Mode::Raft,
        snapshot_every: 100,
        log_kept_bytes: 1_000,
        causal_log_bytes: 1_000,
        keeping: Keeping::default(),
        seed: 1,
        is_traced: false,
    }
}

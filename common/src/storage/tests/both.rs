//! The records of two protocols in one log.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::causal::clock::Dot;
use crate::causal::hybrid::Timestamp;
use crate::causal::record::{self as causal_record, Step};
use crate::causal::write::Write;
use crate::kv::value::Value;

/// A record of a write with a value of `bytes`.
fn write(position: u64, bytes: Vec<u8>) -> causal_record::Record {
    let write = Write {
        dot: Dot { node: NodeId(2), counter: position },
        past: Vec::new(),
        lamport: position,
        time: Timestamp::of_ms(position),
        key: Key::try_from("key").expect("a key"),
        replaces: Vec::new(),
        value: Some(Value::try_from(bytes).expect("short")),
        created: position,
        writes: 1,
        request: None,
    };
    causal_record::Record { position, steps: vec![Step::Apply(Arc::new(write))] }
}

fn written(position: u64) -> causal_record::Record {
    write(position, vec![3; 300])
}

fn vote(term: u64) -> raft_record::Record {
    let (voted_for, commit_index) = (Some(NodeId(9)), Index(0));
    raft_record::Record { term: Term(term), voted_for, commit_index, tail: None }
}

fn founded() -> Storage<MemoryDisk> {
    with_entries(0)
}

fn save(storage: &mut Storage<MemoryDisk>, records: &[Record]) {
    storage.save(records).expect("room");
}

#[test]
fn what_both_have_saved_is_found_again_in_order() {
    let mut storage = founded();
    for n in 1..=20 {
        save(&mut storage, &[Record::Causal(written(n)), Record::Raft(entry(n))]);
    }
    save(&mut storage, &[Record::Causal(written(21))]);
    let (_, found) = reopened(storage);
    assert_eq!(found.records, (1..=20).map(entry).collect::<Vec<_>>());
    assert_eq!(found.causal_records, (1..=21).map(written).collect::<Vec<_>>());
}

/// A node's identity is durable before its log has a record: there is no log without.
#[test]
fn an_identity_comes_first_whatever_its_place() {
    let (mut storage, ..) = open(MemoryDisk::default()).expect("empty");
    let first = [Record::Causal(written(1)), Record::Raft(entry(1)), identity(Mode::Raft)];
    save(&mut storage, &first);
    let (_, found) = reopened(storage);
    assert_eq!((found.records, found.causal_records), (vec![entry(1)], vec![written(1)]));
    assert!(found.identity.is_some());
}

#[test]
#[should_panic(expected = "once a commit")]
fn two_records_of_a_protocol_in_a_commit_are_a_bug() {
    save(&mut founded(), &[Record::Raft(vote(1)), Record::Raft(vote(2))]);
}

/// What is found of a commit of both, behind others that were synced, when so many of its sectors
/// have survived; and how many there were.
fn crashed(before: u64, records: &[Record; 2], kept: u64) -> ((usize, usize), u32) {
    let mut storage = founded();
    for n in 1..=before {
        save(&mut storage, &[Record::Raft(entry(n)), Record::Causal(written(n))]);
    }
    storage.disk.set_syncs(false);
    save(&mut storage, records);
    let mut sector = 0;
    storage.disk.crash(|| {
        sector += 1;
        kept.rotate_right(sector - 1) & 1 == 1
    });
    storage.disk.set_syncs(true);
    let (_, found, _) = open(storage.disk).expect("torn is not damaged");
    ((found.records.len(), found.causal_records.len()), sector)
}

/// One commit is one frame: whatever sectors a crash leaves of it, both records are there if it
/// leaves them all, and neither if it does not.
#[test]
fn d1_a_crash_takes_both_records_of_a_commit_or_none() {
    let records = [Record::Raft(entry(2)), Record::Causal(write(2, vec![3; 1_500]))];
    let (_, sectors) = crashed(1, &records, 0);
    assert!((4..8).contains(&sectors), "{sectors} sectors");
    let whole = (1 << sectors) - 1;
    for kept in 0..=whole {
        let expected = if kept == whole { (2, 2) } else { (1, 1) };
        assert_eq!(crashed(1, &records, kept).0, expected, "kept {kept:b}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The same at any place, with records of any size, and values that are zeros.
    #[test]
    fn d1_a_crash_never_parts_what_was_committed_together(
        before in 0_u64..12,
        bytes in 0_usize..3_000,
        byte in 0_u8..2,
        is_vote in any::<bool>(),
        kept in prop_oneof![Just(u64::MAX), any::<u64>()],
    ) {
        let raft = if is_vote { vote(2) } else { entry(before + 1) };
        let records = [Record::Raft(raft), Record::Causal(write(before + 1, vec![byte; bytes]))];
        let ((rafts, causals), _) = crashed(before, &records, kept);
        prop_assert_eq!(rafts, causals);
        prop_assert!(rafts as u64 == before || rafts as u64 == before + 1);
        prop_assert!(kept != u64::MAX || rafts as u64 == before + 1);
    }
}

/// R1: term and vote are found again, however many commits came after that had none and are in a
/// snapshot; and they hold up nothing.
#[test]
fn r1_term_and_vote_outlive_the_frame_that_saved_them() {
    let mut storage = founded();
    save(&mut storage, &[Record::Raft(vote(5))]);
    for position in 1..=200 {
        save(&mut storage, &[Record::Causal(written(position))]);
        if position % 50 > 0 {
            continue;
        }
        storage.release(Kind::Causal, position).expect("removed");
        assert!(storage.wal_bytes() <= 2 * SEGMENT_BYTES, "{} bytes", storage.wal_bytes());
        // A node that has started anew, and has not voted since, still knows.
        let found;
        (storage, found) = reopened(storage);
        assert_eq!(found.records, [vote(5)], "position {position}");
        assert_eq!(found.causal_records.last(), Some(&written(position)));
    }
    save(&mut storage, &[Record::Raft(vote(6)), Record::Causal(written(201))]);
    save(&mut storage, &[Record::Causal(written(202))]);
    let (_, found) = reopened(storage);
    assert_eq!(found.records, [vote(5), vote(6)]);
}

/// R1: also where the newest frame is torn: the one before tells them, too.
#[test]
fn r1_a_torn_frame_takes_no_vote_with_it() {
    let mut storage = founded();
    save(&mut storage, &[Record::Raft(vote(5))]);
    (1..=40).for_each(|position| save(&mut storage, &[Record::Causal(written(position))]));
    storage.release(Kind::Causal, 40).expect("removed");
    storage.disk.set_syncs(false);
    save(&mut storage, &[Record::Causal(write(41, vec![3; 1_000]))]);
    let mut first = true;
    storage.disk.crash(|| std::mem::take(&mut first));
    storage.disk.set_syncs(true);
    let (_, found, _) = open(storage.disk).expect("torn is not damaged");
    assert_eq!((found.records, found.causal_records.last()), (vec![vote(5)], Some(&written(40))));
}

/// D7: a frame may go when both snapshots stand for it, and not before, whichever comes first;
/// also where one of them was written by a process before.
#[test]
fn d7_a_frame_goes_when_both_snapshots_have_it() {
    for kinds in [Kind::ALL, [Kind::Causal, Kind::Raft]] {
        let mut storage = founded();
        for n in 1..=30 {
            save(&mut storage, &[Record::Raft(entry(n))]);
            save(&mut storage, &[Record::Causal(written(n))]);
        }
        let bytes = storage.wal_bytes();
        storage.release(kinds[0], 30).expect("removed");
        assert_eq!(storage.wal_bytes(), bytes, "{kinds:?}");
        storage.release(kinds[1], 20).expect("removed");
        assert!(storage.wal_bytes() <= bytes / 2, "{kinds:?}");
        let (_, found) = reopened(storage);
        let first = found.causal_records[0].position;
        assert!((15..=21).contains(&first), "{kinds:?}: from {first}");
        assert_eq!(found.causal_records, (first..=30).map(written).collect::<Vec<_>>());
        assert_eq!(found.records.last(), Some(&entry(30)));
    }
}

/// D7: how far snapshots go is known anew after a start.
#[test]
fn d7_a_snapshot_on_the_disk_counts_after_a_start() {
    let mut storage = founded();
    for n in 1..=30 {
        save(&mut storage, &[Record::Raft(entry(n)), Record::Causal(written(n))]);
    }
    write_snapshot(&mut storage, 30);
    let (mut storage, _) = reopened(storage);
    let bytes = storage.wal_bytes();
    storage.release(Kind::Causal, 20).expect("removed");
    assert!(storage.wal_bytes() <= bytes / 2);
}

/// What version 0.1.0 has written into `wal-0000000000000001` of this node in format 1: entries 1
/// and 2 of term 1, and then a vote for node 9 in term 3.
const FORMER_LOG: &str = concat!(
    "646973742d776c01010000000000000002000000000000000100000000000000",
    "0100000000000000b0ce6bc70000000000000000000000000000000000000000",
    "12000000cac1e08d010000000000000002000000000000000000000048d2d58a",
    "0101020001000002010001020507070707070000000000000500000096d11510",
    "020000000000000000000000000000000000000026ad193803010902",
);

fn former() -> (MemoryDisk, [raft_record::Record; 2]) {
    let digit = |at: usize| u8::from_str_radix(&FORMER_LOG[at..at + 2], 16).expect("hexadecimal");
    let bytes: Vec<u8> = (0..FORMER_LOG.len()).step_by(2).map(digit).collect();
    let mut disk = founded().disk;
    disk.create(FIRST, SEGMENT_BYTES).expect("room");
    disk.write(FIRST, 0, &bytes).expect("a file");
    disk.sync(FIRST).expect("a file");
    let of_term = |payload| Entry { term: Term(1), payload };
    let entries = vec![of_term(Payload::Noop), of_term(Payload::Command(vec![7; 5].into()))];
    let tail = Some(Tail { prev: EntryId::default(), entries });
    let (term, voted_for, commit_index) = (Term(1), Some(NodeId(2)), Index(0));
    let first = raft_record::Record { term, voted_for, commit_index, tail };
    let commit_index = Index(2);
    let second = raft_record::Record { commit_index, ..vote(3) };
    (disk, [first, second])
}

const FIRST: &str = "wal-0000000000000001";
const SECOND: &str = "wal-0000000000000002";

/// D8: a log of the former format is read, and left as it is; what comes after stands in a segment
/// of its own. That may be one that the former version had allocated.
#[test]
fn d8_a_log_of_the_former_format_goes_on() {
    for has_spare in [false, true] {
        let (mut disk, before) = former();
        if has_spare {
            disk.create(SECOND, SEGMENT_BYTES).expect("room");
        }
        let bytes = disk.bytes(FIRST).to_vec();
        let (mut storage, found, _) = open(disk).expect("it is read");
        assert_eq!(found.records, before);
        assert_eq!(storage.wal_bytes(), 2 * SEGMENT_BYTES, "has spare: {has_spare}");
        // Without a commit in between it is the same.
        (storage, _) = reopened(storage);
        save(&mut storage, &[Record::Causal(written(1))]);
        save(&mut storage, &[Record::Raft(vote(4)), Record::Causal(written(2))]);
        assert_eq!(storage.disk.bytes(FIRST), bytes);
        assert_eq!([FIRST, SECOND].map(|file| storage.disk.bytes(file)[7]), [1, 2]);
        let (mut storage, found) = reopened(storage);
        assert_eq!(found.records, [&before[..], &[vote(4)]].concat());
        assert_eq!(found.causal_records, [written(1), written(2)]);
        storage.release(Kind::Raft, 1).expect("nothing to remove");
        assert!(storage.disk.has(FIRST), "entry 2 is in it alone");
        storage.release(Kind::Raft, 2).expect("removed");
        assert!(!storage.disk.has(FIRST));
    }
}

/// R1: what only the former version has saved is not lost when all of its segments go.
#[test]
fn r1_the_vote_of_a_former_log_is_kept() {
    let (disk, before) = former();
    let (mut storage, ..) = open(disk).expect("it is read");
    storage.release(Kind::Raft, 2).expect("nothing to remove");
    assert!(storage.disk.has(FIRST), "it has the last frame");
    save(&mut storage, &[Record::Causal(written(1))]);
    storage.release(Kind::Raft, 2).expect("removed");
    assert!(!storage.disk.has(FIRST));
    let (_, found) = reopened(storage);
    assert_eq!(found.records, before[1..]);
}

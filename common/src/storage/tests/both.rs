//! The records of two protocols in one log.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::causal::record::{self as causal_record, Step};
use crate::causal::snapshot::tests as causal_tests;

/// A record of a write with a value of `bytes`.
fn write(position: u64, bytes: Vec<u8>) -> causal_record::Record {
    let write = causal_tests::write(2, position, "key", bytes);
    causal_record::Record { position, steps: vec![Step::Apply(Arc::new(write))] }
}

pub(super) fn written(position: u64) -> causal_record::Record {
    write(position, vec![3; 300])
}

pub(super) fn vote(term: u64) -> raft_record::Record {
    let (voted_for, commit_index) = (Some(NodeId(9)), Index(0));
    raft_record::Record { term: Term(term), voted_for, commit_index, tail: None }
}

pub(super) fn founded() -> Storage<MemoryDisk> {
    with_entries(0)
}

pub(super) fn save(storage: &mut Storage<MemoryDisk>, records: &[Record]) {
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

/// D7: entries of Raft that no snapshot has yet hold up all that is behind them, until they are saved
/// anew.
#[test]
fn d7_what_was_saved_anew_holds_up_nothing_where_it_was() {
    for restarts in [false, true] {
        let mut storage = founded();
        (1..=3).for_each(|index| save(&mut storage, &[Record::Raft(entry(index))]));
        (1..=60).for_each(|position| save(&mut storage, &[Record::Causal(written(position))]));
        let bytes = storage.wal_bytes();
        storage.release(Kind::Causal, 60).expect("nothing to remove");
        assert_eq!(storage.wal_bytes(), bytes, "it has the only copy of entry 3");
        let entries = (1..=3).flat_map(|index| entry(index).tail.expect("a tail").entries);
        let tail = Tail { prev: EntryId::default(), entries: entries.collect() };
        let anew = raft_record::Record { tail: Some(tail), ..entry(3) };
        save(&mut storage, &[Record::Raft(anew.clone()), Record::Causal(written(61))]);
        if restarts {
            storage = reopened(storage).0;
        }
        storage.release(Kind::Causal, 61).expect("removed");
        assert!(storage.wal_bytes() <= 2 * SEGMENT_BYTES, "{} bytes", storage.wal_bytes());
        let (_, found) = reopened(storage);
        assert_eq!(found.records.last(), Some(&anew));
    }
}

/// D7: how far snapshots go is known anew after a start.
#[test]
fn d7_a_snapshot_on_the_disk_counts_after_a_start() {
    for kinds in [Kind::ALL, [Kind::Causal, Kind::Raft]] {
        let mut storage = founded();
        for n in 1..=30 {
            save(&mut storage, &[Record::Raft(entry(n)), Record::Causal(written(n))]);
        }
        match kinds[0] {
            Kind::Raft => write_snapshot(&mut storage, &snapshot(30)),
            Kind::Causal => write_snapshot(&mut storage, &causal_tests::snapshot(30)),
        }
        let (mut storage, _) = reopened(storage);
        let bytes = storage.wal_bytes();
        storage.release(kinds[1], 20).expect("removed");
        assert!(storage.wal_bytes() <= bytes / 2, "{kinds:?}");
    }
}

/// D7: of each kind the newest snapshot counts, whatever the numbers of the other are; what is
/// older goes, and what an interrupted write has left.
#[test]
fn d7_the_newest_of_each_kind_is_found_and_the_others_go() {
    let mut storage = founded();
    for n in 1..=30 {
        save(&mut storage, &[Record::Causal(written(n)), Record::Raft(entry(n))]);
    }
    for index in [5, 9] {
        write_snapshot(&mut storage, &snapshot(index));
    }
    for position in [7, 12, 20] {
        write_snapshot(&mut storage, &causal_tests::snapshot(position));
    }
    let leftover = "causal-000000000000000d.new";
    storage.disk.replace(leftover, b"half").expect("room");
    let (mut storage, found) = reopened(storage);
    let read = found.causal_snapshot.expect("a snapshot");
    assert_eq!(causal_tests::parts(&read), causal_tests::parts(&causal_tests::snapshot(20)));
    assert_eq!(found.snapshot.map(|snapshot| snapshot.mark()), Some(9));
    let files = |storage: &Storage<MemoryDisk>| {
        let mut files = storage.disk.files().expect("names");
        files.retain(|file| file != RECORD && wal::number_of(file).is_none());
        files
    };
    assert_eq!(files(&storage), ["causal-0000000000000014", "snapshot-0000000000000009"]);
    write_snapshot(&mut storage, &causal_tests::snapshot(25));
    storage.release(Kind::Causal, 25).expect("removed");
    assert_eq!(files(&storage), ["causal-0000000000000019", "snapshot-0000000000000009"]);
}

/// D8: a causal snapshot that is damaged, or another's, is not passed over for an older one.
#[test]
fn d8_a_damaged_causal_snapshot_is_refused() {
    let mut storage = founded();
    for position in [5, 12] {
        write_snapshot(&mut storage, &causal_tests::snapshot(position));
    }
    let file = Kind::Causal.name(12);
    for byte in (0..storage.disk.bytes(&file).len()).step_by(37) {
        let mut disk = storage.disk.clone();
        disk.flip(&file, byte, 3);
        let error = open(disk).expect_err("damaged");
        assert!(error.to_string().contains(&file), "byte {byte}: {error}");
    }
    let short = storage.disk.bytes(&Kind::Causal.name(5)).to_vec();
    storage.disk.replace(&file, &short).expect("room");
    assert!(matches!(open(storage.disk), Err(StorageError::Damaged { .. })), "it goes up to 5");
}

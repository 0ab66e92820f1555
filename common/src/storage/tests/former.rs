//! A log that a former version has written.

use super::both::{founded, save, vote, written};
use super::*;

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

//! Random histories of a log, with crashes.

use proptest::prelude::*;

use super::*;
use crate::identity::{ClusterId, NodeId};
use crate::storage::memory::MemoryDisk;
use crate::storage::snapshot::Kind;

const OWNER: Owner = Owner { cluster: ClusterId(1), node: NodeId(2) };
const SEGMENT_BYTES: u64 = 4_096;

/// The marks of Raft and of causal mode, one of which is numbered, so that no two records are equal;
/// and behind which index it has all of Raft's log.
type Record = (u64, u64, Option<u64>, Vec<u8>);

#[derive(Debug, Clone)]
enum Step {
    Append(Of, Vec<u8>),
    Reserve,
    Release(Kind),
    /// The power fails within an append, and again while the start after it repairs; each bit
    /// tells of a sector whether it survives.
    Crash {
        of: Of,
        value: Vec<u8>,
        kept: Vec<u64>,
    },
}

/// Who has something in a commit.
#[derive(Debug, Clone, Copy)]
enum Of {
    One(Kind),
    Both,
    /// All of Raft's log that is behind its snapshot, and a record of causal mode.
    Anew,
}

fn step() -> impl Strategy<Value = Step> {
    let byte = prop_oneof![4 => Just(0_u8), 1 => any::<u8>()];
    let varied = prop::collection::vec(byte, 0..2_500);
    let blank = (0_usize..6_000).prop_map(|length| vec![0; length]);
    let value = prop_oneof![varied, blank];
    let kept = prop::collection::vec(any::<u64>(), 1..4);
    let kind = prop::sample::select(Kind::ALL.as_slice());
    let of = prop_oneof![
        4 => kind.clone().prop_map(Of::One),
        2 => Just(Of::Both),
        1 => Just(Of::Anew)
    ];
    prop_oneof![
        6 => (of.clone(), value.clone()).prop_map(|(of, value)| Step::Append(of, value)),
        1 => Just(Step::Reserve),
        2 => kind.prop_map(Step::Release),
        4 => (of, value, kept).prop_map(|(of, value, kept)| Step::Crash { of, value, kept }),
    ]
}

/// A log, and what must be in it.
struct History {
    disk: MemoryDisk,
    wal: Wal,
    synced: Vec<Record>,
    count: Marks,
    /// Records up to there may be missing.
    released: Marks,
}

impl History {
    fn new() -> Self {
        let mut disk = MemoryDisk::default();
        let wal = Wal::create(&mut disk, OWNER, SEGMENT_BYTES).expect("room");
        let (count, released) = Default::default();
        Self { disk, wal, synced: Vec::new(), count, released }
    }

    fn append(&mut self, of: Of, value: Vec<u8>) -> Record {
        let next = Marks { raft: self.count.raft + 1, causal: self.count.causal + 1 };
        let marks = match of {
            Of::One(Kind::Raft) => Marks { causal: 0, ..next },
            Of::One(Kind::Causal) => Marks { raft: 0, ..next },
            Of::Both => next,
            Of::Anew => Marks { raft: self.count.raft, ..next },
        };
        self.count.raise(marks);
        let behind = match of {
            Of::One(Kind::Raft) | Of::Both => Some(marks.raft - 1),
            Of::One(Kind::Causal) => None,
            Of::Anew => Some(self.released.raft),
        };
        let record = (marks.raft, marks.causal, behind, value);
        self.wal.append(&mut self.disk, &record, extent(&record)).expect("room");
        record
    }

    fn open(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let each = &mut |_, payload: &[u8]| {
            let record: Record = postcard::from_bytes(payload).ok()?;
            let extent = extent(&record);
            records.push(record);
            Some(extent)
        };
        let opened = Wal::open(&mut self.disk, OWNER, SEGMENT_BYTES, self.released, each);
        self.wal = opened.expect("no damage").0;
        records
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(of, value) => {
                let record = self.append(of, value);
                self.synced.push(record);
            }
            Step::Reserve => assert!(self.wal.reserve(&mut self.disk).expect("room")),
            Step::Release(kind) => {
                let half = match kind {
                    Kind::Raft => self.count.raft / 2,
                    Kind::Causal => self.count.causal / 2,
                };
                self.released.raise(Marks::of(kind, half));
                self.wal.release(&mut self.disk, kind, half).expect("removed");
            }
            Step::Crash { of, value, kept } => self.crash(of, value, kept),
        }
    }

    fn crash(&mut self, of: Of, value: Vec<u8>, kept: Vec<u64>) {
        self.disk.set_syncs(false);
        let record = self.append(of, value);
        for (n, kept) in kept.into_iter().enumerate() {
            if n > 0 {
                self.open();
            }
            let mut sector = 0;
            self.disk.crash(|| {
                sector += 1;
                kept.rotate_right(sector) & 1 == 1
            });
        }
        self.disk.set_syncs(true);
        let records = self.open();
        if records.last() == Some(&record) {
            self.synced.push(record);
        }
        assert!(self.synced.ends_with(&records), "what was synced, and nothing else");
        assert!(self.synced.is_empty() || !records.is_empty(), "the last frame tells the vote");
        let count = self.synced.len() - records.len();
        let (missing, rest) = self.synced.split_at(count);
        let has_all =
            |(_, _, behind, _): &Record| behind.is_some_and(|it| it <= self.released.raft);
        let is_raft_anew = rest.iter().any(has_all);
        let is_needed = |(raft, causal, ..): &&Record| {
            *causal > self.released.causal || *raft > self.released.raft && !is_raft_anew
        };
        assert_eq!(missing.iter().find(is_needed), None, "it was synced");
    }
}

fn extent((raft, causal, raft_behind, _): &Record) -> Extent {
    let marks = Marks { raft: *raft, causal: *causal };
    Extent { marks, raft_behind: *raft_behind }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// D1, D3: whatever a crash leaves of the sectors that were not synced, also one within a
    /// repair, all that was synced is found again, in order, unless both snapshots stand for it;
    /// and at most the append that was interrupted besides.
    #[test]
    fn d1_what_was_synced_is_found_again(steps in prop::collection::vec(step(), 1..40)) {
        let mut history = History::new();
        for step in steps {
            history.step(step);
        }
    }
}

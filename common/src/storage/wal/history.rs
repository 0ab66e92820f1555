//! Random histories of a log, with crashes.

use proptest::prelude::*;

use super::*;
use crate::identity::{ClusterId, NodeId};
use crate::storage::memory::MemoryDisk;

const OWNER: Owner = Owner { cluster: ClusterId(1), node: NodeId(2) };
const SEGMENT_BYTES: u64 = 4_096;

/// Numbered, so that no two are equal.
type Record = (u64, Vec<u8>);

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<u8>),
    Reserve,
    Release,
    /// The power fails within an append, and again while the start after it repairs; each bit
    /// tells of a sector whether it survives.
    Crash {
        value: Vec<u8>,
        kept: Vec<u64>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let byte = prop_oneof![4 => Just(0_u8), 1 => any::<u8>()];
    let varied = prop::collection::vec(byte, 0..2_500);
    let blank = (0_usize..6_000).prop_map(|length| vec![0; length]);
    let value = prop_oneof![varied, blank];
    let kept = prop::collection::vec(any::<u64>(), 1..4);
    prop_oneof![
        6 => value.clone().prop_map(Step::Append),
        1 => Just(Step::Reserve),
        1 => Just(Step::Release),
        4 => (value, kept).prop_map(|(value, kept)| Step::Crash { value, kept }),
    ]
}

/// A log, and what must be in it.
struct History {
    disk: MemoryDisk,
    wal: Wal,
    synced: Vec<Record>,
    count: u64,
    /// Records up to there may be missing.
    released: u64,
}

impl History {
    fn new() -> Self {
        let mut disk = MemoryDisk::default();
        let wal = Wal::create(&mut disk, OWNER, SEGMENT_BYTES).expect("room");
        Self { disk, wal, synced: Vec::new(), count: 0, released: 0 }
    }

    fn append(&mut self, value: Vec<u8>) -> Record {
        self.count += 1;
        let record = (self.count, value);
        self.wal.append(&mut self.disk, &record, self.count).expect("room");
        record
    }

    fn open(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let each = &mut |payload: &[u8]| {
            let record = postcard::from_bytes(payload);
            record.map(|record| records.push(record)).is_ok()
        };
        let opened = Wal::open(&mut self.disk, OWNER, SEGMENT_BYTES, each);
        self.wal = opened.expect("no damage").0;
        records
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(value) => {
                let record = self.append(value);
                self.synced.push(record);
            }
            Step::Reserve => assert!(self.wal.reserve(&mut self.disk).expect("room")),
            Step::Release => {
                self.released = self.count / 2;
                self.wal.release(&mut self.disk, self.released).expect("removed");
            }
            Step::Crash { value, kept } => self.crash(value, kept),
        }
    }

    fn crash(&mut self, value: Vec<u8>, kept: Vec<u64>) {
        self.disk.set_syncs(false);
        let record = self.append(value);
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
        let is_gone = |(number, _): &&Record| *number > self.released;
        let missing = &self.synced[..self.synced.len() - records.len()];
        assert_eq!(missing.iter().find(is_gone), None, "it was synced");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// D1, D3: whatever a crash leaves of the sectors that were not synced, also one within a
    /// repair, all that was synced is found again, in order, and at most the append that was
    /// interrupted besides.
    #[test]
    fn d1_what_was_synced_is_found_again(steps in prop::collection::vec(step(), 1..40)) {
        let mut history = History::new();
        for step in steps {
            history.step(step);
        }
    }
}

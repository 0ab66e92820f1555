use super::*;
use crate::identity::{ClusterId, NodeId};
use crate::storage::frame::SECTOR_BYTES;
use crate::storage::memory::MemoryDisk;
use crate::storage::snapshot::Kind;

const OWNER: Owner = Owner { cluster: ClusterId(1), node: NodeId(2) };
const SEGMENT_BYTES: u64 = 4_096;

type Opened = (Wal, Vec<Vec<u8>>, Option<Torn>);

fn open(disk: &mut MemoryDisk) -> Result<Opened, StorageError> {
    let mut frames = Vec::new();
    let (wal, torn) =
        Wal::open(disk, OWNER, SEGMENT_BYTES, Marks::default(), &mut |_, payload| {
            frames.push(postcard::from_bytes(payload).ok()?);
            Some(Extent::default())
        })?;
    Ok((wal, frames, torn))
}

fn created() -> (MemoryDisk, Wal) {
    let mut disk = MemoryDisk::default();
    let wal = Wal::create(&mut disk, OWNER, SEGMENT_BYTES).expect("room");
    (disk, wal)
}

fn filled(frames: u64) -> (MemoryDisk, Wal) {
    let (mut disk, mut wal) = created();
    for n in 1..=frames {
        wal.append(&mut disk, &payload(n), raft(n)).expect("room");
    }
    (disk, wal)
}

fn raft(mark: u64) -> Extent {
    Extent { marks: Marks::of(Kind::Raft, mark), raft_behind: None }
}

fn payload(n: u64) -> Vec<u8> {
    vec![u8::try_from(n % 251).expect("small") | 1; 700]
}

/// The disk as a crash within the last append could leave it: `keep` tells of each of the
/// sectors that it wrote whether it survived.
fn crashed_in_append(
    frames: u64,
    record: &Vec<u8>,
    keep: impl FnMut() -> bool,
) -> (MemoryDisk, u64) {
    let (mut disk, mut wal) = filled(frames);
    disk.set_syncs(false);
    wal.append(&mut disk, record, raft(0)).expect("room");
    disk.crash(keep);
    disk.set_syncs(true);
    (disk, frames)
}

#[test]
fn frames_come_back_in_order_over_segments() {
    let (mut disk, _) = filled(30);
    let (_, frames, torn) = open(&mut disk).expect("sound");
    assert_eq!(torn, None);
    assert_eq!(frames, (1..=30).map(payload).collect::<Vec<_>>());
    assert!(disk.files().expect("names").len() > 3);
}

/// D3: whatever is missing of the last frame, which was never synced, it is cut with a warning;
/// and the log goes on behind the cut.
#[test]
fn d3_a_torn_tail_is_cut_and_written_over() {
    for kept in 0_u32..8 {
        let mut sector = 0;
        let keep = || {
            sector += 1;
            kept & (1 << (sector - 1)) != 0
        };
        let (mut disk, _) = crashed_in_append(1, &payload(2), keep);
        let (mut wal, frames, torn) = open(&mut disk).expect("torn is not damaged");
        assert_eq!(frames.len(), if kept == 3 || kept == 7 { 2 } else { 1 }, "kept {kept:b}");
        let is_in_part = kept & 3 != 0 && kept & 3 != 3;
        assert_eq!(torn.is_some(), is_in_part, "kept {kept:b}");
        wal.append(&mut disk, &payload(5), raft(5)).expect("room");
        let (_, frames, _) = open(&mut disk).expect("sound");
        assert_eq!(frames.last(), Some(&payload(5)));
    }
}

/// D3: one flipped bit in what was synced is never taken for a torn tail, also where the value is
/// full of zeros. The log is not touched then, and the error tells where.
#[test]
fn d3_every_flipped_bit_is_damage() {
    let (mut disk, mut wal) = filled(1);
    wal.append(&mut disk, &vec![0_u8; 2_000], raft(2)).expect("room");
    let written = usize::try_from(wal.offset).expect("small");
    for byte in 0..written {
        let mut damaged = disk.clone();
        damaged.flip(&name(1), byte, byte % 8);
        let before = damaged.clone();
        let error = open(&mut damaged).expect_err("damaged");
        assert!(error.to_string().contains(&name(1)), "byte {byte}: {error}");
        assert_eq!(damaged, before, "byte {byte}");
    }
}

/// D3: of a synced frame with others behind it, in its segment or in the next, no sector may be
/// missing; and the error tells where.
#[test]
fn d3_a_missing_sector_in_the_middle_is_damage() {
    for (frames, segment, sectors) in [(4, 1, 5), (9, 2, 5), (11, 1, 8), (11, 2, 8)] {
        let (disk, _) = filled(frames);
        for sector in 0..sectors {
            let mut damaged = disk.clone();
            let offset = sector * SECTOR_BYTES as u64;
            damaged.write(&name(segment), offset, &[0; SECTOR_BYTES]).expect("a file");
            if damaged.bytes(&name(segment)) == disk.bytes(&name(segment)) {
                continue;
            }
            let error = open(&mut damaged).expect_err("damaged");
            let is_there = error.to_string().starts_with(&format!("{}: damaged", name(segment)));
            assert!(is_there, "{frames} frames, sector {sector}: {error}");
        }
    }
}

/// D3: the same where the head is missing, so that it is not known where the frame ends.
#[test]
fn d3_a_missing_head_in_the_middle_is_damage() {
    let (mut disk, mut wal) = created();
    wal.append(&mut disk, &vec![1_u8; 414], raft(1)).expect("room");
    assert_eq!(wal.offset, SECTOR_BYTES as u64);
    wal.append(&mut disk, &payload(2), raft(2)).expect("room");
    wal.append(&mut disk, &payload(3), raft(3)).expect("room");
    disk.write(&name(1), SECTOR_BYTES as u64, &[0; SECTOR_BYTES]).expect("a file");
    let outcome = open(&mut disk);
    assert!(matches!(outcome, Err(StorageError::Damaged { offset: 512, .. })));
}

/// D3: a value that holds the bytes of frames, such as a copy of a log, is no frame behind a torn
/// one.
#[test]
fn d3_frames_inside_a_torn_value_are_no_frames() {
    let (old, _) = filled(3);
    let mut value = old.bytes(&name(1)).to_vec();
    value.truncate(2_400);
    for shift in 0..8 {
        let record = [vec![7; shift], value.clone()].concat();
        let mut sectors = 0;
        let keep = || {
            sectors += 1;
            sectors != 1
        };
        let (mut disk, _) = crashed_in_append(1, &record, keep);
        let (_, frames, torn) = open(&mut disk).expect("torn is not damaged");
        assert_eq!((frames.len(), torn.is_some()), (1, true), "shift {shift}");
    }
}

/// A crash between the allocation of a segment and the sync of its first frame leaves any part of
/// both: the segment was never begun, or its first frame is torn or whole.
#[test]
fn a_segment_that_was_begun_in_part_is_no_damage() {
    for kept in 0_u32..4 {
        let mut sector = 0;
        let keep = || {
            sector += 1;
            kept & (1 << (sector - 1)) != 0
        };
        let (mut disk, before) = crashed_in_append(5, &payload(6), keep);
        assert!(disk.has(&name(2)));
        let (mut wal, frames, torn) = open(&mut disk).expect("no damage");
        assert_eq!(frames.len() as u64, before + u64::from(kept == 3));
        assert_eq!(torn.is_some(), kept == 1 || kept == 2, "kept {kept:b}");
        wal.append(&mut disk, &payload(7), raft(7)).expect("room");
        let (_, frames, _) = open(&mut disk).expect("sound");
        assert_eq!(frames.last(), Some(&payload(7)));
    }
}

/// R23, D2: what a start has read is durable before anybody is told of it, also if it was in
/// memory only, because the process had died before the sync or the sync had failed.
#[test]
fn r23_what_was_read_is_durable_after_opening() {
    for frames in 3..8 {
        for has_failed in [false, true] {
            let (mut disk, mut wal) = filled(frames - 1);
            disk.set_syncs(false);
            wal.append(&mut disk, &payload(frames), raft(frames)).expect("room");
            if has_failed {
                disk.fail_sync();
            }
            disk.set_syncs(true);
            let (_, read, _) = open(&mut disk).expect("sound");
            assert_eq!(read.len() as u64, frames);
            disk.crash(|| false);
            let (_, read, _) = open(&mut disk).expect("sound");
            assert_eq!(read.len() as u64, frames, "has failed: {has_failed}");
        }
    }
}

#[test]
fn a_frame_longer_than_a_segment_gets_one_of_its_own() {
    let (mut disk, mut wal) = filled(3);
    assert!(wal.reserve(&mut disk).expect("room"));
    let long = vec![3_u8; 20_000];
    wal.append(&mut disk, &long, raft(4)).expect("room");
    wal.append(&mut disk, &payload(5), raft(5)).expect("room");
    let (_, frames, _) = open(&mut disk).expect("sound");
    assert_eq!(frames[3..], [long, payload(5)]);
}

/// D7: what a snapshot stands for goes, and the rest is found again.
#[test]
fn d7_segments_behind_the_mark_go_and_the_rest_is_found_again() {
    let (mut disk, mut wal) = filled(30);
    wal.release(&mut disk, Kind::Raft, 20).expect("removed");
    let (_, frames, _) = open(&mut disk).expect("sound");
    let kept = (1..=30).position(|n| payload(n) == frames[0]).expect("one of them");
    assert!((10..=20).contains(&kept), "kept from {kept}");
    assert_eq!(frames.last(), Some(&payload(30)));
    wal.release(&mut disk, Kind::Raft, 30).expect("removed");
    let (_, frames, _) = open(&mut disk).expect("sound");
    assert_eq!(frames.last(), Some(&payload(30)), "it tells the vote");
}

/// R1: the last frame tells the vote; it stays while the segment behind it has none yet.
#[test]
fn r1_the_last_frame_is_never_released() {
    let (mut disk, mut wal) = filled(5);
    wal.room_for(&mut disk, 4_000).expect("room");
    wal.release(&mut disk, Kind::Raft, 99).expect("removed");
    let (_, frames, _) = open(&mut disk).expect("sound");
    assert_eq!(frames.last(), Some(&payload(5)));
}

/// D8, M4: another node's log and a later version's are refused, and not touched.
#[test]
fn d8_a_foreign_log_is_refused_untouched() {
    let (mut disk, _) = filled(1);
    let before = disk.clone();
    let stranger = Owner { node: NodeId(3), ..OWNER };
    let outcome = Wal::open(&mut disk, stranger, SEGMENT_BYTES, Marks::default(), &mut |_, _| None);
    assert!(matches!(outcome, Err(StorageError::Foreign { .. })));
    assert_eq!(disk, before);
    for format in [0, FORMAT + 1] {
        disk.write(&name(1), 7, &[format]).expect("a file");
        let before = disk.clone();
        assert!(matches!(open(&mut disk), Err(StorageError::Foreign { .. })));
        assert_eq!(disk, before);
    }
}

/// D4: a full disk is noticed while there is still room for what must be written; and that there
/// is room again is noticed, too.
#[test]
fn d4_a_full_disk_is_noticed_before_the_segment_is() {
    let (mut disk, mut wal) = filled(3);
    disk.set_room(0);
    assert!(!wal.reserve(&mut disk).expect("full is no failure"));
    wal.append(&mut disk, &b"a vote".to_vec(), raft(0)).expect("there is room for this");
    assert!(!wal.reserve(&mut disk).expect("full is no failure"));
    disk.set_room(1 << 20);
    assert!(wal.reserve(&mut disk).expect("room again"));
    assert!(disk.has(&name(2)));
    let (wal, ..) = open(&mut disk).expect("sound");
    assert!(wal.has_spare);
}

/// A file that is named almost as a segment is: it is not read, and not in the way.
#[test]
fn a_stray_file_is_left_alone() {
    for stray in ["wal-2", "wal-+000000000000002", "wal-000000000000000A", "wal-"] {
        let (mut disk, _) = filled(3);
        disk.create(stray, 10).expect("room");
        let (_, frames, torn) = open(&mut disk).expect("sound");
        assert_eq!((frames.len(), torn), (3, None), "{stray}");
        assert!(disk.has(stray));
    }
}

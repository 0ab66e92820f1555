//! The write-ahead log: frames in preallocated segments. One commit is one frame, and one sync.
//!
//! A segment is a file `wal-<number>`, allocated as a whole before its first frame, because a file
//! that doesn't grow syncs up to twice as fast. It begins with a header that tells its number and
//! the sequence of its first frame, and [frames](super::frame) follow. The header is synced with
//! that frame. Segments are never used again: what is not written yet is zeros. All frames of a
//! segment are of the format that its header tells; a log of a former one goes on in a new segment.
//!
//! Opening the log repairs what a crash has left: a torn frame is overwritten with zeros, a
//! segment whose header is missing was never begun and goes. The last frame is then written once
//! more and synced, because what can be read may be in memory only: its sync may have failed, or
//! the process may have died before it.

#[cfg(test)]
mod history;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use serde::Serialize;

use crate::storage::commit::{Extent, FORMAT, FORMAT_RAFT_ALONE, Marks};
use crate::storage::frame::{self, ALIGNMENT, HEAD_BYTES, Place};
use crate::storage::header::{self, HEADER_BYTES, Kind};
use crate::storage::snapshot;
use crate::storage::wal::recovery::Recovery;
use crate::storage::{self, Disk, Owner, StorageError, is_full};

const KIND: Kind = Kind { magic: *b"dist-wl", format: FORMAT, format_min: FORMAT_RAFT_ALONE };

/// No record is longer: a batch of the longest values is far below.
const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is kept of the buffer from frame to frame.
const BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The log of one data directory.
///
/// Invariants: there is a segment; the last is of the present format; a segment's `extent` is that
/// of its frames; from `offset` on the last segment is zeros.
#[derive(Debug)]
pub(super) struct Wal {
    owner: Owner,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    /// Whether the segment behind the last is allocated.
    has_spare: bool,
    /// Whether it could not be, when that was last tried.
    is_full: bool,
    /// The end of the last frame.
    offset: u64,
    /// Of the last frame.
    sequence: u64,
    /// How far snapshots go.
    released: Marks,
    /// The frame that is being made.
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    bytes: u64,
    extent: Extent,
}

/// Takes a payload and its format, and returns its extent, if it can read it.
type Each<'a> = dyn FnMut(u8, &[u8]) -> Option<Extent> + 'a;

/// Where a frame was cut that was never synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) file: String,
    pub(super) offset: usize,
}

/// The name of a segment's file.
fn name(number: u64) -> String {
    format!("wal-{number:016x}")
}

/// The number in a segment's name.
pub(super) fn number_of(file: &str) -> Option<u64> {
    // Only as we spell it: what else lies there is somebody else's.
    let number = u64::from_str_radix(file.strip_prefix("wal-")?, 16).ok()?;
    (name(number) == file).then_some(number)
}

impl Wal {
    /// Begins a log where none is.
    pub(super) fn create(
        disk: &mut impl Disk,
        owner: Owner,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let mut wal = Self::empty(owner, segment_bytes, Marks::default());
        disk.create(&name(1), segment_bytes)?;
        wal.begin(disk, 1, segment_bytes)?;
        disk.sync(&name(1))?;
        Ok(wal)
    }

    fn empty(owner: Owner, segment_bytes: u64, released: Marks) -> Self {
        Self {
            owner,
            segment_bytes,
            segments: VecDeque::new(),
            has_spare: false,
            is_full: false,
            offset: 0,
            sequence: 0,
            released,
            buffer: Vec::new(),
        }
    }

    /// Reads a log, and repairs what a crash has left. Snapshots go as far as `released`. `each`
    /// takes the payloads in order, each with its format, and returns its extent, or none if it
    /// can't read it. If there is an error, nothing was changed, unless it is one of a write.
    pub(super) fn open(
        disk: &mut impl Disk,
        owner: Owner,
        segment_bytes: u64,
        released: Marks,
        each: &mut Each<'_>,
    ) -> Result<(Self, Option<Torn>), StorageError> {
        let files = disk.files().map_err(StorageError::of("the directory"))?;
        let mut numbers: Vec<u64> = files.iter().filter_map(|file| number_of(file)).collect();
        numbers.sort_unstable();
        let mut recovery = Recovery::of(Self::empty(owner, segment_bytes, released));
        for number in numbers {
            let bytes =
                storage::read(disk, &name(number)).map_err(StorageError::of(&name(number)))?;
            recovery.segment(number, bytes, each)?;
        }
        recovery.finish(disk)
    }

    /// Appends a frame and syncs it. `extent` says when it may go; see [`Self::release`]. If there
    /// is an error, it is not known what is there.
    pub(super) fn append(
        &mut self,
        disk: &mut impl Disk,
        payload: &impl Serialize,
        extent: Extent,
    ) -> io::Result<()> {
        let mut frame = std::mem::take(&mut self.buffer);
        frame.clear();
        frame.resize(HEAD_BYTES, 0);
        frame = postcard::to_extend(payload, frame).expect("a record has no unsized part");
        assert!(frame.len() <= RECORD_BYTES_MAX, "the core bounds what it persists at once");
        let segment = self.room_for(disk, frame.len().next_multiple_of(ALIGNMENT) as u64)?;
        let offset = usize::try_from(self.offset).expect("a segment fits into memory");
        let place = Place { owner: self.owner, segment: segment.number };
        frame::seal(&mut frame, place, offset, self.sequence + 1);
        disk.write(&name(segment.number), self.offset, &frame)?;
        disk.sync(&name(segment.number))?;
        self.sequence += 1;
        self.offset += frame.len() as u64;
        let last = self.segments.back_mut().expect("there is a segment");
        last.extent.add(extent);
        frame.shrink_to(BUFFER_BYTES_MAX);
        self.buffer = frame;
        Ok(())
    }

    /// The segment that takes a frame of so many bytes: the last, or one behind it.
    fn room_for(&mut self, disk: &mut impl Disk, frame_bytes: u64) -> io::Result<Segment> {
        let last = *self.segments.back().expect("there is a segment");
        if self.offset + frame_bytes <= last.bytes {
            return Ok(last);
        }
        self.begin_next(disk, frame_bytes)
    }

    /// Begins the segment behind the last, with room for a frame of so many bytes.
    fn begin_next(&mut self, disk: &mut impl Disk, frame_bytes: u64) -> io::Result<Segment> {
        let number = self.segments.back().expect("there is a segment").number + 1;
        let bytes = self.segment_bytes.max(HEADER_BYTES as u64 + frame_bytes);
        let is_spare_too_short = self.has_spare && bytes > self.segment_bytes;
        if is_spare_too_short {
            disk.remove(&name(number))?;
        }
        if !self.has_spare || is_spare_too_short {
            disk.create(&name(number), bytes)?;
        }
        (self.has_spare, self.is_full) = (false, false);
        self.begin(disk, number, bytes)
    }

    fn begin(&mut self, disk: &mut impl Disk, number: u64, bytes: u64) -> io::Result<Segment> {
        let header = header::encode(KIND, self.owner, [number, self.sequence + 1]);
        disk.write(&name(number), 0, &header)?;
        let segment = Segment { number, bytes, extent: Extent::default() };
        self.segments.push_back(segment);
        self.offset = HEADER_BYTES as u64;
        Ok(segment)
    }

    /// Has the next segment allocated when the last one is half full. False where the disk has no
    /// room for it: what is left of the last one is for what must be written even then.
    pub(super) fn reserve(&mut self, disk: &mut impl Disk) -> io::Result<bool> {
        let last = self.segments.back().expect("there is a segment");
        if self.has_spare || self.offset < last.bytes / 2 {
            return Ok(true);
        }
        match disk.prepare(&name(last.number + 1), self.segment_bytes) {
            Ok(is_there) => {
                self.has_spare = is_there;
                self.is_full &= !is_there;
            }
            Err(error) if is_full(&error) => self.is_full = true,
            Err(error) => return Err(error),
        }
        Ok(!self.is_full)
    }

    /// There is a snapshot of that kind up to `mark`: removes the oldest segments as long as
    /// snapshots stand for all of their frames. Never the last frame, which tells term and vote.
    pub(super) fn release(
        &mut self,
        disk: &mut impl Disk,
        kind: snapshot::Kind,
        mark: u64,
    ) -> io::Result<()> {
        self.released.raise(Marks::of(kind, mark));
        let kept = if self.offset > HEADER_BYTES as u64 { 1 } else { 2 };
        while self.segments.len() > kept && self.is_first_released() {
            disk.remove(&name(self.segments[0].number))?;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn is_first_released(&self) -> bool {
        let Extent { marks, .. } = self.segments[0].extent;
        let has_all = |segment: &Segment| {
            segment.extent.raft_behind.is_some_and(|index| index <= self.released.raft)
        };
        let is_raft_released = marks.raft <= self.released.raft;
        marks.causal <= self.released.causal
            && (is_raft_released || self.segments.iter().skip(1).any(has_all))
    }

    /// What the segments take on the disk, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let spare = if self.has_spare { self.segment_bytes } else { 0 };
        self.segments.iter().map(|segment| segment.bytes).sum::<u64>() + spare
    }
}

//! What is read of a log, and what is repaired of it.

use crate::storage::commit::Extent;
use crate::storage::frame::{self, Found, Place};
use crate::storage::header::{self, HEADER_BYTES};
use crate::storage::wal::{Each, KIND, Segment, Torn, Wal, name};
use crate::storage::{Disk, StorageError, Wrong};

/// A log of which the segments up to some one are read.
pub(super) struct Recovery {
    wal: Wal,
    /// The last frame, if it is not whole: then all must end there.
    torn: Option<Torn>,
    /// A segment that has no header: then it must be the last file.
    unbegun: Option<Unbegun>,
    /// The bytes of the last segment.
    last: Vec<u8>,
    /// Of its frames.
    format: u8,
    /// Where in it the last frame begins.
    last_frame: usize,
}

struct Unbegun {
    number: u64,
    bytes: u64,
    is_blank: bool,
}

impl Recovery {
    pub(super) fn of(wal: Wal) -> Self {
        Self { wal, torn: None, unbegun: None, last: Vec::new(), format: 0, last_frame: 0 }
    }

    /// Reads the next segment.
    pub(super) fn segment(
        &mut self,
        number: u64,
        bytes: Vec<u8>,
        each: &mut Each<'_>,
    ) -> Result<(), StorageError> {
        if let Some(unbegun) = &self.unbegun {
            return Err(damaged(unbegun.number, 0, "the header is gone"));
        }
        if self.wal.segments.back().is_some_and(|last| last.number + 1 != number) {
            return Err(damaged(number, 0, "the segment before it is missing"));
        }
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(damaged(number, 0, "it is too short"));
        };
        let is_blank = frame::is_blank(&bytes);
        // A segment is begun only after all that is before it was synced.
        if let Some(Torn { file, offset }) = self.torn.as_ref().filter(|_| !is_blank) {
            let what = "a frame with others behind it is not whole";
            return Err(StorageError::Damaged { file: file.clone(), offset: *offset as u64, what });
        }
        if frame::is_blank(head) {
            let place = Place { owner: self.wal.owner, segment: number };
            if frame::has_frame(&bytes, place, HEADER_BYTES, self.wal.sequence + 1) {
                return Err(damaged(number, 0, "the header is gone"));
            }
            self.unbegun = Some(Unbegun { number, bytes: bytes.len() as u64, is_blank });
            return Ok(());
        }
        self.check_header(number, head)?;
        self.frames(number, &bytes, each)?;
        self.last = bytes;
        Ok(())
    }

    fn check_header(&mut self, number: u64, bytes: &[u8; 64]) -> Result<(), StorageError> {
        let decoded = header::decode(KIND, self.wal.owner, bytes);
        let header = decoded.map_err(|wrong| wrong.at(&name(number), 0))?;
        let [found, first] = header.numbers;
        if found != number || first == 0 {
            return Err(damaged(number, 0, "it is another segment's content"));
        }
        if self.wal.segments.is_empty() {
            self.wal.sequence = first - 1;
        }
        if self.wal.sequence + 1 != first {
            return Err(damaged(number, 0, "frames before it are missing"));
        }
        self.format = header.format;
        Ok(())
    }

    fn frames(
        &mut self,
        number: u64,
        bytes: &[u8],
        each: &mut Each<'_>,
    ) -> Result<(), StorageError> {
        let place = Place { owner: self.wal.owner, segment: number };
        let mut segment = Segment { number, bytes: bytes.len() as u64, extent: Extent::default() };
        let mut offset = HEADER_BYTES;
        self.last_frame = offset;
        loop {
            match frame::read(bytes, place, offset, self.wal.sequence + 1) {
                Found::Frame { payload, end } => {
                    let Some(extent) = each(self.format, &bytes[payload]) else {
                        return Err(damaged(number, offset, "a record can't be read"));
                    };
                    self.wal.sequence += 1;
                    segment.extent.add(extent);
                    self.last_frame = offset;
                    offset = end;
                }
                Found::End => break,
                Found::Torn => {
                    self.torn = Some(Torn { file: name(number), offset });
                    break;
                }
                Found::Damaged(what) => return Err(damaged(number, offset, what)),
            }
        }
        self.wal.offset = offset as u64;
        self.wal.segments.push_back(segment);
        Ok(())
    }

    /// Repairs what a crash has left, and makes durable what was read.
    pub(super) fn finish(
        mut self,
        disk: &mut impl Disk,
    ) -> Result<(Wal, Option<Torn>), StorageError> {
        let Some(last) = self.wal.segments.back() else {
            return Err(damaged(1, 0, "the log is gone"));
        };
        let (file, next) = (name(last.number), name(last.number + 1));
        self.settle(disk, &file).map_err(StorageError::of(&file))?;
        if let Some(Unbegun { number, bytes, is_blank }) = self.unbegun {
            self.wal.has_spare = is_blank && bytes == self.wal.segment_bytes;
            if !self.wal.has_spare {
                disk.remove(&name(number)).map_err(StorageError::of(&name(number)))?;
            }
            if !is_blank {
                self.torn = Some(Torn { file: name(number), offset: 0 });
            }
        }
        if self.format != KIND.format {
            let begun = self.wal.begin_next(disk, 0).and_then(|_| disk.sync(&next));
            begun.map_err(StorageError::of(&next))?;
        }
        Ok((self.wal, self.torn))
    }

    /// Cuts a torn frame, and writes the last whole one again.
    fn settle(&self, disk: &mut impl Disk, file: &str) -> std::io::Result<()> {
        let (frames, rest) = self.last.split_at(usize::try_from(self.wal.offset).expect("read"));
        if self.torn.is_some() {
            let end = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            disk.write(file, self.wal.offset, &vec![0; end])?;
        }
        disk.write(file, self.last_frame as u64, &frames[self.last_frame..])?;
        disk.sync(file)
    }
}

fn damaged(number: u64, offset: usize, what: &'static str) -> StorageError {
    Wrong::Damaged(what).at(&name(number), offset as u64)
}

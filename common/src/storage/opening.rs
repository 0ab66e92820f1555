//! Opening: what is there, whose it is, and what a crash has left of it.

use std::io::{self, BufReader, Read};

use crate::identity::NodeName;
use crate::node::{Found, Identity};
use crate::storage::commit::{Commit, Marks};
use crate::storage::snapshot::{Content, Kind, SnapshotError};
use crate::storage::wal::{self, Wal};
use crate::storage::{
    Disk, Held, Owner, RECORD, Storage, StorageError, TEMPORARY, Wrong, read, record,
};

impl<D: Disk> Storage<D> {
    /// Reads what `disk` has kept of the node with that `name`, and repairs what a crash has left
    /// of it. Segments of the log are of `segment_bytes`. It is for [`crate::node::Node::recover`]
    /// to say whether log and snapshot belong together. Also returned are lines for the operator
    /// about what was repaired.
    ///
    /// # Errors
    ///
    /// [`StorageError`]
    pub fn open(
        disk: D,
        name: &NodeName,
        segment_bytes: u64,
    ) -> Result<(Self, Found, Vec<String>), StorageError> {
        let mut storage = Self { disk, segment_bytes, owner: None, log: None, vote: None };
        let files = storage.disk.files().map_err(StorageError::of("the directory"))?;
        let Some(held) = storage.read_record(&files)? else {
            storage
                .clean(&files, Marks::default())
                .map_err(StorageError::of("a temporary file"))?;
            return Ok((storage, Found::default(), Vec::new()));
        };
        if held.identity.broadcast.name != *name {
            return Err(StorageError::OtherName(held.identity.broadcast.name));
        }
        let Identity { broadcast, mode, .. } = &held.identity;
        let owner = Owner { cluster: broadcast.cluster, node: broadcast.node };
        storage.owner = Some(owner);
        let (mut found, mut warnings) = (Found::default(), Vec::new());
        let mut newest = Marks::default();
        if held.has_log {
            found.snapshot = storage.read_snapshot(owner, &files)?;
            found.causal_snapshot = storage.read_snapshot(owner, &files)?;
            newest.raft = found.snapshot.as_ref().map_or(0, Content::mark);
            newest.causal = found.causal_snapshot.as_ref().map_or(0, Content::mark);
            storage.read_log(owner, newest, &mut found, &mut warnings)?;
        }
        storage.clean(&files, newest).map_err(StorageError::of("an old file"))?;
        if mode.has_log() && !held.has_log {
            let created = storage.create_log(owner, &held.identity);
            created.map_err(StorageError::of("the log"))?;
        }
        found.identity = Some(held.identity);
        Ok((storage, found, warnings))
    }

    fn read_record(&self, files: &[String]) -> Result<Option<Held>, StorageError> {
        if files.iter().any(|file| file == RECORD) {
            let bytes = read(&self.disk, RECORD).map_err(StorageError::of(RECORD))?;
            return record::decode(&bytes).map(Some).map_err(|wrong| wrong.at(RECORD, 0));
        }
        if files.iter().any(|file| wal::number_of(file).is_some()) {
            return Err(Wrong::Damaged("it is gone, and there is a log").at(RECORD, 0));
        }
        Ok(None)
    }

    /// The newest snapshot of its kind.
    fn read_snapshot<S: Content>(
        &self,
        owner: Owner,
        files: &[String],
    ) -> Result<Option<S>, StorageError> {
        let newest = files.iter().filter_map(|file| S::KIND.mark_of(file)).max();
        let Some(mark) = newest else { return Ok(None) };
        let file = S::KIND.name(mark);
        let reader = self.disk.reader(&file).map_err(StorageError::of(&file))?;
        let mut input = Counted { inner: BufReader::with_capacity(READ_BYTES, reader), bytes: 0 };
        let outcome = S::KIND.check_header(&mut input, owner);
        let outcome = outcome.and_then(|()| S::read(&mut input));
        let outcome = outcome.and_then(|snapshot| {
            let is_named_so = snapshot.mark() == mark;
            is_named_so.then_some(snapshot).ok_or(SnapshotError::Damaged("it has another's name"))
        });
        outcome.map(Some).map_err(|error| match error {
            SnapshotError::Io(source) => StorageError::Io { file, source },
            SnapshotError::Foreign(what) => StorageError::Foreign { file, what },
            SnapshotError::Damaged(what) => {
                StorageError::Damaged { file, offset: input.bytes, what }
            }
        })
    }

    fn read_log(
        &mut self,
        owner: Owner,
        newest: Marks,
        found: &mut Found,
        warnings: &mut Vec<String>,
    ) -> Result<(), StorageError> {
        let mut vote = None;
        let mut each = |format, payload: &[u8]| {
            let commit = Commit::read(format, payload)?;
            let extent = commit.extent();
            // What only repeats the one before says nothing new.
            if let Some(record) = commit.raft.filter(|record| vote.as_ref() != Some(record)) {
                vote = Some(record.without_tail());
                found.records.push(record);
            }
            found.causal_records.extend(commit.causal);
            Some(extent)
        };
        let disk = &mut self.disk;
        let (log, torn) = Wal::open(disk, owner, self.segment_bytes, newest, &mut each)?;
        (self.log, self.vote) = (Some(log), vote);
        warnings.extend(torn.map(|wal::Torn { file, offset }| {
            format!("{file}: cut at byte {offset}: a crash came before what follows was synced")
        }));
        Ok(())
    }

    /// Removes what the interrupted writing of a file has left, and all snapshots but the newest.
    fn clean(&mut self, files: &[String], newest: Marks) -> io::Result<()> {
        for file in files {
            let is_older = |kind: Kind, newest| kind.mark_of(file).is_some_and(|it| it < newest);
            let is_old = is_older(Kind::Raft, newest.raft) || is_older(Kind::Causal, newest.causal);
            if is_old || is_temporary(file) {
                self.disk.remove(file)?;
            }
        }
        Ok(())
    }
}

/// Whether it is what the interrupted writing of one of our files has left.
fn is_temporary(file: &str) -> bool {
    let is_snapshot = |name: &str| Kind::ALL.iter().any(|kind| name.starts_with(kind.prefix()));
    let named = file.strip_suffix(TEMPORARY);
    named.is_some_and(|n| n == RECORD || n.starts_with("wal-") || is_snapshot(n))
}

/// What is read at once of a snapshot.
const READ_BYTES: usize = 256 * 1024;

/// Counts what is read.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

//! What a node must find again after a restart.
//!
//! - `node`: who it is and who its peers are, one small record that is replaced as a whole.
//! - `wal-*`: the log of Labs 2 and 3, a frame for each commit.
//! - `snapshot-*`, for Lab 3: the state up to an entry of the log; the newest counts.
//! - `causal-*`, for Lab 2: the state up to a position of its steps; the newest counts.
//! - `*.new`: a file that was being written; a start removes it.
//!
//! [`Disk`] is the narrow waist: a few operations on bytes, implemented by the data directory and
//! by the simulator's disk. All rules of recovery stand above it, in [`Storage`], so the simulator
//! runs them.
//!
//! # The first start
//!
//! The record tells whether there is a log. It is written without one, then the log is created,
//! then the record is written with one. So a log that is missing was lost, with the votes in it,
//! and the node does not start; unless it was never there, and nothing had been promised.

mod commit;
mod frame;
mod header;
#[cfg(test)]
mod memory;
mod opening;
mod record;
mod saving;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod wal;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::identity::{ClusterId, NodeId, NodeName};
use crate::node::Identity;
use crate::raft;
use crate::storage::snapshot::Kind;
use crate::storage::wal::Wal;

/// Where a node keeps its files. A failure leaves it unknown what is there: the node must not go
/// on, unless it [`is_full`] and comes of [`Disk::create`] or [`Disk::prepare`], which leave
/// nothing behind then.
#[expect(clippy::missing_errors_doc, reason = "all are those of the disk")]
pub trait Disk {
    /// The names of all files.
    fn files(&self) -> io::Result<Vec<String>>;

    /// A file, from its beginning on.
    fn reader(&self, file: &str) -> io::Result<Box<dyn Read + '_>>;

    /// Replaces a file, durably and at once: after a crash there is the old one or the new one,
    /// whole, and after a return of `Ok` there is the new one.
    fn replace(&mut self, file: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file of so many zeros, durably and at once, with room on the disk for all of them.
    fn create(&mut self, file: &str, bytes: u64) -> io::Result<()>;

    /// Does the same beside the running node. It tells whether the file is there; if it is not
    /// yet, it is asked again later.
    fn prepare(&mut self, file: &str, bytes: u64) -> io::Result<bool>;

    /// Writes into a file. After a crash before [`Disk::sync`] any sectors of it may be missing.
    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written into a file.
    fn sync(&mut self, file: &str) -> io::Result<()>;

    /// Removes a file. After a crash it may be there once more, and then so are all that were
    /// removed after it: nobody is told by a file that is not there.
    fn remove(&mut self, file: &str) -> io::Result<()>;
}

/// Where records of a kind are saved.
pub trait Save<R> {
    /// Makes the records of a commit durable; those of the log all at once.
    ///
    /// # Errors
    ///
    /// It is not known what is there. The node must not go on.
    fn save(&mut self, records: &[R]) -> io::Result<()>;
}

/// Whose files these are: every one says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
}

/// What a node can't start from.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Reading failed, or a write that repairs what a crash has left.
    #[error("{file}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// How.
        source: io::Error,
    },
    /// The files of a node with another name. Nothing was changed.
    #[error("it belongs to {0}")]
    OtherName(NodeName),
    /// Of another node, or of a later version. Nothing was changed.
    #[error("{file}: {what}")]
    Foreign {
        /// Which file.
        file: String,
        /// How.
        what: &'static str,
    },
    /// What was promised can't be read. Nothing was changed.
    #[error("{file}: damaged at byte {offset}: {what}")]
    Damaged {
        /// Which file.
        file: String,
        /// Where.
        offset: u64,
        /// How.
        what: &'static str,
    },
}

impl StorageError {
    fn of(file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        |source| Self::Io { file, source }
    }
}

/// How bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// Another node's, or a later version's.
    Foreign(&'static str),
    /// Nobody's.
    Damaged(&'static str),
}

impl Wrong {
    fn at(self, file: &str, offset: u64) -> StorageError {
        let file = file.to_owned();
        match self {
            Self::Foreign(what) => StorageError::Foreign { file, what },
            Self::Damaged(what) => StorageError::Damaged { file, offset, what },
        }
    }
}

/// Whether the disk has no room, or the user may take no more of it.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The end of the name of a file that is being written, and gets its own name when it is whole.
pub const TEMPORARY: &str = ".new";

/// The file of the record.
const RECORD: &str = "node";

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    identity: Identity,
    has_log: bool,
}

/// All that one node keeps on one disk.
///
/// Invariants: there is a log if the identity is that of a node that has one; its newest frame tells
/// `vote`.
#[derive(Debug)]
pub struct Storage<D: Disk> {
    disk: D,
    segment_bytes: u64,
    owner: Option<Owner>,
    log: Option<Wal>,
    /// Term and vote, once there are any.
    vote: Option<raft::record::Record>,
}

impl<D: Disk> Storage<D> {
    /// To be called before each commit: whether there will be room for the next ones. Where there
    /// is none, only what must be written even then may still be, such as votes.
    ///
    /// # Errors
    ///
    /// That of the disk, unless it is full.
    pub fn reserve(&mut self) -> io::Result<bool> {
        self.log.as_mut().map_or(Ok(true), |log| log.reserve(&mut self.disk))
    }

    /// A snapshot of that kind, up to `mark` or beyond, is on the disk: what it stands for is
    /// removed.
    ///
    /// # Errors
    ///
    /// That of the disk.
    pub fn release(&mut self, kind: Kind, mark: u64) -> io::Result<()> {
        for file in self.disk.files()? {
            if kind.mark_of(&file).is_some_and(|other| other < mark) {
                self.disk.remove(&file)?;
            }
        }
        self.log.as_mut().map_or(Ok(()), |log| log.release(&mut self.disk, kind, mark))
    }

    /// What the log takes on the disk, in bytes.
    pub fn wal_bytes(&self) -> u64 {
        self.log.as_ref().map_or(0, Wal::bytes)
    }

    /// Whose files these are; none before the node has been part of a cluster.
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// Where the files are.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Where the files are, to do something to them.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }
}

/// All bytes of a file.
fn read(disk: &impl Disk, file: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    disk.reader(file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

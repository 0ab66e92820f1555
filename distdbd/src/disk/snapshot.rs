//! Snapshot files, written and received beside the running node.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use common::raft::snapshot::Snapshot;
use common::storage::Owner;
use common::storage::snapshot::{Content, Kind, SnapshotError};

use crate::disk::temporary::Temporary;

/// What is read at once.
const READ_BYTES: usize = 256 * 1024;

/// Writes a snapshot; returns how many bytes that took. If there is an error, no file of it is
/// left, and nothing else has changed: if the disk was full, it can be tried again later.
pub(crate) fn write<C: Content>(
    directory: &Path,
    owner: Owner,
    snapshot: &C,
    sync: bool,
) -> io::Result<u64> {
    let name = C::KIND.name(snapshot.mark());
    let mut temporary = Temporary::create(directory, &name, sync)?;
    temporary.write(&C::KIND.header(owner))?;
    for frame in snapshot.frames() {
        temporary.write(&frame)?;
    }
    let bytes = temporary.bytes();
    temporary.rename(&name)?;
    Ok(bytes)
}

/// The frames of the snapshot up to `index`, as they are sent to a peer. They can be read to the
/// end also when the file is removed meanwhile.
pub(crate) fn frames(directory: &Path, owner: Owner, index: u64) -> Result<File, SnapshotError> {
    let mut file = File::open(directory.join(Kind::Raft.name(index)))?;
    Kind::Raft.check_header(&mut file, owner)?;
    Ok(file)
}

/// A snapshot that is coming from a peer. Dropped before it is whole, it is removed.
#[derive(Debug)]
pub(crate) struct Incoming {
    owner: Owner,
    temporary: Temporary,
}

impl Incoming {
    /// Begins a file of this node.
    pub(crate) fn begin(directory: &Path, owner: Owner, sync: bool) -> io::Result<Self> {
        // One that is given up may still be open when the next one begins.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("snapshot-incoming-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut temporary = Temporary::create(directory, &name, sync)?;
        temporary.write(&Kind::Raft.header(owner))?;
        Ok(Self { owner, temporary })
    }

    /// Goes on with what has come.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.temporary.write(bytes)
    }

    /// The snapshot, once all has come: it is checked as a whole, and then durable.
    pub(crate) fn finish(self) -> Result<Snapshot, SnapshotError> {
        let mut file = self.temporary.file();
        file.rewind()?;
        let mut input = BufReader::with_capacity(READ_BYTES, file);
        Kind::Raft.check_header(&mut input, self.owner)?;
        let snapshot = Snapshot::read(&mut input)?;
        if input.read(&mut [0])? > 0 {
            return Err(SnapshotError::Damaged("something follows its end"));
        }
        self.temporary.rename(&Kind::Raft.name(snapshot.mark()))?;
        Ok(snapshot)
    }
}

//! Snapshots on a host's disk: what the daemon does beside its loop.

use std::io::{self, Read};

use common::raft::snapshot::Snapshot;
use common::storage::snapshot::{Content, HEADER_BYTES, Kind};
use common::storage::{Disk, Owner};

use super::Host;

impl Host {
    fn owner(&mut self) -> Owner {
        self.process().storage.owner().expect("a node with a log belongs to a cluster")
    }

    /// Writes a snapshot of the node's own.
    ///
    /// # Errors
    ///
    /// That of the disk; where it is full, nothing has changed.
    pub fn write_snapshot<C: Content>(&mut self, snapshot: &C) -> io::Result<()> {
        let frames: Vec<u8> = snapshot.frames().flatten().collect();
        self.write_frames(C::KIND, snapshot.mark(), &frames)
    }

    fn write_frames(&mut self, kind: Kind, mark: u64, frames: &[u8]) -> io::Result<()> {
        let bytes = [kind.header(self.owner()).as_slice(), frames].concat();
        self.process().storage.disk_mut().replace(&kind.name(mark), &bytes)
    }

    /// The newest snapshot of Lab 3: its index, and its frames as they go to another node.
    pub fn newest_snapshot(&self) -> Option<(u64, Vec<u8>)> {
        let disk = self.disk();
        let files = disk.files().expect("in memory");
        let index = files.iter().filter_map(|file| Kind::Raft.mark_of(file)).max()?;
        let mut bytes = Vec::new();
        let mut reader = disk.reader(&Kind::Raft.name(index)).expect("it was listed");
        reader.read_to_end(&mut bytes).expect("in memory");
        Some((index, bytes.split_off(HEADER_BYTES)))
    }

    /// Takes the frames of another node's snapshot, and reads them back.
    ///
    /// # Errors
    ///
    /// That of the disk.
    pub fn receive_snapshot(&mut self, frames: &[u8]) -> io::Result<Snapshot> {
        let snapshot = Snapshot::read(&mut &*frames).map_err(io::Error::other)?;
        self.write_frames(Kind::Raft, snapshot.mark(), frames)?;
        Ok(snapshot)
    }

    /// Removes what a snapshot up to `mark` stands for.
    ///
    /// # Errors
    ///
    /// That of the disk.
    pub fn release(&mut self, kind: Kind, mark: u64) -> io::Result<()> {
        self.process().storage.release(kind, mark)
    }
}

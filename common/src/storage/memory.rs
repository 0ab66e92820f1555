//! A disk in memory, for unit tests.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::storage::frame::SECTOR_BYTES;
use crate::storage::{Disk, TEMPORARY};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryDisk {
    files: BTreeMap<String, File>,
    room: u64,
    syncs: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct File {
    bytes: Vec<u8>,
    /// What a crash may bring back: the sectors that were written since the last sync.
    before: BTreeMap<usize, Vec<u8>>,
    /// What it will bring back unless they are written again: their sync has failed.
    dropped: BTreeMap<usize, Vec<u8>>,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self { files: BTreeMap::new(), room: u64::MAX, syncs: true }
    }
}

impl MemoryDisk {
    pub(crate) fn bytes(&self, file: &str) -> &[u8] {
        &self.files[file].bytes
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    pub(crate) fn set_room(&mut self, room: u64) {
        self.room = room;
    }

    /// Whether syncs do anything; if not, it is as if the process died before them.
    pub(crate) fn set_syncs(&mut self, syncs: bool) {
        self.syncs = syncs;
    }

    pub(crate) fn flip(&mut self, file: &str, byte: usize, bit: usize) {
        self.files.get_mut(file).expect("a file").bytes[byte] ^= 1 << bit;
    }

    /// A sync fails as those of Linux do: what it could not write is still read, and a later sync
    /// says that all is well.
    pub(crate) fn fail_sync(&mut self) {
        for file in self.files.values_mut() {
            file.dropped.append(&mut file.before);
        }
    }

    /// Loses each sector that is not synced, unless it is to be kept.
    pub(crate) fn crash(&mut self, mut keep: impl FnMut() -> bool) {
        for file in self.files.values_mut() {
            let mut lost = std::mem::take(&mut file.before);
            lost.retain(|_, _| !keep());
            lost.append(&mut file.dropped);
            for (sector, before) in lost {
                let at = sector * SECTOR_BYTES;
                file.bytes[at..at + before.len()].copy_from_slice(&before);
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn files(&self) -> io::Result<Vec<String>> {
        Ok(self.files.keys().cloned().collect())
    }

    fn reader(&self, file: &str) -> io::Result<Box<dyn Read + '_>> {
        let file = self.files.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(file.bytes.as_slice()))
    }

    fn replace(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        // As where a file is written under another name first.
        self.files.remove(&format!("{file}{TEMPORARY}"));
        let content = File { bytes: bytes.to_vec(), ..File::default() };
        self.files.insert(file.to_owned(), content);
        Ok(())
    }

    fn create(&mut self, file: &str, bytes: u64) -> io::Result<()> {
        if bytes > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.replace(file, &vec![0; usize::try_from(bytes).expect("small")])
    }

    fn prepare(&mut self, file: &str, bytes: u64) -> io::Result<bool> {
        self.create(file, bytes).map(|()| true)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.files.get_mut(file).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).expect("small");
        let to = from + bytes.len();
        for sector in from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES) {
            let at = sector * SECTOR_BYTES;
            let end = (at + SECTOR_BYTES).min(file.bytes.len());
            let dropped = file.dropped.remove(&sector);
            let before = || dropped.unwrap_or_else(|| file.bytes[at..end].to_vec());
            file.before.entry(sector).or_insert_with(before);
        }
        file.bytes[from..to].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        let file = self.files.get_mut(file).ok_or(io::ErrorKind::NotFound)?;
        if self.syncs {
            file.before.clear();
        }
        Ok(())
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.files.remove(file).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

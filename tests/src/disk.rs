//! A disk that can lose, fail, fill up and rot.
//!
//! What was written is there at once, and durable with the next sync of its file. A crash loses
//! any of the sectors that were written since: so a write can be torn anywhere. To replace, create
//! and remove a file is durable at return, as [`Disk`] has it.

use std::collections::BTreeMap;
use std::io::{self, Read};

use common::storage::Disk;

/// What a disk writes as a whole, or not at all.
const SECTOR_BYTES: usize = 512;

/// The disk of one host.
///
/// Invariant: `used` is what the files take.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    files: BTreeMap<String, File>,
    used: u64,
    room: u64,
    /// After how many changes that succeed one fails, and how.
    failure: Option<(u32, DiskFailure)>,
}

/// When an operation that changes something fails; the node can't tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFailure {
    /// Nothing has changed.
    Before,
    /// All has changed.
    After,
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// The sectors that were written since the last sync, as they were then.
    unsynced: BTreeMap<usize, Vec<u8>>,
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self { files: BTreeMap::new(), used: 0, room: u64::MAX, failure: None }
    }
}

impl SimulatedDisk {
    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The power fails: `keep` is asked for each sector that was not synced whether it survives.
    pub fn crash(&mut self, mut keep: impl FnMut() -> bool) {
        for file in self.files.values_mut() {
            for (sector, before) in std::mem::take(&mut file.unsynced) {
                if !keep() {
                    let at = sector * SECTOR_BYTES;
                    file.bytes[at..at + before.len()].copy_from_slice(&before);
                }
            }
        }
    }

    /// Loses all files.
    pub fn wipe(&mut self) {
        self.files.clear();
        self.used = 0;
    }

    /// Lets the next operation that changes something fail, and only that; or none.
    pub fn set_failure(&mut self, failure: Option<DiskFailure>) {
        self.failure = failure.map(|failure| (0, failure));
    }

    /// Lets one operation fail after so many that change something and succeed.
    pub fn set_failure_after(&mut self, changes: u32, failure: DiskFailure) {
        self.failure = Some((changes, failure));
    }

    /// How many bytes all files may take; files that take more already stay.
    pub fn set_room(&mut self, bytes: u64) {
        self.room = bytes;
    }

    /// Flips bits of a byte of a file, durably and behind the node's back.
    pub fn flip(&mut self, file: &str, offset: usize, bits: u8) {
        let file = self.files.get_mut(file).expect("the test names a file that there is");
        file.bytes[offset] ^= bits;
    }

    /// How long a file is, if there is one.
    pub fn length(&self, file: &str) -> Option<usize> {
        self.files.get(file).map(|file| file.bytes.len())
    }

    fn change(&mut self, change: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        let failure = match self.failure.take() {
            Some((0, failure)) => Some(failure),
            later => {
                self.failure = later.map(|(changes, failure)| (changes - 1, failure));
                None
            }
        };
        if failure != Some(DiskFailure::Before) {
            change(self)?;
        }
        match failure {
            Some(_) => Err(io::Error::other("the disk failed")),
            None => Ok(()),
        }
    }

    fn put(&mut self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let before = self.files.get(name).map_or(0, |file| file.bytes.len() as u64);
        let used = self.used - before + bytes.len() as u64;
        if used > self.room && used > self.used {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.used = used;
        self.files.insert(name.to_owned(), File { bytes, ..File::default() });
        Ok(())
    }

    fn get_mut(&mut self, name: &str) -> io::Result<&mut File> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let to = from + bytes.len();
        if to > self.bytes.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for sector in from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES) {
            let at = sector * SECTOR_BYTES;
            let end = (at + SECTOR_BYTES).min(self.bytes.len());
            self.unsynced.entry(sector).or_insert_with(|| self.bytes[at..end].to_vec());
        }
        self.bytes[from..to].copy_from_slice(bytes);
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn files(&self) -> io::Result<Vec<String>> {
        Ok(self.files.keys().cloned().collect())
    }

    fn reader(&self, file: &str) -> io::Result<Box<dyn Read + '_>> {
        let file = self.files.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(file.bytes.as_slice()))
    }

    fn replace(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| disk.put(file, bytes.to_vec()))
    }

    fn create(&mut self, file: &str, bytes: u64) -> io::Result<()> {
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::StorageFull)?;
        self.change(|disk| disk.put(file, vec![0; length]))
    }

    fn prepare(&mut self, file: &str, bytes: u64) -> io::Result<bool> {
        self.create(file, bytes).map(|()| true)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| disk.get_mut(file)?.write(offset, bytes))
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        self.change(|disk| {
            disk.get_mut(file)?.unsynced.clear();
            Ok(())
        })
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.change(|disk| {
            let removed = disk.files.remove(file).ok_or(io::ErrorKind::NotFound)?;
            disk.used -= removed.bytes.len() as u64;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(disk: &SimulatedDisk) -> Vec<u8> {
        let mut bytes = Vec::new();
        disk.reader("f").expect("a file").read_to_end(&mut bytes).expect("in memory");
        bytes
    }

    /// A crash tears a write at sectors, and leaves what was synced.
    #[test]
    fn a_crash_loses_sectors_that_were_not_synced() {
        let mut disk = SimulatedDisk::default();
        disk.create("f", 2_000).expect("room");
        disk.write("f", 100, &[1; 1_000]).expect("a file");
        disk.sync("f").expect("a file");
        disk.write("f", 500, &[2; 1_000]).expect("a file");
        let mut kept = [false, true, false].into_iter();
        disk.crash(|| kept.next().expect("three sectors"));
        let bytes = read(&disk);
        assert_eq!((bytes[510], bytes[512], bytes[1_023], bytes[1_024]), (1, 2, 2, 1));
        assert_eq!((bytes[1_099], bytes[1_100], bytes[1_499]), (1, 0, 0));
    }

    #[test]
    fn a_failure_comes_before_or_after_the_change_and_once() {
        let mut disk = SimulatedDisk::default();
        for (failure, length) in [(DiskFailure::Before, None), (DiskFailure::After, Some(3))] {
            disk.set_failure(Some(failure));
            assert!(disk.replace("f", b"one").is_err());
            assert_eq!(disk.length("f"), length);
        }
        disk.replace("f", b"three").expect("it is well again");
        assert_eq!(read(&disk), b"three");
    }

    #[test]
    fn a_full_disk_takes_nothing_and_loses_nothing() {
        let mut disk = SimulatedDisk::default();
        disk.create("f", 100).expect("room");
        disk.set_room(150);
        assert_eq!(disk.create("g", 100).map_err(|e| e.kind()), Err(io::ErrorKind::StorageFull));
        disk.write("f", 0, &[1; 100]).expect("it has its room");
        disk.remove("f").expect("a file");
        disk.create("g", 100).expect("room again");
    }
}

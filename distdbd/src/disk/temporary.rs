//! A file that gets its name when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use common::storage::TEMPORARY;

/// What is written before it is synced: one sync of all of a long file would hold up those of the
/// log.
const SYNC_BYTES: usize = 4 * 1024 * 1024;

/// A file that is being written. Dropped before [`Self::rename`], it is removed.
#[derive(Debug)]
pub(super) struct Temporary {
    directory: PathBuf,
    path: PathBuf,
    file: File,
    sync: bool,
    bytes: u64,
    unsynced: usize,
    is_named: bool,
}

impl Temporary {
    /// Begins the file that will be `name`.
    pub(super) fn create(directory: &Path, name: &str, sync: bool) -> io::Result<Self> {
        let path = directory.join(format!("{name}{TEMPORARY}"));
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(true).mode(0o600);
        let file = options.open(&path)?;
        let directory = directory.to_owned();
        Ok(Self { directory, path, file, sync, bytes: 0, unsynced: 0, is_named: false })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Goes on with these.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.sync && self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Makes it durable, and gives it its name.
    pub(super) fn rename(mut self, name: &str) -> io::Result<()> {
        if self.sync {
            self.file.sync_all()?;
        }
        fs::rename(&self.path, self.directory.join(name))?;
        self.is_named = true;
        if self.sync { File::open(&self.directory)?.sync_all() } else { Ok(()) }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_named {
            // If this fails, the next start does it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

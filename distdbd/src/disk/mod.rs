//! The data directory: files that are whole or not there, and a log that is synced.
//!
//! A sync that failed is never tried again: the kernel may have dropped what it could not write,
//! and would call the next one a success. The process ends, and its next start reads what is
//! there.

pub(crate) mod snapshot;
pub(crate) mod temporary;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow};
use common::identity::NodeName;
use common::storage::{Disk, StorageError};
use nix::fcntl::posix_fallocate;

use crate::disk::temporary::Temporary;
use crate::place;
use crate::process::Failure;

/// A node's data directory. It is this process's as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Whether anything is synced at all.
    sync: bool,
    /// The file that was written last.
    open: Option<(String, File)>,
    preparing: Option<Preparing>,
    /// Holds the lock; the kernel lets go of it when the process ends, however it does.
    _lock: File,
}

/// A file that is being allocated.
#[derive(Debug)]
struct Preparing {
    file: String,
    thread: JoinHandle<io::Result<()>>,
}

impl DataDir {
    /// Takes the directory. Nothing in it is touched if it is in use.
    pub(crate) fn open(path: PathBuf, sync: bool) -> Result<Self, Failure> {
        let lock = place::take(&path, 0o700).map_err(Failure::Configuration)?;
        if sync {
            // A process that died may have left names that are in memory only.
            let synced = File::open(&path).and_then(|directory| directory.sync_all());
            let synced = synced.with_context(|| format!("sync {}", path.display()));
            synced.map_err(Failure::Broken)?;
        }
        Ok(Self { path, sync, open: None, preparing: None, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be written.
    fn handle(&mut self, file: &str) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(open, _)| open != file) {
            let handle = OpenOptions::new().write(true).open(self.path.join(file))?;
            self.open = Some((file.to_owned(), handle));
        }
        Ok(&self.open.as_ref().expect("just opened").1)
    }

    /// Waits for the file that is being allocated, if it is this one.
    fn prepared(&mut self, file: &str) -> Option<io::Result<()>> {
        let Preparing { thread, .. } = self.preparing.take_if(|it| it.file == file)?;
        Some(thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has panicked"))))
    }

    fn forget(&mut self, file: &str) {
        self.open.take_if(|(open, _)| open == file);
    }
}

impl Disk for DataDir {
    fn files(&self) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // What is not text is not ours.
            files.extend(entry?.file_name().into_string());
        }
        Ok(files)
    }

    fn reader(&self, file: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.path.join(file))?))
    }

    fn replace(&mut self, file: &str, bytes: &[u8]) -> io::Result<()> {
        self.forget(file);
        let mut temporary = Temporary::create(&self.path, file, self.sync)?;
        temporary.write(bytes)?;
        temporary.rename(file)
    }

    fn create(&mut self, file: &str, bytes: u64) -> io::Result<()> {
        self.forget(file);
        match self.prepared(file) {
            Some(outcome) => outcome,
            None => allocate(&self.path, file, bytes, self.sync),
        }
    }

    fn prepare(&mut self, file: &str, bytes: u64) -> io::Result<bool> {
        if self.preparing.as_ref().is_some_and(|it| it.file == file) {
            if self.preparing.as_ref().is_some_and(|it| !it.thread.is_finished()) {
                return Ok(false);
            }
            return self.prepared(file).expect("it is this one").map(|()| true);
        }
        let (path, name, sync) = (self.path.clone(), file.to_owned(), self.sync);
        let thread = thread::Builder::new().name("allocate".to_owned());
        let thread = thread.spawn(move || allocate(&path, &name, bytes, sync))?;
        self.preparing = Some(Preparing { file: file.to_owned(), thread });
        Ok(false)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.handle(file)?.write_all_at(bytes, offset)
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        if !self.sync {
            return Ok(());
        }
        self.handle(file)?.sync_data()
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.forget(file);
        if let Some(outcome) = self.prepared(file) {
            outcome?;
        }
        let path = self.path.join(file);
        let held = match File::open(&path) {
            // It was being written, and has got its own name meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        fs::remove_file(&path)?;
        // What a snapshot holds of the page cache goes with the last that holds the file, and takes
        // longer than the loop should stand still. Without a thread, it does.
        let _ = thread::Builder::new().name("release".to_owned()).spawn(move || drop(held));
        Ok(())
    }
}

/// Makes a file of zeros. It is reserved first, so that a full disk is told at once; and written,
/// because blocks that are only reserved cost a commit of the file system's journal when they are
/// first synced.
fn allocate(directory: &Path, file: &str, bytes: u64, sync: bool) -> io::Result<()> {
    static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
    let mut temporary = Temporary::create(directory, file, sync)?;
    let length = i64::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
    posix_fallocate(temporary.file(), 0, length)?;
    let mut left = bytes;
    while left > 0 {
        let piece = &ZEROS[..usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len())];
        temporary.write(piece)?;
        left -= piece.len() as u64;
    }
    temporary.rename(file)
}

/// What the process ends with that can't start from the files in `path`.
pub(crate) fn failure(path: &Path, name: &NodeName, error: StorageError) -> Failure {
    let shown = path.display();
    match error {
        StorageError::OtherName(owner) => Failure::Configuration(anyhow!(
            "{shown} belongs to {owner}, not to {name}; give {name} a directory of its own"
        )),
        StorageError::Foreign { .. } => {
            Failure::Configuration(anyhow!(error).context(format!("{shown} can't be used")))
        }
        StorageError::Io { .. } | StorageError::Damaged { .. } => {
            Failure::Broken(anyhow!(error).context(format!("{shown} can't be used")))
        }
    }
}

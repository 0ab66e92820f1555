//! The file of a session: read as it is, and replaced as a whole under its lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::control::failure::Failure;
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};

use crate::problem::{OwnCode, Problem};
use crate::session::Seen;

/// A clock of as many nodes as there may ever be takes a fraction of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The version of the file's format.
const VERSION: u32 = 1;

/// The file of a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionFile {
    path: PathBuf,
}

/// The file's one line.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    context: String,
    revision: u64,
}

impl SessionFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What was seen so far. What could not be noted later is refused here, before anything is
    /// asked.
    pub(crate) fn load(&self) -> Result<Seen, Problem> {
        let seen = match open(&self.path, false) {
            Ok(file) => self.read(&file)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Seen::default(),
            Err(error) => return Err(self.unreadable(&error)),
        };
        self.check_writable()?;
        Ok(seen)
    }

    /// Notes what was seen besides.
    pub(crate) fn add(&self, seen: &Seen) -> Result<(), Problem> {
        if *seen == Seen::default() {
            return Ok(());
        }
        let until = Instant::now() + LOCK_WAIT_MAX;
        loop {
            let file = open(&self.path, true).map_err(|error| self.unwritable(&error))?;
            lock(&file, until).map_err(|error| self.unwritable(&error))?;
            if !self.is_still(&file) {
                continue; // Another has put its own in the place of what we have locked.
            }
            let mut all = self.read(&file)?;
            if all.merge(seen) {
                self.replace(&file, &all).map_err(|error| self.unwritable(&error))?;
            }
            return Ok(());
        }
    }

    /// Whether the name still belongs to this file.
    fn is_still(&self, file: &File) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let (ours, named) = (file.metadata(), fs::metadata(&self.path));
        ours.is_ok_and(|ours| named.is_ok_and(|named| identity(ours) == identity(named)))
    }

    fn read(&self, file: &File) -> Result<Seen, Problem> {
        let metadata = file.metadata().map_err(|error| self.unreadable(&error))?;
        if !metadata.is_file() {
            return Err(self.foreign("it is no regular file"));
        }
        let mut bytes = Vec::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.unreadable(&error))?;
        if bytes.is_empty() {
            return Ok(Seen::default());
        }
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(self.foreign("it has more than 1 MiB"));
        }
        let stored: Stored =
            serde_json::from_slice(&bytes).map_err(|error| self.foreign(&error.to_string()))?;
        if stored.version != VERSION {
            return Err(self.foreign("a later version of distdbctl has written it"));
        }
        let context = stored.context.parse();
        let context = context.map_err(|_| self.foreign("its context can't be read"))?;
        Ok(Seen { context, revision: stored.revision })
    }

    /// Puts a new file in the place of `old`, which is locked. Where the name is a link, what it
    /// leads to is replaced.
    fn replace(&self, old: &File, seen: &Seen) -> io::Result<()> {
        let path = fs::canonicalize(&self.path)?;
        let new = Temporary::beside(&path)?;
        let (context, revision) = (seen.context.to_string(), seen.revision);
        let stored = Stored { version: VERSION, context, revision };
        let mut line = serde_json::to_vec(&stored).expect("text and numbers serialize");
        line.push(b'\n');
        (&new.file).write_all(&line)?;
        let before = old.metadata()?;
        new.file.set_permissions(before.permissions())?;
        // Only root can give files away; of others they are their own already.
        let _ = fchown(&new.file, Some(before.uid()), Some(before.gid()));
        new.rename(&path)
    }

    fn check_writable(&self) -> Result<(), Problem> {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            Some(_) | None => Path::new("."),
        };
        let may_replace = access(directory, AccessFlags::W_OK | AccessFlags::X_OK);
        let may_write = if path.exists() { access(&path, AccessFlags::W_OK) } else { Ok(()) };
        may_replace.and(may_write).map_err(|errno| self.unwritable(&errno.into()))
    }

    fn unreadable(&self, error: &io::Error) -> Problem {
        let message = format!("session {} can't be read: {error}", self.path.display());
        Problem::new(OwnCode::Input, message)
    }

    fn unwritable(&self, error: &io::Error) -> Problem {
        let message = format!("session {} can't be written: {error}", self.path.display());
        Problem::new(OwnCode::Output, message)
            .with_hint("its directory must be writable: the file is replaced as a whole")
    }

    fn foreign(&self, why: &str) -> Problem {
        let path = self.path.display();
        Problem::from(Failure::bad_request(format!("{path} is no session of distdbctl: {why}")))
            .with_hint("name another file, or remove it to begin anew")
    }
}

/// Opens the file itself, whatever it is, without waiting for the other end of a pipe.
fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(create).create(create).truncate(false);
    options.custom_flags(nix::libc::O_NONBLOCK).open(path)
}

/// Who holds a lock for longer was stopped, or has a disk that does not answer.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long what is done under a lock takes, and more.
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// The lock ends with the file.
fn lock(file: &File, until: Instant) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(io::Error::new(ErrorKind::TimedOut, "another process has locked it"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
        }
    }
}

/// A new file that takes another's place, or is gone.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:016x}", rand::random::<u64>()));
        let path = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    fn rename(&self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Once it has been renamed there is nothing of that name.
        let _ = fs::remove_file(&self.path);
    }
}

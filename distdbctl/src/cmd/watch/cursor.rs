//! How far a watch is, in a file: what is noted there has been handled.
//!
//! The file is locked as long as the watch lasts, replaced as a whole, and on the disk before the
//! watch goes on. The one that takes its place is locked before it gets the name, so that there is
//! no moment for another.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::control::failure::{ErrorCode, Failure};
use common::control::request::Request;
use common::control::status::Hello;
use serde::{Deserialize, Serialize};

use crate::link::{self, Link};
use crate::problem::{OwnCode, Problem};

/// The version of the file's format.
const VERSION: u32 = 1;

/// A cursor's line takes a fraction of it.
const FILE_BYTES_MAX: u64 = 4_096;

/// How often a watch that has nothing to handle notes how far it is, lest it fall behind what is
/// kept of history.
const QUIET: Duration = Duration::from_secs(10);

/// The file, and what stands in it.
#[derive(Debug)]
pub(super) struct Cursor {
    path: PathBuf,
    /// Whose lock is ours.
    file: File,
    stored: Stored,
    is_new: bool,
    written_at: Instant,
}

/// The file's one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// Whose revisions these are.
    cluster: String,
    /// All up to it is handled.
    revision: u64,
}

impl Cursor {
    /// Opens the file, or makes one, for the cluster that answers.
    pub(super) fn open(path: &Path, link: &mut Link) -> Result<Self, Problem> {
        let hello = link::result(link.ask::<Hello>(&Request::Hello)?);
        let unfounded = || Failure::new(ErrorCode::NotReady, "the node has no cluster yet");
        let cluster = hello.cluster.ok_or_else(unfounded)?;
        Self::open_for(path, &cluster.to_string())
    }

    fn open_for(path: &Path, cluster: &str) -> Result<Self, Problem> {
        let file = lock(path)?;
        let stored = read(path, &file)?;
        if let Some(stored) = stored.as_ref().filter(|stored| stored.cluster != cluster) {
            let theirs = &stored.cluster;
            return Err(foreign(path, &format!("it is for cluster {theirs}, this is {cluster}")));
        }
        let is_new = stored.is_none();
        let new = || Stored { version: VERSION, cluster: cluster.to_owned(), revision: 0 };
        let (path, stored) = (path.to_owned(), stored.unwrap_or_else(new));
        Ok(Self { path, file, stored, is_new, written_at: Instant::now() })
    }

    /// The last revision that was handled, if any was.
    pub(super) fn position(&self) -> Option<u64> {
        (!self.is_new).then_some(self.stored.revision)
    }

    /// Notes that all up to `revision` is handled.
    pub(super) fn advance(&mut self, revision: u64) -> Result<(), Problem> {
        if revision <= self.stored.revision && !self.is_new {
            return Ok(());
        }
        self.stored.revision = revision;
        self.replace().map_err(|error| unwritable(&self.path, &error))?;
        (self.is_new, self.written_at) = (false, Instant::now());
        Ok(())
    }

    /// The same where it is no hurry.
    pub(super) fn advance_now_and_then(&mut self, revision: u64) -> Result<(), Problem> {
        if self.written_at.elapsed() >= QUIET { self.advance(revision) } else { Ok(()) }
    }

    fn replace(&mut self) -> io::Result<()> {
        // Where the name is a link, what it leads to is replaced.
        let path = fs::canonicalize(&self.path)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let mut options = OpenOptions::new();
        // Who else may write there holds the lock, and that is nobody.
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.try_lock()?;
        let mut line = serde_json::to_vec(&self.stored).expect("text and numbers serialize");
        line.push(b'\n');
        file.write_all(&line)?;
        file.set_permissions(self.file.metadata()?.permissions())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        self.file = file;
        Ok(())
    }
}

/// Opens and locks what has the name, whoever replaces it meanwhile.
fn lock(path: &Path) -> Result<File, Problem> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(nix::libc::O_NONBLOCK).open(path);
        let file = file.map_err(|error| unwritable(path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} belongs to another watch", path.display());
                let problem = Problem::from(Failure::new(ErrorCode::Busy, message));
                return Err(problem.with_hint("end that one, or name another file"));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(path, &error)),
        }
        if is_still(path, &file) {
            return Ok(file);
        }
    }
}

/// Whether the name still belongs to this file.
fn is_still(path: &Path, file: &File) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (ours, named) = (file.metadata(), fs::metadata(path));
    ours.is_ok_and(|ours| named.is_ok_and(|named| identity(ours) == identity(named)))
}

fn read(path: &Path, file: &File) -> Result<Option<Stored>, Problem> {
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err(foreign(path, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| unwritable(path, &error))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let stored: Stored =
        serde_json::from_slice(&bytes).map_err(|error| foreign(path, &error.to_string()))?;
    if stored.version != VERSION {
        return Err(foreign(path, "a later version of distdbctl has written it"));
    }
    Ok(Some(stored))
}

fn foreign(path: &Path, why: &str) -> Problem {
    let path = path.display();
    Problem::from(Failure::bad_request(format!("{path} is no cursor of this watch: {why}")))
        .with_hint("name another file, or remove it to begin anew")
}

fn unwritable(path: &Path, error: &io::Error) -> Problem {
    let message = format!("cursor {} can't be written: {error}", path.display());
    let code = if error.kind() == ErrorKind::NotFound { OwnCode::Input } else { OwnCode::Output };
    Problem::new(code, message)
        .with_hint("its directory must be there and writable: the file is replaced as a whole")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_cursor_goes_on_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cursor");
        let mut cursor = Cursor::open_for(&path, "c").unwrap();
        assert_eq!(cursor.position(), None);
        cursor.advance(0).unwrap();
        assert_eq!(cursor.position(), Some(0));
        cursor.advance(7).unwrap();
        cursor.advance(3).unwrap();
        drop(cursor);
        assert_eq!(Cursor::open_for(&path, "c").unwrap().position(), Some(7));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_cursor_has_one_watch() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cursor");
        let mut first = Cursor::open_for(&path, "c").unwrap();
        assert_eq!(Cursor::open_for(&path, "c").unwrap_err().exit(), Exit::BUSY);
        first.advance(1).unwrap();
        assert_eq!(Cursor::open_for(&path, "c").unwrap_err().exit(), Exit::BUSY);
    }

    #[test]
    fn another_clusters_cursor_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cursor");
        Cursor::open_for(&path, "c").unwrap().advance(1).unwrap();
        let problem = Cursor::open_for(&path, "d").unwrap_err();
        assert_eq!(problem.exit(), Exit::BAD_DATA);
        assert!(problem.message.contains("cluster c"), "{problem}");
        fs::write(&path, "neither").unwrap();
        assert_eq!(Cursor::open_for(&path, "c").unwrap_err().exit(), Exit::BAD_DATA);
    }
}

//! Where a node's files are, and whose they are.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use common::identity::NodeName;
use common::node::Record;
use common::storage::{self, Disk, RecordError};

use crate::args::Args;
use crate::process::Failure;

/// `RUNTIME`: where the nodes of this machine have their sockets.
pub(crate) fn runtime_dir(args: &Args) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &args.runtime_dir {
        return Ok(dir.clone());
    }
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/run/distdb"));
    }
    let base = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let base = base.context("neither --runtime-dir nor XDG_RUNTIME_DIR is set")?;
    Ok(Path::new(&base).join("distdb"))
}

/// Where this node keeps its record.
pub(crate) fn data_dir(args: &Args) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &args.data_dir {
        return Ok(dir.clone());
    }
    let set = |name| env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let base = if let Some(base) = set("DISTDB_DATA_DIR") {
        base
    } else if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/lib/distdb")
    } else if let Some(state) = set("XDG_STATE_HOME") {
        state.join("distdb")
    } else {
        let home = set("HOME").context("none of --data-dir, XDG_STATE_HOME and HOME is set")?;
        home.join(".local/state/distdb")
    };
    Ok(base.join(args.node.as_str()))
}

/// A node's data directory. It is this process's as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the lock; the kernel lets go of it when the process ends, however it does.
    _lock: File,
}

const RECORD: &str = "node";
const LOCK: &str = "LOCK";

impl DataDir {
    /// Takes the directory, and reads its record if it has one. Nothing in it is touched if it is
    /// another node's or in use.
    pub(crate) fn open(path: PathBuf, name: &NodeName) -> Result<(Self, Option<Record>), Failure> {
        let lock = take(&path, 0o700).map_err(Failure::Configuration)?;
        let record = read(&path.join(RECORD))?;
        if let Some(record) = &record
            && record.broadcast.name != *name
        {
            let owner = &record.broadcast.name;
            let shown = path.display();
            return Err(Failure::Configuration(anyhow::anyhow!(
                "{shown} belongs to {owner}, not to {name}; give {name} a directory of its own"
            )));
        }
        Ok((Self { path, _lock: lock }, record))
    }
}

/// Where this node's socket is. It is this process's as long as this lives.
#[derive(Debug)]
pub(crate) struct SocketDir {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl SocketDir {
    /// Takes the directory, which whoever may use the socket may enter.
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let lock = take(&path, 0o755)?;
        Ok(Self { path, _lock: lock })
    }
}

/// Makes a directory if need be, and takes its lock.
fn take(path: &Path, mode: u32) -> anyhow::Result<File> {
    let shown = path.display();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("create the directory {shown}"))?;
    let file = path.join(LOCK);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&file);
    let lock = lock.with_context(|| format!("open {}", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("{shown} is in use by a running distdbd"),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", file.display()))
        }
    }
}

fn read(path: &Path) -> Result<Option<Record>, Failure> {
    let shown = path.display();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let context = anyhow::Error::new(error).context(format!("read {shown}"));
            return Err(Failure::Broken(context));
        }
    };
    storage::decode(&bytes).map(Some).map_err(|error| {
        let context = anyhow::Error::new(error).context(format!("{shown} can't be used"));
        match error {
            RecordError::Magic | RecordError::Format(_) => Failure::Configuration(context),
            RecordError::Damaged => Failure::Broken(context),
        }
    })
}

impl Disk for DataDir {
    /// Temporary file, sync, rename, sync of the directory: there is the old record or the new.
    fn replace(&mut self, record: &[u8]) -> io::Result<()> {
        let temporary = self.path.join("node.new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(record)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(RECORD))?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use common::broadcast;
    use common::identity::{ClusterId, NodeId};

    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().expect("a name")
    }

    fn record(owner: &str) -> Record {
        let broadcast = broadcast::Record::bootstrap(NodeId(1), name(owner), ClusterId(2));
        Record { broadcast }
    }

    fn open(path: &Path, owner: &str) -> Result<(DataDir, Option<Record>), Failure> {
        DataDir::open(path.to_owned(), &name(owner))
    }

    #[test]
    fn a_record_is_found_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b");
        let (mut data, found) = open(&path, "node1").expect("empty");
        assert_eq!(found, None);
        data.replace(&storage::encode(&record("node1"))).expect("written");
        drop(data);
        let (_, found) = open(&path, "node1").expect("its own");
        assert_eq!(found, Some(record("node1")));
    }

    /// D6: two processes never have one data directory.
    #[test]
    fn a_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let _held = open(dir.path(), "node1").expect("empty");
        assert!(matches!(open(dir.path(), "node1"), Err(Failure::Configuration(_))));
    }

    #[test]
    fn another_node_s_and_a_damaged_record_are_refused_untouched() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join(RECORD);
        let bytes = storage::encode(&record("node1"));
        fs::write(&file, &bytes).expect("written");
        assert!(matches!(open(dir.path(), "node2"), Err(Failure::Configuration(_))));
        let mut damaged = bytes.clone();
        damaged[20] ^= 1;
        fs::write(&file, &damaged).expect("written");
        assert!(matches!(open(dir.path(), "node1"), Err(Failure::Broken(_))));
        let later = [b"distdb\0\x09", &bytes[8..]].concat();
        fs::write(&file, &later).expect("written");
        assert!(matches!(open(dir.path(), "node1"), Err(Failure::Configuration(_))));
        assert_eq!(fs::read(&file).expect("there"), later);
    }
}

//! Where a node's files are, and whose they are.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::args::Args;

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

/// Where this node keeps its files.
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

const LOCK: &str = "LOCK";

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
pub(crate) fn take(path: &Path, mode: u32) -> anyhow::Result<File> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// D6: two processes never have one directory.
    #[test]
    fn d6_a_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b");
        let held = take(&path, 0o700).expect("nobody's");
        assert!(take(&path, 0o700).is_err());
        drop(held);
        take(&path, 0o700).expect("nobody's again");
    }
}

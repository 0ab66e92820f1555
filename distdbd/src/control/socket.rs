//! The socket's file: never more open than it is meant to be, never taken from a live daemon.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Group};
use tokio::net::UnixListener;

/// What the address of a Unix socket has room for.
const PATH_BYTES_MAX: usize = 107;

/// A control socket that listens. Its file goes when this does.
pub(crate) struct Socket {
    path: PathBuf,
}

/// Who may connect.
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) group: Option<Gid>,
}

impl Access {
    pub(crate) fn new(mode: u32, group: Option<&str>) -> anyhow::Result<Self> {
        let Some(group) = group else {
            return Ok(Self { mode, group: None });
        };
        if let Ok(number) = group.parse() {
            return Ok(Self { mode, group: Some(Gid::from_raw(number)) });
        }
        let found = Group::from_name(group).with_context(|| format!("look up group {group}"))?;
        let found = found.with_context(|| format!("there is no group {group}"))?;
        Ok(Self { mode, group: Some(found.gid) })
    }
}

/// Checks that `path` fits into a socket address.
pub(crate) fn check_path(path: &Path) -> anyhow::Result<()> {
    let bytes = path.as_os_str().len();
    ensure!(
        bytes <= PATH_BYTES_MAX,
        "{} has {bytes} bytes, and a socket's path at most {PATH_BYTES_MAX}; \
         use a shorter --runtime-dir",
        path.display(),
    );
    Ok(())
}

impl Socket {
    /// Listens at `path`. One that a daemon left behind is replaced; one that is served is not.
    pub(crate) fn bind(path: PathBuf, access: &Access) -> anyhow::Result<(Self, UnixListener)> {
        let shown = path.display().to_string();
        match UnixStream::connect(&path) {
            Ok(_) => bail!("another daemon serves {shown}"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                tracing::info!(socket = shown, "replacing a stale socket");
            }
            Err(error) => return Err(error).with_context(|| format!("look at {shown}")),
        }
        let temporary = path.with_extension("new");
        let _ = fs::remove_file(&temporary);
        let mode = Mode::from_bits_truncate(access.mode);
        let before = umask(Mode::all() & !mode);
        let listener = UnixListener::bind(&temporary);
        umask(before);
        let listener = listener.with_context(|| format!("listen at {shown}"))?;
        let finished = finish(&temporary, &path, access);
        if finished.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        finished.with_context(|| format!("set up {shown}"))?;
        Ok((Self { path }, listener))
    }
}

/// Gives the socket its group and mode, and only then its name.
fn finish(temporary: &Path, path: &Path, access: &Access) -> anyhow::Result<()> {
    if let Some(group) = access.group {
        std::os::unix::fs::chown(temporary, None, Some(group.as_raw()))
            .with_context(|| format!("give it to group {group}"))?;
    }
    fs::set_permissions(temporary, Permissions::from_mode(access.mode))?;
    fs::rename(temporary, path)?;
    Ok(())
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access { mode: 0o600, group: None }
    }

    /// P9: a path that is too long is an error, not another path.
    #[test]
    fn a_long_path_is_refused() {
        assert!(check_path(Path::new(&"x".repeat(107))).is_ok());
        assert!(check_path(Path::new(&"x".repeat(108))).is_err());
    }

    /// P7: a stale socket is replaced, a live one never.
    #[tokio::test]
    async fn only_a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("control.sock");
        let (socket, listener) = Socket::bind(path.clone(), &access()).expect("free");
        assert!(Socket::bind(path.clone(), &access()).is_err());
        assert!(UnixStream::connect(&path).is_ok(), "the live one was disturbed");
        std::mem::forget(socket); // As kill -9 does.
        drop(listener);
        assert!(UnixStream::connect(&path).is_err());
        let (_socket, _listener) = Socket::bind(path.clone(), &access()).expect("stale");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

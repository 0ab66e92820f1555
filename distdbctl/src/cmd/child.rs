//! The command that `watch` runs for each change.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use common::control::watching::WatchEvent;

use crate::cmd::kv;
use crate::exit::Exit;
use crate::problem::{OwnCode, Problem};

/// Closes what our caller left open beyond 0, 1 and 2: a command that runs for long must not hold
/// somebody's pipe or lock. Our own descriptors are closed on exec; there are none yet.
pub(crate) fn close_inherited() {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for number in numbers.filter(|number| *number > 2).collect::<Vec<_>>() {
        // The directory's own is among them, and closed already.
        let _ = nix::unistd::close(number);
    }
}

/// Runs the command for `event`, the value on its stdin, and waits for its end.
pub(crate) fn run(
    program: &OsStr,
    arguments: &[OsString],
    event: WatchEvent,
) -> Result<Exit, Problem> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("DISTDB_EVENT", event.kind.as_str())
        .env("DISTDB_KEY", event.key.as_str())
        .env("DISTDB_REVISION", event.revision.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| not_run(program, &error))?;
    let value = kv::value_of(event.value, event.value_b64)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not care for the value closes its stdin; that is no failure.
        let _ = stdin.write_all(value.as_bytes());
    }
    let status = child.wait().map_err(|error| not_run(program, &error))?;
    Ok(Exit::of_child(status))
}

fn not_run(program: &OsStr, error: &io::Error) -> Problem {
    let code = if error.kind() == io::ErrorKind::NotFound {
        OwnCode::CommandNotFound
    } else {
        OwnCode::CannotRun
    };
    Problem::new(code, format!("{} can't be run: {error}", program.display()))
}

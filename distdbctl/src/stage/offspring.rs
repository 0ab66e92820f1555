//! The processes that descend from this one, whatever groups and sessions they have put themselves
//! into. As their subreaper we are the parent of all whose own parents are gone.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use crate::boottime::BootTime;

/// How often it is looked whether all are gone.
const LOOK: Duration = Duration::from_millis(2);

/// What can't be killed by then is another user's, or waits for a disk.
const KILL_MAX: Duration = Duration::from_secs(2);

/// Ends all of them: with SIGTERM until `kill_at`, and then with SIGKILL. Whether none is left.
pub(crate) fn end(kill_at: BootTime) -> bool {
    let give_up_at = kill_at.max(BootTime::now()) + KILL_MAX;
    if kill_at > BootTime::now() {
        signal(Signal::SIGTERM);
    }
    while !are_reaped() {
        let now = BootTime::now();
        if now >= give_up_at {
            return false;
        }
        if now >= kill_at {
            signal(Signal::SIGKILL);
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// Sends a signal to each of them.
pub(crate) fn signal(signal: Signal) {
    for pid in descendants(getpid(), &parents()) {
        let _ = kill(pid, signal);
    }
}

/// Takes note of those that have ended; whether that were all.
fn are_reaped() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(_) => return true,
            Ok(WaitStatus::StillAlive) => return false,
            Ok(_) => {}
        }
    }
}

/// Of each process, its parent.
fn parents() -> BTreeMap<Pid, Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent = |pid| parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    pids.filter_map(|pid| Some((Pid::from_raw(pid), parent(pid)?))).collect()
}

/// The fourth field of proc_pid_stat(5). The second is a name in parentheses, which may have
/// spaces and parentheses in it.
fn parent(stat: &str) -> Option<Pid> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

fn descendants(of: Pid, parents: &BTreeMap<Pid, Pid>) -> Vec<Pid> {
    let is_descendant = |pid: &Pid| {
        // A chain is no longer than there are processes, even if it was read while it changed.
        let mut chain = std::iter::successors(parents.get(pid), |pid| parents.get(pid));
        chain.by_ref().take(parents.len()).any(|parent| *parent == of)
    };
    parents.keys().copied().filter(is_descendant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_anything() {
        assert_eq!(parent("7 (a) R 1 2) S 42 7 7 0"), Some(Pid::from_raw(42)));
        assert_eq!(parent("7 (sh) S"), None);
        assert_eq!(parent(""), None);
    }

    #[test]
    fn children_of_children_are_descendants() {
        let pids = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (6, 7), (7, 6)];
        let parents = pids.map(|(pid, parent)| (Pid::from_raw(pid), Pid::from_raw(parent)));
        let found = descendants(Pid::from_raw(2), &BTreeMap::from(parents));
        assert_eq!(found, [Pid::from_raw(3), Pid::from_raw(4)]);
    }
}

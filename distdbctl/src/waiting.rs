//! Waits for one of several things to happen.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::problem::{OwnCode, Problem};

/// Waits until one of them can be read, or has ended.
pub(crate) fn until_readable<'a>(fds: impl IntoIterator<Item = BorrowedFd<'a>>) {
    until_readable_by(fds, None);
}

/// The same, until `deadline` at the latest.
pub(crate) fn until_readable_by<'a>(
    fds: impl IntoIterator<Item = BorrowedFd<'a>>,
    deadline: Option<Instant>,
) {
    let mut watched: Vec<_> = fds.into_iter().map(readable).collect();
    // Where it fails, or comes back for nothing, the caller looks in vain and waits again.
    let _ = poll(&mut watched, timeout(deadline));
}

/// The same, for as long as somebody reads our output.
pub(crate) fn for_reader(fds: &[BorrowedFd<'_>], deadline: Option<Instant>) -> Result<(), Problem> {
    let stdout = io::stdout();
    // Without a wish, `poll` still tells that the other end of a pipe is gone.
    let output = PollFd::new(stdout.as_fd(), PollFlags::empty());
    let others = fds.iter().copied().map(readable);
    let mut watched: Vec<PollFd<'_>> = [output].into_iter().chain(others).collect();
    let _ = poll(&mut watched, timeout(deadline));
    let (output, others) = watched.split_first().expect("it has just been put there");
    let has_come = others.iter().any(|fd| fd.any() == Some(true));
    if output.any() == Some(true) && !has_come {
        return Err(Problem::new(OwnCode::ClosedPipe, "nobody reads the output"));
    }
    Ok(())
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

/// How long `poll` is to wait for something that is due at `deadline`.
pub(crate) fn timeout(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining == Duration::ZERO {
        return PollTimeout::ZERO;
    }
    // Rounded up, so that the deadline has passed when poll says so.
    PollTimeout::try_from(remaining.as_millis() + 1).unwrap_or(PollTimeout::MAX)
}

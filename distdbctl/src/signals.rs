//! Signals that are taken note of rather than died of: their time comes when it suits us.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::exit::Exit;

/// What ends a process.
const ENDING: &[Signal] = &[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// What is handed on to a command that runs for us, beside those that end it.
const HANDED_ON: &[Signal] = &[Signal::SIGUSR1, Signal::SIGUSR2];

/// All that are caught where a command is run. With `SIGTTOU` blocked a process in the background
/// may say who is in the foreground.
const CAUGHT: &[Signal] = &[Signal::SIGCHLD, Signal::SIGTTOU];

/// Signals that wait to be read.
#[derive(Debug)]
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Catches from here on all that one who runs commands must know of. To be called before there
    /// is a second thread.
    pub(crate) fn catch() -> Result<Self, Errno> {
        let caught = caught();
        caught.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        SignalFd::with_flags(&caught, flags).map(Self)
    }

    /// The next that has come.
    pub(crate) fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }

    /// The next that is to end us, without those before it.
    pub(crate) fn next_ending(&self) -> Option<Signal> {
        std::iter::from_fn(|| self.next()).find(|signal| ENDING.contains(signal))
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets a program that takes our place have its signals.
pub(crate) fn release() {
    let _ = caught().thread_unblock();
}

/// Whether it ends a process that has no other plans.
pub(crate) fn is_ending(signal: Signal) -> bool {
    ENDING.contains(&signal)
}

/// Whether somebody who runs a command hands it on.
pub(crate) fn is_handed_on(signal: Signal) -> bool {
    ENDING.contains(&signal) || HANDED_ON.contains(&signal)
}

/// How we are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    With(Exit),
    By(Signal),
}

impl End {
    pub(crate) fn reach(self) -> Exit {
        match self {
            Self::With(exit) => exit,
            Self::By(signal) => die_of(signal),
        }
    }
}

/// Ends by a signal that was caught before, so that whoever started us sees just that.
pub(crate) fn die_of(signal: Signal) -> Exit {
    let mut signals = SigSet::empty();
    signals.add(signal);
    let _ = signals.thread_unblock();
    let _ = raise(signal);
    // Where it is ignored we live on, and end with the exit code for it.
    Exit::of_signal(signal as i32)
}

fn caught() -> SigSet {
    [ENDING, HANDED_ON, CAUGHT].into_iter().flatten().copied().collect()
}

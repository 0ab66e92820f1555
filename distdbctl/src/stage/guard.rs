//! The guard of a command that runs under a lock: a process that outlives whatever happens to the
//! holder of the lock, and ends the command before another can get the lock.
//!
//! The holder may be stopped, or be killed with a signal that it can't catch; so the command is
//! the guard's child, not the holder's. What the guard knows of time it has from the holder: until
//! when the lock is safe. Without later news it ends the command by then.
//!
//! ```text
//!  holder                     guard                      command
//!    | starts, with deadlines   |                           |
//!    |------------------------->| starts, in its own group  |
//!    | started                  |-------------------------->|
//!    |<-------------------------|                           |
//!    | later deadlines, signals | signals                   |
//!    |------------------------->|-------------------------->|
//!    |                          | a deadline passes: TERM, then KILL to all that descend
//!    |                          |-------------------------->|
//!    | ended                    | it ends, and all its kin  |
//!    |<-------------------------|<--------------------------|
//! ```
//!
//! The holder's death ends the command at once, as does the guard's.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::boottime::{Alarm, BootTime};
use crate::exit::Exit;
use crate::output::{Output, Voice};
use crate::signals::Signals;
use crate::stage::{self, GUARD, Launch, offspring};
use crate::waiting;

/// What the command has left behind gets so much time to end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Until when a command may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deadlines {
    /// Then it is asked to end.
    pub(crate) term_at: BootTime,
    /// Then it is killed.
    pub(crate) kill_at: BootTime,
}

/// What the guard must know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The descriptor that orders come from.
    orders: i32,
    /// The descriptor that reports go to.
    reports: i32,
    pub(crate) deadlines: Deadlines,
    pub(crate) takes_terminal: bool,
    pub(crate) voice: Voice,
}

impl Settings {
    pub(crate) fn new(
        (orders, reports): (BorrowedFd<'_>, BorrowedFd<'_>),
        deadlines: Deadlines,
        takes_terminal: bool,
        voice: Voice,
    ) -> Self {
        let (orders, reports) = (orders.as_raw_fd(), reports.as_raw_fd());
        Self { orders, reports, deadlines, takes_terminal, voice }
    }

    /// The guard of a command, to be spawned.
    pub(crate) fn command(&self, words: &[OsString]) -> Command {
        stage::stage(GUARD, self, words)
    }
}

/// What the holder says, a line each.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The lock is safe for longer.
    Until(Deadlines),
    /// For the command and its group.
    Signal(i32),
}

/// What the guard says, a line each.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The command runs, in the group of this number.
    Started(i32),
    /// It was stopped, at the terminal or by a signal.
    Stopped,
    /// It has ended, and all that descend from it.
    Ended {
        /// Its exit code.
        code: u8,
        /// Whether the guard has ended it.
        is_late: bool,
    },
}

/// Guards a command until it has ended.
pub(crate) fn run(settings: &Settings, words: &[OsString]) -> Exit {
    match Guard::begin(settings, words) {
        Ok(guard) => guard.watch(),
        Err(error) => {
            let program = words.first().cloned().unwrap_or_default();
            Output::speaking(settings.voice).fail(&stage::not_run(&program, &error))
        }
    }
}

struct Guard {
    orders: File,
    /// The beginning of an order whose end has not come.
    line: Vec<u8>,
    reports: File,
    signals: Signals,
    alarm: Alarm,
    deadlines: Deadlines,
    takes_terminal: bool,
    /// The command, which is also the first of its group.
    child: Pid,
    /// Whether the command was asked to end because its time was over.
    is_late: bool,
}

impl Guard {
    fn begin(settings: &Settings, words: &[OsString]) -> io::Result<Self> {
        let orders = take_over(settings.orders, OpenOptions::new().read(true))?;
        let reports = take_over(settings.reports, OpenOptions::new().write(true))?;
        prctl::set_child_subreaper(true)?;
        let (signals, alarm) = (Signals::catch()?, Alarm::new()?);
        let Settings { deadlines, takes_terminal, voice, .. } = *settings;
        let launch = Launch::new(Signal::SIGKILL, takes_terminal, voice);
        let child = launch.command(words).spawn()?;
        let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let line = Vec::new();
        let mut guard = Self {
            orders,
            line,
            reports,
            signals,
            alarm,
            deadlines,
            takes_terminal,
            child,
            is_late: false,
        };
        guard.report(&Report::Started(child.as_raw()));
        Ok(guard)
    }

    fn watch(mut self) -> Exit {
        let status = loop {
            if !self.take_orders() {
                self.kill();
                return Exit::BROKEN;
            }
            self.heed_the_time();
            if let Some(status) = self.reap() {
                break status;
            }
            self.wait();
        };
        let grace = if self.is_late { Duration::ZERO } else { GRACE };
        offspring::end((BootTime::now() + grace).min(self.deadlines.kill_at));
        let exit = Exit::of_child(status);
        self.report(&Report::Ended { code: exit.code(), is_late: self.is_late });
        exit
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let Deadlines { term_at, kill_at } = self.deadlines;
        let now = BootTime::now();
        let next = if self.is_late { kill_at } else { term_at };
        // What was killed and lives on is killed again and again.
        let _ = self.alarm.set(next.max(now + Duration::from_millis(5)));
        waiting::until_readable([self.orders.as_fd(), self.signals.as_fd(), self.alarm.as_fd()]);
        while self.signals.next().is_some() {}
    }

    /// Does what the holder says; `false` if it is gone.
    fn take_orders(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.orders.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => self.line.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.obey() && error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Does what whole lines say; `false` if one can't be understood.
    fn obey(&mut self) -> bool {
        while let Some(end) = memchr::memchr(b'\n', &self.line) {
            let line: Vec<_> = self.line.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Order::Until(deadlines)) if !self.is_late => self.deadlines = deadlines,
                // There is no way back from there, only a shorter one ahead.
                Ok(Order::Until(Deadlines { kill_at, .. })) => {
                    self.deadlines.kill_at = self.deadlines.kill_at.min(kill_at);
                }
                Ok(Order::Signal(signal)) => self.signal(Signal::try_from(signal).ok()),
                Err(_) => return false,
            }
        }
        true
    }

    fn heed_the_time(&mut self) {
        let now = BootTime::now();
        if now >= self.deadlines.kill_at {
            self.is_late = true;
            self.signal(Some(Signal::SIGKILL));
            offspring::signal(Signal::SIGKILL);
        } else if now >= self.deadlines.term_at && !self.is_late {
            self.is_late = true;
            self.signal(Some(Signal::SIGTERM));
            // It may be stopped.
            self.signal(Some(Signal::SIGCONT));
        }
    }

    fn signal(&self, signal: Option<Signal>) {
        let _ = killpg(self.child, signal);
    }

    /// Kills all there is.
    fn kill(&self) {
        self.signal(Some(Signal::SIGKILL));
        offspring::end(BootTime::now());
    }

    /// Takes note of processes that have ended; how the command has, if it is among them.
    fn reap(&mut self) -> Option<ExitStatus> {
        loop {
            let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.child => {
                    return Some(ExitStatus::from_raw(code << 8));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.child => {
                    return Some(ExitStatus::from_raw(signal as i32));
                }
                Ok(WaitStatus::Stopped(pid, _)) if pid == self.child && self.takes_terminal => {
                    self.report(&Report::Stopped);
                }
                Ok(WaitStatus::StillAlive) => return None,
                Err(Errno::EINTR) | Ok(_) => {}
                // Nobody is left whose end could be told.
                Err(_) => return Some(ExitStatus::from_raw(Signal::SIGKILL as i32)),
            }
        }
    }

    fn report(&mut self, report: &Report) {
        let mut line = serde_json::to_vec(report).expect("numbers serialize");
        line.push(b'\n');
        // Where nobody reads it, the end of the orders tells soon.
        let _ = self.reports.write_all(&line);
    }
}

/// A pipe that was left open for us, as a file that the command does not get.
fn take_over(number: i32, options: &mut OpenOptions) -> io::Result<File> {
    let path = format!("/proc/self/fd/{number}");
    let file = options.custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    nix::unistd::close(number)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_reports_are_read_as_they_were_written() {
        let now = BootTime::now();
        let until = Order::Until(Deadlines { term_at: now, kill_at: now });
        for order in [until, Order::Signal(15)] {
            let line = serde_json::to_vec(&order).unwrap();
            assert_eq!(serde_json::from_slice::<Order>(&line).unwrap(), order);
        }
        let ended = Report::Ended { code: 3, is_late: true };
        for report in [Report::Started(7), Report::Stopped, ended] {
            let line = serde_json::to_vec(&report).unwrap();
            assert_eq!(serde_json::from_slice::<Report>(&line).unwrap(), report);
        }
    }
}

//! A command that runs under a lock: its guard is told how long the lock is safe, and what signals
//! there are for it.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

use crate::boottime::{Alarm, BootTime};
use crate::cmd::hold::tenure::Tenure;
use crate::exit::Exit;
use crate::output::Voice;
use crate::problem::Problem;
use crate::signals::{self, Signals};
use crate::stage::guard::{Deadlines, Order, Report, Settings};
use crate::stage::{not_run, offspring};
use crate::waiting;

/// A guard that has not told of the end by then is stopped, or worse.
const GUARD_LATE: Duration = Duration::from_millis(200);

/// The command, seen from the holder.
pub(super) struct Charge {
    guard: Child,
    orders: PipeWriter,
    reports: PipeReader,
    /// The beginning of a report whose end has not come.
    line: Vec<u8>,
    /// The command's process group, once it is known.
    group: Option<Pid>,
    takes_terminal: bool,
    /// What the guard was told.
    deadlines: Deadlines,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The command ended by itself.
    Ended(Exit),
    /// It was ended because the lock was not safe any more, and why that was.
    Lost(String),
    /// Its guard was killed, and so it was as well.
    Unguarded,
}

impl Charge {
    /// Starts the command, with `variables` in its environment.
    pub(super) fn begin(
        words: &[OsString],
        variables: &[(&str, String)],
        deadlines: Deadlines,
        voice: Voice,
    ) -> Result<Self, Problem> {
        Self::spawn(words, variables, deadlines, voice).map_err(|error| not_run(&words[0], &error))
    }

    fn spawn(
        words: &[OsString],
        variables: &[(&str, String)],
        deadlines: Deadlines,
        voice: Voice,
    ) -> io::Result<Self> {
        // Should the guard be killed, its children become ours.
        prctl::set_child_subreaper(true)?;
        let takes_terminal = tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        let (theirs, orders) = io::pipe()?;
        let (reports, their_reports) = io::pipe()?;
        for fd in [theirs.as_fd(), their_reports.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        for fd in [orders.as_fd(), reports.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let pipes = (theirs.as_fd(), their_reports.as_fd());
        let mut command = Settings::new(pipes, deadlines, takes_terminal, voice).command(words);
        // Out of the way of what is sent to our own group.
        command.envs(variables.iter().map(|(name, value)| (name, value))).process_group(0);
        let guard = command.spawn()?;
        let (line, group) = (Vec::new(), None);
        Ok(Self { guard, orders, reports, line, group, takes_terminal, deadlines })
    }

    /// Keeps the lease until the command has ended, one way or the other.
    pub(super) fn attend(
        mut self,
        tenure: &mut Tenure,
        signals: &Signals,
    ) -> Result<Ending, Problem> {
        let alarm = Alarm::new().map_err(|errno| super::broken(errno, "an alarm"))?;
        let mut lost = None;
        let ending = loop {
            // Before anything else: we may have been stopped for long.
            self.heed_the_time();
            if lost.is_none() {
                match tenure.turn() {
                    Ok(true) => self.extend(tenure.deadlines()),
                    Ok(false) => {}
                    Err(problem) => {
                        let (term_at, kill_at) = (BootTime::now(), BootTime::now());
                        self.extend(Deadlines { term_at, kill_at });
                        lost = Some(problem.message);
                    }
                }
            }
            while let Some(signal) = signals.next() {
                if signals::is_handed_on(signal) {
                    self.order(&Order::Signal(signal as i32));
                }
            }
            if let Some(ending) = self.read_reports(&mut lost) {
                break ending;
            }
            self.sleep(&alarm, tenure, signals, lost.is_some());
        };
        let _ = self.guard.wait();
        self.take_terminal(getpgrp());
        Ok(ending)
    }

    fn sleep(&self, alarm: &Alarm, tenure: &Tenure, signals: &Signals, is_lost: bool) {
        let mut next = self.deadlines.kill_at;
        if BootTime::now() >= next {
            next = BootTime::now().max(next + GUARD_LATE) + Duration::from_millis(10);
        }
        let lease = tenure.as_fd().filter(|_| !is_lost);
        let _ = alarm.set(if is_lost { next } else { next.min(tenure.wake_at()) });
        let ours = [alarm.as_fd(), signals.as_fd(), self.reports.as_fd()];
        waiting::until_readable(ours.into_iter().chain(lease));
    }

    /// Kills what the guard should have killed. The deadlines passed in between may have been
    /// confirmed anew while nobody looked; then this comes too early for none.
    fn heed_the_time(&mut self) {
        let now = BootTime::now();
        if now < self.deadlines.kill_at {
            return;
        }
        if let Some(group) = self.group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        if now >= self.deadlines.kill_at + GUARD_LATE {
            // Then what it guards is ours to end.
            let _ = self.guard.kill();
        }
    }

    fn extend(&mut self, deadlines: Deadlines) {
        self.deadlines = deadlines;
        self.order(&Order::Until(deadlines));
    }

    /// A guard that does not listen kills on time.
    fn order(&mut self, order: &Order) {
        let mut line = serde_json::to_vec(order).expect("numbers serialize");
        line.push(b'\n');
        let _ = self.orders.write_all(&line);
    }

    /// Takes note of what the guard says. `lost` is why the lease has ended, if it has.
    fn read_reports(&mut self, lost: &mut Option<String>) -> Option<Ending> {
        let mut buffer = [0; 1024];
        let is_over = loop {
            match self.reports.read(&mut buffer) {
                Ok(0) => break true,
                Ok(read) => self.line.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        while let Some(end) = memchr::memchr(b'\n', &self.line) {
            let line: Vec<_> = self.line.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Report::Started(group)) => self.group = Some(Pid::from_raw(group)),
                Ok(Report::Stopped) => self.suspend(),
                Ok(Report::Ended { is_late: true, .. }) => {
                    let why = "nobody has confirmed the lease in time; the command was ended";
                    return Some(Ending::Lost(lost.take().unwrap_or_else(|| why.to_owned())));
                }
                Ok(Report::Ended { code, .. }) => {
                    return Some(Ending::Ended(Exit::of_code(Some(code.into()))));
                }
                Err(_) => {}
            }
        }
        is_over.then(|| self.bury_guard(lost))
    }

    /// The guard has ended without a report: it was killed, or could not begin.
    fn bury_guard(&mut self, lost: &mut Option<String>) -> Ending {
        let status = self.guard.wait();
        offspring::end(BootTime::now());
        let is_late = BootTime::now() >= self.deadlines.kill_at;
        match (self.group, status, lost.take()) {
            (None, Ok(status), None) => Ending::Ended(Exit::of_child(status)),
            (_, _, Some(why)) => Ending::Lost(why),
            (_, _, None) if is_late => Ending::Lost("its time was over".to_owned()),
            (Some(_), _, None) | (None, Err(_), None) => Ending::Unguarded,
        }
    }

    /// The command was stopped at the terminal: so are we, until the shell lets us go on. Nobody
    /// keeps the lease then, and after its time the guard ends the command.
    fn suspend(&mut self) {
        self.take_terminal(getpgrp());
        let _ = kill(Pid::from_raw(0), Signal::SIGSTOP);
        if let Some(group) = self.group.filter(|_| is_in_foreground()) {
            self.take_terminal(group);
        }
        self.order(&Order::Signal(Signal::SIGCONT as i32));
    }

    fn take_terminal(&self, group: Pid) {
        if self.takes_terminal {
            // We may be in the background; SIGTTOU is blocked.
            let _: Result<(), Errno> = tcsetpgrp(io::stdin(), group);
        }
    }
}

fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Whether `stdin` has ended; what comes before its end is not for us.
pub(super) fn has_stdin_ended(stdin: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let mut watched = [PollFd::new(stdin, PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::ZERO) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(_) => return true,
        }
        match nix::unistd::read(stdin, &mut buffer) {
            Ok(read) if read > 0 => {}
            Err(Errno::EINTR | Errno::EAGAIN) => return false,
            Ok(_) | Err(_) => return true,
        }
    }
}

//! The command that `watch` runs for changes.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::exit::Exit;
use crate::output::Voice;
use crate::problem::Problem;
use crate::signals::{self, Signals};
use crate::stage::{Launch, not_run};
use crate::waiting;

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

/// How a run went.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// What was handed on to the command, and means us as well.
    pub(crate) signal: Option<Signal>,
}

/// A command that is run again and again, one run after the other.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    words: &'a [OsString],
    voice: Voice,
    pub(crate) signals: Signals,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(words: &'a [OsString], voice: Voice) -> Result<Self, Problem> {
        let signals = Signals::catch().map_err(|errno| not_run(&words[0], &errno.into()))?;
        Ok(Self { words, voice, signals })
    }

    /// Runs it once, with `input` on its stdin.
    pub(crate) fn run(
        &self,
        variables: &[(&str, String)],
        input: Vec<u8>,
    ) -> Result<Ended, Problem> {
        // Its next run may come soon: two at the same time are one too many.
        let launch = Launch::new(Signal::SIGTERM, false, self.voice);
        let mut command = launch.command(self.words);
        command.envs(variables.iter().map(|(name, value)| (name, value))).stdin(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_run(&self.words[0], &error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not care for the value closes its stdin; that is no failure. Nor
            // is it waited for: what it has left behind may hold its stdin open.
            thread::spawn(move || stdin.write_all(&input));
        }
        self.attend(&mut child)
    }

    fn attend(&self, child: &mut Child) -> Result<Ended, Problem> {
        let group = i32::try_from(child.id()).map(Pid::from_raw).expect("it is a process id");
        let mut signal = None;
        loop {
            if let Some(status) =
                child.try_wait().map_err(|error| not_run(&self.words[0], &error))?
            {
                return Ok(Ended { exit: Exit::of_child(status), signal });
            }
            waiting::until_readable([self.signals.as_fd()]);
            while let Some(next) = self.signals.next() {
                if signals::is_handed_on(next) {
                    let _ = killpg(group, next);
                }
                if signals::is_ending(next) {
                    signal = Some(next);
                }
            }
        }
    }
}

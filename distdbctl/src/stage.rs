//! What this program does as another process of itself: it prepares a command to be run, or guards
//! one. Neither is for people; they begin before the command line is read.
//!
//! Between the fork and the start of a program there is little that can be done safely. So the
//! fork starts this program once more, which prepares the process at its leisure and lets the
//! command take its place.

pub(crate) mod guard;
pub(crate) mod offspring;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid, tcsetpgrp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::output::{Output, Voice};
use crate::problem::{OwnCode, Problem};
use crate::signals;

const LAUNCH: &str = "__launch";
const GUARD: &str = "__guard";

/// How a command is started.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// Who starts it. The command does not outlive it.
    parent: i32,
    /// What the command gets at the parent's death.
    on_orphaned: i32,
    /// Whether it is to be in the foreground of the terminal.
    takes_terminal: bool,
    /// How to say that there is no such command.
    voice: Voice,
}

impl Launch {
    /// As a child of this process.
    pub(crate) fn new(on_orphaned: Signal, takes_terminal: bool, voice: Voice) -> Self {
        let parent = getpid().as_raw();
        Self { parent, on_orphaned: on_orphaned as i32, takes_terminal, voice }
    }

    /// The command, to be spawned by the first thread, in a process group of its own.
    pub(crate) fn command(&self, words: &[OsString]) -> Command {
        stage(LAUNCH, self, words)
    }

    fn run(self, words: &[OsString]) -> Exit {
        let [program, arguments @ ..] = words else { return Exit::USAGE };
        let outcome = self.prepare().map_err(io::Error::from);
        let error = match outcome {
            Ok(()) => Command::new(program).args(arguments).exec(),
            Err(error) => error,
        };
        Output::speaking(self.voice).fail(&not_run(program, &error))
    }

    fn prepare(&self) -> Result<(), Errno> {
        prctl::set_pdeathsig(Signal::try_from(self.on_orphaned)?)?;
        if getppid() != Pid::from_raw(self.parent) {
            // It died before it could be told.
            return Err(Errno::ESRCH);
        }
        if self.takes_terminal {
            tcsetpgrp(io::stdin(), getpid())?;
        }
        signals::release();
        Ok(())
    }
}

/// This program once more, as something else.
fn stage(name: &str, settings: &impl Serialize, words: &[OsString]) -> Command {
    // Whatever has become of the file that we were started from.
    let mut command = Command::new("/proc/self/exe");
    let settings = serde_json::to_string(settings).expect("numbers serialize");
    command.arg0("distdbctl").arg(name).arg(settings).args(words).process_group(0);
    command
}

/// Does what another process of ours has started us for, if one has.
pub(crate) fn run(words: &[OsString]) -> Option<Exit> {
    let [_, name, settings, words @ ..] = words else { return None };
    match name.to_str()? {
        LAUNCH => Some(read::<Launch>(settings)?.run(words)),
        GUARD => Some(guard::run(&read(settings)?, words)),
        _ => None,
    }
}

fn read<T: DeserializeOwned>(settings: &OsStr) -> Option<T> {
    serde_json::from_str(settings.to_str()?).ok()
}

/// What to say of a command that did not start.
pub(crate) fn not_run(program: &OsStr, error: &io::Error) -> Problem {
    let code = if error.kind() == ErrorKind::NotFound {
        OwnCode::CommandNotFound
    } else {
        OwnCode::CannotRun
    };
    Problem::new(code, format!("{} can't be run: {error}", program.display()))
}

//! The session of a command that asks much, side by side: one thread tells what was seen, another
//! takes note of answers.

use std::sync::{Mutex, MutexGuard};

use common::control::request::Request;

use crate::problem::Problem;
use crate::session::Seen;
use crate::session::file::SessionFile;

/// A session, as far as it is on its way to its file.
#[derive(Debug)]
pub(crate) struct Running {
    file: SessionFile,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Seen,
    /// Whether the file has all of it.
    is_saved: bool,
}

impl Running {
    /// Goes on from what the file has.
    pub(crate) fn begin(file: &SessionFile) -> Result<Self, Problem> {
        let state = Mutex::new(State { seen: file.load()?, is_saved: true });
        Ok(Self { file: file.clone(), state })
    }

    /// Has a request say what was seen up to this moment.
    pub(crate) fn tell(&self, request: &mut Request) {
        self.state().seen.tell(request);
    }

    /// Takes note of an answer.
    pub(crate) fn note(&self, line: &[u8]) -> Result<(), Problem> {
        let seen = Seen::of(line)?;
        let mut state = self.state();
        if state.seen.merge(&seen) {
            state.is_saved = false;
        }
        Ok(())
    }

    /// Brings to the file what was noted.
    pub(crate) fn save(&self) -> Result<(), Problem> {
        let mut state = self.state();
        if !state.is_saved {
            self.file.add(&state.seen)?;
            state.is_saved = true;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of a session panics")
    }
}

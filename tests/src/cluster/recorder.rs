//! Takes down what the clients of a real cluster do, on threads of their own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use common::history::{Action, Answer, History, Observed, Outcome, Ticket};

/// A history in the making. The clock is read before a request is sent and after its answer came,
/// so what is written down is never narrower than what was.
#[derive(Debug)]
pub struct Recorder {
    started: Instant,
    history: Mutex<History>,
}

impl Recorder {
    /// The run begins.
    pub fn start() -> Self {
        Self { started: Instant::now(), history: Mutex::default() }
    }

    /// To be called before the request is sent. Unless the ticket comes back, the outcome is
    /// unknown.
    pub fn invoke(&self, client: usize, key: &str, action: Action) -> Ticket {
        let now = self.started.elapsed();
        self.history().invoke(client, key, action, now)
    }

    /// The answer has come.
    pub fn answer(&self, ticket: Ticket, observed: Observed, revision: Option<u64>) {
        let returned = self.started.elapsed();
        self.history().finish(ticket, Outcome::Known(Answer { returned, observed, revision }));
    }

    /// The operation surely takes no effect.
    pub fn fail(&self, ticket: Ticket) {
        self.history().finish(ticket, Outcome::Failed);
    }

    /// The run is over.
    pub fn into_history(self) -> History {
        self.history.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that panics ends the test by itself; the others need not follow.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

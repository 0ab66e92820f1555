//! `batch`: many requests over one connection. A run of writes, or of reads, is sent without
//! waiting for the answers before.
//!
//! ```text
//!  input ─▶ Sender (thread) ── requests ──────────▶ node
//!             ▲  └── Pending, in input order ─▶ Receiver ◀── answers ──┘
//!             └───────── answered ────────────────┘
//! ```
//!
//! The queue of what is pending is the window: a full one stops the sender, never the receiver, so
//! answers are read however full the socket is, and neither end waits for the other for ever.

mod command;
mod line;
mod sender;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError, sync_channel};
use std::thread;

use common::control::Id;
use common::control::failure::{Applied, Failure};
use serde::Deserialize;

use crate::args::Globals;
use crate::args::command::Batch;
use crate::client::{self, Client, Dialogue};
use crate::cmd::batch::line::Shape;
use crate::cmd::batch::sender::Sender;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;
use crate::session::running::Running;

/// Requests without an answer. Far enough below the node's bound (1,024) that it reads on, and
/// enough to keep it busy.
const WINDOW: usize = 256;

/// A line of input, on its way from the sender to the receiver.
#[derive(Debug)]
enum Pending {
    /// It was sent, and will be answered.
    Sent { id: u64, shape: Shape, may_change: bool },
    /// It is no request.
    Refused { problem: Problem, is_json: bool },
    /// The input can't be read any further.
    Unreadable(Problem),
}

pub(crate) fn batch(
    globals: &Globals,
    batch: &Batch,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let input = sender::open(batch.file.as_deref())?;
    let client = Client::new(globals)?;
    let session = client.session().map(Running::begin).transpose()?.map(Arc::new);
    let dialogue = client.dialogue()?;
    let writer = dialogue.connection.writer();
    let writer = writer.map_err(|error| sender::unreadable(&error))?;
    let (queue, pending) = sync_channel(WINDOW);
    let (answered, taken) = mpsc::channel();
    let sender = Sender::new(writer, queue, taken, globals.timeout, session.clone());
    // Not joined: it may be waiting for input that nobody needs any more.
    thread::spawn(move || sender.run(input));
    let answers = Answers { dialogue, answered, early: BTreeMap::new(), session: session.clone() };
    let outcome = print_all(&pending, answers, globals, output);
    let saved = session.map_or(Ok(()), |session| session.save());
    outcome.and_then(|exit| saved.map(|()| exit))
}

fn print_all(
    pending: &Receiver<Pending>,
    mut answers: Answers,
    globals: &Globals,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let mut first_failure = None;
    while let Some(next) = answers.next(pending, output)? {
        let exit = match next {
            Pending::Refused { problem, is_json } => line::print_refusal(problem, is_json, output)?,
            Pending::Unreadable(problem) => return Err(problem),
            Pending::Sent { id, shape, may_change } => {
                let reply = answers.answer(id, globals, output);
                let reply = reply.map_err(|problem| abandoned(problem, may_change, pending))?;
                if let Some(session) = &answers.session {
                    session.note(&reply)?;
                }
                let _ = answers.answered.send(()); // The sender may be done.
                shape.print(&reply, output)?
            }
        };
        if exit != Exit::DONE {
            first_failure.get_or_insert(exit);
        }
    }
    Ok(first_failure.unwrap_or(Exit::DONE))
}

/// The connection failed: what of the lines that have no result?
fn abandoned(problem: Problem, may_change: bool, pending: &Receiver<Pending>) -> Problem {
    let (mut lines, mut is_unknown) = (1, may_change);
    for next in pending.try_iter() {
        lines += 1;
        is_unknown |= matches!(next, Pending::Sent { may_change: true, .. });
    }
    let (applied, unknown) = if is_unknown {
        (Applied::Unknown, ", and the outcome of writes in them is unknown")
    } else {
        (Applied::No, "")
    };
    let message = format!("{problem}; at least {lines} lines have no result{unknown}");
    Problem { message, ..problem }.applied(applied)
}

/// The answers, which may come in another order than the requests.
struct Answers {
    dialogue: Dialogue,
    /// Tells the sender of each.
    answered: mpsc::Sender<()>,
    /// Those that came before their turn; never more than [`WINDOW`].
    early: BTreeMap<u64, Vec<u8>>,
    session: Option<Arc<Running>>,
}

/// Which request a line answers.
#[derive(Deserialize)]
struct Answered {
    id: Option<Id>,
    error: Option<Failure>,
}

impl Answers {
    /// The next line, or the end. What is printed is shown before it is waited for.
    fn next(
        &self,
        pending: &Receiver<Pending>,
        output: &mut Output,
    ) -> Result<Option<Pending>, Problem> {
        match pending.try_recv() {
            Ok(next) => Ok(Some(next)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.show(output)?;
                Ok(pending.recv().ok())
            }
        }
    }

    /// Lets readers have what was printed; the session knows of it first.
    fn show(&self, output: &mut Output) -> Result<(), Problem> {
        self.session.as_ref().map_or(Ok(()), |session| session.save())?;
        output.flush()
    }

    fn answer(
        &mut self,
        id: u64,
        globals: &Globals,
        output: &mut Output,
    ) -> Result<Vec<u8>, Problem> {
        if let Some(line) = self.early.remove(&id) {
            return Ok(line);
        }
        let deadline = client::Deadline::after(globals.timeout);
        loop {
            if !self.dialogue.connection.has_buffered() {
                self.show(output)?;
            }
            let line = self.dialogue.answer_line(deadline)?;
            let answered: Answered =
                serde_json::from_slice(&line).map_err(|error| client::unreadable(&error))?;
            match (answered.id, answered.error) {
                (Some(Id::Unsigned(its)), _) if its == id => return Ok(line),
                (Some(Id::Unsigned(its)), _) => {
                    self.early.insert(its, line);
                }
                // The node ends the connection, and says why.
                (_, Some(failure)) => return Err(failure.into()),
                (_, None) => {}
            }
        }
    }
}

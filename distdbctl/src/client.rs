//! Asks a node, and understands its answer.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::control::Id;
use common::control::failure::Applied;
use common::control::kv::OnceId;
use common::control::reply::{Header, ReplyLine};
use common::control::request::{Call, Request};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::args::Globals;
use crate::connection::{Connection, Lost};
use crate::place;
use crate::problem::{OwnCode, Problem};
use crate::retry::Tries;
use crate::session::file::SessionFile;
use crate::session::{self, Seen};

/// How much longer than the node we wait: its own words on why it is late say more than silence.
const GRACE: Duration = Duration::from_millis(100);

/// Asks one node.
#[derive(Debug)]
pub(crate) struct Client {
    path: PathBuf,
    timeout: Duration,
    session: Option<SessionFile>,
    /// Under which id what is asked is done once.
    once: Option<OnceId>,
    /// The connection of the question before.
    idle: RefCell<Option<Dialogue>>,
}

/// A connection on which one request at a time is asked.
#[derive(Debug)]
pub(crate) struct Dialogue {
    pub(crate) connection: Connection,
    timeout: Duration,
    /// What is known of the last request as long as no answer has come.
    applied: Applied,
}

/// A point in time that nothing is waited beyond.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// When the node should have answered.
    node: Instant,
}

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Self { node: Instant::now() + timeout }
    }

    /// When we give up.
    pub(crate) fn ours(self) -> Instant {
        self.node + GRACE
    }

    /// How long until then.
    pub(crate) fn remaining(self) -> Duration {
        self.node.saturating_duration_since(Instant::now())
    }
}

impl Client {
    /// For the node that the command line and environment name.
    pub(crate) fn new(globals: &Globals) -> Result<Self, Problem> {
        let path = globals.session.as_ref().filter(|path| !path.is_empty());
        let session = path.map(|path| SessionFile::new(path.into()));
        Ok(Self { session, ..Self::at(&place::one(globals)?, globals.timeout) })
    }

    /// For the node at `path`.
    pub(crate) fn at(path: &Path, timeout: Duration) -> Self {
        let (session, once, idle) = Default::default();
        Self { path: path.to_owned(), timeout, session, once, idle }
    }

    /// The same, for something that is to be done once under that id, whoever asks.
    pub(crate) fn once(self, once: Option<OnceId>) -> Self {
        Self { once, ..self }
    }

    /// Asks one question; again, in the time there is, where that is safe and may help.
    pub(crate) fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R, Problem> {
        self.ask_line(request).map(|(result, _)| result)
    }

    /// The same, with the header of the answer.
    pub(crate) fn ask_all<R: DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<(Header, R), Problem> {
        let (result, line) = self.ask_line(request)?;
        let line: ReplyLine<IgnoredAny> =
            serde_json::from_slice(&line).map_err(|error| unreadable(&error))?;
        Ok((line.header, result))
    }

    fn ask_line<R: DeserializeOwned>(&self, request: &Request) -> Result<(R, Vec<u8>), Problem> {
        let mut request = request.clone();
        let session = self.session.as_ref().filter(|_| session::concerns(&request));
        if let Some(session) = session {
            session.load()?.tell(&mut request);
        }
        let outcome = Tries::new(self, &request).run();
        if let Some(session) = session {
            let seen = match &outcome {
                Ok((_, line)) => Seen::of(line),
                Err(problem) => Seen::by(problem),
            };
            let noted = seen.and_then(|seen| session.add(&seen));
            noted.map_err(|problem| unnoted(problem, &request))?;
        }
        outcome
    }

    /// What a try says beside the request.
    pub(crate) fn once_id(&self) -> Option<OnceId> {
        self.once.clone()
    }

    /// The session that the command line or environment names.
    pub(crate) fn session(&self) -> Option<&SessionFile> {
        self.session.as_ref()
    }

    /// The connection that the question before has left, or a new one.
    pub(crate) fn take(&self, deadline: Deadline) -> Result<Dialogue, Problem> {
        let idle = self.idle.borrow_mut().take();
        idle.map_or_else(|| self.open(deadline), Ok)
    }

    /// Keeps a connection, on which nothing is outstanding, for the next question.
    pub(crate) fn keep(&self, dialogue: Dialogue) {
        *self.idle.borrow_mut() = Some(dialogue);
    }

    /// A connection to ask more than once.
    pub(crate) fn dialogue(&self) -> Result<Dialogue, Problem> {
        self.open(self.deadline())
    }

    /// By when an answer is due to what is asked at this moment.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }

    /// The same, connected by `deadline`.
    pub(crate) fn open(&self, deadline: Deadline) -> Result<Dialogue, Problem> {
        let connection = Connection::open(&self.path, deadline.ours())?;
        Ok(Dialogue { connection, timeout: self.timeout, applied: Applied::No })
    }
}

impl Dialogue {
    /// Asks a question, answered by `deadline`.
    pub(crate) fn ask_until<R: DeserializeOwned>(
        &mut self,
        call: &Call,
        deadline: Deadline,
    ) -> Result<R, Problem> {
        self.ask_line(call, deadline).and_then(|line| result(&line))
    }

    /// The same, as the line that was answered.
    pub(crate) fn ask_line(&mut self, call: &Call, deadline: Deadline) -> Result<Vec<u8>, Problem> {
        self.send(call, deadline)?;
        self.answer_line(deadline)
    }

    /// Sends a question whose answer is fetched later.
    pub(crate) fn send(&mut self, call: &Call, deadline: Deadline) -> Result<(), Problem> {
        if may_change(&call.request) {
            // Without it, Ctrl-C still ends the process, only that nothing is said of the write.
            let _ = self.connection.catch_interrupts();
        }
        let call = Call { timeout: Some(deadline.remaining()), ..call.clone() };
        self.send_line(&call.to_line(), may_change(&call.request), deadline)
    }

    /// Sends a line as it is.
    pub(crate) fn send_line(
        &mut self,
        line: &[u8],
        may_change: bool,
        deadline: Deadline,
    ) -> Result<(), Problem> {
        let outcome = self.connection.send(line, deadline.ours());
        let applied = outcome.map_or_else(|(_, applied)| applied, |()| Applied::Unknown);
        self.applied = if may_change { applied } else { Applied::No };
        match outcome {
            // A node that turns clients away says why before it closes the connection.
            Ok(()) | Err((Lost::Closed, _)) => Ok(()),
            Err((lost, _)) => Err(self.problem(lost)),
        }
    }

    /// The answer to what was sent, as it comes.
    pub(crate) fn answer_line(&mut self, deadline: Deadline) -> Result<Vec<u8>, Problem> {
        self.connection.receive(Some(deadline.ours())).map_err(|lost| self.problem(lost))
    }

    /// What to say if there is no answer.
    pub(crate) fn problem(&self, lost: Lost) -> Problem {
        self.connection.problem(lost, self.applied, self.timeout)
    }
}

/// What was asked was done, but the session does not know of it.
fn unnoted(problem: Problem, request: &Request) -> Problem {
    let message = format!("the node has answered, but {problem}");
    let applied = may_change(request).then_some(Applied::Yes);
    Problem { message, applied, ..problem }
}

/// Whether a request of which nothing more was heard may have had an effect.
fn may_change(request: &Request) -> bool {
    match request {
        Request::Put { .. }
        | Request::Delete { .. }
        | Request::Incr { .. }
        | Request::Add { .. }
        | Request::Remove { .. }
        | Request::Resolve { .. }
        | Request::Fault(Some(_))
        | Request::TransferLeader { .. } => true,
        Request::Kv(kv) => kv.is_write(),
        Request::Member { dry_run, .. }
        | Request::ModeSet { dry_run, .. }
        | Request::Sync { dry_run, .. } => !dry_run,
        Request::Hello
        | Request::Get { .. }
        | Request::List(_)
        | Request::Conflicts { .. }
        | Request::Watch { .. }
        | Request::Cancel { .. }
        | Request::Status
        | Request::Members
        | Request::Wait(_)
        | Request::Live
        | Request::Ready
        | Request::Health
        | Request::Modes
        | Request::Explain { .. }
        | Request::Trace(_)
        | Request::Fault(None) => false,
    }
}

/// What a line says, if it is good news.
pub(crate) fn result<R: DeserializeOwned>(line: &[u8]) -> Result<R, Problem> {
    let reply: ReplyLine<R> = serde_json::from_slice(line).map_err(|error| unreadable(&error))?;
    match (reply.result, reply.error) {
        (Some(result), None) if reply.ok => Ok(result),
        (_, Some(failure)) => Err(failure.into()),
        (_, None) => Err(contradictory()),
    }
}

/// Which question a line answers.
pub(crate) fn id_of(line: &[u8]) -> Result<Id, Problem> {
    let reply: ReplyLine<IgnoredAny> =
        serde_json::from_slice(line).map_err(|error| unreadable(&error))?;
    match (reply.id, reply.error) {
        (Some(id), _) => Ok(id),
        (None, Some(failure)) => Err(failure.into()),
        (None, None) => Err(contradictory()),
    }
}

/// A line that has neither a result nor an error, or both.
pub(crate) fn contradictory() -> Problem {
    Problem::new(OwnCode::Protocol, "the node's answer says neither yes nor no")
}

/// A line that is not what the protocol says.
pub(crate) fn unreadable(error: &serde_json::Error) -> Problem {
    let message = format!("the node's answer can't be read: {error}");
    Problem::new(OwnCode::Protocol, message)
        .with_hint("do distdbctl and distdbd have the same version?")
}

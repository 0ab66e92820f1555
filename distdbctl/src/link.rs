//! A long command's way to the cluster: through one node at a time, and where that fails through
//! the next of those that are named.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::control::failure::{Applied, ErrorCode, Failure};
use common::control::reply::ReplyLine;
use common::control::request::{Call, Request};
use serde::de::DeserializeOwned;

use crate::args::Globals;
use crate::client;
use crate::connection::{Connection, Lost};
use crate::place;
use crate::problem::{Code, OwnCode, Problem};

/// Between two tries: an election takes some of them, and nobody notices one.
const PAUSE: Duration = Duration::from_millis(100);

/// How much longer than the node we wait for its answer.
const GRACE: Duration = Duration::from_millis(100);

/// A connection, if there is one at this moment.
#[derive(Debug)]
pub(crate) struct Link {
    sockets: Vec<PathBuf>,
    /// Which of them it goes to, or is to go to.
    at: usize,
    connection: Option<Connection>,
    /// How long an answer may take that nothing is waited for in.
    timeout: Duration,
}

impl Link {
    pub(crate) fn new(globals: &Globals) -> Result<Self, Problem> {
        let (sockets, timeout) = (place::several(globals)?, globals.timeout);
        Ok(Self { sockets, at: 0, connection: None, timeout })
    }

    /// Another, which begins with the node that this one has found.
    pub(crate) fn another(&self) -> Self {
        let Self { sockets, at, timeout, .. } = self;
        Self { sockets: sockets.clone(), at: *at, connection: None, timeout: *timeout }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether more than one node is named.
    pub(crate) fn has_others(&self) -> bool {
        self.sockets.len() > 1
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Readable once something has come.
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(Connection::as_fd)
    }

    /// Gives the connection up. The next one is to another node, if there is one.
    pub(crate) fn leave(&mut self) {
        self.connection = None;
        self.at = (self.at + 1) % self.sockets.len();
    }

    /// Sends a request, over a new connection if need be. It may take until `deadline`; the node
    /// is told `call.timeout`.
    pub(crate) fn send(&mut self, call: &Call, deadline: Instant) -> Result<(), Problem> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.sockets[self.at], deadline)?,
        };
        match connection.send(&call.to_line(), deadline) {
            // A node that turns clients away says why before it closes the connection.
            Ok(()) | Err((Lost::Closed, _)) => {}
            Err((lost, _)) => return Err(connection.problem(lost, Applied::No, self.timeout)),
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// The next line, if it is there.
    pub(crate) fn receive_ready(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let line = connection.receive_ready();
        line.map_err(|lost| connection.problem(lost, Applied::No, self.timeout))
    }

    /// Asks what may be asked more than once, again and again until `--timeout`. Where nobody is
    /// from the start, nobody is waited for.
    pub(crate) fn ask<R: DeserializeOwned>(
        &mut self,
        request: &Request,
    ) -> Result<ReplyLine<R>, Problem> {
        self.ask_until(request, Instant::now() + self.timeout)
    }

    /// The same until `deadline`.
    pub(crate) fn ask_until<R: DeserializeOwned>(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<ReplyLine<R>, Problem> {
        let (mut absent, mut was_there) = (0, self.is_connected());
        loop {
            let problem = match self.ask_once(request, deadline) {
                Ok(reply) => return Ok(reply),
                Err(problem) => problem,
            };
            self.leave();
            absent += usize::from(problem.code == Code::Own(OwnCode::NoDaemon));
            was_there |= problem.code != Code::Own(OwnCode::NoDaemon);
            let is_hopeless = !was_there && absent >= self.sockets.len();
            let pause = if was_there { self.pause(&problem) } else { Duration::ZERO };
            if is_hopeless || !self.may_pass(&problem) || Instant::now() + pause >= deadline {
                return Err(problem);
            }
            std::thread::sleep(pause);
        }
    }

    fn ask_once<R: DeserializeOwned>(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<ReplyLine<R>, Problem> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        let call = Call { timeout: Some(timeout), ..Call::new(request.clone()) };
        self.send(&call, deadline)?;
        let connection = self.connection.as_mut().expect("it has just sent something");
        let line = connection.receive(Some(deadline + GRACE));
        let line = line.map_err(|lost| connection.problem(lost, Applied::No, timeout))?;
        reply(&line)
    }

    /// Whether it may be otherwise later, or elsewhere.
    pub(crate) fn may_pass(&self, problem: &Problem) -> bool {
        match problem.code {
            Code::Node(
                ErrorCode::NoLeader
                | ErrorCode::NoQuorum
                | ErrorCode::NotReady
                | ErrorCode::Behind
                | ErrorCode::ShuttingDown
                | ErrorCode::LeaderLost
                | ErrorCode::Timeout
                | ErrorCode::Overloaded
                | ErrorCode::SlowConsumer,
            )
            | Code::Own(OwnCode::NoDaemon | OwnCode::Disconnected) => true,
            Code::Node(ErrorCode::Removed) => self.has_others(),
            Code::Node(_) | Code::Own(_) => false,
        }
    }

    /// How long to wait after a problem that may pass.
    pub(crate) fn pause(&self, problem: &Problem) -> Duration {
        let asked = problem.retry_after_ms.map_or(PAUSE, Duration::from_millis);
        // With jitter, lest all who failed together come together again.
        asked.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// What a line says, if it is good news; its header may be wanted, too.
pub(crate) fn reply<R: DeserializeOwned>(line: &[u8]) -> Result<ReplyLine<R>, Problem> {
    let reply: ReplyLine<R> =
        serde_json::from_slice(line).map_err(|error| client::unreadable(&error))?;
    match &reply.error {
        None if reply.ok && reply.result.is_some() => Ok(reply),
        Some(failure) if !reply.ok => Err(Failure::clone(failure).into()),
        None | Some(_) => Err(client::contradictory()),
    }
}

/// The result of such a line.
pub(crate) fn result<R>(reply: ReplyLine<R>) -> R {
    reply.result.expect("what has no result was no good news")
}

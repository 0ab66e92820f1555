//! Reads the input of a batch, and sends what is in it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Duration;

use common::control::Id;
use common::control::failure::Failure;
use common::control::line::LINE_BYTES_MAX;
use common::control::request::Call;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cmd::batch::Pending;
use crate::cmd::batch::command::{self, Asked, Parsed};
use crate::cmd::batch::written::Written;
use crate::problem::{OwnCode, Problem};
use crate::session::running::Running;

/// What is written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// Why the sender stops early: nobody takes what it sends.
struct Stop;

/// Where the lines of a batch come from.
type Input = BufReader<Box<dyn Read + Send>>;

/// The sending half of a batch.
pub(super) struct Sender {
    stream: UnixStream,
    unsent: Vec<u8>,
    queue: SyncSender<Pending>,
    /// Has an element for each answer that the receiver has taken.
    answered: Receiver<()>,
    /// Requests without an answer, as far as is known.
    unanswered: usize,
    /// Whether these may change something.
    may_change: bool,
    timeout: Duration,
    session: Option<Arc<Running>>,
    /// Keys that were written without an answer yet, where a session cares.
    written: Written,
    id: u64,
}

/// Opens the file, or stdin.
pub(super) fn open(path: Option<&Path>) -> Result<Input, Problem> {
    let source: Box<dyn Read + Send> = match path {
        Some(path) if path != Path::new("-") => {
            let file = File::open(path);
            Box::new(file.map_err(|error| {
                let message = format!("{} can't be read: {error}", path.display());
                Problem::new(OwnCode::Input, message)
            })?)
        }
        Some(_) | None => Box::new(io::stdin()),
    };
    Ok(BufReader::with_capacity(WRITE_BYTES, source))
}

pub(super) fn unreadable(error: &io::Error) -> Problem {
    Problem::new(OwnCode::Input, format!("the input can't be read: {error}"))
}

impl Sender {
    pub(super) fn new(
        stream: UnixStream,
        queue: SyncSender<Pending>,
        answered: Receiver<()>,
        timeout: Duration,
        session: Option<Arc<Running>>,
    ) -> Self {
        Self {
            stream,
            unsent: Vec::new(),
            queue,
            answered,
            unanswered: 0,
            may_change: false,
            timeout,
            session,
            written: Written::default(),
            id: 0,
        }
    }

    /// Sends all lines. Once it returns, the queue has an end.
    pub(super) fn run(mut self, mut input: Input) {
        // Nobody takes what is left: then nobody needs to know.
        let _ = self.send_all(&mut input);
    }

    fn send_all(&mut self, input: &mut Input) -> Result<(), Stop> {
        let mut line = Vec::new();
        loop {
            if memchr::memchr(b'\n', input.buffer()).is_none() {
                self.flush()?; // The next line may be long in coming.
            }
            line.clear();
            match input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line) {
                Ok(0) => return self.flush(),
                Ok(_) if line.len() > LINE_BYTES_MAX => {
                    let message = "a line of the input has more than 4,194,304 bytes";
                    return self.queue(Pending::Unreadable(Failure::bad_request(message).into()));
                }
                Ok(_) => self.send_line(&line)?,
                Err(error) => return self.queue(Pending::Unreadable(unreadable(&error))),
            }
        }
    }

    fn send_line(&mut self, text: &[u8]) -> Result<(), Stop> {
        self.id += 1;
        match command::parse(text, self.id) {
            Ok(None) => Ok(()),
            Ok(Some(Parsed { asked, shape })) => {
                self.keep_order(&asked)?;
                let may_change = asked.may_change();
                self.queue(Pending::Sent { id: self.id, shape, may_change })?;
                let line = self.line(asked);
                self.unsent.extend(line);
                if self.unsent.len() < WRITE_BYTES { Ok(()) } else { self.flush() }
            }
            Err(problem) => {
                let is_json = text.trim_ascii().starts_with(b"{");
                self.queue(Pending::Refused { problem, is_json })
            }
        }
    }

    /// The node may do reads before writes that were sent earlier, and the other way round. So
    /// neither is sent while the other is unanswered: each line sees what those before it did.
    ///
    /// In a session a write says what was seen, and takes the place of that. What is written twice
    /// must have seen the first write, or it would stand beside it.
    fn keep_order(&mut self, asked: &Asked) -> Result<(), Stop> {
        let may_change = asked.may_change();
        self.unanswered -= self.answered.try_iter().count();
        let is_twice = self.session.is_some() && self.written.overlaps(asked);
        if may_change != self.may_change || is_twice {
            self.flush()?;
            while self.unanswered > 0 {
                self.answered.recv().map_err(|_| Stop)?;
                self.unanswered -= 1;
            }
            self.may_change = may_change;
            self.written = Written::default();
        }
        self.unanswered += 1;
        if self.session.is_some() {
            self.written.add(asked);
        }
        Ok(())
    }

    fn line(&self, asked: Asked) -> Vec<u8> {
        match asked {
            Asked::Line { line, .. } => line,
            Asked::Command(mut request) => {
                if let Some(session) = &self.session {
                    session.tell(&mut request);
                }
                let (id, timeout) = (Some(Id::Unsigned(self.id)), Some(self.timeout));
                Call { id, timeout, ..Call::new(request) }.to_line()
            }
        }
    }

    /// Queues what the receiver is to wait for. If there is no room, all answers that could make
    /// room must have been asked for.
    fn queue(&mut self, pending: Pending) -> Result<(), Stop> {
        match self.queue.try_send(pending) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Stop),
            Err(TrySendError::Full(pending)) => {
                self.flush()?;
                self.queue.send(pending).map_err(|_| Stop)
            }
        }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let mut rest = self.unsent.as_slice();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut room = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut room, PollTimeout::NONE);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Stop), // The receiver finds out, and says so.
            }
        }
        self.unsent.clear();
        Ok(())
    }
}

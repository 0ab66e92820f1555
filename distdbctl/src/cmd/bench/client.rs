//! One client of a benchmark: a connection with one request outstanding.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::problem::Problem;

/// What is kept of an answer that comes in parts: enough to see whether it is an error, and which.
const HEAD_BYTES_MAX: usize = 4 * 1024;

/// A client and its request.
#[derive(Debug)]
pub(super) struct Client {
    /// Which of the sockets it is connected to, or tries next.
    pub(super) socket: usize,
    /// None while no node has it.
    pub(super) stream: Option<UnixStream>,
    pub(super) request: Vec<u8>,
    pub(super) sent_at: Instant,
    pub(super) is_waiting: bool,
    /// How much of the request was sent.
    sent: usize,
    /// The beginning of an answer whose end has not come.
    head: Vec<u8>,
}

/// What came of a look at the connection.
#[derive(Debug)]
pub(super) enum Pulled<'a> {
    /// The answer is not there yet, or not all of it.
    Part,
    /// The whole answer, or as much of it as counts.
    Answer(&'a [u8]),
    /// There will be no answer.
    Lost,
}

impl Client {
    pub(super) fn new(socket: usize) -> Self {
        Self {
            socket,
            stream: None,
            request: Vec::new(),
            sent_at: Instant::now(),
            is_waiting: false,
            sent: 0,
            head: Vec::new(),
        }
    }

    pub(super) fn connect(&mut self, path: &Path, timeout: Duration) -> Result<(), Problem> {
        let connection = Connection::open(path, Instant::now() + timeout)?;
        self.stream = Some(connection.into_stream());
        Ok(())
    }

    /// Takes up what is in `request`.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.sent, self.sent_at, self.is_waiting) = (0, now, true);
        self.head.clear();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.sent > 0
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.request.len()
    }

    /// Sends as much of the request as the socket takes; `false` if nobody takes it any more.
    pub(super) fn push(&mut self) -> bool {
        let Some(mut stream) = self.stream.as_ref() else { return false };
        match stream.write(&self.request[self.sent..]) {
            Ok(written) => self.sent += written,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
        true
    }

    /// Reads what has come.
    pub(super) fn pull<'a>(&'a mut self, buffer: &'a mut [u8]) -> Pulled<'a> {
        let Some(mut stream) = self.stream.as_ref() else { return Pulled::Lost };
        let read = match stream.read(buffer) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Pulled::Part,
            Ok(_) | Err(_) => return Pulled::Lost,
        };
        let bytes = &buffer[..read];
        // There is one request outstanding, so a newline at the end ends its answer.
        let is_whole = bytes.last() == Some(&b'\n');
        if is_whole && self.head.is_empty() {
            return Pulled::Answer(bytes);
        }
        let room = HEAD_BYTES_MAX - self.head.len();
        self.head.extend_from_slice(&bytes[..read.min(room)]);
        if is_whole { Pulled::Answer(&self.head) } else { Pulled::Part }
    }
}

//! A client of one daemon: one connection to its control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use common::control::condition::Condition;
use common::control::failure::Failure;
use common::control::reply::{Delete, Get, Header, Item, Put, ReplyLine, Synced, Waited};
use common::control::request::{Call, Request, Selection};
use common::control::status::Status;
use common::kv::key::Key;
use common::kv::value::Value;
use serde::de::DeserializeOwned;

/// No daemon that is well leaves a request alone for so long, however busy the machine is.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// What came of a request: a result, or what the node says of it.
pub type Outcome<R> = Result<R, Failure>;

/// A connection. Any trouble with it is the test's end, unless the method is one that tries.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to a socket that is there.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        Self::connect_with(socket, ANSWER_TIME_MAX)
    }

    /// The same, for who waits up to `patience` for an answer.
    pub fn connect_with(socket: &Path, patience: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the daemon reads");
    }

    /// The same, where the daemon may hang up.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("connected");
    }

    /// The next line; none when the daemon has closed the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        // A daemon that closes while there is more to read resets the connection.
        let count = self.stream.read_line(&mut line).ok()?;
        (count > 0).then(|| line.trim_end().to_owned())
    }

    /// All that is left to read.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the daemon closes in time");
        rest
    }

    /// Asks, and waits for the answer.
    pub fn ask<R: DeserializeOwned>(&mut self, request: Request) -> Outcome<R> {
        self.try_ask(&Call::new(request)).expect("an answer")
    }

    /// The same, where the daemon may end or stand still at any time.
    ///
    /// # Errors
    ///
    /// No answer came, and none must be waited for on this connection. Whether the request takes
    /// effect is unknown.
    pub fn try_ask<R: DeserializeOwned>(&mut self, call: &Call) -> io::Result<Outcome<R>> {
        Ok(self.try_ask_all(call)?.1)
    }

    /// The same, with the header of the answer.
    ///
    /// # Errors
    ///
    /// As [`Client::try_ask`].
    pub fn try_ask_all<R: DeserializeOwned>(
        &mut self,
        call: &Call,
    ) -> io::Result<(Header, Outcome<R>)> {
        self.try_send(&call.to_line())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let reply: ReplyLine<R> = serde_json::from_str(&line).expect(&line);
        let outcome = match (reply.result, reply.error) {
            (Some(result), None) => Ok(result),
            (None, Some(failure)) => Err(failure),
            (Some(_), Some(_)) | (None, None) => panic!("neither result nor error: {line}"),
        };
        Ok((reply.header, outcome))
    }

    /// Stores a value.
    pub fn put(&mut self, name: &str, value: &str) -> Outcome<Put> {
        self.ask(Request::put(key(name), text(value)))
    }

    /// The text that a key holds.
    pub fn get(&mut self, name: &str) -> Outcome<Option<String>> {
        let got: Get = self.ask(Request::get(key(name), None))?;
        Ok(got.item.map(|item| value_of(&item)))
    }

    /// Removes a key. Tells how many there were.
    pub fn delete(&mut self, name: &str) -> Outcome<u64> {
        let deleted: Delete = self.ask(Request::delete(Selection::Key(key(name))))?;
        Ok(deleted.deleted)
    }

    /// What the node knows of itself.
    pub fn status(&mut self) -> Status {
        self.ask(Request::Status).expect("status is answered always")
    }

    /// Merges the states of all ready peers.
    pub fn sync(&mut self) -> Outcome<Synced> {
        self.ask(Request::sync())
    }

    /// Waits until something is so.
    pub fn wait(&mut self, condition: Condition, timeout: Duration) -> Outcome<Waited> {
        let call = Call { timeout: Some(timeout), ..Call::new(Request::Wait(condition)) };
        self.try_ask(&call).expect("an answer")
    }
}

/// A key out of a literal.
pub fn key(name: &str) -> Key {
    Key::try_from(name).expect("tests use keys that are some")
}

/// A value out of a literal.
pub fn text(value: &str) -> Value {
    Value::try_from(value.as_bytes().to_vec()).expect("tests use short values")
}

/// The text of an item.
pub fn value_of(item: &Item) -> String {
    let json = serde_json::to_value(item).expect("an item serializes");
    json["value"].as_str().expect("tests read text").to_owned()
}

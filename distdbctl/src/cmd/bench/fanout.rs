//! `bench --op watch`: one key is put as fast as it goes, and many watchers follow it, several over
//! each connection. What counts is how many changes a second reach them. One thread does it all,
//! and looks for the ends of lines alone: a reader that is busy parsing would be what is measured.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::control::Id;
use common::control::request::{Call, Request, Selection};
use common::kv::key::Key;
use common::kv::value::Value;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::args::command::Bench;
use crate::client;
use crate::connection::Connection;
use crate::problem::{OwnCode, Problem};

/// What a read takes: many changes, as a rule.
const READ_BYTES: usize = 256 * 1024;

/// How long the last changes may be on their way.
const TAIL: Duration = Duration::from_secs(2);

/// How often it is looked whether the time is over.
const TICK_MS: u16 = 50;

/// In the line that ends a watch, and in no other: the values are letters.
const END: &[u8] = b"\"end\":true";

/// In the beginning of a put's answer.
const OK: &[u8] = b"\"ok\":true";

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    op: &'static str,
    watchers: u32,
    connections: u16,
    nodes: usize,
    value_bytes: usize,
    seconds: f64,
    puts: u64,
    puts_per_second: f64,
    /// Changes that reached a watcher.
    events: u64,
    events_per_second: f64,
    /// Each put, to each watcher.
    expected: u64,
    /// Watches that the nodes ended, because they were too slow.
    ended: u64,
}

/// The writer and all watchers.
struct Fanout<'a> {
    bench: &'a Bench,
    epoll: Epoll,
    /// The writer's first, then the watchers'.
    streams: Vec<UnixStream>,
    buffer: Vec<u8>,
    /// What of the writer's requests was not sent yet.
    unsent: Vec<u8>,
    line: Vec<u8>,
    outstanding: u64,
    puts: u64,
    events: u64,
    ended: u64,
    last_event: Instant,
}

/// Runs it to its end.
pub(super) fn run(
    bench: &Bench,
    sockets: &[PathBuf],
    timeout: Duration,
) -> Result<Report, Problem> {
    let mut fanout = Fanout::connect(bench, sockets, timeout)?;
    let started = Instant::now();
    fanout.write_until(started + bench.duration)?;
    let elapsed = fanout.last_event.duration_since(started).max(Duration::from_millis(1));
    let Fanout { puts, events, ended, .. } = fanout;
    Ok(Report {
        op: "watch",
        watchers: bench.watchers,
        connections: bench.connections,
        nodes: sockets.len(),
        value_bytes: bench.value_size,
        seconds: elapsed.as_secs_f64(),
        puts,
        puts_per_second: super::report::per_second(puts, elapsed),
        events,
        events_per_second: super::report::per_second(events, elapsed),
        expected: puts * u64::from(bench.watchers),
        ended,
    })
}

impl<'a> Fanout<'a> {
    fn connect(bench: &'a Bench, sockets: &[PathBuf], timeout: Duration) -> Result<Self, Problem> {
        let key = Key::try_from(format!("{}watched", bench.key_prefix).as_str());
        let key = key.expect("the command line bounds the prefix");
        let bytes: Vec<u8> = (b'a'..=b'z').cycle().take(bench.value_size).collect();
        let value = Value::try_from(bytes).expect("the command line bounds the size");
        let put = Call { id: Some(Id::Unsigned(0)), ..Call::new(Request::put(key.clone(), value)) };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(broken)?;
        let mut fanout = Self {
            bench,
            epoll,
            streams: Vec::new(),
            buffer: vec![0; READ_BYTES],
            unsent: Vec::new(),
            line: put.to_line(),
            outstanding: 0,
            puts: 0,
            events: 0,
            ended: 0,
            last_event: Instant::now(),
        };
        let deadline = Instant::now() + timeout;
        let writer = Connection::open(&sockets[0], deadline)?;
        fanout.add(writer.into_stream())?;
        for at in 0..bench.connections {
            let count = share(bench.watchers, bench.connections, at);
            let socket = &sockets[usize::from(at) % sockets.len()];
            let stream = watch(Connection::open(socket, deadline)?, &key, count, deadline)?;
            fanout.add(stream)?;
        }
        Ok(fanout)
    }

    fn add(&mut self, stream: UnixStream) -> Result<(), Problem> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, self.streams.len() as u64);
        self.epoll.add(&stream, event).map_err(broken)?;
        self.streams.push(stream);
        Ok(())
    }

    /// Puts until `end`, and reads until all has come or nothing more does.
    fn write_until(&mut self, end: Instant) -> Result<(), Problem> {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let now = Instant::now();
            if now < end {
                self.write()?;
            } else if self.is_complete() || now >= self.last_event.max(end) + TAIL {
                return Ok(());
            }
            let count = match self.epoll.wait(&mut events, TICK_MS) {
                Err(Errno::EINTR) => 0,
                outcome => outcome.map_err(broken)?,
            };
            for event in &events[..count] {
                match usize::try_from(event.data()).expect("it is an index") {
                    0 => self.read_answers()?,
                    watcher => self.read_events(watcher)?,
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        let expected = self.puts * u64::from(self.bench.watchers);
        self.outstanding == 0 && self.events >= expected && self.unsent.is_empty()
    }

    /// Keeps as many puts outstanding as there are to be clients.
    fn write(&mut self) -> Result<(), Problem> {
        while self.outstanding < u64::from(self.bench.clients) {
            self.unsent.extend_from_slice(&self.line);
            self.outstanding += 1;
        }
        while !self.unsent.is_empty() {
            match (&self.streams[0]).write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                // The answers that make room come as events.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(gone()),
            }
        }
        Ok(())
    }

    fn read_answers(&mut self) -> Result<(), Problem> {
        let read = read(&self.streams[0], &mut self.buffer)?;
        let bytes = &self.buffer[..read];
        let answers = memchr::memchr_iter(b'\n', bytes).count() as u64;
        if answers > 0 && memchr::memmem::find(bytes, OK).is_none() {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            client::result::<IgnoredAny>(line)?;
        }
        self.outstanding -= answers.min(self.outstanding);
        self.puts += answers;
        Ok(())
    }

    fn read_events(&mut self, at: usize) -> Result<(), Problem> {
        let read = read(&self.streams[at], &mut self.buffer)?;
        let bytes = &self.buffer[..read];
        let ended = memchr::memmem::find_iter(bytes, END).count() as u64;
        self.events += (memchr::memchr_iter(b'\n', bytes).count() as u64).saturating_sub(ended);
        self.ended += ended;
        self.last_event = Instant::now();
        Ok(())
    }
}

/// How many of all watchers a connection has.
fn share(watchers: u32, connections: u16, at: u16) -> u32 {
    let (watchers, connections) = (u64::from(watchers), u64::from(connections));
    let below = |at: u64| watchers * at / connections;
    let at = u64::from(at);
    u32::try_from(below(at + 1) - below(at)).expect("it is no more than all")
}

/// Begins watches on a connection.
fn watch(
    mut connection: Connection,
    key: &Key,
    count: u32,
    deadline: Instant,
) -> Result<UnixStream, Problem> {
    for id in 0..count {
        let (selection, only) = (Selection::Key(key.clone()), None);
        let (from, previous, progress) = (None, false, None);
        let request = Request::Watch { selection, from, previous, only, progress };
        let call = Call { id: Some(Id::Unsigned(id.into())), ..Call::new(request) };
        connection.send(&call.to_line(), deadline).map_err(|_| gone())?;
        let line = connection.receive(Some(deadline)).map_err(|_| gone())?;
        client::result::<IgnoredAny>(&line)?;
    }
    Ok(connection.into_stream())
}

fn read(mut stream: &UnixStream, buffer: &mut [u8]) -> Result<usize, Problem> {
    match stream.read(buffer) {
        Ok(read) if read > 0 => Ok(read),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Ok(_) | Err(_) => Err(gone()),
    }
}

fn gone() -> Problem {
    Problem::new(OwnCode::Disconnected, "a node closed the connection, or was silent for too long")
}

fn broken(errno: Errno) -> Problem {
    Problem::new(OwnCode::Configuration, format!("epoll: {}", errno.desc()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { watchers, connections, nodes, value_bytes, seconds, .. } = self;
        writeln!(
            f,
            "watch: {watchers} watchers over {connections} connections, {nodes} nodes, values of \
             {value_bytes} bytes"
        )?;
        let Self { puts, puts_per_second, events, events_per_second, expected, ended, .. } = self;
        writeln!(f, "puts        {puts_per_second:.0}/s  ({puts} in {seconds:.2} s)")?;
        writeln!(f, "changes     {events_per_second:.0}/s  ({events} of {expected} delivered)")?;
        writeln!(f, "ended       {ended} watches that were too slow")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_watchers_have_a_connection() {
        for (watchers, connections) in [(100, 10), (7, 3), (2, 5), (1, 1)] {
            let shares = (0..connections).map(|at| share(watchers, connections, at));
            let shares: Vec<_> = shares.collect();
            assert_eq!(shares.iter().sum::<u32>(), watchers, "{shares:?}");
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= 1, "{shares:?}");
        }
    }
}

//! Drives all clients of a benchmark from one thread, with as few instructions as it can.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::control::failure::{Applied, ErrorCode, Failure};
use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::cmd::bench::load::Load;
use crate::connection::Connection;
use crate::problem::{OwnCode, Problem};

/// Answers that are taken note of before the next wait.
const EVENTS_MAX: usize = 256;

/// What a read takes: one answer, as a rule.
const READ_BYTES: usize = 64 * 1024;

/// What is kept of an answer that comes in parts: enough to see whether it is an error, and which.
const HEAD_BYTES_MAX: usize = 4 * 1024;

/// Where in an answer `"ok":true` must be found.
const OK_BYTES_MAX: usize = 64;

/// How often the progress is shown, and silent nodes are looked for.
const TICK: Duration = Duration::from_millis(100);

/// An hour: a longer latency counts as that.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// All clients.
#[derive(Debug)]
pub(super) struct Engine {
    epoll: Epoll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
}

/// A client and its request.
#[derive(Debug)]
struct Client {
    path: PathBuf,
    stream: UnixStream,
    request: Vec<u8>,
    /// How much of the request was sent.
    sent: usize,
    sent_at: Instant,
    /// The beginning of an answer whose end has not come.
    head: Vec<u8>,
    is_waiting: bool,
}

/// When a run ends.
#[derive(Debug)]
pub(super) struct Limits {
    /// No request begins after it; without it, all there are do.
    pub(super) end: Option<Instant>,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// What is known of a request whose answer did not come.
    pub(super) applied: Applied,
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) answers: u64,
    pub(super) failures: u64,
    pub(super) first_failure: Option<Vec<u8>>,
    /// In nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) elapsed: Duration,
}

/// What an event was good for.
enum Progress {
    /// A part of the request or of its answer.
    Some,
    /// The whole answer.
    Answered,
}

impl Engine {
    /// Connects the clients to the sockets, in turn.
    pub(super) fn connect(
        sockets: &[PathBuf],
        clients: usize,
        timeout: Duration,
    ) -> Result<Self, Problem> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(broken)?;
        let deadline = Instant::now() + timeout;
        let clients = sockets.iter().cycle().take(clients).enumerate().map(|(at, path)| {
            let stream = Connection::open(path, deadline)?.into_stream();
            let event = EpollEvent::new(EpollFlags::EPOLLIN, at as u64);
            epoll.add(&stream, event).map_err(broken)?;
            Ok(Client::new(path.clone(), stream))
        });
        let clients = clients.collect::<Result<_, Problem>>()?;
        Ok(Self { epoll, clients, buffer: vec![0; READ_BYTES] })
    }

    /// Asks what `load` has until `limits` end it; `show` is told now and then how far it is.
    pub(super) fn run(
        &mut self,
        load: &mut Load,
        limits: &Limits,
        mut show: impl FnMut(Instant, u64),
    ) -> Result<Tally, Problem> {
        let started = Instant::now();
        let mut tally = Tally::new();
        let mut busy = 0;
        for at in 0..self.clients.len() {
            let template = load.template();
            template.clone_into(&mut self.clients[at].request);
            busy += usize::from(self.begin(at, load, Instant::now(), limits, &tally)?);
        }
        let mut tick = started + TICK;
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        while busy > 0 {
            let count = wait(&self.epoll, &mut events)?;
            for event in &events[..count] {
                let at = usize::try_from(event.data()).expect("it is an index");
                if let Progress::Some = self.go_on(at, event.events(), limits, &mut tally)? {
                    continue;
                }
                let now = Instant::now();
                let client = &mut self.clients[at];
                tally.count(now.duration_since(client.sent_at));
                client.is_waiting = false;
                let is_over = limits.end.is_some_and(|end| end <= now);
                if is_over || !self.begin(at, load, now, limits, &tally)? {
                    busy -= 1;
                }
            }
            let now = Instant::now();
            if now >= tick {
                tick = now + TICK;
                show(now, tally.answers);
                self.check_silence(now, limits)?;
            }
        }
        tally.elapsed = started.elapsed();
        Ok(tally)
    }

    /// Lets a client ask what comes next, if there is something.
    fn begin(
        &mut self,
        at: usize,
        load: &mut Load,
        now: Instant,
        limits: &Limits,
        tally: &Tally,
    ) -> Result<bool, Problem> {
        let client = &mut self.clients[at];
        if !load.next(&mut client.request) {
            return Ok(false);
        }
        (client.sent, client.sent_at, client.is_waiting) = (0, now, true);
        self.push(at, limits, tally)?;
        Ok(true)
    }

    /// Sends as much of a request as the socket takes.
    fn push(&mut self, at: usize, limits: &Limits, tally: &Tally) -> Result<(), Problem> {
        let client = &mut self.clients[at];
        let had_begun = client.sent > 0;
        match client.stream.write(&client.request[client.sent..]) {
            Ok(written) => client.sent += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(client.lost(limits, tally)),
        }
        let is_sent = client.sent == client.request.len();
        if !is_sent || had_begun {
            let room = if is_sent { EpollFlags::empty() } else { EpollFlags::EPOLLOUT };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | room, at as u64);
            self.epoll.modify(&client.stream, &mut event).map_err(broken)?;
        }
        Ok(())
    }

    fn go_on(
        &mut self,
        at: usize,
        events: EpollFlags,
        limits: &Limits,
        tally: &mut Tally,
    ) -> Result<Progress, Problem> {
        let is_sent = self.clients[at].sent == self.clients[at].request.len();
        if !is_sent && events.contains(EpollFlags::EPOLLOUT) {
            self.push(at, limits, tally)?;
            return Ok(Progress::Some);
        }
        let client = &mut self.clients[at];
        let read = match client.stream.read(&mut self.buffer) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Some),
            Ok(_) | Err(_) => return Err(client.lost(limits, tally)),
        };
        let bytes = &self.buffer[..read];
        // There is one request outstanding, so a newline at the end ends its answer.
        let is_whole = bytes.last() == Some(&b'\n');
        if is_whole && client.head.is_empty() {
            tally.judge(bytes);
            return Ok(Progress::Answered);
        }
        let room = HEAD_BYTES_MAX - client.head.len();
        client.head.extend_from_slice(&bytes[..read.min(room)]);
        if !is_whole {
            return Ok(Progress::Some);
        }
        tally.judge(&client.head);
        client.head.clear();
        Ok(Progress::Answered)
    }

    fn check_silence(&self, now: Instant, limits: &Limits) -> Result<(), Problem> {
        let is_late = |client: &&Client| client.is_waiting && client.sent_at + limits.timeout < now;
        let Some(client) = self.clients.iter().find(is_late) else { return Ok(()) };
        let (path, timeout) = (client.path.display(), humantime::format_duration(limits.timeout));
        let message = format!("no answer from {path} within {timeout}");
        let problem = Problem::from(Failure::new(ErrorCode::Timeout, message));
        Err(problem.applied(limits.applied))
    }
}

fn wait(epoll: &Epoll, events: &mut [EpollEvent]) -> Result<usize, Problem> {
    let tick = u16::try_from(TICK.as_millis()).expect("a tick is short");
    match epoll.wait(events, tick) {
        Err(Errno::EINTR) => Ok(0),
        outcome => outcome.map_err(broken),
    }
}

fn broken(errno: Errno) -> Problem {
    Problem::new(OwnCode::Configuration, format!("the kernel refuses: {}", errno.desc()))
}

impl Client {
    fn new(path: PathBuf, stream: UnixStream) -> Self {
        let (request, head) = (Vec::new(), Vec::new());
        Self { path, stream, request, sent: 0, sent_at: Instant::now(), head, is_waiting: false }
    }

    fn lost(&self, limits: &Limits, tally: &Tally) -> Problem {
        let (path, answers) = (self.path.display(), tally.answers);
        let message = format!("{path} closed the connection; there were {answers} answers");
        Problem::new(OwnCode::Disconnected, message).applied(limits.applied)
    }
}

impl Tally {
    fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Self {
            answers: 0,
            failures: 0,
            first_failure: None,
            latencies: latencies.expect("the bounds are in order"),
            elapsed: Duration::ZERO,
        }
    }

    fn count(&mut self, latency: Duration) {
        self.answers += 1;
        self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Looks whether an answer is an error, without parsing it: the requests have no `id`, so `ok`
    /// comes first.
    fn judge(&mut self, answer: &[u8]) {
        let beginning = &answer[..answer.len().min(OK_BYTES_MAX)];
        if memchr::memmem::find(beginning, b"\"ok\":true").is_none() {
            self.failures += 1;
            self.first_failure.get_or_insert_with(|| answer.trim_ascii_end().to_vec());
        }
    }
}

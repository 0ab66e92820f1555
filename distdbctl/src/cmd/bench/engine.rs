//! Drives all clients of a benchmark from one thread, with as few instructions as it can. A client
//! whose node is gone goes to the next one, so that a benchmark outlives a failover and measures
//! it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::control::failure::{Applied, ErrorCode, Failure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::cmd::bench::client::{Client, Pulled};
use crate::cmd::bench::load::Load;
use crate::cmd::bench::tally::Tally;
use crate::problem::{OwnCode, Problem};

/// Answers that are taken note of before the next wait.
const EVENTS_MAX: usize = 256;

/// What a read takes: one answer, as a rule.
const READ_BYTES: usize = 64 * 1024;

/// How often the progress is shown, and silent nodes are looked for.
const TICK: Duration = Duration::from_millis(100);

/// What a client waits after a failure. It must not take the processor away from the election that
/// it waits for, and the end of a gap must be found soon.
const REST: Duration = Duration::from_millis(5);

/// What connecting may take while other clients wait for their turn. A node that lives takes it at
/// once.
const RECONNECT: Duration = Duration::from_millis(50);

/// All clients.
#[derive(Debug)]
pub(super) struct Engine {
    epoll: Epoll,
    sockets: Vec<PathBuf>,
    clients: Vec<Client>,
    /// Which clients rest, and until when, the first to go on in front.
    resting: VecDeque<(Instant, usize)>,
    buffer: Vec<u8>,
}

/// When a run ends.
#[derive(Debug)]
pub(super) struct Limits {
    /// No request begins after it. Without it all there are do, as long as none fails.
    pub(super) end: Option<Instant>,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// What is known of a request whose answer did not come.
    pub(super) applied: Applied,
}

/// A run, and how far it is.
#[derive(Debug)]
struct Run<'a> {
    load: &'a mut Load,
    limits: &'a Limits,
    tally: Tally,
    /// Clients that have not ended.
    busy: usize,
}

impl Run<'_> {
    fn is_over(&self, now: Instant) -> bool {
        match self.limits.end {
            Some(end) => end <= now,
            None => self.tally.failed() > 0,
        }
    }
}

impl Engine {
    /// Connects the clients to the sockets, in turn.
    pub(super) fn connect(
        sockets: Vec<PathBuf>,
        clients: usize,
        timeout: Duration,
    ) -> Result<Self, Problem> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(broken)?;
        let clients = (0..clients).map(|at| Client::new(at % sockets.len())).collect();
        let (resting, buffer) = (VecDeque::new(), vec![0; READ_BYTES]);
        let mut engine = Self { epoll, sockets, clients, resting, buffer };
        for at in 0..engine.clients.len() {
            engine.open(at, timeout)?;
        }
        Ok(engine)
    }

    fn open(&mut self, at: usize, timeout: Duration) -> Result<(), Problem> {
        let client = &mut self.clients[at];
        client.connect(&self.sockets[client.socket], timeout)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, at as u64);
        let stream = client.stream.as_ref().expect("it was connected");
        self.epoll.add(stream, event).map_err(broken)
    }

    /// Asks what `load` has until `limits` end it; `show` is told now and then how far it is.
    pub(super) fn run(
        &mut self,
        load: &mut Load,
        limits: &Limits,
        mut show: impl FnMut(Instant, u64),
    ) -> Result<Tally, Problem> {
        let started = Instant::now();
        let mut run = Run { load, limits, tally: Tally::new(started), busy: self.clients.len() };
        for at in 0..self.clients.len() {
            run.load.template().clone_into(&mut self.clients[at].request);
            self.begin(at, Instant::now(), &mut run)?;
        }
        let mut tick = started + TICK;
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        while run.busy > 0 {
            let count = self.wait(&mut events)?;
            for event in &events[..count] {
                let at = usize::try_from(event.data()).expect("it is an index");
                self.on_event(at, event.events(), &mut run)?;
            }
            let now = Instant::now();
            self.wake(now, &mut run)?;
            if now >= tick {
                tick = now + TICK;
                show(now, run.tally.successes);
                self.leave_silent(now, &mut run);
            }
        }
        Ok(run.tally.finish(Instant::now()))
    }

    fn wait(&self, events: &mut [EpollEvent]) -> Result<usize, Problem> {
        let pause = if self.resting.is_empty() { TICK } else { REST };
        let pause = u16::try_from(pause.as_millis()).expect("a tick is short");
        match self.epoll.wait(events, pause) {
            Err(Errno::EINTR) => Ok(0),
            outcome => outcome.map_err(broken),
        }
    }

    /// Lets a client ask what comes next, or end.
    fn begin(&mut self, at: usize, now: Instant, run: &mut Run<'_>) -> Result<(), Problem> {
        let client = &mut self.clients[at];
        if run.is_over(now) || !run.load.next(&mut client.request) {
            run.busy -= 1;
            return Ok(());
        }
        client.begin(now);
        self.push(at, run)
    }

    /// Sends as much of a request as the socket takes.
    fn push(&mut self, at: usize, run: &mut Run<'_>) -> Result<(), Problem> {
        let client = &mut self.clients[at];
        let had_begun = client.has_begun();
        if !client.push() {
            self.on_lost(at, run);
            return Ok(());
        }
        let is_sent = client.is_sent();
        if !is_sent || had_begun {
            let room = if is_sent { EpollFlags::empty() } else { EpollFlags::EPOLLOUT };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | room, at as u64);
            let stream = client.stream.as_ref().expect("it was written to");
            self.epoll.modify(stream, &mut event).map_err(broken)?;
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        at: usize,
        events: EpollFlags,
        run: &mut Run<'_>,
    ) -> Result<(), Problem> {
        let client = &mut self.clients[at];
        if !client.is_sent() && events.contains(EpollFlags::EPOLLOUT) {
            return self.push(at, run);
        }
        let (sent_at, was_waiting) = (client.sent_at, client.is_waiting);
        match client.pull(&mut self.buffer) {
            Pulled::Part => Ok(()),
            // A client that rests or has ended is told why, too: the node closes the connection.
            Pulled::Answer(_) | Pulled::Lost if !was_waiting => {
                client.stream = None;
                Ok(())
            }
            Pulled::Answer(answer) => {
                let now = Instant::now();
                let is_success = run.tally.count(answer, now.duration_since(sent_at), now);
                client.is_waiting = false;
                if is_success {
                    return self.begin(at, now, run);
                }
                self.resting.push_back((now + REST, at));
                Ok(())
            }
            Pulled::Lost => {
                self.on_lost(at, run);
                Ok(())
            }
        }
    }

    /// The connection ended before the answer came.
    fn on_lost(&mut self, at: usize, run: &mut Run<'_>) {
        let path = self.sockets[self.clients[at].socket].display();
        let message = format!("{path} closed the connection");
        self.leave(at, Problem::new(OwnCode::Disconnected, message), run);
    }

    fn leave_silent(&mut self, now: Instant, run: &mut Run<'_>) {
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            if client.is_waiting && client.sent_at + run.limits.timeout < now {
                let path = self.sockets[client.socket].display();
                let timeout = humantime::format_duration(run.limits.timeout);
                let message = format!("no answer from {path} within {timeout}");
                self.leave(at, Failure::new(ErrorCode::Timeout, message).into(), run);
            }
        }
    }

    /// Gives a node up, and soon tries the next.
    fn leave(&mut self, at: usize, problem: Problem, run: &mut Run<'_>) {
        run.tally.fail(problem.applied(run.limits.applied));
        let client = &mut self.clients[at];
        (client.stream, client.is_waiting) = (None, false);
        client.socket = (client.socket + 1) % self.sockets.len();
        self.resting.push_back((Instant::now() + REST, at));
    }

    /// Lets those go on who have rested.
    fn wake(&mut self, now: Instant, run: &mut Run<'_>) -> Result<(), Problem> {
        while let Some(&(until, at)) = self.resting.front()
            && until <= now
        {
            self.resting.pop_front();
            let is_connected = self.clients[at].stream.is_some();
            if is_connected || run.is_over(now) || self.open(at, RECONNECT).is_ok() {
                self.begin(at, now, run)?;
                continue;
            }
            let client = &mut self.clients[at];
            client.socket = (client.socket + 1) % self.sockets.len();
            self.resting.push_back((now + REST, at));
        }
        Ok(())
    }
}

fn broken(errno: Errno) -> Problem {
    Problem::new(OwnCode::Configuration, format!("the kernel refuses: {}", errno.desc()))
}

#[cfg(test)]
mod tests;

//! The changes that nodes tell, whichever node it is at the moment.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use common::control::failure::{ErrorCode, Failure};
use common::control::request::Call;
use common::control::watching::{WatchBegun, WatchEvent, WatchLine};

use crate::client;
use crate::cmd::watch::Wish;
use crate::link::{self, Link};
use crate::output::Output;
use crate::problem::{Code, OwnCode, Problem};

/// How often a quiet node is to say how far it is.
pub(super) const PROGRESS: Duration = Duration::from_secs(1);

/// A node in raft mode that hears of no leader says nothing, and so does one that does not work.
const STALE_AFTER: Duration = PROGRESS.saturating_mul(3);

/// A node that lives takes a connection at once, and says soon that the watch begins. Meanwhile
/// nothing else is done.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Something that is told.
#[derive(Debug)]
pub(super) enum Item {
    /// All changes of one revision.
    Events { events: Vec<WatchEvent>, revision: u64, bytes: usize },
    /// All up to this revision was told.
    Progress(u64),
}

/// A watch, over one connection after the other.
pub(super) struct Stream {
    link: Link,
    wish: Wish,
    /// The first revision that was not told.
    resume: u64,
    /// Whether the node has said that the watch has begun.
    is_begun: bool,
    /// When it was asked.
    asked_at: Instant,
    /// When to connect again.
    connect_at: Instant,
    /// Whether it is known by now that there is no connection.
    is_lost: bool,
    heard_at: Instant,
    is_stale: bool,
}

impl Stream {
    /// Begins a watch; also tells from which revision on.
    pub(super) fn begin(
        mut link: Link,
        wish: Wish,
        from: Option<u64>,
    ) -> Result<(Self, u64), Problem> {
        let reply = link.ask::<WatchBegun>(&wish.request(from));
        let reply = reply.map_err(|problem| missed(problem, from, &wish))?;
        let from = link::result(reply).from;
        let (connect_at, heard_at) = (Instant::now(), Instant::now());
        let stream = Self {
            link,
            wish,
            resume: from,
            is_begun: true,
            asked_at: heard_at,
            connect_at,
            is_lost: false,
            heard_at,
            is_stale: false,
        };
        Ok((stream, from))
    }

    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_fd()
    }

    /// When there is something to do, even if nothing has come.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let is_heeded = !self.is_stale || self.link.has_others();
        let stale_at = is_heeded.then(|| self.heard_at + STALE_AFTER);
        let connect_at = (!self.link.is_connected()).then_some(self.connect_at);
        let is_asked = self.link.is_connected() && !self.is_begun;
        let begin_by = is_asked.then(|| self.asked_at + self.link.timeout());
        [stale_at, connect_at, begin_by].into_iter().flatten().min()
    }

    /// What is there to be told at this moment.
    pub(super) fn ready(&mut self, output: &Output) -> Result<Option<Item>, Problem> {
        loop {
            if let Err(problem) = self.connect() {
                self.interrupt(problem, output)?;
            }
            match self.link.receive_ready() {
                Ok(Some(line)) => {
                    if let Some(item) = self.on_line(&line, output)? {
                        return Ok(Some(item));
                    }
                }
                Ok(None) if self.has_no_beginning() => {
                    let message = "the node does not say that the watch begins";
                    let problem = Failure::new(ErrorCode::Timeout, message).into();
                    self.interrupt(problem, output)?;
                }
                Ok(None) => return self.heed_silence(output).map(|()| None),
                Err(problem) => self.interrupt(problem, output)?,
            }
        }
    }

    fn connect(&mut self) -> Result<(), Problem> {
        if self.link.is_connected() || Instant::now() < self.connect_at {
            return Ok(());
        }
        (self.is_begun, self.asked_at) = (false, Instant::now());
        let deadline = self.asked_at + CONNECT_MAX;
        self.link.send(&Call::new(self.wish.request(Some(self.resume))), deadline)
    }

    fn has_no_beginning(&self) -> bool {
        let is_asked = self.link.is_connected() && !self.is_begun;
        is_asked && self.asked_at.elapsed() >= self.link.timeout()
    }

    fn on_line(&mut self, line: &[u8], output: &Output) -> Result<Option<Item>, Problem> {
        if !self.is_begun {
            return match link::reply::<WatchBegun>(line) {
                Ok(_) => {
                    self.is_begun = true;
                    if std::mem::take(&mut self.is_lost) {
                        output.note(&format!("it goes on from revision {}", self.resume));
                    }
                    Ok(None)
                }
                Err(problem) => self.interrupt(problem, output).map(|()| None),
            };
        }
        self.hear(output);
        match serde_json::from_slice(line).map_err(|error| client::unreadable(&error))? {
            WatchLine::Events { events, revision, .. } => {
                self.resume = revision + 1;
                Ok(Some(Item::Events { events: events.to_vec(), revision, bytes: line.len() }))
            }
            WatchLine::Progress { progress, .. } => {
                self.resume = self.resume.max(progress + 1);
                Ok(Some(Item::Progress(progress)))
            }
            WatchLine::End { resume, error, .. } => {
                self.resume = self.resume.max(resume);
                let ended = || Failure::new(ErrorCode::ShuttingDown, "the node ended the watch");
                let problem = Problem::from(error.unwrap_or_else(ended));
                self.interrupt(problem, output).map(|()| None)
            }
        }
    }

    /// Goes on despite a problem, soon, if it is one that passes.
    fn interrupt(&mut self, problem: Problem, output: &Output) -> Result<(), Problem> {
        if !self.link.may_pass(&problem) {
            return Err(missed(problem, Some(self.resume), &self.wish));
        }
        let is_ours = problem.code == Code::Node(ErrorCode::SlowConsumer);
        let pause = if is_ours { Duration::ZERO } else { self.link.pause(&problem) };
        self.link.leave();
        self.connect_at = Instant::now() + pause;
        if !is_ours && !std::mem::replace(&mut self.is_lost, true) {
            let is_gone = problem.code == Code::Own(OwnCode::Disconnected);
            let why = if is_gone { "the node closed the connection" } else { &problem.message };
            output.note(&format!("{why}; waiting to go on from revision {}", self.resume));
        }
        Ok(())
    }

    fn hear(&mut self, output: &Output) {
        self.heard_at = Instant::now();
        if std::mem::take(&mut self.is_stale) {
            output.note("the node is heard again; what it tells is fresh again");
        }
    }

    /// A node that is cut off is told by its silence alone.
    fn heed_silence(&mut self, output: &Output) -> Result<(), Problem> {
        if self.heard_at.elapsed() < STALE_AFTER {
            return Ok(());
        }
        if self.link.has_others() {
            self.link.leave();
            (self.connect_at, self.heard_at) = (Instant::now(), Instant::now());
        }
        if std::mem::replace(&mut self.is_stale, true) {
            return Ok(());
        }
        let seconds = STALE_AFTER.as_secs();
        let message =
            format!("no sign of life for {seconds} s; the node may be cut off, and miss changes");
        if self.wish.requires_quorum {
            let problem = Problem::from(Failure::new(ErrorCode::NoQuorum, message));
            return Err(missed(problem, Some(self.resume), &self.wish));
        }
        output.note(&message);
        Ok(())
    }
}

/// A watch that ends too early: says how the next one misses nothing, or as little as it can.
fn missed(problem: Problem, resume: Option<u64>, wish: &Wish) -> Problem {
    let Some(resume) = resume else { return problem };
    let go_on = if problem.code == Code::Node(ErrorCode::Compacted) {
        let floor = problem.floor.map_or_else(String::new, |floor| format!(" to {floor}"));
        format!("changes from revision {resume}{floor} are not kept; {}", wish.anew)
    } else {
        format!("go on with --from {resume}")
    };
    let hint = match &problem.hint {
        Some(hint) => format!("{hint}; {go_on}"),
        None => go_on,
    };
    problem.with_hint(hint)
}

#[cfg(test)]
mod tests;

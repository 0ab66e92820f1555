//! Waits for a lock, and keeps the lease of the claim alive meanwhile.

use std::time::{Duration, Instant};

use common::control::failure::{ErrorCode, Failure};
use common::control::kv::reply::Claimed;
use common::control::kv::{Kv, Lock};
use common::control::request::Call;
use nix::sys::signal::Signal;

use crate::boottime::{Alarm, BootTime};
use crate::cmd::hold::tenure::{Tenure, kv};
use crate::link::{self, Link};
use crate::problem::{Code, Problem};
use crate::signals::Signals;
use crate::waiting;

/// A node that has to say no in time may be so late.
const GRACE: Duration = Duration::from_secs(1);

/// What came of a claim.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is ours, under this token.
    Held(u64),
    /// The lease has ended before: the place in the queue is lost.
    Lapsed,
    /// A signal came first.
    Interrupted(Signal),
}

/// A claim to a lock that was not granted yet.
pub(super) struct Claim<'a> {
    lock: Lock,
    tenure: &'a mut Tenure,
    signals: &'a Signals,
    /// The link that it waits on. Not that of the lease, whose answers must come in time.
    link: Link,
    is_asked: bool,
    /// Those of the lease when it was asked.
    detours: u64,
    ask_at: BootTime,
    give_up_at: Option<BootTime>,
}

impl<'a> Claim<'a> {
    pub(super) fn new(
        lock: Lock,
        give_up_at: Option<BootTime>,
        tenure: &'a mut Tenure,
        signals: &'a Signals,
    ) -> Self {
        let link = tenure.another_link();
        let (is_asked, detours, ask_at) = (false, 0, BootTime::now());
        Self { lock, tenure, signals, link, is_asked, detours, ask_at, give_up_at }
    }

    /// Waits until it is granted, with so much of the lease left that something can begin.
    pub(super) fn wait(mut self) -> Result<Outcome, Problem> {
        let alarm = Alarm::new().map_err(|errno| super::broken(errno, "an alarm"))?;
        let mut token = None;
        loop {
            if let Err(problem) = self.tenure.turn() {
                return lapsed(problem);
            }
            if let Some(signal) = self.signals.next_ending() {
                return Ok(Outcome::Interrupted(signal));
            }
            if token.is_none() {
                match self.turn() {
                    Ok(answer) => token = answer,
                    Err(problem) if problem.code == Code::Node(ErrorCode::LeaseLost) => {
                        return lapsed(problem);
                    }
                    Err(problem) => return Err(problem),
                }
            }
            if let Some(token) = token.filter(|_| self.tenure.is_fresh()) {
                return Ok(Outcome::Held(token));
            }
            self.sleep(&alarm, token.is_some());
        }
    }

    /// Asks where that is due, and looks for the answer.
    fn turn(&mut self) -> Result<Option<u64>, Problem> {
        match self.step() {
            Err(problem) if self.link.may_pass(&problem) => {
                let pause = self.link.pause(&problem);
                self.link.leave();
                (self.is_asked, self.ask_at) = (false, BootTime::now() + pause);
                if self.give_up_at.is_some_and(|at| self.ask_at >= at) {
                    return Err(problem);
                }
                Ok(None)
            }
            outcome => outcome,
        }
    }

    fn step(&mut self) -> Result<Option<u64>, Problem> {
        let now = BootTime::now();
        if self.detours != self.tenure.detours() {
            // A node that the lease can't go by would not tell us either. To claim once more under
            // the same lease is to ask after the claim.
            (self.link, self.is_asked) = (self.tenure.another_link(), false);
            self.detours = self.tenure.detours();
        }
        if !self.is_asked && now >= self.ask_at {
            // A node that is told how long to wait gives the claim back after that time: even where
            // it was stopped meanwhile, and we have the lock by way of another node.
            let timeout = self.give_up_at.filter(|_| self.lock.no_wait);
            let timeout = timeout.map(|at| (at - now).max(Duration::from_millis(1)));
            let lock = kv(Kv::Lock(self.lock.clone()));
            let deadline = Instant::now() + self.link.timeout();
            self.link.send(&Call { timeout, ..Call::new(lock) }, deadline)?;
            self.is_asked = true;
        }
        if let Some(line) = self.link.receive_ready()? {
            return Ok(Some(link::result(link::reply::<Claimed>(&line)?).token));
        }
        if self.give_up_at().is_none_or(|at| now < at) {
            return Ok(None);
        }
        let name = self.lock.name.as_str();
        Err(if self.is_asked && !self.lock.no_wait {
            let message = format!("{name} was not to be had in time");
            Failure::new(ErrorCode::Busy, message).into()
        } else {
            let message = format!("whether {name} is free could not be learned in time");
            Failure::new(ErrorCode::NotReady, message).into()
        })
    }

    /// Until when an answer is waited for. One that comes at once by itself may come late.
    fn give_up_at(&self) -> Option<BootTime> {
        let grace = if self.lock.no_wait { GRACE } else { Duration::ZERO };
        self.give_up_at.map(|at| at + grace)
    }

    fn sleep(&self, alarm: &Alarm, is_granted: bool) {
        let give_up_at = self.give_up_at();
        let ask_at = (!self.is_asked).then_some(self.ask_at);
        let others = [ask_at, give_up_at].into_iter().flatten().filter(|_| !is_granted);
        let _ = alarm.set(others.fold(self.tenure.wake_at(), BootTime::min));
        let link = self.link.as_fd().filter(|_| !is_granted);
        let ours = [Some(alarm.as_fd()), Some(self.signals.as_fd())];
        let fds = ours.into_iter().chain([self.tenure.as_fd(), link]);
        waiting::until_readable(fds.flatten());
    }
}

/// A lease that has ended is no mistake of anybody's; whatever else there is, is.
fn lapsed(problem: Problem) -> Result<Outcome, Problem> {
    match problem.code {
        Code::Node(ErrorCode::LeaseLost | ErrorCode::NotFound) => Ok(Outcome::Lapsed),
        Code::Node(_) | Code::Own(_) => Err(problem),
    }
}

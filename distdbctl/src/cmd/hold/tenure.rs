//! A lease that is kept alive, and what is known of how long it lasts.
//!
//! A lease ends on the leader a TTL after it took the last keep-alive; it took that no sooner than
//! we sent it. So whatever the network does with the answers, what we hold by the lease is ours
//! until a TTL after the time at which we sent a keep-alive that was confirmed. Of that time we use
//! nine tenths: for clocks that differ in pace, and for the time that ending a process takes.
//!
//! *Not done*: a leader whose clock is more than a tenth faster than ours. No computer's is.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use common::control::Id;
use common::control::failure::{ErrorCode, Failure};
use common::control::kv::reply::{Lease, Revoked, Unlocked};
use common::control::kv::{Claimant, Kv};
use common::control::request::{Call, Request};
use common::identity::LeaseId;
use common::kv::key::Key;

use crate::boottime::BootTime;
use crate::link::{self, Link};
use crate::problem::{Code, Problem};
use crate::stage::guard::Deadlines;

/// Whoever lives accepts a connection at once. While we wait for it nothing else is done.
const CONNECT_MAX: Duration = Duration::from_millis(100);

/// A lease, and who keeps it.
#[derive(Debug)]
pub(crate) struct Tenure {
    link: Link,
    pub(crate) lease: LeaseId,
    ttl: Duration,
    /// When the last keep-alive that was confirmed was sent.
    confirmed: BootTime,
    /// The keep-alive whose answer has not come: its number, and when it was sent.
    pending: Option<(u64, BootTime)>,
    /// When the next is due.
    next_at: BootTime,
    count: u64,
    /// How often the connection was given up.
    detours: u64,
}

impl Tenure {
    /// Begins a lease.
    pub(crate) fn begin(mut link: Link, ttl: Duration) -> Result<Self, Problem> {
        let request = kv(Kv::LeaseGrant { ttl, lease: None });
        // Of several tries the last was heard; what is counted from the first is safe.
        let sent = BootTime::now();
        let reply = link::result(link.ask::<Lease>(&request)?);
        let ttl = Duration::from_millis(reply.ttl_ms);
        let (lease, next_at) = (reply.lease, sent + ttl / 3);
        let (confirmed, pending, count, detours) = (sent, None, 0, 0);
        Ok(Self { link, lease, ttl, confirmed, pending, next_at, count, detours })
    }

    /// Until when what is held by the lease is ours.
    pub(crate) fn deadlines(&self) -> Deadlines {
        let (term_at, kill_at) = (self.ttl.mul_f64(0.75), self.ttl.mul_f64(0.9));
        Deadlines { term_at: self.confirmed + term_at, kill_at: self.confirmed + kill_at }
    }

    /// Whether there is enough of it left to begin something.
    pub(crate) fn is_fresh(&self) -> bool {
        BootTime::now() - self.confirmed < self.ttl / 2
    }

    /// When there is something to do, even if nothing has come.
    pub(crate) fn wake_at(&self) -> BootTime {
        self.pending.map_or(self.next_at, |(_, sent)| sent + self.ttl / 3)
    }

    /// Readable once there is something to do.
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_fd()
    }

    /// Grows whenever the node was doubted that it went by.
    pub(crate) fn detours(&self) -> u64 {
        self.detours
    }

    /// Another link, to where this one has got.
    pub(crate) fn another_link(&self) -> Link {
        self.link.another()
    }

    /// Does what is due. Whether the lease was confirmed anew; an error if it has ended.
    pub(crate) fn turn(&mut self) -> Result<bool, Problem> {
        let confirmed = self.confirmed;
        if let Err(problem) = self.read() {
            self.pass_over(problem)?;
        }
        if self.pending.is_some_and(|(_, sent)| BootTime::now() - sent >= self.ttl / 3) {
            // It is the connection that is doubted; the lease may be whole.
            self.leave(Duration::ZERO);
        }
        if self.pending.is_none() && BootTime::now() >= self.next_at {
            self.ask();
        }
        Ok(self.confirmed > confirmed)
    }

    fn ask(&mut self) {
        self.count += 1;
        let id = Some(Id::Unsigned(self.count));
        let timeout = Some(self.ttl / 3);
        let call = Call { id, timeout, ..Call::new(kv(Kv::LeaseKeepAlive(self.lease))) };
        // Before it is sent, or a stop between the two would make the lease seem longer.
        let sent = BootTime::now();
        match self.link.send(&call, Instant::now() + CONNECT_MAX) {
            Ok(()) => self.pending = Some((self.count, sent)),
            Err(problem) => self.leave(self.link.pause(&problem)),
        }
    }

    fn read(&mut self) -> Result<(), Problem> {
        while let Some(line) = self.link.receive_ready()? {
            let reply = link::reply::<Lease>(&line)?;
            if let Some((count, sent)) = self.pending
                && reply.id == Some(Id::Unsigned(count))
            {
                self.confirmed = self.confirmed.max(sent);
                (self.pending, self.next_at) = (None, sent + self.ttl / 3);
            }
        }
        Ok(())
    }

    /// Goes on despite a problem, unless it is the end of the lease.
    fn pass_over(&mut self, problem: Problem) -> Result<(), Problem> {
        let ended = [ErrorCode::LeaseLost, ErrorCode::NotFound].map(Code::Node);
        if ended.contains(&problem.code) {
            return Err(problem);
        }
        self.leave(self.link.pause(&problem).min(self.ttl / 6));
        Ok(())
    }

    fn leave(&mut self, pause: Duration) {
        self.link.leave();
        self.detours += 1;
        (self.pending, self.next_at) = (None, BootTime::now() + pause);
    }

    /// Gives back what was claimed, if it was, and the lease. What can't be done in time the end of
    /// the lease does.
    pub(crate) fn end(self, claim: Option<(&Key, u64)>) -> Result<(), Problem> {
        // On a new connection: on the old one there may be an answer that nobody waits for.
        let mut link = self.link.another();
        let last = self.deadlines().kill_at.remaining();
        let deadline = Instant::now() + last.clamp(CONNECT_MAX, link.timeout().max(CONNECT_MAX));
        if let Some((name, token)) = claim {
            let by = Claimant::Token(token);
            link.ask_until::<Unlocked>(&kv(Kv::Unlock { name: name.clone(), by }), deadline)?;
        }
        link.ask_until::<Revoked>(&kv(Kv::LeaseRevoke(self.lease)), deadline).map(drop)
    }

    /// Ends a lease that is lost already, as far as we know; if it is not, others need not wait.
    pub(crate) fn abandon(self) {
        let revoke = kv(Kv::LeaseRevoke(self.lease));
        let _ = self.link.another().ask_until::<Revoked>(&revoke, Instant::now() + CONNECT_MAX);
    }
}

/// A request of these.
pub(crate) fn kv(kv: Kv) -> Request {
    Request::Kv(Box::new(kv))
}

/// What was held is so no longer.
pub(crate) fn lost(name: &Key, why: &str) -> Problem {
    let message = format!("{} was lost: {why}", name.as_str());
    Problem::from(Failure::new(ErrorCode::LeaseLost, message))
        .with_hint("whoever holds it next may have it already")
}

#[cfg(test)]
mod tests;

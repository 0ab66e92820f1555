//! A session: what a shell script has seen, in a small file, whichever nodes it asks and however
//! many commands it runs side by side.
//!
//! The file is one line of JSON:
//!
//! ```text
//! {"version":1,"context":"000000000000001a:5,000000000000002b:17","revision":42}
//! ```
//!
//! `context` is what was seen in causal mode, `revision` what was seen in raft mode. A request
//! carries both, so that a node which is behind waits until it has them; what the answer has seen
//! is merged into the file before it is printed. That gives read-your-writes, monotonic reads and
//! writes-follow-reads (Terry et al. 1994).
//!
//! # Invariants
//!
//! - The file only grows: a merge takes the greater of each entry.
//! - It is never torn: it is replaced as a whole. Who only reads it needs no lock.
//! - Of commands that run side by side none undoes what another has merged (C17): each holds the
//!   file's own lock from reading to replacing it. A lock belongs to the file that was opened; the
//!   name may be another's by the time the lock is held, and then all begins anew.
//! - Nothing else is left beside it, unless a process is killed in the instant between writing the
//!   new file and renaming it.
//!
//! A file that is not there, or is empty (`mktemp` makes such), is a session that has seen nothing.
//! It is not synced: after a power cut it may be as it was some seconds before.

pub(crate) mod file;
pub(crate) mod running;

use common::causal::context::Context;
use common::control::reply::{Header, ReplyLine};
use common::control::request::{Range, Read, Request};
use serde::Deserialize;

use crate::client;
use crate::problem::{OwnCode, Problem};

/// What a session has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// In causal mode: these writes.
    context: Context,
    /// In raft mode: the state up to this revision.
    revision: u64,
}

impl Seen {
    /// What the node that gave this answer has seen.
    pub(crate) fn of(line: &[u8]) -> Result<Self, Problem> {
        let reply: ReplyLine<Outcome> =
            serde_json::from_slice(line).map_err(|error| client::unreadable(&error))?;
        if let Some(error) = reply.error {
            return context(error.context.as_deref()).map(|context| Self { context, revision: 0 });
        }
        let Some(outcome) = reply.result else { return Ok(Self::default()) };
        let context = context(outcome.context.as_deref())?;
        Ok(Self { context, revision: revision(&reply.header, outcome.revision) })
    }

    /// What was seen by a request that failed: a write that took effect all the same.
    pub(crate) fn by(problem: &Problem) -> Result<Self, Problem> {
        context(problem.context.as_deref()).map(|context| Self { context, revision: 0 })
    }

    /// Sees all that `other` has seen; whether that is news.
    fn merge(&mut self, other: &Self) -> bool {
        let before = self.clone();
        self.context.merge(&other.context);
        self.revision = self.revision.max(other.revision);
        *self != before
    }

    /// Has a request say what was seen, as far as it says nothing else.
    pub(crate) fn tell(&self, request: &mut Request) {
        if let Request::Get { read, min_revision, .. }
        | Request::List(Range { read, min_revision, .. }) = request
        {
            if !matches!(read, None | Some(Read::Session)) {
                return; // So it is wanted, whatever was seen.
            }
            *read = Some(Read::Session);
            *min_revision = min_revision.or(Some(self.revision).filter(|seen| *seen > 0));
        }
        let Some(context) = context_of(request) else { return };
        if context.is_none() && !self.context.is_empty() {
            *context = Some(self.context.clone());
        }
    }
}

/// Where a request says what was seen in causal mode; none where it is none of a session's
/// matters.
fn context_of(request: &mut Request) -> Option<&mut Option<Context>> {
    if let Request::Put { context, .. }
    | Request::Get { context, .. }
    | Request::Delete { context, .. }
    | Request::List(Range { context, .. })
    | Request::Incr { context, .. }
    | Request::Add { context, .. }
    | Request::Remove { context, .. }
    | Request::Conflicts { context, .. }
    | Request::Resolve { context, .. } = request
    {
        return Some(context);
    }
    None
}

/// Whether a session has a say in a request.
pub(crate) fn concerns(request: &Request) -> bool {
    // What is asked of raft mode alone is fresh; what was seen by it counts all the same.
    matches!(request, Request::Kv(_)) || context_of(&mut request.clone()).is_some()
}

fn context(text: Option<&str>) -> Result<Context, Problem> {
    text.unwrap_or_default().parse().map_err(|error| {
        Problem::new(OwnCode::Protocol, format!("the node's answer can't be read: {error}"))
    })
}

/// What counts of a result.
#[derive(Deserialize)]
struct Outcome {
    context: Option<String>,
    revision: Option<u64>,
}

/// The revision that an answer shows of raft mode, which alone has terms. In the other modes each
/// node counts for itself.
fn revision(header: &Header, of_write: Option<u64>) -> u64 {
    if header.term.is_none() {
        return 0;
    }
    // A follower answers a write when the leader has it, and may not have it itself yet.
    header.revision.max(of_write).unwrap_or(0)
}

#[cfg(test)]
mod tests;

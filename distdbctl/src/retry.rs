//! Asks again where that is safe and may help, as long as there is time.
//!
//! What can't have been applied is asked again as it was. A write of which nobody knows is asked
//! again under the `request` tag of its first try, so that the node executes it once. Raft and
//! causal mode promise that: in broadcast mode a repeated write could undo a later one, so there
//! the outcome stays unknown.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::control::failure::{Applied, ErrorCode, Failure};
use common::control::request::{Call, Request, RequestTag, Selection};
use common::control::status::Status;
use common::modes::{Mode, ModeTable};
use serde::de::DeserializeOwned;

use crate::client::{self, Client, Deadline, Dialogue};
use crate::connection;
use crate::problem::{Code, OwnCode, Problem};

/// How long to wait after the first try, where the node does not say; twice as long after each.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// An election takes about so long: to wait longer would waste what it brought.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// All tries of one question.
#[derive(Debug)]
pub(crate) struct Tries<'a> {
    client: &'a Client,
    call: Call,
    deadline: Deadline,
    pause: Duration,
    /// How many there were.
    count: u32,
    /// The last try that may have been applied, if there was one.
    unknown: Option<Problem>,
    /// Whether the node executes the call once, however often it gets it.
    is_once: Option<bool>,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(client: &'a Client, request: &Request) -> Self {
        let tag = request.is_write().then(next_tag);
        Self {
            client,
            deadline: client.deadline(),
            pause: PAUSE_MIN,
            count: 0,
            unknown: None,
            is_once: if tag.is_some() { None } else { Some(false) },
            call: Call { tag, once: client.once_id(), ..Call::new(request.clone()) },
        }
    }

    /// The result, and the line that has it.
    pub(crate) fn run<R: DeserializeOwned>(mut self) -> Result<(R, Vec<u8>), Problem> {
        loop {
            let problem = match self.try_once() {
                Ok(result) => return Ok(result),
                Err(problem) => problem,
            };
            self.count += 1;
            if problem.may_be_applied() {
                self.unknown = Some(problem.clone());
            }
            let pause = self.next_pause(problem.retry_after_ms);
            if !self.is_worth_another(&problem) || pause >= self.deadline.remaining() {
                return Err(self.conclusion(problem));
            }
            if connection::pause(pause).is_err() {
                return Err(self.conclusion(Problem::new(OwnCode::Interrupted, "interrupted")));
            }
        }
    }

    fn try_once<R: DeserializeOwned>(&mut self) -> Result<(R, Vec<u8>), Problem> {
        let mut dialogue = self.client.take(self.deadline)?;
        if let Some(unknown) = &self.unknown {
            let is_once = match self.is_once {
                Some(is_once) => is_once,
                None => is_executed_once(&self.call.request, &mut dialogue, self.deadline)?,
            };
            self.is_once = Some(is_once);
            if !is_once {
                return Err(unknown.clone());
            }
        }
        let line = dialogue.ask_line(&self.call, self.deadline)?;
        let result = client::result(&line)?;
        self.client.keep(dialogue);
        Ok((result, line))
    }

    fn is_worth_another(&self, problem: &Problem) -> bool {
        if problem.may_be_applied() && self.is_once == Some(false) {
            return false;
        }
        match (problem.code, patience(&self.call.request)) {
            (Code::Node(ErrorCode::Overloaded), _) => true,
            (Code::Node(ErrorCode::NoLeader | ErrorCode::NotReady), patience) => {
                patience != Patience::Little
            }
            (Code::Node(ErrorCode::Busy), patience) => patience == Patience::Leader,
            (
                Code::Node(ErrorCode::LeaderLost | ErrorCode::NoQuorum | ErrorCode::ShuttingDown)
                | Code::Own(OwnCode::Disconnected),
                patience,
            ) => patience == Patience::Failover,
            // Where nobody was from the start, nobody is waited for.
            (Code::Own(OwnCode::NoDaemon), _) => self.count > 1,
            (Code::Node(_) | Code::Own(_), _) => false,
        }
    }

    /// How long to wait, with jitter, lest all who failed together come together again.
    fn next_pause(&mut self, retry_after_ms: Option<u64>) -> Duration {
        let pause = self.pause.mul_f64(rand::random_range(0.5..=1.0));
        self.pause = PAUSE_MAX.min(self.pause * 2);
        retry_after_ms.map_or(pause, Duration::from_millis)
    }

    /// What all tries together come to, if `last` was the last.
    fn conclusion(&self, last: Problem) -> Problem {
        if self.unknown.is_none() || last.may_be_applied() {
            return last;
        }
        let message = format!("{last}; whether an earlier try was applied is unknown");
        Problem { message, ..last }
            .applied(Applied::Unknown)
            .with_hint("look at what is there before you try again")
    }
}

/// What is waited for, apart from a node that is too busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Nothing else: the answer would come from this node alone, as it is.
    Little,
    /// A leader that has settled, a change before this one, a learner that catches up. Whatever
    /// else the leader says of the members is an answer.
    Leader,
    /// All that a failover and a restart bring.
    Failover,
}

fn patience(request: &Request) -> Patience {
    match request {
        Request::Put { .. }
        | Request::Delete { .. }
        | Request::Get { .. }
        | Request::List(_)
        | Request::Incr { .. }
        | Request::Add { .. }
        | Request::Remove { .. }
        | Request::Conflicts { .. }
        | Request::Resolve { .. }
        | Request::Kv(_)
        | Request::ModeSet { .. } => Patience::Failover,
        Request::Member { .. } | Request::TransferLeader { .. } => Patience::Leader,
        Request::Hello
        | Request::Watch { .. }
        | Request::Cancel { .. }
        | Request::Status
        | Request::Members
        | Request::Wait(_)
        | Request::Live
        | Request::Ready
        | Request::Health
        | Request::Sync { .. }
        | Request::Fault(_)
        | Request::Trace(_)
        | Request::Modes
        | Request::Explain { .. } => Patience::Little,
    }
}

/// Asks the node whether it heeds the tag of such a request.
fn is_executed_once(
    request: &Request,
    dialogue: &mut Dialogue,
    deadline: Deadline,
) -> Result<bool, Problem> {
    let status: Status = dialogue.ask_until(&Call::new(Request::Status), deadline)?;
    if !status.ready {
        // Nor does it know for sure which modes there are.
        return Err(Failure::new(ErrorCode::NotReady, status.reason).into());
    }
    let rows = status.modes.into_iter().map(|row| row.rule().map(|rule| (row.prefix, rule)));
    let table = rows.collect::<Option<_>>().and_then(ModeTable::from_rows);
    Ok(table.is_some_and(|modes| is_tag_heeded(request, &modes)))
}

/// Whether all keys of a request are in modes that keep a table of tags. The node that may have
/// executed it is the one that is asked again.
fn is_tag_heeded(request: &Request, modes: &ModeTable) -> bool {
    if let Request::Put { key, .. } | Request::Delete { selection: Selection::Key(key), .. } =
        request
    {
        return modes.mode_of(key.as_str()) != Mode::Broadcast;
    }
    if let Request::Delete { selection: Selection::Prefix(prefix), .. } = request {
        return !modes.may_have(prefix, Mode::Broadcast);
    }
    // What no other mode than causal mode does, or raft, which replicates the table itself.
    request.is_write()
}

/// The number of this process's next write. Drawn, because a process id or a clock may be another
/// client's as well.
fn next_tag() -> RequestTag {
    static CLIENT: OnceLock<String> = OnceLock::new();
    static SEQ: AtomicU64 = AtomicU64::new(1);
    let client = CLIENT.get_or_init(|| format!("{:032x}", rand::random::<u128>())).clone();
    RequestTag { client, seq: SEQ.fetch_add(1, Ordering::Relaxed) }
}

#[cfg(test)]
mod tests;

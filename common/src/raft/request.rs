//! What clients ask of this node, from the question to the answer.
//!
//! ```text
//!             ┌──────────── no leader, or another one ───────────┐
//!             ▼                                                  │
//!  client ─▶ waiting ─┬─ this node leads ──▶ here ───────────────┤
//!                     └─ another leads ────▶ asked ──────────────┤
//!                                                                └─▶ answered
//! ```
//!
//! A request that was surely not carried out, or that carries a tag, goes back to waiting when its
//! leader is lost; another one ends with an outcome that is unknown. What is late is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::Served;
use crate::control::request::{Call, Request};
use crate::identity::{LeaseId, NodeId};
use crate::kv::key::Key;
use crate::kv::lock::Turn;
use crate::protocol::{Answer, RequestId};
use crate::raft::answer::lost;
use crate::raft::log::Index;
use crate::raft::read::Freshness;
use crate::raft::replication::Origin;
use crate::raft::turns::claim_of;
use crate::raft::work::Work;
use crate::raft::{Effects, Raft, Role, Timer, Way};
use crate::time::Time;

/// Requests that wait for an answer. More are refused: those that are there must be served first.
const PENDING_MAX: usize = 20_000;

/// How long a request of a client waits that does not say.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a claim to a lock waits that does not say.
const FOREVER: Duration = Duration::from_secs(366 * 24 * 3_600);

/// How often late requests are looked for, at most: each time all are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// When a refusal may be worth another try.
pub(super) const RETRY_AFTER_MS: u64 = 100;

/// The requests without an answer.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) pending: BTreeMap<RequestId, Pending>,
    /// For whom no leader is known.
    waiting: Vec<RequestId>,
    /// Reads to ask the leader about, all at once.
    pub(super) unasked: Vec<RequestId>,
    /// What the leader was asked.
    pub(super) asks: BTreeMap<u64, Asked>,
    /// The number of the last one.
    pub(super) asks_made: u64,
    /// When to look for late ones.
    looked_at: Option<Time>,
    /// Reads that wait for the state to come this far.
    pub(super) at_index: BTreeMap<Index, Vec<RequestId>>,
    /// Reads of sessions that wait for the state to have this revision. Each is pending.
    pub(super) at_revision: BTreeSet<(u64, RequestId)>,
    /// What has become of claims to locks since they were looked at.
    pub(super) turns: Vec<Turn>,
    /// Claims that wait for their turn, by their tokens. A client that has lost its connection asks
    /// again after the same claim, maybe before the old connection is seen to be closed.
    pub(super) at_turn: BTreeSet<(u64, RequestId)>,
    /// Those who wait for another holder of a lock.
    pub(super) at_holder: BTreeMap<Key, Vec<RequestId>>,
}

/// Something that another node was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) node: NodeId,
    pub(super) requests: Vec<RequestId>,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) deadline: Time,
    pub(super) work: Work,
    /// Of a session's read: the revision that the state must have.
    pub(super) session: Option<u64>,
    /// Of a claim: which lock, and with which lease.
    pub(super) lock: Option<(Key, LeaseId)>,
    /// Of a claim: its time was over, so it is given back.
    pub(super) is_withdrawn: bool,
    /// Whether it is on its way to be applied.
    pub(super) is_under_way: bool,
    /// Whether it was once, and may have been applied: what is done again does no harm.
    pub(super) is_uncertain: bool,
}

impl Pending {
    pub(super) fn may_be_applied(&self) -> bool {
        self.work.changes() && (self.is_under_way || self.is_uncertain)
    }
}

/// So many questions no process asks: its numbers are its own.
const ASKS_MAX: u64 = 1_000_000_000;

impl Requests {
    /// None yet. The number of the first question is drawn: an answer to the process that ran here
    /// before must not be taken for one to this.
    pub(super) fn new(draw: u64) -> Self {
        Self { asks_made: draw % (u64::MAX / ASKS_MAX) * ASKS_MAX, ..Self::default() }
    }

    /// It is answered, or is to be no more.
    pub(super) fn take(&mut self, request: RequestId) -> Option<Pending> {
        let pending = self.pending.remove(&request)?;
        if let Some(revision) = pending.session {
            self.at_revision.remove(&(revision, request));
        }
        if let Work::Await(token) = &pending.work {
            self.at_turn.remove(&(*token, request));
        }
        Some(pending)
    }

    pub(super) fn forget(&mut self, request: RequestId) {
        self.take(request);
    }

    pub(super) fn forget_connection(&mut self, connection: u64) {
        let id = |sequence| RequestId { connection, sequence };
        let of_it = self.pending.range(id(0)..=id(u64::MAX)).map(|(id, _)| *id);
        for request in of_it.collect::<Vec<_>>() {
            self.take(request);
        }
    }

    /// It was not carried out: it waits for a leader again.
    pub(super) fn retry(&mut self, request: RequestId) {
        if self.pending.contains_key(&request) {
            self.waiting.push(request);
        }
    }

    /// A node is gone, and what it was asked with it.
    pub(super) fn on_unreachable(&mut self, node: NodeId) -> Vec<RequestId> {
        take_asks(&mut self.asks, |asked| asked.node == node)
    }
}

impl Raft {
    pub(super) fn on_request(
        &mut self,
        now: Time,
        id: RequestId,
        call: Call,
        effects: &mut Effects,
    ) {
        if let Err(failure) = self.check_standing() {
            self.refuse(id, failure, effects);
            return;
        }
        let is_long = matches!(&call.request, Request::Kv(kv) if kv.is_long());
        let timeout = call.timeout.unwrap_or(if is_long { FOREVER } else { TIMEOUT });
        let lock = claim_of(&call.request);
        let (work, freshness) = Work::of(call);
        let session = match freshness {
            Freshness::Stale => return self.read_local(id, &work, Served::Stale, effects),
            Freshness::Session(revision) if self.has_reached(revision) => {
                return self.read_local(id, &work, Served::Session, effects);
            }
            Freshness::Session(revision) => Some(revision),
            Freshness::Linearizable => None,
        };
        if self.requests.pending.len() >= PENDING_MAX {
            let failure = Failure::new(ErrorCode::Overloaded, "too many requests wait here");
            self.refuse(id, failure.retry_after_ms(RETRY_AFTER_MS), effects);
            return;
        }
        let deadline = now + timeout;
        let pending = Pending {
            deadline,
            work,
            session,
            lock,
            is_withdrawn: false,
            is_under_way: false,
            is_uncertain: false,
        };
        self.requests.pending.insert(id, pending);
        self.expect_late(deadline);
        if let Some(revision) = session {
            self.requests.at_revision.insert((revision, id));
        } else if self.requests.waiting.is_empty() {
            self.route(now, id, effects);
        } else {
            // Writes of a connection take effect in the order sent.
            self.requests.waiting.push(id);
            self.dispatch(now, effects);
        }
    }

    fn refuse(&mut self, id: RequestId, failure: Failure, effects: &mut Effects) {
        let header = self.header(None);
        effects.answer_early(id, Answer::Reply(header, Err(failure)));
    }

    /// Takes each request that waits to a leader, if there is one.
    pub(super) fn dispatch(&mut self, now: Time, effects: &mut Effects) {
        if self.leader().is_none() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.requests.waiting);
        waiting.sort_unstable();
        for request in waiting {
            self.route(now, request, effects);
        }
    }

    fn route(&mut self, now: Time, id: RequestId, effects: &mut Effects) {
        let Some(pending) = self.requests.pending.get_mut(&id) else { return };
        match &self.role {
            Role::Leader(_) => {
                let lead = match &pending.work {
                    Work::Lead(ask) => Some(ask.clone()),
                    Work::Write { .. } | Work::Read(_) | Work::Await(_) => None,
                };
                match lead {
                    Some(ask) => self.do_lead(now, Origin::Client(id), ask, effects),
                    None => self.do_here(id, effects),
                }
            }
            Role::Follower { leader: Some(leader) } => {
                let leader = *leader;
                self.ask(id, leader, effects);
            }
            Role::Follower { leader: None }
            | Role::PreCandidate { .. }
            | Role::Candidate { .. } => {
                self.requests.waiting.push(id);
            }
        }
    }

    fn do_here(&mut self, id: RequestId, effects: &mut Effects) {
        let room = self.check_room_for(id);
        let Some(pending) = self.requests.pending.get_mut(&id) else { return };
        let Role::Leader(leader) = &mut self.role else { return };
        match &pending.work {
            // While another is about to lead, what comes waits for it (R27).
            Work::Write { .. } if leader.transfer.is_some() => self.requests.waiting.push(id),
            Work::Write { command, .. } => {
                let command = command.clone();
                match room {
                    Ok(()) => {
                        pending.is_under_way = true;
                        self.propose(command, Origin::Client(id), effects);
                    }
                    Err(failure) => self.fail_try(id, failure, Way::Early, effects),
                }
            }
            Work::Read(_) => leader.reads.queue(Origin::Client(id)),
            Work::Lead(_) | Work::Await(_) => {}
        }
    }

    /// The leader that some requests were given to is gone. What may have been applied and has no
    /// tag ends; all else is tried again.
    pub(super) fn on_lost(&mut self, requests: Vec<RequestId>, effects: &mut Effects) {
        for id in requests {
            let Some(pending) = self.requests.pending.get_mut(&id) else { continue };
            if pending.work.is_repeatable() {
                pending.is_uncertain = true;
                self.requests.retry(id);
            } else {
                self.fail(id, lost(), Way::Early, effects);
            }
        }
    }

    /// Another leads: what the one before was asked, and does no harm twice, is asked again.
    pub(super) fn ask_again(&mut self, leader: NodeId) {
        let Requests { pending, asks, .. } = &mut self.requests;
        let is_repeatable =
            |id: &RequestId| pending.get(id).is_none_or(|pending| pending.work.is_repeatable());
        let is_lost =
            |asked: &Asked| asked.node != leader && asked.requests.iter().all(is_repeatable);
        for id in take_asks(asks, is_lost) {
            if let Some(pending) = self.requests.pending.get_mut(&id) {
                pending.is_uncertain = true;
            }
            self.requests.retry(id);
        }
    }

    /// Looks at the requests when the first of them is late.
    fn expect_late(&mut self, deadline: Time) {
        if self.requests.looked_at.is_none_or(|at| deadline < at) {
            self.requests.looked_at = Some(deadline);
            self.timers.set(Timer::Request, deadline);
        }
    }

    /// Answers what has waited too long.
    pub(super) fn end_late_requests(&mut self, now: Time, effects: &mut Effects) {
        let is_late = |(_, pending): &(&RequestId, &Pending)| pending.deadline <= now;
        let late = self.requests.pending.iter().filter(is_late).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            if self.withdraw(now, id, effects) {
                continue;
            }
            let failure = self.late(&self.requests.pending[&id]);
            self.fail(id, failure, Way::Early, effects);
        }
        let pending = &self.requests.pending;
        self.requests.at_index.retain(|_, ids| ids.iter().any(|id| pending.contains_key(id)));
        self.requests.asks.retain(|_, a| a.requests.iter().any(|id| pending.contains_key(id)));
        self.requests.at_holder.retain(|_, ids| {
            ids.retain(|id| pending.contains_key(id));
            !ids.is_empty()
        });
        let next = self.requests.pending.values().map(|pending| pending.deadline).min();
        self.requests.looked_at = None;
        if let Some(next) = next {
            self.expect_late(next.max(now + LOOK_INTERVAL));
        }
    }
}

/// Takes the requests of all asks that are over.
fn take_asks(asks: &mut BTreeMap<u64, Asked>, is_over: impl Fn(&Asked) -> bool) -> Vec<RequestId> {
    let mut requests = Vec::new();
    asks.retain(|_, asked| {
        let is_over = is_over(asked);
        if is_over {
            requests.append(&mut asked.requests);
        }
        !is_over
    });
    requests
}

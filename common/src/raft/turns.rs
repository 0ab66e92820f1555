//! Who waits for a lock, or for another holder of one.
//!
//! A claim goes through the log like any write. If it is not granted at once, its request waits at
//! the node that was asked, which sees in its own state when the claim's turn comes: one release
//! wakes just those whose turn it is. When its time is over, the claim is given up through the log
//! before the client hears that the lock is busy: nobody holds a lock without knowing it. If its turn
//! has come meanwhile it stays, and the client hears that.

use std::time::Duration;

use crate::control::failure::{Applied, ErrorCode, Failure};
use crate::control::kv::Kv;
use crate::control::kv::reply::{Claimed, KvReply};
use crate::control::reply::Reply;
use crate::control::request::Request;
use crate::identity::LeaseId;
use crate::kv::command::{Command, More, Proposal};
use crate::kv::key::Key;
use crate::protocol::RequestId;
use crate::raft::query::Query;
use crate::raft::request::Pending;
use crate::raft::work::Work;
use crate::raft::{Effects, Raft, Way};
use crate::time::Time;

/// How long it may take to give a claim back.
const WITHDRAWAL: Duration = Duration::from_secs(5);

impl Raft {
    /// A claim was applied. The state of this node may be behind it, or beyond.
    pub(super) fn on_claimed(
        &mut self,
        id: RequestId,
        (token, is_granted): (u64, bool),
        way: Way,
        effects: &mut Effects,
    ) {
        if is_granted {
            return self.grant(id, token, way, effects);
        }
        let Some(pending) = self.requests.pending.get_mut(&id) else { return };
        let Some((name, _)) = pending.lock.clone() else { return };
        pending.is_under_way = false;
        pending.is_uncertain = true; // The claim is there: nobody must hear that nothing was done.
        pending.work = Work::Await(token);
        self.requests.at_turn.insert((token, id));
        self.look_at_turn(id, &name, token, way, effects);
    }

    fn look_at_turn(
        &mut self,
        id: RequestId,
        name: &Key,
        token: u64,
        way: Way,
        effects: &mut Effects,
    ) {
        match self.state.locks.is_held(name, token) {
            Some(true) => self.grant(id, token, way, effects),
            None if self.state.revision >= token => self.lose(id, way, effects),
            Some(false) | None => {}
        }
    }

    /// A snapshot has come in place of the entries that tell of turns.
    pub(super) fn look_at_all_turns(&mut self, way: Way, effects: &mut Effects) {
        self.requests.turns.clear();
        for (token, id) in self.requests.at_turn.clone() {
            let lock = self.requests.pending.get(&id).and_then(|pending| pending.lock.clone());
            if let Some((name, _)) = lock {
                self.look_at_turn(id, &name, token, way, effects);
            }
        }
        for id in std::mem::take(&mut self.requests.at_holder).into_values().flatten() {
            self.read_now(id, way, effects);
        }
    }

    fn grant(&mut self, id: RequestId, token: u64, way: Way, effects: &mut Effects) {
        let pending = self.requests.pending.get(&id);
        let Some((_, lease)) = pending.and_then(|pending| pending.lock.clone()) else { return };
        let reply = KvReply::Claimed(Claimed { token, lease });
        self.succeed_at(id, Reply::Kv(Box::new(reply)), token, way, effects);
    }

    fn lose(&mut self, id: RequestId, way: Way, effects: &mut Effects) {
        let message =
            "the claim has ended before its turn came: its lease has, or it was given back";
        self.fail(id, Failure::new(ErrorCode::LeaseLost, message), way, effects);
    }

    /// Tells those who wait what has become of claims.
    pub(super) fn take_turns(&mut self, way: Way, effects: &mut Effects) {
        for turn in std::mem::take(&mut self.requests.turns) {
            let id = |connection, sequence| RequestId { connection, sequence };
            let its = (turn.token, id(0, 0))..=(turn.token, id(u64::MAX, u64::MAX));
            let waiting = self.requests.at_turn.range(its).map(|(_, id)| *id);
            for id in waiting.collect::<Vec<_>>() {
                if turn.is_granted {
                    self.grant(id, turn.token, way, effects);
                } else {
                    self.lose(id, way, effects);
                }
            }
            for id in self.requests.at_holder.remove(&turn.name).unwrap_or_default() {
                self.read_now(id, way, effects);
            }
        }
    }

    /// Whether a question waits for another holder than there is.
    pub(super) fn awaits_holder(&self, query: &Query) -> bool {
        let Query::Kv(Kv::Leader { name, after: Some(after), .. }) = query else { return false };
        let token = self.state.locks.held(name).first.map_or(0, |(token, _)| token);
        token == *after
    }

    pub(super) fn await_holder(&mut self, id: RequestId, pending: Pending) {
        if let Work::Read(Query::Kv(Kv::Leader { name, .. })) = &pending.work {
            self.requests.at_holder.entry(name.clone()).or_default().push(id);
        }
        self.requests.pending.insert(id, pending);
    }

    /// The time of a claim is over: it is given back. Tells whether it was one.
    pub(super) fn withdraw(&mut self, now: Time, id: RequestId, effects: &mut Effects) -> bool {
        let Some(pending) = self.requests.pending.get_mut(&id) else { return false };
        let (Work::Await(token), Some((name, _))) = (&pending.work, pending.lock.clone()) else {
            return false;
        };
        let token = *token;
        let command = Command::from(More::Withdraw { name, token });
        let command = Proposal { tag: None, command: command.by(None, None) }.encode();
        // To give a claim up twice does no harm.
        pending.work = Work::Write { command, is_tagged: true };
        pending.deadline = now + WITHDRAWAL;
        pending.is_withdrawn = true;
        self.requests.at_turn.remove(&(token, id));
        self.requests.retry(id);
        self.dispatch(now, effects);
        true
    }

    /// A claim was given back, by its client or because its time was over.
    pub(super) fn on_unlocked(
        &mut self,
        id: RequestId,
        reply: KvReply,
        way: Way,
        effects: &mut Effects,
    ) {
        if self.requests.pending.get(&id).is_some_and(|pending| pending.is_withdrawn) {
            let message = "others hold the lock, or wait before this claim; it was withdrawn";
            let failure = Failure::new(ErrorCode::Busy, message);
            self.fail(id, Failure { applied: Some(Applied::No), ..failure }, way, effects);
        } else {
            self.succeed(id, Reply::Kv(Box::new(reply)), way, effects);
        }
    }
}

/// The lock that a request claims, and with which lease.
pub(super) fn claim_of(request: &Request) -> Option<(Key, LeaseId)> {
    let Request::Kv(kv) = request else { return None };
    let Kv::Lock(lock) = &**kv else { return None };
    Some((lock.name.clone(), lock.lease))
}

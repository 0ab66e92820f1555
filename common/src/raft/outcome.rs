//! What a command did, in the words of the control protocol.

use crate::control::bytes;
use crate::control::failure::{Applied, ErrorCode, Failure};
use crate::control::kv::reply::{Compacted, KvReply, Lease, OpDone, Revoked, TxnDone, Unlocked};
use crate::control::reply::{self, Reply};
use crate::kv::key::Key;
use crate::kv::outcome::{OpOutcome, Outcome, Refused};
use crate::kv::store;
use crate::kv::value::Value;
use crate::protocol::RequestId;
use crate::raft::answer::has_keys;
use crate::raft::query::row;
use crate::raft::{Effects, Raft, Way};

impl Raft {
    /// Answers a write with what it did.
    pub(super) fn complete(
        &mut self,
        id: RequestId,
        outcome: Outcome,
        duplicate: bool,
        way: Way,
        effects: &mut Effects,
    ) {
        match outcome {
            Outcome::ModeSet => self.show_modes(id, way, effects),
            Outcome::Refused(why) => self.fail(id, refused(why), way, effects),
            Outcome::Claimed { token, is_granted } => {
                self.on_claimed(id, (token, is_granted), way, effects);
            }
            Outcome::Unlocked { released } => {
                let reply = KvReply::Unlocked(Unlocked { released, duplicate });
                self.on_unlocked(id, reply, way, effects);
            }
            Outcome::Put { .. }
            | Outcome::Deleted { .. }
            | Outcome::Written { .. }
            | Outcome::Removed { .. }
            | Outcome::Counted { .. }
            | Outcome::Txn { .. }
            | Outcome::Compacted { .. }
            | Outcome::Leased { .. }
            | Outcome::Revoked { .. } => {
                let revision = outcome.revision();
                self.succeed_at(id, told(outcome, duplicate), revision, way, effects);
            }
            Outcome::Originated { .. } | Outcome::Ticked => {
                unreachable!("no client asks for such a command")
            }
        }
    }
}

/// What a command did that is answered at once.
fn told(outcome: Outcome, duplicate: bool) -> Reply {
    let kv = |reply| Reply::Kv(Box::new(reply));
    match outcome {
        Outcome::Put { revision } => {
            Reply::Put(reply::Put { duplicate, ..reply::Put::of(revision) })
        }
        Outcome::Written { revision, previous, lease } => {
            Reply::Put(reply::Put { duplicate, lease, ..put(revision, previous) })
        }
        Outcome::Deleted { deleted, revision } => {
            Reply::Delete(reply::Delete { duplicate, ..reply::Delete::of(deleted, revision) })
        }
        Outcome::Removed { deleted, revision, previous } => {
            Reply::Delete(reply::Delete { duplicate, ..delete(deleted, revision, previous) })
        }
        Outcome::Counted { value, revision } => {
            Reply::Count(reply::Count { duplicate, ..reply::Count::of(value, revision) })
        }
        Outcome::Txn { succeeded, results, revision } => {
            let results = results.into_iter().map(|result| done(result, revision)).collect();
            kv(KvReply::Txn(TxnDone { succeeded, results, revision, duplicate }))
        }
        Outcome::Compacted { floor } => kv(KvReply::Compacted(Compacted { floor })),
        Outcome::Leased { lease, ttl_ms, keys } => kv(KvReply::Lease(Lease {
            lease,
            ttl_ms,
            remaining_ms: ttl_ms,
            keys_count: keys,
            keys: None,
            duplicate,
        })),
        Outcome::Revoked { deleted, revision } => {
            kv(KvReply::Revoked(Revoked { deleted, revision, duplicate }))
        }
        Outcome::ModeSet
        | Outcome::Refused(_)
        | Outcome::Originated { .. }
        | Outcome::Claimed { .. }
        | Outcome::Unlocked { .. }
        | Outcome::Ticked => unreachable!("these are answered in other ways"),
    }
}

fn put(revision: u64, previous: Option<Value>) -> reply::Put {
    let (text, base64) = previous.map_or((None, None), bytes::split);
    reply::Put { previous: text, previous_b64: base64, ..reply::Put::of(revision) }
}

fn delete(deleted: u64, revision: u64, previous: Option<Value>) -> reply::Delete {
    let (text, base64) = previous.map_or((None, None), bytes::split);
    reply::Delete { previous: text, previous_b64: base64, ..reply::Delete::of(deleted, revision) }
}

fn done(outcome: OpOutcome, revision: u64) -> OpDone {
    let item = |key: &Key, item: &store::Item| reply::Item::from(row(key, item));
    match outcome {
        OpOutcome::Put { previous } => OpDone::Put(put(revision, previous)),
        OpOutcome::Delete { deleted, previous } => {
            OpDone::Delete(delete(deleted, revision, previous))
        }
        OpOutcome::Get { key, item: held } => {
            OpDone::Get(Box::new(reply::Get::of(held.map(|held| item(&key, &held)))))
        }
        OpOutcome::List { items, next } => {
            let items: Vec<_> = items.iter().map(|(key, held)| item(key, held)).collect();
            let (count, more) = (items.len() as u64, next.is_some());
            OpDone::List(reply::List { items, count, more, next, context: None })
        }
        OpOutcome::Incr { value } => OpDone::Incr(reply::Count::of(value, revision)),
    }
}

/// Why a command did nothing.
pub(super) fn refused(why: Refused) -> Failure {
    let condition_failed = |message: &str| Failure::new(ErrorCode::ConditionFailed, message);
    match why {
        Refused::HasKeys => has_keys(),
        Refused::OtherMode(mode) => {
            let message = format!("the key belongs to {} mode", mode.as_str());
            Failure::new(ErrorCode::ModeMismatch, message)
        }
        Refused::OtherCommand => {
            Failure::bad_request("member `request`: that client and seq came with another body")
        }
        Refused::Forgotten => {
            let message = "member `request`: that seq is too far behind the client's latest ones to \
                           tell whether it was executed";
            let failure = Failure::bad_request(message);
            Failure { applied: Some(Applied::Unknown), ..failure }
        }
        Refused::TooManyModes => {
            Failure::new(ErrorCode::TooLarge, "the mode table has as many rows as it takes")
        }
        Refused::Unreadable => {
            Failure::new(ErrorCode::Version, "the members don't know this operation")
        }
        Refused::Condition { mod_revision: 0 } => {
            condition_failed("the condition is false: the key does not exist")
        }
        Refused::Condition { mod_revision } => condition_failed(&format!(
            "the condition is false: revision {mod_revision} wrote the key last"
        )),
        Refused::Fenced => condition_failed(
            "the lock of that token is held by another by now, or the token is none",
        ),
        Refused::NoLease => {
            let message = "there is no such lease: its time is over, or it was revoked";
            Failure::new(ErrorCode::LeaseLost, message)
        }
        Refused::LeaseExists => condition_failed("there is a lease with that id already"),
        Refused::TooMany => {
            Failure::new(ErrorCode::Overloaded, "there are as many of these as are taken")
        }
        Refused::NotANumber => Failure::bad_request("what the key holds is no number of 64 bits"),
        Refused::Overflow => Failure::bad_request("the sum is beyond 64 bits"),
        Refused::TooLarge => {
            Failure::new(ErrorCode::TooLarge, "the txn reads more than an answer takes: 1 MiB")
        }
        Refused::Busy => Failure::new(ErrorCode::Busy, "the lock is held, or claimed"),
        Refused::OtherOnce => {
            Failure::bad_request("member `once`: that id came with another operation")
        }
        Refused::TooManyOnce => {
            Failure::new(ErrorCode::Quota, "a million `once` ids of this day are remembered")
        }
        Refused::Future => Failure::bad_request("that revision is yet to come"),
    }
}

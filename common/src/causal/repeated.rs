//! Whether a request can be carried out, and whether it was before.

use xxhash_rust::xxh3::xxh3_64;

use crate::causal::Causal;
use crate::causal::deletion::DELETIONS_MAX;
use crate::causal::request::{Done, Job, delete_reply, put_reply};
use crate::causal::resolver;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Count, Reply};
use crate::control::request::{Request, Selection};
use crate::kv::key::Key;
use crate::kv::outcome::Outcome;
use crate::kv::session::Known;
use crate::modes::Resolver;

/// Requests that wait for acknowledgements.
const AWAITED_MAX: usize = 20_000;

/// What tells a request from another under the same tag: what it does to which keys. With what
/// patience, and after what, does not count.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other is a write of this mode")]
pub(super) fn hash_of(request: &Request) -> u64 {
    let parts: (u8, &str, &[u8]) = match request {
        Request::Put { key, value, .. } => (0, key.as_str(), value.as_bytes()),
        Request::Resolve { key, value, .. } => (1, key.as_str(), value.as_bytes()),
        Request::Add { key, value, .. } => (2, key.as_str(), value.as_bytes()),
        Request::Remove { key, value, .. } => (3, key.as_str(), value.as_bytes()),
        Request::Incr { key, delta, .. } => (4, key.as_str(), &delta.to_le_bytes()),
        Request::Delete { selection: Selection::Key(key), .. } => (5, key.as_str(), &[]),
        Request::Delete { selection: Selection::Prefix(prefix), .. } => (6, prefix, &[]),
        _ => unreachable!("these are the writes"),
    };
    xxh3_64(&postcard::to_stdvec(&parts).expect("texts and bytes have no unsized part"))
}

impl Causal {
    /// A key that has got another mode while the request waited.
    pub(super) fn other_mode(&self, request: &Request) -> Option<Failure> {
        let (Request::Put { key, .. }
        | Request::Incr { key, .. }
        | Request::Add { key, .. }
        | Request::Remove { key, .. }
        | Request::Resolve { key, .. }
        | Request::Delete { selection: Selection::Key(key), .. }) = request
        else {
            return None;
        };
        let message = format!("{key} is in another mode by now");
        (!self.is_causal(key)).then(|| Failure::new(ErrorCode::ModeMismatch, message))
    }

    /// Whether this node may write, and the outcome of a request that was carried out before.
    pub(super) fn check_write(&self, job: &Job) -> Result<Option<Outcome>, Failure> {
        self.check_acks(job.acks)?;
        if self.clock.get(self.config.node) < self.owed {
            let message = "others have writes of this node that its disk has lost; it takes them \
                           back first";
            return Err(Failure::new(ErrorCode::NotReady, message).retry_after_ms(100));
        }
        if self.disk_full {
            let message = "the disk of this node is full";
            return Err(Failure::new(ErrorCode::Quota, message)
                .with_hint("make room on it; writes go on by themselves then"));
        }
        if self.is_puller_full(true) {
            let message = "this node is taking a state over, and as much was written meanwhile as \
                           it remembers";
            return Err(Failure::new(ErrorCode::Overloaded, message).retry_after_ms(100));
        }
        if self.acks.len() >= AWAITED_MAX || self.deletions.len() >= DELETIONS_MAX {
            let message = "too many requests wait here for acknowledgements";
            return Err(Failure::new(ErrorCode::Overloaded, message).retry_after_ms(100));
        }
        let Some((tag, hash)) = job.tag else { return Ok(None) };
        if self.deletions.has_tag(tag) {
            let message = "the deletion that was asked for under this `request` is under way";
            return Err(Failure::new(ErrorCode::Overloaded, message).retry_after_ms(100));
        }
        match self.sessions.look_up(tag, hash) {
            Known::New => Ok(None),
            Known::Done(outcome) => Ok(Some(outcome)),
            Known::Other => Err(Failure::bad_request(
                "another write was executed under this `request`; count `seq` up",
            )),
            Known::Forgotten => Err(Failure::bad_request(
                "this `request` is too old to tell whether it was executed",
            )),
        }
    }

    /// The answer to a request that was carried out before. A counter is told as it is, not as it
    /// was then.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are answered as a put")]
    pub(super) fn told_again(&self, outcome: Outcome, request: &Request) -> Done {
        let Outcome::Originated { dot, revision, deleted } = outcome else {
            unreachable!("what is remembered is of this mode")
        };
        let reply = match request {
            Request::Incr { key, .. } => {
                let (value, acks, context) = (self.count_of(key), None, None);
                Reply::Count(Count { value, revision, acks, context, duplicate: true })
            }
            Request::Delete { .. } | Request::Remove { .. } => {
                delete_reply(deleted, revision, true)
            }
            _ => put_reply(revision, true),
        };
        (reply, Some(dot))
    }

    pub(super) fn count_of(&self, key: &Key) -> i64 {
        let value = self.value_of(Resolver::Counter, Some(self.store.get(key)));
        value.and_then(|value| resolver::integer(value.as_bytes())).unwrap_or(0)
    }
}

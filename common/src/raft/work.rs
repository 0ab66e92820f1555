//! What a request is about: a proposal, a question about the state, or something for the leader.

use std::time::Duration;

use bytes::Bytes;

use crate::control::kv::{Keep, Kv};
use crate::control::request::{Call, Request, Selection};
use crate::kv::command::{Command, More, Proposal, Tag};
use crate::kv::lock::Claim;
use crate::raft::message::Ask;
use crate::raft::query::Query;
use crate::raft::read::Freshness;

/// What a request is about.
#[derive(Debug)]
pub(super) enum Work {
    /// A [`Proposal`].
    Write { command: Bytes, is_tagged: bool },
    /// A question about the state.
    Read(Query),
    /// What the leader alone does.
    Lead(Ask),
    /// A claim to a lock with this token, which waits for its turn.
    Await(u64),
}

impl Work {
    /// What a request is about, and how fresh it must be.
    pub(super) fn of(call: Call) -> (Self, Freshness) {
        let Call { tag, once, uid, request, .. } = call;
        let tag = tag.as_ref().and_then(Tag::of);
        let write = |command: Command| {
            let command = Proposal { tag, command: command.by(uid, once) }.encode();
            (Self::Write { command, is_tagged: tag.is_some() }, Freshness::Linearizable)
        };
        let read = |query, asked| (Self::Read(query), asked);
        match request {
            Request::Get { key, read: asked, min_revision, .. } => {
                read(Query::Get(key), Freshness::of(asked, min_revision))
            }
            Request::Put { key, value, .. } => write(Command::Put { key, value }),
            Request::Delete { selection: Selection::Key(key), .. } => write(Command::Delete(key)),
            Request::Delete { selection: Selection::Prefix(prefix), .. } => {
                write(Command::DeletePrefix(prefix))
            }
            Request::Incr { key, delta, .. } => write(More::Incr { key, delta }.into()),
            Request::Kv(kv) if kv.is_write() => write(proposed(*kv).into()),
            Request::Kv(kv) => {
                let asked = Freshness::of(asked(&kv), None);
                read(Query::Kv(*kv), asked)
            }
            Request::ModeSet { prefix, rule, dry_run: false } => {
                write(Command::SetMode { prefix, rule })
            }
            Request::Member { change, member, dry_run } => {
                (Self::Lead(Ask::Member { change, member, dry_run }), Freshness::Linearizable)
            }
            Request::TransferLeader { member } => {
                (Self::Lead(Ask::Transfer(member)), Freshness::Linearizable)
            }
            Request::List(range) => {
                let asked = Freshness::of(range.read, range.min_revision);
                read(Query::List(range), asked)
            }
            Request::ModeSet { prefix, rule, dry_run: true } => {
                read(Query::AfterModeSet { prefix, rule }, Freshness::Linearizable)
            }
            // What this node knows will do: it is asked when there is no majority, too.
            Request::Modes => read(Query::Modes, Freshness::Stale),
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
            | Request::Add { .. }
            | Request::Remove { .. }
            | Request::Conflicts { .. }
            | Request::Resolve { .. }
            | Request::Fault(_)
            | Request::Trace(_)
            | Request::Explain { .. } => unreachable!("these are not for raft"),
        }
    }

    /// Whether it does no harm to do it twice.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self, Self::Write { is_tagged: true, .. } | Self::Read(_) | Self::Await(_))
    }

    /// Whether it may change the state.
    pub(super) fn changes(&self) -> bool {
        match self {
            Self::Read(query) => matches!(query, Query::ModesSet),
            Self::Write { .. } | Self::Lead(_) | Self::Await(_) => true,
        }
    }
}

/// How fresh a question of the data model is to be.
fn asked(kv: &Kv) -> Option<crate::control::request::Read> {
    match kv {
        Kv::Get { read, .. }
        | Kv::History { read, .. }
        | Kv::Diff { read, .. }
        | Kv::Leader { read, .. } => *read,
        Kv::List { range, .. } => range.read,
        Kv::Put { .. }
        | Kv::Delete { .. }
        | Kv::Compact(_)
        | Kv::Txn(_)
        | Kv::LeaseGrant { .. }
        | Kv::LeaseRevoke(_)
        | Kv::LeaseKeepAlive(_)
        | Kv::LeaseShow(_)
        | Kv::LeaseList
        | Kv::Lock(_)
        | Kv::Unlock { .. } => None,
    }
}

/// The command that does what was asked.
fn proposed(kv: Kv) -> More {
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match kv {
        Kv::Put { key, value, options } => More::Put { key, value, options },
        Kv::Delete { selection, conditions, previous } => {
            More::Delete { selection, conditions, previous }
        }
        Kv::Compact(Keep::From(revision)) => More::Compact(revision),
        Kv::Compact(Keep::Age(age)) => More::CompactOlder(milliseconds(age)),
        Kv::Txn(txn) => More::Txn(txn),
        Kv::LeaseGrant { ttl, lease } => More::Grant { lease, ttl_ms: milliseconds(ttl) },
        Kv::LeaseRevoke(lease) => More::Revoke(lease),
        Kv::LeaseKeepAlive(lease) => More::KeepAlive(lease),
        Kv::Lock(lock) => {
            let claim = Claim { lease: lock.lease, sharing: lock.sharing, value: lock.value };
            More::Lock { name: lock.name, claim, no_wait: lock.no_wait }
        }
        Kv::Unlock { name, by } => More::Unlock { name, by },
        Kv::Get { .. }
        | Kv::List { .. }
        | Kv::History { .. }
        | Kv::Diff { .. }
        | Kv::LeaseShow(_)
        | Kv::LeaseList
        | Kv::Leader { .. } => unreachable!("these change nothing"),
    }
}

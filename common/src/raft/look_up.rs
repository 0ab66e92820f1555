//! Reads of the data model: history, leases and locks.

use std::num::NonZeroU64;

use crate::control::bytes;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::kv::reply::{
    Diff, Difference, History, Holder, KvReply, Lease, Leases, Version,
};
use crate::control::kv::{Kv, Moment};
use crate::control::reply::{Get, Item, Reply};
use crate::control::request::Range;
use crate::identity::LeaseId;
use crate::kv::key::Key;
use crate::kv::lease;
use crate::kv::page::{Merged, PAGE_BYTES_MAX, PAGE_ITEMS_MAX, page};
use crate::kv::state::State;
use crate::kv::store;
use crate::raft::Raft;
use crate::raft::query::row;

impl Raft {
    pub(super) fn look_up(&self, kv: &Kv) -> Result<Reply, Failure> {
        let state = &self.state;
        let reply = match kv {
            Kv::Get { key, at, .. } => {
                let revision = self.revision_at(*at)?;
                let held = state.history.at(&state.store, key, revision);
                let item = held.map(|item| Item::from(row(key, item)));
                return Ok(Reply::Get(Box::new(Get::of(item))));
            }
            Kv::List { range, at } => {
                let revision = self.revision_at(*at)?;
                let rows = rows_at(state, range, revision);
                return Ok(Reply::List(page(range, rows.map(|(key, item)| row(key, item)))));
            }
            Kv::History { key, from, limit, .. } => {
                KvReply::History(self.history_of(key, *from, *limit)?)
            }
            Kv::Diff { prefix, from, to, start, limit, .. } => {
                let (from, to) = (self.check_revision(*from)?, to.unwrap_or(state.revision));
                let to = self.check_revision(to)?;
                KvReply::Diff(diff(state, (prefix, start.as_deref(), *limit), from, to))
            }
            Kv::LeaseShow(id) => {
                let lease = state.leases.get(*id).ok_or_else(no_lease)?;
                let keys = Some(lease.keys.iter().cloned().collect());
                KvReply::Lease(Lease { keys, ..told(state, *id, lease) })
            }
            Kv::LeaseList => {
                let leases = state.leases.iter().map(|(id, lease)| told(state, id, lease));
                KvReply::Leases(Leases { leases: leases.collect() })
            }
            Kv::Leader { name, .. } => KvReply::Holder(holder(state, name)),
            Kv::Put { .. }
            | Kv::Delete { .. }
            | Kv::Compact(_)
            | Kv::Txn(_)
            | Kv::LeaseGrant { .. }
            | Kv::LeaseRevoke(_)
            | Kv::LeaseKeepAlive(_)
            | Kv::Lock(_)
            | Kv::Unlock { .. } => unreachable!("these go through the log"),
        };
        Ok(Reply::Kv(Box::new(reply)))
    }

    /// The revision of a point of history, if its state can be told.
    fn revision_at(&self, at: Moment) -> Result<u64, Failure> {
        match at {
            Moment::Revision(revision) => self.check_revision(revision),
            Moment::UnixMs(unix_ms) => {
                let behind = self.state.history.first_at(unix_ms.saturating_add(1));
                let revision = behind.map_or(self.state.revision, |behind| behind - 1);
                self.check_revision(revision)
            }
        }
    }

    fn check_revision(&self, revision: u64) -> Result<u64, Failure> {
        let floor = self.state.history.floor();
        if revision > self.state.revision {
            let message = format!(
                "revision {revision} is yet to come; the latest is {}",
                self.state.revision
            );
            return Err(Failure::bad_request(message));
        }
        // Before the first revision there was nothing, and that is known.
        let is_known = revision >= floor || floor == 1;
        if is_known { Ok(revision) } else { Err(compacted(floor)) }
    }

    fn history_of(
        &self,
        key: &Key,
        from: Option<u64>,
        limit: Option<u64>,
    ) -> Result<History, Failure> {
        let State { store, history, .. } = &self.state;
        let floor = history.floor();
        if from.is_some_and(|from| from < floor) {
            return Err(compacted(floor));
        }
        let from = from.unwrap_or(floor);
        let all: Vec<_> = history.of(store, key).take_while(|e| e.revision >= from).collect();
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let (mut versions, mut bytes) = (Vec::new(), 0);
        for event in all.iter().rev() {
            if versions.len() >= limit.min(PAGE_ITEMS_MAX) || bytes >= PAGE_BYTES_MAX {
                let next = Some(event.revision);
                return Ok(History { versions, more: true, next, floor });
            }
            bytes += event.after.as_ref().map_or(0, |item| item.bytes().len());
            let (value, value_b64) =
                event.after.as_ref().map_or((None, None), |item| bytes::split(item.value()));
            versions.push(Version {
                kind: event.kind,
                revision: event.revision,
                value,
                value_b64,
                version: event.after.as_ref().map(|item| item.version),
                uid: event.author.uid,
                unix_ms: Some(event.author.unix_ms).filter(|ms| *ms > 0),
            });
        }
        Ok(History { versions, more: false, next: None, floor })
    }
}

/// What keys held at a revision, from the beginning of a range on.
fn rows_at<'a>(
    state: &'a State,
    range: &'a Range,
    revision: u64,
) -> impl Iterator<Item = (&'a Key, &'a store::Item)> {
    let keys = keys_since(state, &range.prefix, range.start.as_deref());
    keys.filter_map(move |key| Some((key, state.history.at(&state.store, key, revision)?)))
}

/// The keys that exist or existed since the floor.
fn keys_since<'a>(
    state: &'a State,
    prefix: &'a str,
    start: Option<&str>,
) -> impl Iterator<Item = &'a Key> {
    let there = state.store.range(prefix, start).map(|(key, _)| key);
    Merged::new(there, state.history.deleted(prefix, start))
}

fn diff(
    state: &State,
    (prefix, start, limit): (&str, Option<&str>, Option<u64>),
    from: u64,
    to: u64,
) -> Diff {
    let at = |key: &Key, revision| state.history.at(&state.store, key, revision);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let (mut items, mut bytes) = (Vec::new(), 0);
    for key in keys_since(state, prefix, start) {
        let (before, after) = (at(key, from), at(key, to));
        if before.map(store::Item::bytes) == after.map(store::Item::bytes) {
            continue;
        }
        if items.len() >= limit.min(PAGE_ITEMS_MAX) || bytes >= PAGE_BYTES_MAX {
            return Diff { items, more: true, next: Some(key.clone()), to };
        }
        let size = |item: Option<&store::Item>| item.map_or(0, |item| item.bytes().len());
        bytes += key.as_str().len() + size(before) + size(after);
        let split = |item: Option<&store::Item>| {
            item.map_or((None, None), |item| bytes::split(item.value()))
        };
        let ((before, before_b64), (after, after_b64)) = (split(before), split(after));
        items.push(Difference { key: key.clone(), before, before_b64, after, after_b64 });
    }
    Diff { items, more: false, next: None, to }
}

fn told(state: &State, id: LeaseId, lease: &lease::Lease) -> Lease {
    Lease {
        lease: id,
        ttl_ms: lease.ttl_ms,
        remaining_ms: lease.ends_ms.saturating_sub(state.log_ms),
        keys_count: lease.keys.len() as u64,
        keys: None,
        duplicate: false,
    }
}

fn holder(state: &State, name: &Key) -> Holder {
    let held = state.locks.held(name);
    let value = held.first.map(|(_, claim)| claim.value.clone());
    let (value, value_b64) = value.map_or((None, None), bytes::split);
    Holder {
        found: held.first.is_some(),
        token: held.first.map(|(token, _)| token),
        value,
        value_b64,
        lease: held.first.map(|(_, claim)| claim.lease),
        holders: held.holders as u64,
        waiting: held.waiting as u64,
    }
}

fn no_lease() -> Failure {
    let message = "there is no such lease: its time is over, or it was revoked";
    Failure::new(ErrorCode::NotFound, message)
}

/// What was before is not kept.
pub(crate) fn compacted(floor: u64) -> Failure {
    let message = format!("history begins at revision {floor}: what was before is not kept");
    let hint = "read the keys as they are, or name a later revision";
    let failure = Failure::new(ErrorCode::Compacted, message).with_hint(hint);
    Failure { floor: NonZeroU64::new(floor), ..failure }
}

//! The members of what raft mode alone can do.

use std::sync::Arc;
use std::time::Duration;

use crate::control::bytes;
use crate::control::failure::Failure;
use crate::control::kv::{Claimant, Keep, Kv, Lock, Moment, OnceId, PutOptions, Sharing};
use crate::control::line::{Line, key_failure, milliseconds, missing};
use crate::control::request::{Request, Selection};
use crate::control::watching::EventKind;
use crate::identity::LeaseId;
use crate::kv::condition::Conditions;
use crate::kv::key::Key;

/// A lease that ends sooner would end while its holder asks for the next.
const TTL_MS_MIN: u64 = 100;

/// Nothing lasts longer than a year.
const TTL_MS_MAX: u64 = 366 * 24 * 3_600 * 1_000;

impl Line {
    /// What goes with a put, if anything does.
    pub(super) fn take_put_options(&mut self) -> Result<Option<PutOptions>, Failure> {
        let options = PutOptions {
            conditions: self.take_conditions()?,
            lease: self.take_lease()?,
            ttl_ms: self.take_ttl()?,
            previous: self.previous.take().unwrap_or(false),
        };
        if options.lease.is_some() && options.ttl_ms.is_some() {
            return Err(Failure::bad_request("`lease` and `ttl_ms` stand side by side; give one"));
        }
        Ok((options != PutOptions::default()).then_some(options))
    }

    pub(super) fn take_conditions(&mut self) -> Result<Conditions, Failure> {
        let conditions = Conditions {
            if_absent: self.if_absent.take().unwrap_or(false),
            if_exists: self.if_exists.take().unwrap_or(false),
            if_revision: self.if_revision.take(),
            if_value: bytes::join(self.if_value.take(), self.if_value_b64.take())?,
            fence: self.fence.take(),
        };
        if conditions.if_absent && conditions.if_exists {
            let message = "`if_absent` and `if_exists` stand side by side; give one";
            return Err(Failure::bad_request(message));
        }
        Ok(conditions)
    }

    /// The point of history that is asked for, if one is.
    pub(super) fn take_moment(&mut self) -> Result<Option<Moment>, Failure> {
        match (self.revision.take(), self.at_ms.take()) {
            (Some(_), Some(_)) => {
                Err(Failure::bad_request("`revision` and `at_ms` stand side by side; give one"))
            }
            (Some(revision), None) => Ok(Some(Moment::Revision(revision))),
            (None, Some(ms)) => Ok(Some(Moment::UnixMs(ms))),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn take_once(&mut self) -> Result<Option<OnceId>, Failure> {
        let Some(text) = self.once.take() else { return Ok(None) };
        let wrong = || Failure::bad_request("member `once` takes 1 to 256 bytes");
        OnceId::new(text).map(Some).ok_or_else(wrong)
    }

    pub(super) fn take_kinds(&mut self) -> Option<Vec<EventKind>> {
        self.events.take()
    }

    /// The operations that have a name of their own.
    pub(super) fn take_kv(&mut self, op: &str) -> Result<Request, Failure> {
        let kv = match op {
            "history" => Kv::History {
                key: self.take_key()?,
                from: self.from.take(),
                limit: self.limit.take(),
                read: self.read.take(),
            },
            "diff" => Kv::Diff {
                prefix: self.take_prefix()?.unwrap_or_default(),
                from: self.from.take().ok_or_else(|| missing("from"))?,
                to: self.to.take(),
                start: self.start.take().map(|text| text.to_string()),
                limit: self.limit.take(),
                read: self.read.take(),
            },
            "compact" => Kv::Compact(self.take_keep()?),
            "txn" => Kv::Txn(self.take_txn()?),
            "lease_grant" => Kv::LeaseGrant {
                ttl: Duration::from_millis(self.take_ttl()?.ok_or_else(|| missing("ttl_ms"))?),
                lease: self.take_lease()?,
            },
            "lease_revoke" => Kv::LeaseRevoke(self.require_lease()?),
            "lease_keep_alive" => Kv::LeaseKeepAlive(self.require_lease()?),
            "lease_show" => Kv::LeaseShow(self.require_lease()?),
            "lease_list" => Kv::LeaseList,
            "lock" | "elect" => Kv::Lock(self.take_lock(op == "elect")?),
            "unlock" | "resign" => {
                Kv::Unlock { name: self.take_name()?, by: self.take_claimant()? }
            }
            "leader" => Kv::Leader {
                name: self.take_name()?,
                after: self.token.take(),
                read: self.read.take(),
            },
            other => unreachable!("{other} is no operation of these"),
        };
        Ok(Request::Kv(Box::new(kv)))
    }

    fn take_keep(&mut self) -> Result<Keep, Failure> {
        match (self.revision.take(), self.keep_ms.take()) {
            (Some(revision), None) => Ok(Keep::From(revision)),
            (None, Some(ms)) => Ok(Keep::Age(Duration::from_millis(ms))),
            (Some(_), Some(_)) => {
                Err(Failure::bad_request("`revision` and `keep_ms` stand side by side; give one"))
            }
            (None, None) => Err(missing("revision` or `keep_ms")),
        }
    }

    fn take_lock(&mut self, is_election: bool) -> Result<Lock, Failure> {
        let sharing = match (self.shared.take(), self.slots.take()) {
            (Some(true), Some(_)) => {
                let message = "`shared` and `slots` stand side by side; give one";
                return Err(Failure::bad_request(message));
            }
            (Some(true), None) => Sharing::Shared,
            (_, Some(0)) => return Err(Failure::bad_request("member `slots` takes 1 or more")),
            (_, Some(slots)) => Sharing::Slots(slots),
            (Some(false) | None, None) => Sharing::Exclusive,
        };
        if is_election && sharing != Sharing::Exclusive {
            return Err(Failure::bad_request("one at a time is elected"));
        }
        Ok(Lock {
            name: self.take_name()?,
            lease: self.require_lease()?,
            sharing,
            value: bytes::join(self.value.take(), self.value_b64.take())?.unwrap_or_default(),
            no_wait: self.no_wait.take().unwrap_or(false),
            is_election,
        })
    }

    fn take_claimant(&mut self) -> Result<Claimant, Failure> {
        match (self.token.take(), self.take_lease()?) {
            (Some(token), None) => Ok(Claimant::Token(token)),
            (None, Some(lease)) => Ok(Claimant::Lease(lease)),
            (Some(_), Some(_)) => {
                Err(Failure::bad_request("`token` and `lease` stand side by side; give one"))
            }
            (None, None) => Err(missing("token` or `lease")),
        }
    }

    fn take_name(&mut self) -> Result<Key, Failure> {
        let text = self.name.take().ok_or_else(|| missing("name"))?;
        Key::try_from(text).map_err(|error| key_failure("name", error))
    }

    pub(super) fn take_lease(&mut self) -> Result<Option<LeaseId>, Failure> {
        let Some(text) = self.lease.take() else { return Ok(None) };
        lease_id(&text).map(Some)
    }

    fn require_lease(&mut self) -> Result<LeaseId, Failure> {
        self.take_lease()?.ok_or_else(|| missing("lease"))
    }

    fn take_ttl(&mut self) -> Result<Option<u64>, Failure> {
        match self.ttl_ms.take() {
            Some(ms) if !(TTL_MS_MIN..=TTL_MS_MAX).contains(&ms) => {
                let message = format!("member `ttl_ms` is {ms}; it takes {TTL_MS_MIN} to a year");
                Err(Failure::bad_request(message))
            }
            ttl_ms => Ok(ttl_ms),
        }
    }

    pub(super) fn set_kv(&mut self, kv: &Kv) {
        match kv {
            Kv::Put { key, value, options } => {
                self.set_value(key, value);
                self.set_conditions(&options.conditions);
                (self.ttl_ms, self.previous) = (options.ttl_ms, options.previous.then_some(true));
                self.set_lease(options.lease);
            }
            Kv::Delete { selection, conditions, previous } => {
                self.set_selection(selection);
                self.set_conditions(conditions);
                self.previous = previous.then_some(true);
            }
            Kv::Get { key, at, read } => {
                self.set_key(key);
                self.set_moment(*at);
                self.read = *read;
            }
            Kv::List { range, at } => {
                self.set_range(range);
                self.set_moment(*at);
            }
            Kv::History { key, from, limit, read } => {
                self.set_key(key);
                (self.from, self.limit, self.read) = (*from, *limit, *read);
            }
            Kv::Diff { prefix, from, to, start, limit, read } => {
                self.set_page(prefix, start.as_deref(), *limit);
                (self.from, self.to, self.read) = (Some(*from), *to, *read);
            }
            Kv::Compact(Keep::From(revision)) => self.revision = Some(*revision),
            Kv::Compact(Keep::Age(age)) => self.keep_ms = Some(milliseconds(*age)),
            Kv::Txn(txn) => self.set_txn(txn),
            Kv::LeaseGrant { ttl, lease } => {
                self.ttl_ms = Some(milliseconds(*ttl));
                self.set_lease(*lease);
            }
            Kv::LeaseRevoke(lease) | Kv::LeaseKeepAlive(lease) | Kv::LeaseShow(lease) => {
                self.set_lease(Some(*lease));
            }
            Kv::LeaseList => {}
            Kv::Lock(lock) => self.set_lock(lock),
            Kv::Unlock { name, by } => {
                self.set_name(name);
                match by {
                    Claimant::Token(token) => self.token = Some(*token),
                    Claimant::Lease(lease) => self.set_lease(Some(*lease)),
                }
            }
            Kv::Leader { name, after, read } => {
                self.set_name(name);
                (self.token, self.read) = (*after, *read);
            }
        }
    }

    fn set_lock(&mut self, lock: &Lock) {
        self.set_name(&lock.name);
        self.set_lease(Some(lock.lease));
        (self.value, self.value_b64) = bytes::split(lock.value.clone());
        self.no_wait = lock.no_wait.then_some(true);
        match lock.sharing {
            Sharing::Exclusive => {}
            Sharing::Shared => self.shared = Some(true),
            Sharing::Slots(slots) => self.slots = Some(slots),
        }
    }

    fn set_conditions(&mut self, conditions: &Conditions) {
        self.if_absent = conditions.if_absent.then_some(true);
        self.if_exists = conditions.if_exists.then_some(true);
        (self.if_revision, self.fence) = (conditions.if_revision, conditions.fence);
        let value = conditions.if_value.clone();
        (self.if_value, self.if_value_b64) = value.map_or((None, None), bytes::split);
    }

    fn set_moment(&mut self, at: Moment) {
        match at {
            Moment::Revision(revision) => self.revision = Some(revision),
            Moment::UnixMs(ms) => self.at_ms = Some(ms),
        }
    }

    fn set_name(&mut self, name: &Key) {
        self.name = Some(name.clone().into());
    }

    fn set_lease(&mut self, lease: Option<LeaseId>) {
        self.lease = lease.map(|lease| lease.to_string().into());
    }
}

/// The operation as the protocol spells it.
pub(super) fn op(kv: &Kv) -> &'static str {
    match kv {
        Kv::Put { .. } => "put",
        Kv::Delete { .. } => "delete",
        Kv::Get { .. } => "get",
        Kv::List { .. } => "list",
        Kv::History { .. } => "history",
        Kv::Diff { .. } => "diff",
        Kv::Compact(_) => "compact",
        Kv::Txn(_) => "txn",
        Kv::LeaseGrant { .. } => "lease_grant",
        Kv::LeaseRevoke(_) => "lease_revoke",
        Kv::LeaseKeepAlive(_) => "lease_keep_alive",
        Kv::LeaseShow(_) => "lease_show",
        Kv::LeaseList => "lease_list",
        Kv::Lock(lock) if lock.is_election => "elect",
        Kv::Lock(_) => "lock",
        Kv::Unlock { .. } => "unlock",
        Kv::Leader { .. } => "leader",
    }
}

pub(super) fn lease_id(text: &Arc<str>) -> Result<LeaseId, Failure> {
    text.parse().map_err(|_| {
        Failure::bad_request(format!(
            "member `lease` is {text:?}; it takes up to 16 hexadecimal digits"
        ))
    })
}

/// A deletion of a prefix takes no condition of one key.
pub(super) fn check_delete(
    selection: &Selection,
    conditions: &Conditions,
    previous: bool,
) -> Result<(), Failure> {
    let of_a_key = Conditions { fence: None, ..conditions.clone() };
    if matches!(selection, Selection::Prefix(_)) && (!of_a_key.is_empty() || previous) {
        let message = "of a prefix a deletion takes neither a condition nor `previous`";
        return Err(Failure::bad_request(message));
    }
    Ok(())
}

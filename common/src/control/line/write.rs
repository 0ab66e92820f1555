//! From a request to the members of its line.

use std::sync::Arc;

use crate::control::line::{Line, kv, milliseconds};
use crate::control::request::{MemberChange, Purpose, Request};
use crate::control::trace::Recent;
use crate::modes::Rule;

impl Line {
    pub(super) fn from_request(request: &Request) -> Self {
        let mut line = Self::default();
        line.set_members(request);
        Self { op: op(request).into(), ..line }
    }

    fn set_members(&mut self, request: &Request) {
        match request {
            Request::Put { key, value, acks, context } => {
                self.set_value(key, value);
                self.set_acks(*acks, context.as_ref());
            }
            Request::Get { key, read, context, min_revision } => {
                self.set_key(key);
                self.set_context(context.as_ref());
                (self.read, self.min_revision) = (*read, *min_revision);
            }
            Request::Delete { selection, acks, context } => {
                self.set_selection(selection);
                self.set_acks(*acks, context.as_ref());
            }
            Request::Incr { key, delta, acks, context } => {
                self.set_key(key);
                self.set_acks(*acks, context.as_ref());
                self.delta = (*delta != 1).then_some(*delta);
            }
            Request::Add { key, value, acks, context }
            | Request::Remove { key, value, acks, context } => {
                self.set_value(key, value);
                self.set_acks(*acks, context.as_ref());
            }
            Request::Conflicts { prefix, start, limit, context } => {
                self.set_page(prefix, start.as_deref(), *limit);
                self.set_context(context.as_ref());
            }
            Request::Resolve { key, value, context } => {
                self.set_value(key, value);
                self.set_context(context.as_ref());
            }
            Request::Kv(kv) => self.set_kv(kv),
            Request::List(range) => self.set_range(range),
            Request::Watch { selection, from, previous, only, progress } => {
                self.set_selection(selection);
                self.events.clone_from(only);
                (self.from, self.previous) = (*from, previous.then_some(true));
                self.progress_ms = progress.map(milliseconds);
            }
            Request::Cancel { target } => self.target = Some(target.clone()),
            Request::Wait(condition) => self.r#for = Some(condition.to_string().into()),
            Request::Fault(fault) => self.set_fault(fault.as_ref()),
            Request::Trace(Recent { last, limit }) => {
                (self.last_ms, self.limit) = (last.map(milliseconds), limit.map(|n| n as u64));
            }
            Request::Sync { prefix, dry_run } => {
                self.prefix = prefix.as_deref().map(Arc::from);
                self.dry_run = dry_run.then_some(true);
            }
            Request::Member { member, dry_run, .. } => {
                self.member = Some(member.as_str().into());
                self.dry_run = dry_run.then_some(true);
            }
            Request::TransferLeader { member } => self.member = member.as_deref().map(Arc::from),
            Request::ModeSet { prefix, rule, dry_run } => self.set_rule(prefix, *rule, *dry_run),
            Request::Explain { key, purpose } => {
                self.key = key.clone().map(Into::into);
                self.r#for = purpose.map(|purpose| spelled(purpose).into());
            }
            Request::Hello
            | Request::Status
            | Request::Members
            | Request::Live
            | Request::Ready
            | Request::Health
            | Request::Modes => {}
        }
    }

    fn set_rule(&mut self, prefix: &str, rule: Rule, dry_run: bool) {
        self.prefix = Some(prefix.into());
        (self.mode, self.resolver) = (Some(rule.mode()), rule.resolver());
        self.dry_run = dry_run.then_some(true);
    }
}

/// The operation as the protocol spells it.
fn op(request: &Request) -> &'static str {
    match request {
        Request::Hello => "hello",
        Request::Put { .. } => "put",
        Request::Get { .. } => "get",
        Request::Delete { .. } => "delete",
        Request::List(_) => "list",
        Request::Incr { .. } => "incr",
        Request::Add { .. } => "add",
        Request::Remove { .. } => "remove",
        Request::Conflicts { .. } => "conflicts",
        Request::Resolve { .. } => "resolve",
        Request::Kv(kv) => kv::op(kv),
        Request::Watch { .. } => "watch",
        Request::Cancel { .. } => "cancel",
        Request::Wait(_) => "wait",
        Request::Fault(_) => "fault",
        Request::Trace(_) => "trace",
        Request::Status => "status",
        Request::Members => "members",
        Request::Live => "live",
        Request::Ready => "ready",
        Request::Health => "health",
        Request::Sync { .. } => "sync",
        Request::Modes => "modes",
        Request::Member { change: MemberChange::Remove, .. } => "member_remove",
        Request::Member { change: MemberChange::Promote, .. } => "member_promote",
        Request::TransferLeader { .. } => "transfer_leader",
        Request::ModeSet { .. } => "mode_set",
        Request::Explain { .. } => "explain",
    }
}

fn spelled(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Read => "read",
        Purpose::Write => "write",
    }
}

//! From a request to the members of its line.

use std::sync::Arc;

use crate::control::bytes;
use crate::control::line::{Line, milliseconds};
use crate::control::request::{MemberChange, Purpose, Range, Request, Selection};

impl Line {
    pub(super) fn from_request(request: &Request) -> Self {
        let mut line = Self::default();
        let op = match request {
            Request::Hello => "hello",
            Request::Put { key, value } => {
                line.key = Some(key.clone().into());
                (line.value, line.value_b64) = bytes::split(value.clone());
                "put"
            }
            Request::Get { key, read } => {
                line.key = Some(key.clone().into());
                line.read = *read;
                "get"
            }
            Request::Delete(selection) => {
                line.set_selection(selection);
                "delete"
            }
            Request::List(range) => {
                line.set_range(range);
                "list"
            }
            Request::Watch { selection, from, previous, progress } => {
                line.set_selection(selection);
                (line.from, line.previous) = (*from, previous.then_some(true));
                line.progress_ms = progress.map(milliseconds);
                "watch"
            }
            Request::Cancel { target } => {
                line.target = Some(target.clone());
                "cancel"
            }
            Request::Wait(condition) => {
                line.r#for = Some(condition.to_string().into());
                "wait"
            }
            Request::Fault(fault) => {
                line.set_fault(fault.as_ref());
                "fault"
            }
            Request::Status => "status",
            Request::Members => "members",
            Request::Live => "live",
            Request::Ready => "ready",
            Request::Health => "health",
            Request::Sync => "sync",
            Request::Modes => "modes",
            Request::Member { change, member, dry_run } => {
                line.member = Some(member.as_str().into());
                line.dry_run = dry_run.then_some(true);
                member_op(*change)
            }
            Request::TransferLeader { member } => {
                line.member = member.as_deref().map(Arc::from);
                "transfer_leader"
            }
            Request::ModeSet { prefix, mode, dry_run } => {
                line.prefix = Some(prefix.as_str().into());
                line.mode = Some(*mode);
                line.dry_run = dry_run.then_some(true);
                "mode_set"
            }
            Request::Explain { key, purpose } => {
                line.key = key.clone().map(Into::into);
                line.r#for = purpose.map(|purpose| spelled(purpose).into());
                "explain"
            }
        };
        Self { op: op.into(), ..line }
    }

    fn set_selection(&mut self, selection: &Selection) {
        match selection {
            Selection::Key(key) => self.key = Some(key.clone().into()),
            Selection::Prefix(prefix) => self.prefix = Some(prefix.as_str().into()),
        }
    }

    fn set_range(&mut self, range: &Range) {
        self.prefix = (!range.prefix.is_empty()).then(|| range.prefix.as_str().into());
        self.start = range.start.as_deref().map(Arc::from);
        self.end = range.end.as_deref().map(Arc::from);
        self.limit = range.limit;
        self.keys_only = range.keys_only.then_some(true);
        self.count_only = range.count_only.then_some(true);
        self.read = range.read;
    }
}

fn member_op(change: MemberChange) -> &'static str {
    match change {
        MemberChange::Remove => "member_remove",
        MemberChange::Promote => "member_promote",
    }
}

fn spelled(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Read => "read",
        Purpose::Write => "write",
    }
}

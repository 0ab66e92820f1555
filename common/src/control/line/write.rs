//! From a request to the members of its line.

use std::sync::Arc;

use crate::control::bytes;
use crate::control::line::{Line, milliseconds};
use crate::control::request::{Direction, Fault, FaultKind, Range, Request, Selection};

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
                line.from = *from;
                line.previous = previous.then_some(true);
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
        };
        line.op = op.into();
        line
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

    fn set_fault(&mut self, fault: Option<&Fault>) {
        let Some(fault) = fault else { return };
        let (set, amount) = match fault.kind {
            FaultKind::Isolate => ("isolate", None),
            FaultKind::Partition => ("partition", None),
            FaultKind::Heal => ("heal", None),
            FaultKind::Drop(probability) => ("drop", Some(probability)),
            FaultKind::Duplicate(probability) => ("duplicate", Some(probability)),
            FaultKind::Delay(delay) => ("delay", Some(delay.as_secs_f64() * 1_000.0)),
        };
        self.set = Some(set.into());
        self.amount = amount;
        self.peers = (!fault.peers.is_empty()).then(|| fault.peers.clone());
        self.direction = (fault.direction != Direction::Both).then_some(fault.direction);
    }
}

//! Who follows which keys, and what they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::control::Id;
use crate::control::bytes;
use crate::control::failure::Failure;
use crate::control::request::Selection;
use crate::control::watching::{EventKind, WatchEvent, WatchLine};
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// A key holds something else than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// Of the change.
    pub revision: u64,
    /// What it held; none if it did not exist.
    pub before: Option<Value>,
    /// What it holds; none if it does not exist.
    pub after: Option<Value>,
}

/// What a client asked to follow.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What it calls the watch.
    pub id: Option<Id>,
    /// Which keys.
    pub selection: Selection,
    /// Whether it wants the value before.
    pub previous: bool,
    /// How often it wants to hear something.
    pub progress: Option<Duration>,
}

/// All watches of a node.
#[derive(Debug, Default)]
pub struct Watches {
    watches: BTreeMap<RequestId, (Watch, Option<Time>)>,
}

impl Watches {
    /// Begins one.
    pub fn begin(&mut self, now: Time, request: RequestId, watch: Watch) {
        let progress_at = watch.progress.map(|interval| now + interval);
        self.watches.insert(request, (watch, progress_at));
    }

    /// The watch that the client of `connection` calls `id`.
    pub fn find(&self, connection: u64, id: &Id) -> Option<RequestId> {
        let mut all = self.watches.iter();
        all.find(|(request, (watch, _))| {
            request.connection == connection && watch.id.as_ref() == Some(id)
        })
        .map(|(request, _)| *request)
    }

    /// Forgets one, if it is there.
    pub fn forget(&mut self, request: RequestId) {
        self.watches.remove(&request);
    }

    /// Forgets all of a connection.
    pub fn forget_connection(&mut self, connection: u64) {
        self.watches.retain(|request, _| request.connection != connection);
    }

    /// Ends one, and says so.
    pub fn end(
        &mut self,
        request: RequestId,
        revision: u64,
        error: Option<Failure>,
    ) -> Option<Answer> {
        let (watch, _) = self.watches.remove(&request)?;
        let resume = revision + 1;
        Some(Answer::Watch(WatchLine::End { id: watch.id, end: true, resume, error }))
    }

    /// Whether nobody follows anything.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// All that run.
    pub fn requests(&self) -> Vec<RequestId> {
        self.watches.keys().copied().collect()
    }

    /// Tells the changes of one revision to all who follow their keys, in one line each.
    pub fn publish(&self, changes: &[Change], mut tell: impl FnMut(RequestId, Answer)) {
        for (request, (watch, _)) in &self.watches {
            let followed = changes.iter().filter(|change| watch.selection.contains(&change.key));
            let events: Vec<_> = followed.map(|change| watch.event(change)).collect();
            if let Some(revision) = events.first().map(|event| event.revision) {
                let id = watch.id.clone();
                tell(*request, Answer::Watch(WatchLine::Events { id, events, revision }));
            }
        }
    }

    /// What a watch follows.
    pub fn selection(&self, request: RequestId) -> Option<Selection> {
        self.watches.get(&request).map(|(watch, _)| watch.selection.clone())
    }

    /// What all watches follow.
    pub fn selections(&self) -> Vec<(RequestId, Selection)> {
        let watches = self.watches.iter();
        watches.map(|(request, (watch, _))| (*request, watch.selection.clone())).collect()
    }

    /// When the next quiet watch wants to hear something.
    pub fn deadline(&self) -> Option<Time> {
        self.watches.values().filter_map(|(_, progress_at)| *progress_at).min()
    }

    /// Those whose time to hear something has come, and what they follow.
    pub fn take_quiet(&mut self, now: Time) -> Vec<(RequestId, Selection)> {
        let mut quiet = Vec::new();
        for (request, (watch, progress_at)) in &mut self.watches {
            let Some(interval) = watch.progress else { continue };
            if progress_at.is_some_and(|at| at <= now) {
                *progress_at = Some(now + interval);
                quiet.push((*request, watch.selection.clone()));
            }
        }
        quiet
    }

    /// The line that says that a watch has heard all up to `revision`.
    pub fn progress(&self, request: RequestId, revision: u64) -> Option<Answer> {
        let (watch, _) = self.watches.get(&request)?;
        Some(Answer::Watch(WatchLine::Progress { id: watch.id.clone(), progress: revision }))
    }
}

impl Watch {
    fn event(&self, change: &Change) -> WatchEvent {
        let kind = if change.after.is_some() { EventKind::Put } else { EventKind::Delete };
        let (value, value_b64) = change.after.clone().map_or((None, None), bytes::split);
        let before = if self.previous { change.before.clone() } else { None };
        let (previous, previous_b64) = before.map_or((None, None), bytes::split);
        WatchEvent {
            kind,
            key: change.key.clone(),
            value,
            value_b64,
            previous,
            previous_b64,
            revision: change.revision,
        }
    }
}

//! Live watches by what they follow: those of a group are told the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::request::Selection;
use crate::control::watching::{EventKind, Events, WatchEvent};
use crate::kv::key::Key;
use crate::kv::watch::{Change, Watch};
use crate::protocol::RequestId;

/// How a watch wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    /// With the value before.
    pub(super) previous: bool,
    /// A bit for each kind of event.
    kinds: u8,
}

/// Those who follow the same keys, by how they want to be told.
type Group = BTreeMap<Shape, BTreeSet<RequestId>>;

/// All groups of a mode.
#[derive(Debug, Default)]
pub(super) struct Groups {
    of_keys: BTreeMap<Key, Group>,
    of_prefixes: BTreeMap<String, Group>,
    /// The lengths of the prefixes, and how many there are of each.
    lengths: BTreeMap<usize, usize>,
}

/// Those of a group that are to be told something.
struct Told<'a> {
    requests: &'a BTreeSet<RequestId>,
    events: Vec<WatchEvent>,
}

impl Shape {
    pub(super) fn of(watch: &Watch) -> Self {
        let all = [EventKind::Put, EventKind::Delete, EventKind::Expire];
        let kinds = watch.only.as_deref().unwrap_or(&all).iter().map(|kind| bit(*kind));
        Self { previous: watch.previous, kinds: kinds.fold(0, |all, one| all | one) }
    }

    pub(super) fn takes(self, kind: EventKind) -> bool {
        self.kinds & bit(kind) != 0
    }
}

fn bit(kind: EventKind) -> u8 {
    match kind {
        EventKind::Put => 1,
        EventKind::Delete => 2,
        EventKind::Expire => 4,
    }
}

impl Groups {
    pub(super) fn add(&mut self, request: RequestId, watch: &Watch) {
        let group = match &watch.selection {
            Selection::Key(key) => self.of_keys.entry(key.clone()).or_default(),
            Selection::Prefix(prefix) => {
                if !self.of_prefixes.contains_key(prefix) {
                    *self.lengths.entry(prefix.len()).or_default() += 1;
                }
                self.of_prefixes.entry(prefix.clone()).or_default()
            }
        };
        group.entry(Shape::of(watch)).or_default().insert(request);
    }

    pub(super) fn remove(&mut self, request: RequestId, watch: &Watch) {
        let shape = Shape::of(watch);
        match &watch.selection {
            Selection::Key(key) => {
                let Some(group) = self.of_keys.get_mut(key) else { return };
                if leave(group, shape, request) {
                    self.of_keys.remove(key);
                }
            }
            Selection::Prefix(prefix) => {
                let Some(group) = self.of_prefixes.get_mut(prefix) else { return };
                if leave(group, shape, request) {
                    self.of_prefixes.remove(prefix);
                    let count = self.lengths.get_mut(&prefix.len()).expect("it was counted");
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&prefix.len());
                    }
                }
            }
        }
    }

    pub(super) fn into_requests(self) -> impl Iterator<Item = RequestId> {
        let groups = self.of_keys.into_values().chain(self.of_prefixes.into_values());
        groups.flat_map(BTreeMap::into_values).flatten()
    }

    /// Hands the changes, which are of one revision, to all whom they concern.
    pub(super) fn publish(&self, changes: &[Change], mut tell: impl FnMut(RequestId, &Events)) {
        let mut concerned: BTreeMap<(&str, bool, Shape), Told<'_>> = BTreeMap::new();
        for change in changes {
            for (place, is_prefix, group) in self.of(&change.key) {
                for (shape, requests) in group.iter().filter(|(shape, _)| shape.takes(change.kind))
                {
                    let told = concerned.entry((place, is_prefix, *shape));
                    let told = told.or_insert_with(|| Told { requests, events: Vec::new() });
                    told.events.push(change.to_event(shape.previous));
                }
            }
        }
        for Told { requests, events } in concerned.into_values() {
            let events = Events::new(events);
            for request in requests {
                tell(*request, &events);
            }
        }
    }

    /// The groups that follow a key, by the key or prefix.
    fn of<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = (&'a str, bool, &'a Group)> {
        let text = key.as_str();
        let one = self.of_keys.get(key).map(|group| (text, false, group));
        let prefixes = self.lengths.range(..=text.len()).filter_map(move |(length, _)| {
            let prefix = text.get(..*length)?;
            self.of_prefixes.get(prefix).map(|group| (prefix, true, group))
        });
        one.into_iter().chain(prefixes)
    }
}

/// Tells whether nobody is left.
fn leave(group: &mut Group, shape: Shape, request: RequestId) -> bool {
    if let Some(requests) = group.get_mut(&shape) {
        requests.remove(&request);
        if requests.is_empty() {
            group.remove(&shape);
        }
    }
    group.is_empty()
}

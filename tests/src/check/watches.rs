//! Watch without gap: who applies a watch's events to what the keys held when it began, holds what
//! the node holds, after every commit. A gap or a repetition would show; so would events out of
//! the order in which they were applied.
//!
//! Source: pitfall W3. Not in the specification, which has no watches.

use std::collections::BTreeMap;

use common::control::bytes::join;
use common::control::reply::Reply;
use common::control::request::{Request, Selection};
use common::control::watching::{EventKind, WatchEvent, WatchLine};
use common::identity::NodeId;
use common::kv::key::Key;
use common::kv::value::Value;
use common::observe::Event;
use common::protocol::{Answer, Input, RequestId};

use super::{Batch, Check};

/// The watches of all nodes, each with what its client knows.
#[derive(Debug, Default)]
pub(super) struct WatchWithoutGap {
    watches: BTreeMap<(NodeId, RequestId), Follower>,
}

/// A client that follows keys.
#[derive(Debug)]
struct Follower {
    selection: Selection,
    wants_previous: bool,
    /// None until the commit in which the watch began is over: from where in it, nobody can tell.
    known: Option<BTreeMap<Key, Value>>,
}

impl Check for WatchWithoutGap {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for input in batch.inputs {
            self.note(batch.node, input);
        }
        let mut applied = Applied::of(batch);
        for (id, answer) in &batch.outbox.answers {
            let place = (batch.node, *id);
            let begun = matches!(answer, Answer::Reply(_, Ok(Reply::Watch(_))));
            if answer.is_last() && !begun {
                self.watches.remove(&place);
            } else if let Answer::Watch(WatchLine::Events { events, .. }) = answer
                && let Some(follower) = self.watches.get_mut(&place)
            {
                for event in events.iter() {
                    applied.advance(*id, event)?;
                    follower.follow(event)?;
                }
            }
        }
        let of_it = self.watches.iter_mut().filter(|((node, _), _)| *node == batch.node);
        for (_, follower) in of_it {
            follower.compare(batch)?;
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        self.watches.retain(|(owner, _), _| *owner != node);
    }
}

impl WatchWithoutGap {
    fn note(&mut self, node: NodeId, input: &Input<common::node::Message>) {
        if let Input::Request { id, call } = input
            && let Request::Watch { selection, previous, .. } = &call.request
        {
            let follower =
                Follower { selection: selection.clone(), wants_previous: *previous, known: None };
            self.watches.insert((node, *id), follower);
        } else if let Input::Abandoned(id) = input {
            self.watches.remove(&(node, *id));
        } else if let Input::Closed { connection } = input {
            self.watches.retain(|(owner, id), _| *owner != node || id.connection != *connection);
        }
    }
}

impl Follower {
    fn follow(&mut self, event: &WatchEvent) -> Result<(), String> {
        let Some(known) = &mut self.known else {
            return Ok(());
        };
        let before = known.get(&event.key).cloned();
        let told = value_of(join(event.previous.clone(), event.previous_b64.clone()))?;
        if self.wants_previous && told != before {
            return Err(format!("{} follows on what was never told", event.key));
        }
        let after = value_of(join(event.value.clone(), event.value_b64.clone()))?;
        if after == before {
            return Err(format!("{} is told twice", event.key));
        }
        if (event.kind == EventKind::Put) != after.is_some() {
            return Err(format!("{} is {:?} with {after:?}", event.key, event.kind));
        }
        match after {
            Some(value) => known.insert(event.key.clone(), value),
            None => known.remove(&event.key),
        };
        Ok(())
    }

    fn compare(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        if self.known.is_some() && batch.changes.is_empty() {
            return Ok(());
        }
        let all = batch.state.store().range("", None);
        let held = all.filter(|(key, ..)| self.selection.contains(key));
        let held: BTreeMap<_, _> =
            held.map(|(key, _, value)| (key.clone(), value.clone())).collect();
        let Some(known) = &self.known else {
            self.known = Some(held);
            return Ok(());
        };
        if *known == held {
            return Ok(());
        }
        let (told, there) = (known.keys(), held.keys());
        Err(format!("of {:?} was told {told:?}, there is {there:?}", self.selection))
    }
}

fn value_of<E: ToString>(joined: Result<Option<Value>, E>) -> Result<Option<Value>, String> {
    joined.map_err(|error| error.to_string())
}

/// What a commit applied, in order, and how far each watch has told it. A chunk of a sync applies
/// keys that no event names; then nothing is said of the order.
struct Applied<'a> {
    writes: Option<Vec<(&'a Key, u64)>>,
    told: BTreeMap<RequestId, usize>,
}

impl<'a> Applied<'a> {
    fn of(batch: &'a Batch<'_>) -> Self {
        let mut writes = Some(Vec::new());
        for event in batch.outbox.events() {
            if let Event::Write { key, version, .. }
            | Event::Deliver { key, version, won: true, .. } = event
            {
                writes.iter_mut().for_each(|all| all.push((key, version.clock)));
            } else if let Event::MergeChunk { .. } = event {
                writes = None;
                break;
            }
        }
        Self { writes, told: BTreeMap::new() }
    }

    fn advance(&mut self, watch: RequestId, event: &WatchEvent) -> Result<(), String> {
        let Some(writes) = &self.writes else {
            return Ok(());
        };
        let told = self.told.entry(watch).or_default();
        let is_it = |(key, clock): &(&Key, u64)| (*key, *clock) == (&event.key, event.revision);
        match writes[*told..].iter().position(is_it) {
            Some(skipped) => {
                *told += skipped + 1;
                Ok(())
            }
            None => Err(format!("{}@{} is told out of order", event.key, event.revision)),
        }
    }
}

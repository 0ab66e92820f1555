//! Delivered once, in order: whatever a network repeats or reorders, a node takes each write of a
//! peer at most once and in the order of their numbers; and what it takes is in its store.
//!
//! Source: pitfall S9. TLA+: `Deliver`, with `NoEcho` for the order.

use std::collections::BTreeMap;

use common::broadcast::message::{self, Heartbeat};
use common::broadcast::version::Version;
use common::identity::{Incarnation, NodeId};
use common::kv::key::Key;
use common::node::Message;
use common::observe::Event;
use common::protocol::Input;

use super::peers::Peers;
use super::{Batch, Check};

/// How far each node has come with each other one's writes: a pair that only grows.
type Place = (Incarnation, u64);

/// What each node has taken of each other one, and what it could have.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    peers: Peers,
    taken: BTreeMap<(NodeId, NodeId), Place>,
    /// Up to here writes have come, or heartbeats have told that no more will.
    come: BTreeMap<(NodeId, NodeId), Place>,
}

impl Check for Delivery {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let connected = self.peers.follow(batch);
        if batch.may_forget() {
            // What it takes again is judged by its donor's word, not by what it took before.
            self.taken.retain(|(owner, _), _| *owner != batch.node);
        }
        for event in batch.outbox.events() {
            if let Event::Deliver { from, number, version, .. } = event {
                self.take(batch.node, *from, (version.incarnation, *number))?;
            }
        }
        for input in batch.inputs {
            if let Input::PeerUp(hello) = input {
                let come = self.come.entry((batch.node, hello.node)).or_default();
                *come = (*come).max((hello.incarnation, 0));
            }
            if let Input::Message { from, message: Message::Broadcast(message) } = input
                && let Some((key, version)) = self.come(batch.node, *from, message)
                && connected.throughout.contains(from)
            {
                let held = batch.state.store().entry(key).map(|entry| entry.version);
                if held < Some(version) && !batch.may_forget() {
                    return Err(format!("{key} came at {version:?}, the store has {held:?}"));
                }
            }
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        self.peers.forget(node);
        self.taken.retain(|(owner, _), _| *owner != node);
        self.come.retain(|(owner, _), _| *owner != node);
    }
}

impl Delivery {
    fn take(&mut self, node: NodeId, from: NodeId, place: Place) -> Result<(), String> {
        match self.taken.insert((node, from), place) {
            Some(before) if before >= place => {
                Err(format!("it takes {place:?} of {from} after {before:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The write in `message`, if it is further than anything that came before of its writer.
    fn come<'a>(
        &mut self,
        node: NodeId,
        from: NodeId,
        message: &'a message::Message,
    ) -> Option<(&'a Key, Version)> {
        let come = self.come.entry((node, from)).or_default();
        match message {
            message::Message::Write { number, write } => {
                let version = write.entry.version;
                let place = (version.incarnation, *number);
                let is_further = place > *come;
                *come = (*come).max(place);
                is_further.then_some((&write.key, version))
            }
            message::Message::Heartbeat(Heartbeat { number, .. }) => {
                come.1 = come.1.max(*number);
                None
            }
            message::Message::SyncChunk(chunk) => {
                // Where it knew nothing of a writer, it takes the donor's word.
                for (writer, heard) in &chunk.heard {
                    let come = self.come.entry((node, *writer)).or_default();
                    *come = (*come).max((heard.incarnation, heard.number));
                }
                None
            }
            message::Message::Members(_)
            | message::Message::SyncRequest { .. }
            | message::Message::SyncRefused { .. } => None,
        }
    }
}

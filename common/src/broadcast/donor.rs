//! How a node gives its state to another.

use std::collections::BTreeMap;

use crate::broadcast::message::{Heard, Message, SyncChunk};
use crate::broadcast::store::Write;
use crate::broadcast::{Broadcast, Effects};
use crate::identity::NodeId;
use crate::kv::key::Key;
use crate::observe::{BroadcastEvent, Event};

/// The keys and values of a chunk, in bytes; the entry that passes it is its last. Large enough
/// that a round trip does not matter, small enough that a heartbeat never waits long.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// What an entry takes in a frame beside its key and value, at most.
const ENTRY_BYTES: usize = 64;

impl Broadcast {
    /// Gives a chunk. The donor keeps nothing of a session: each chunk is read from the store as
    /// it is. That is enough, because all that is written behind the asker's back comes to the
    /// asker directly. Spec: ServeSync.
    pub(super) fn serve_sync(
        &mut self,
        to: NodeId,
        session: u64,
        chunk: u64,
        after: Option<&Key>,
        effects: &mut Effects,
    ) {
        if !self.ready {
            if self.config.is_traced {
                effects.observe(BroadcastEvent::RefuseSync { to, session });
            }
            effects.send(to, Message::SyncRefused { session });
            return;
        }
        let mut left = self.store.entries_after(after);
        let mut entries = Vec::new();
        let mut bytes = 0;
        while bytes < CHUNK_BYTES_MAX {
            let Some((key, entry)) = left.next() else { break };
            bytes += key.as_str().len() + ENTRY_BYTES;
            bytes += entry.value.as_ref().map_or(0, |value| value.as_bytes().len());
            entries.push(Write { key: key.clone(), entry: entry.clone() });
        }
        let done = left.next().is_none();
        let (mut heard, mut connected) = (BTreeMap::new(), BTreeMap::new());
        if chunk == 0 {
            heard = self.heard_with_own();
            connected = self.links.connected();
            connected.remove(&to);
        }
        effects.observe(Event::ServeSync { to, session, chunk, entries: entries.len(), done });
        let clock = self.clock;
        let chunk = SyncChunk { session, chunk, clock, heard, connected, entries, done };
        effects.send(to, Message::SyncChunk(chunk));
    }

    fn heard_with_own(&self) -> BTreeMap<NodeId, Heard> {
        let own = Heard { incarnation: self.incarnation, number: self.number, missed: 0 };
        let mut heard = self.links.heard().clone();
        heard.insert(self.config.node, own);
        heard
    }
}

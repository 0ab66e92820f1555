//! Writes: one's own and those of peers.

use crate::broadcast::message::Message;
use crate::broadcast::store::{Entry, Merged, Write};
use crate::broadcast::version::{CLOCK_MAX, Version};
use crate::broadcast::{Broadcast, Effects};
use crate::control::failure::Failure;
use crate::control::reply::{Delete, Put, Reply};
use crate::control::request::Selection;
use crate::control::watching::EventKind;
use crate::identity::NodeId;
use crate::kv::key::Key;
use crate::kv::value::Value;
use crate::kv::watch::Change;
use crate::observe::{BroadcastEvent, Event};

impl Broadcast {
    pub(super) fn put(
        &mut self,
        key: Key,
        value: Value,
        effects: &mut Effects,
    ) -> Result<Reply, Failure> {
        self.check_ready()?;
        let revision = self.write(key, Some(value), effects);
        Ok(Reply::Put(Put { sent_to: Some(self.links.all().len()), ..Put::of(revision) }))
    }

    pub(super) fn delete(
        &mut self,
        selection: &Selection,
        effects: &mut Effects,
    ) -> Result<Reply, Failure> {
        self.check_ready()?;
        let keys: Vec<Key> = match selection {
            Selection::Key(key) => self.store.live(key).map(|_| key.clone()).into_iter().collect(),
            Selection::Prefix(prefix) => {
                self.store.range(prefix, None).map(|(key, ..)| key.clone()).collect()
            }
        };
        let deleted = keys.len() as u64;
        for key in keys {
            self.write(key, None, effects);
        }
        let sent_to = Some(if deleted == 0 { 0 } else { self.links.all().len() });
        Ok(Reply::Delete(Delete { sent_to, ..Delete::of(deleted, self.clock) }))
    }

    /// Stores a write of this node and sends it to every connected peer. Spec: Write.
    fn write(&mut self, key: Key, value: Option<Value>, effects: &mut Effects) -> u64 {
        let clock = self.next_clock();
        self.number += 1;
        let (number, deleted) = (self.number, value.is_none());
        let version = Version { clock, node: self.config.node, incarnation: self.incarnation };
        let (created, writes) = match self.store.live(&key) {
            Some((held, _)) => (held.created, held.writes + 1),
            None => (clock, 1),
        };
        let write = Write { key, entry: Entry { version, created, writes, value } };
        effects.observe(Event::Write { number, key: write.key.clone(), version, deleted });
        effects.send_each(self.links.all(), Message::Write { number, write: write.clone() });
        let won = self.merge(write, effects);
        assert!(won, "a fresh version is above all that the store holds");
        clock
    }

    /// Takes a write of a peer. It is not sent on: its writer sends it to all. Spec: Deliver.
    pub(super) fn deliver(
        &mut self,
        from: NodeId,
        number: u64,
        write: Write,
        effects: &mut Effects,
    ) {
        let Some(missed) = self.links.hear(from, number) else { return };
        self.observe_missed(from, missed, effects);
        let (key, version) = (write.key.clone(), write.entry.version);
        let won = self.merge(write, effects);
        effects.observe(Event::Deliver { from, number, key, version, won });
    }

    /// Writes of a peer will not come. A node that does not serve yet gets them from its donor.
    pub(super) fn observe_missed(&self, from: NodeId, writes: u64, effects: &mut Effects) {
        if writes > 0 && self.ready {
            effects.observe(Event::Miss { from, writes });
        } else if writes > 0 && self.config.is_traced {
            effects.observe(BroadcastEvent::Skip { from, writes });
        }
    }

    /// Merges a write into the store and tells who follows its key. Tells whether it won.
    pub(super) fn merge(&mut self, write: Write, effects: &mut Effects) -> bool {
        let (clock, key) = (write.entry.version.clock, write.key.clone());
        let after = write.entry.value.clone();
        self.see_clock(clock);
        match self.store.merge(write) {
            Merged::Won(before) => {
                if before.is_some() || after.is_some() {
                    let kind = EventKind::of(after.as_ref());
                    effects.change(Change { key, kind, revision: clock, before, after });
                }
                true
            }
            Merged::Lost => false,
        }
    }

    /// A clock above every clock seen.
    fn next_clock(&mut self) -> u64 {
        assert!(self.clock < CLOCK_MAX, "the clock is spent; messages are checked before");
        self.clock += 1;
        self.clock
    }
}

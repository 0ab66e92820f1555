//! Sync complete: a node that has merged a donor's last chunk holds at least what the donor held
//! when it gave the first; and only such a node becomes ready as synced.
//!
//! Source: pitfalls S1, S3, S5. TLA+: `SyncedHasDonors`. Deletions count as what they are, entries
//! with a version.

use std::collections::{BTreeMap, BTreeSet};

use common::broadcast::message;
use common::broadcast::version::Version;
use common::identity::NodeId;
use common::kv::key::Key;
use common::node::Message;
use common::observe::{Event, Readiness};

use super::{Batch, Check};

/// Asker, donor, and the asker's number of the session.
type Session = (NodeId, NodeId, u64);

/// What each donor held when it gave a session's first chunk.
#[derive(Debug, Default)]
pub(super) struct SyncComplete {
    floors: BTreeMap<Session, BTreeMap<Key, Version>>,
    /// The sessions that running askers have begun: a request of a process that is gone may reach
    /// a donor late, and a restarted one counts its sessions from 1 again.
    begun: BTreeSet<Session>,
}

impl Check for SyncComplete {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        self.note_first_chunks(batch);
        let mut is_synced = false;
        for event in batch.outbox.events() {
            if let Event::RequestSync { donor, session, .. } = event {
                let session = (batch.node, *donor, *session);
                if self.begun.insert(session) {
                    self.floors.remove(&session);
                }
            }
            if let Event::MergeChunk { donor, session, done: true, .. } = event {
                self.judge(batch, (batch.node, *donor, *session))?;
                is_synced = true;
            }
            let as_synced = matches!(event, Event::BecomeReady { how: Readiness::Synced, .. });
            if as_synced && !is_synced {
                return Err("it is ready without the last chunk of a donor".to_owned());
            }
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        // What a donor has sent comes although the donor is gone.
        self.floors.retain(|(asker, ..), _| *asker != node);
        self.begun.retain(|(asker, ..)| *asker != node);
    }
}

impl SyncComplete {
    /// Takes the donor's store before the commit: what was written in it may have come later than
    /// the chunk was made. A first chunk that is given again does not raise the floor, as the
    /// asker may have taken the one before.
    fn note_first_chunks(&mut self, batch: &Batch<'_>) {
        for envelope in &batch.outbox.messages {
            let Message::Broadcast(message) = &envelope.message else { continue };
            let message::Message::SyncChunk(chunk) = message else {
                continue;
            };
            if chunk.chunk > 0 {
                continue;
            }
            for asker in envelope.to.as_slice() {
                let session = (*asker, batch.node, chunk.session);
                self.floors.entry(session).or_insert_with(|| {
                    let entries = batch.before.iter();
                    entries.map(|(key, entry)| (key.clone(), entry.version)).collect()
                });
            }
        }
    }

    fn judge(&mut self, batch: &Batch<'_>, session: Session) -> Result<(), String> {
        let Some(floor) = self.floors.remove(&session) else {
            return Err(format!("{session:?} is done, and was never begun by the donor"));
        };
        for (key, version) in &floor {
            let held = batch.state.store().entry(key).map(|entry| entry.version);
            if held < Some(*version) {
                return Err(format!("{key}: the donor had {version:?}, it has {held:?}"));
            }
        }
        Ok(())
    }
}

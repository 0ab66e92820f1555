//! Versions unique: one version is one write of one key, on every node and for all time.
//!
//! Source: the invariant of `common::broadcast`, "a version is given out once"; without it two
//! stores could hold different values for good and look alike. TLA+: `VersionsUnique`.

use std::collections::BTreeMap;

use common::broadcast::message;
use common::broadcast::store::Write;
use common::broadcast::version::Version;
use common::node::Message;

use super::{Batch, Check};

/// Which write each version was given to.
#[derive(Debug, Default)]
pub(super) struct Versions {
    writes: BTreeMap<Version, Write>,
}

impl Check for Versions {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for envelope in &batch.outbox.messages {
            let Message::Broadcast(message) = &envelope.message else { continue };
            if let message::Message::Write { write, .. } = message {
                self.meet(write.clone())?;
            }
        }
        for changed in batch.changes {
            if let Some(entry) = changed.after {
                self.meet(Write { key: changed.key.clone(), entry: entry.clone() })?;
            }
        }
        Ok(())
    }
}

impl Versions {
    fn meet(&mut self, write: Write) -> Result<(), String> {
        let version = write.entry.version;
        let known = self.writes.entry(version).or_insert_with(|| write.clone());
        if *known == write {
            return Ok(());
        }
        let (one, other) = (&known.key, &write.key);
        Err(format!("{version:?} is a write of {one} and another one of {other}"))
    }
}

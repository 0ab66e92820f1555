//! No resurrection: a key that a node knows as deleted does not come back there by an older write.
//!
//! Source: pitfall S5. TLA+: `NoResurrection`. Apart from [`super::monotone`], because it must
//! hold even of a store that forgets: it remembers the deletions itself.

use std::collections::BTreeMap;

use common::broadcast::version::Version;
use common::identity::NodeId;
use common::kv::key::Key;

use super::{Batch, Check};

/// The latest deletion of each key that each node has shown.
#[derive(Debug, Default)]
pub(super) struct Resurrection {
    deletions: BTreeMap<(NodeId, Key), Version>,
}

impl Check for Resurrection {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        if batch.may_forget() {
            self.on_crash(batch.node);
        }
        for changed in batch.changes {
            let Some(entry) = changed.after else { continue };
            let place = (batch.node, changed.key.clone());
            if entry.value.is_none() {
                self.deletions.insert(place, entry.version);
            } else if let Some(deleted) = self.deletions.get(&place)
                && entry.version < *deleted
            {
                let (key, version) = (changed.key, entry.version);
                return Err(format!("{key}, deleted at {deleted:?}, is back at {version:?}"));
            }
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        self.deletions.retain(|(owner, _), _| *owner != node);
    }
}

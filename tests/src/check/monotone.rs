//! Store monotone: the version of a key never goes back at a node, a key is never forgotten, and
//! the revision in its answers never sinks. But a node that is not ready may forget all it holds
//! and begin anew.
//!
//! Source: pitfall S4, an old snapshot overwrites newer writes. TLA+: `StoreMonotone`,
//! `SyncNeverRegresses`, `ClockMonotone`.

use std::collections::BTreeMap;

use common::identity::NodeId;
use common::protocol::Answer;

use super::{Batch, Check};

/// The highest revision that each node has told.
#[derive(Debug, Default)]
pub(super) struct Monotone {
    revisions: BTreeMap<NodeId, u64>,
}

impl Check for Monotone {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for changed in batch.changes {
            let before = changed.before.map(|entry| entry.version);
            let after = changed.after.map(|entry| entry.version);
            if after <= before && !batch.may_forget() {
                return Err(format!("{} went from {before:?} to {after:?}", changed.key));
            }
        }
        let told = self.revisions.entry(batch.node).or_default();
        for (_, answer) in &batch.outbox.answers {
            let Answer::Reply(header, _) = answer else {
                continue;
            };
            let Some(revision) = header.revision else {
                continue;
            };
            if revision < *told {
                return Err(format!("{} answers at {revision} after {told}", header.node));
            }
            *told = revision;
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        self.revisions.remove(&node);
    }
}

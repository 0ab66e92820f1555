//! Own write visible: what a node has confirmed to a client, the node shows from then on, or
//! something later.
//!
//! Source: Lab 1, "a write is stored here, then sent". TLA+: `OwnWriteVisible`.

use std::collections::BTreeMap;

use common::control::reply::Reply;
use common::control::request::Request;
use common::identity::NodeId;
use common::kv::key::Key;
use common::kv::value::Value;
use common::protocol::{Answer, Input, RequestId};

use super::{Batch, Check};

/// What is asked and not yet answered, and the latest write of each key that each node confirmed.
#[derive(Debug, Default)]
pub(super) struct OwnWrite {
    puts: BTreeMap<(NodeId, RequestId), (Key, Value)>,
    confirmed: BTreeMap<(NodeId, Key), u64>,
}

impl Check for OwnWrite {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for input in batch.inputs {
            if let Input::Request { id, call } = input
                && let Request::Put { key, value, .. } = &call.request
            {
                self.puts.insert((batch.node, *id), (key.clone(), value.clone()));
            }
        }
        for (id, answer) in &batch.outbox.answers {
            let Answer::Reply(_, outcome) = answer else {
                continue;
            };
            let put = self.puts.remove(&(batch.node, *id));
            if let (Some((key, value)), Ok(Reply::Put(done))) = (put, outcome) {
                judge(batch, &key, &value, done.revision)?;
                self.confirmed.insert((batch.node, key), done.revision);
            } else if let Ok(Reply::Get(get)) = outcome
                && let Some(item) = &get.item
            {
                let confirmed = self.confirmed.get(&(batch.node, item.key.clone()));
                if confirmed.is_some_and(|confirmed| item.mod_revision < *confirmed) {
                    let (key, shown) = (&item.key, item.mod_revision);
                    return Err(format!("get {key} shows {shown}, behind {confirmed:?}"));
                }
            }
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        self.puts.retain(|(owner, _), _| *owner != node);
        self.confirmed.retain(|(owner, _), _| *owner != node);
    }
}

fn judge(batch: &Batch<'_>, key: &Key, value: &Value, revision: u64) -> Result<(), String> {
    let entry = batch.state.store().entry(key);
    let is_there = entry.is_some_and(|entry| {
        let version = entry.version;
        let is_it = (version.clock, version.node) == (revision, batch.node);
        version.clock >= revision && (!is_it || entry.value.as_ref() == Some(value))
    });
    if is_there {
        return Ok(());
    }
    let held = entry.map(|entry| entry.version);
    Err(format!("{key} was put at {revision}, and the store holds {held:?}"))
}

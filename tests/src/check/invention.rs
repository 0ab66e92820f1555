//! Nothing invented: what a store holds was put by a client, under that key; what it holds as
//! deleted, a client asked to delete.
//!
//! Source: the store's contract. TLA+: `NoInvention`. Clients write unique values, so a value that
//! wandered to another key shows as well.

use std::collections::BTreeMap;

use bytes::Bytes;

use common::control::bytes::join;
use common::control::reply::Reply;
use common::control::request::{Request, Selection};
use common::kv::key::Key;
use common::kv::value::Value;
use common::protocol::{Answer, Input};

use super::{Batch, Check};

/// What clients have asked for, whether it succeeded or not.
#[derive(Debug, Default)]
pub(super) struct Invention {
    puts: BTreeMap<Bytes, Key>,
    deletes: Vec<Selection>,
}

impl Check for Invention {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        for input in batch.inputs {
            if let Input::Request { call, .. } = input {
                self.note(&call.request);
            }
        }
        for changed in batch.changes {
            if let Some(entry) = changed.after {
                self.judge(changed.key, entry.value.as_ref())?;
            }
        }
        for (_, answer) in &batch.outbox.answers {
            let Answer::Reply(_, Ok(Reply::Get(get))) = answer else {
                continue;
            };
            let Some(item) = &get.item else { continue };
            let value = join(item.value.clone(), item.value_b64.clone());
            let value = value.map_err(|failure| failure.to_string())?;
            self.judge(&item.key, value.as_ref())?;
        }
        Ok(())
    }
}

impl Invention {
    fn note(&mut self, request: &Request) {
        if let Request::Put { key, value, .. } = request {
            self.puts.insert(value.clone().into(), key.clone());
        } else if let Request::Delete { selection, .. } = request
            && !self.deletes.contains(selection)
        {
            self.deletes.push(selection.clone());
        }
    }

    fn judge(&self, key: &Key, value: Option<&Value>) -> Result<(), String> {
        let asked_for = match value {
            Some(value) => self.puts.get(value.as_bytes()) == Some(key),
            None => self.deletes.iter().any(|selection| selection.contains(key)),
        };
        if asked_for {
            return Ok(());
        }
        let held = value.map_or("deleted".into(), |v| String::from_utf8_lossy(v.as_bytes()));
        Err(format!("{key} is {:.40}, which no client asked for", held))
    }
}

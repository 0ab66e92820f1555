//! Reads of this node's own copy.

use crate::broadcast::Broadcast;
use crate::broadcast::store::Entry;
use crate::control::failure::Failure;
use crate::control::reply::{Get, Item, List, Reply};
use crate::control::request::Range;
use crate::kv::key::Key;
use crate::kv::value::Value;

/// The keys of a page. More would hold up other clients.
const PAGE_ITEMS_MAX: usize = 10_000;

/// The bytes of a page's keys and values; the item that passes it is its last. Even where JSON's
/// escapes make the page six times as long, it fits into a line together with that item.
const PAGE_BYTES_MAX: usize = 96 * 1024;

impl Broadcast {
    pub(super) fn get(&self, key: &Key) -> Result<Reply, Failure> {
        self.check_ready()?;
        let item = self.store.live(key).map(|(entry, value)| item(key, entry, Some(value)));
        Ok(Reply::Get(Box::new(Get { found: item.is_some(), item })))
    }

    pub(super) fn list(&self, range: &Range) -> Result<Reply, Failure> {
        self.check_ready()?;
        let below_end = |key: &Key| range.end.as_ref().is_none_or(|end| key.as_str() < &**end);
        let mut found = self
            .store
            .range(&range.prefix, range.start.as_deref())
            .take_while(|(key, ..)| below_end(key));
        let limit = range.limit.unwrap_or(u64::MAX);
        if range.count_only {
            let count = found.take(usize::try_from(limit).unwrap_or(usize::MAX)).count() as u64;
            return Ok(Reply::List(List { items: Vec::new(), count, more: false, next: None }));
        }
        let mut items = Vec::new();
        let mut bytes = 0;
        let items_max = PAGE_ITEMS_MAX.min(usize::try_from(limit).unwrap_or(usize::MAX));
        while items.len() < items_max && bytes < PAGE_BYTES_MAX {
            let Some((key, entry, value)) = found.next() else { break };
            let value = (!range.keys_only).then_some(value);
            bytes += key.as_str().len() + value.map_or(0, |value| value.as_bytes().len());
            items.push(item(key, entry, value));
        }
        let next = found.next().map(|(key, ..)| key.clone());
        let count = items.len() as u64;
        Ok(Reply::List(List { items, count, more: next.is_some(), next }))
    }
}

fn item(key: &Key, entry: &Entry, value: Option<&Value>) -> Item {
    let (created, modified) = (entry.created, entry.version.clock);
    Item::new(key.clone(), value.cloned(), created, modified, entry.writes)
}

//! The keys of the replicated state, with the revisions that made them.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::kv::bytes_shared;
use crate::kv::key::Key;
use crate::kv::value::Value;

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The value, in as little memory as can be: there may be millions.
    #[serde(with = "bytes_shared")]
    value: Arc<[u8]>,
    /// The revision that made the key.
    pub create_revision: u64,
    /// The revision that wrote it last.
    pub mod_revision: u64,
    /// How many writes there were since the key was made.
    pub version: u64,
}

/// Keys in the order of their bytes. A clone takes no time and shares what doesn't change after
/// it: that is a snapshot.
///
/// Invariant: `bytes` and `hash` are those of `items`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    items: OrdMap<Key, Item>,
    bytes: u64,
    hash: u64,
}

impl Store {
    /// What a key holds, if it exists.
    pub fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key)
    }

    /// Stores a value at `revision`; returns what the key held.
    pub fn put(&mut self, key: Key, value: &[u8], revision: u64) -> Option<Item> {
        let value: Arc<[u8]> = Arc::from(value);
        let Some(item) = self.items.get_mut(&key) else {
            let (create_revision, mod_revision, version) = (revision, revision, 1);
            return self.load(key, Item { value, create_revision, mod_revision, version });
        };
        let after = Item { value, mod_revision: revision, version: item.version + 1, ..*item };
        let before = std::mem::replace(item, after);
        self.bytes = self.bytes + weight(&key, item) - weight(&key, &before);
        self.hash = self.hash.wrapping_add(hash(&key, item)).wrapping_sub(hash(&key, &before));
        Some(before)
    }

    /// Stores an item as it is.
    pub fn load(&mut self, key: Key, item: Item) -> Option<Item> {
        self.bytes += weight(&key, &item);
        self.hash = self.hash.wrapping_add(hash(&key, &item));
        let before = self.items.insert(key.clone(), item);
        if let Some(before) = &before {
            self.bytes -= weight(&key, before);
            self.hash = self.hash.wrapping_sub(hash(&key, before));
        }
        before
    }

    /// Removes a key; returns what it held.
    pub fn remove(&mut self, key: &Key) -> Option<Item> {
        let before = self.items.remove(key)?;
        self.bytes -= weight(key, &before);
        self.hash = self.hash.wrapping_sub(hash(key, &before));
        Some(before)
    }

    /// The keys with `prefix`, from the first one on that is at least `start`.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        start: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Item)> {
        let from = start.map_or(prefix, |start| start.max(prefix));
        let bounds = (Bound::Included(from), Bound::Unbounded);
        self.items
            .range::<_, str>(bounds)
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Item)> {
        self.items.iter()
    }

    /// How many keys exist.
    pub fn keys(&self) -> u64 {
        self.items.len() as u64
    }

    /// What keys and values take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Equal for stores that hold the same; else different, but by a chance of 2^-64.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

impl Item {
    /// The value, which shares the bytes.
    pub fn value(&self) -> Value {
        let bytes = Bytes::from_owner(Arc::clone(&self.value));
        Value::try_from(bytes).expect("what is stored was a value")
    }
}

fn weight(key: &Key, item: &Item) -> u64 {
    (key.as_str().len() + item.value.len()) as u64
}

fn hash(key: &Key, item: &Item) -> u64 {
    let place = xxh3_64_with_seed(key.as_str().as_bytes(), item.mod_revision);
    let history = place ^ item.create_revision.rotate_left(32) ^ item.version.rotate_left(16);
    xxh3_64_with_seed(&item.value, history)
}

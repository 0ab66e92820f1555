//! The keys of the replicated state, with the revisions that made them.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::identity::LeaseId;
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
    /// The lease with which it ends.
    pub lease: Option<LeaseId>,
    /// Who wrote it last, and when.
    pub author: Author,
}

/// Who changed a key, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The user who asked, as the kernel of the node that was asked said; none of an expiry.
    pub uid: Option<u32>,
    /// In milliseconds since 1970, by the clock of the leader. It never goes back from one change
    /// to the next. 0 of entries that were made before there was such a clock.
    pub unix_ms: u64,
}

/// What is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// The value.
    pub value: &'a [u8],
    /// The lease with which the key ends.
    pub lease: Option<LeaseId>,
    /// Of the write.
    pub revision: u64,
    /// Of the write.
    pub author: Author,
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

    /// Stores a value; returns what the key held, and what it holds.
    pub fn put(&mut self, key: &Key, writing: Writing<'_>) -> (Option<Item>, Item) {
        let Writing { value, lease, revision, author } = writing;
        let value: Arc<[u8]> = Arc::from(value);
        let Some(item) = self.items.get_mut(key) else {
            let (create_revision, mod_revision, version) = (revision, revision, 1);
            let item = Item { value, create_revision, mod_revision, version, lease, author };
            self.load(key.clone(), item.clone());
            return (None, item);
        };
        let (create_revision, version) = (item.create_revision, item.version + 1);
        let after = Item { value, create_revision, mod_revision: revision, version, lease, author };
        let before = std::mem::replace(item, after.clone());
        self.bytes = self.bytes + weight(key, &after) - weight(key, &before);
        self.hash = self.hash.wrapping_add(hash(key, &after)).wrapping_sub(hash(key, &before));
        (Some(before), after)
    }

    /// Stores an item of a key that does not exist, as it is.
    pub fn load(&mut self, key: Key, item: Item) {
        self.bytes += weight(&key, &item);
        self.hash = self.hash.wrapping_add(hash(&key, &item));
        let before = self.items.insert(key, item);
        debug_assert!(before.is_none(), "a key is loaded once");
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

    /// The value's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.value
    }
}

fn weight(key: &Key, item: &Item) -> u64 {
    (key.as_str().len() + item.value.len()) as u64
}

fn hash(key: &Key, item: &Item) -> u64 {
    let place = xxh3_64_with_seed(key.as_str().as_bytes(), item.mod_revision);
    let history = place ^ item.create_revision.rotate_left(32) ^ item.version.rotate_left(16);
    let lease = item.lease.map_or(0, |lease| lease.0.rotate_left(8));
    let uid = item.author.uid.map_or(0, |uid| u64::from(uid) + 1);
    xxh3_64_with_seed(&item.value, history ^ lease ^ item.author.unix_ms.rotate_left(40) ^ uid)
}

//! The keys of a node, each with its latest write, deletions included.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::broadcast::version::Version;
use crate::kv::key::Key;
use crate::kv::value::Value;

/// A write of a key: what is stored, broadcast and synced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Of what.
    pub key: Key,
    /// What the key holds.
    pub entry: Entry,
}

/// What a key holds since its latest write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written.
    pub version: Version,
    /// The clock of the write that made the key.
    pub created: u64,
    /// How many writes there were since then, as its writer knew.
    pub writes: u64,
    /// The value; none if it was deleted. A deletion is remembered, or a peer that has not heard
    /// of it would bring the key back.
    pub value: Option<Value>,
}

/// What merging a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// It is what the key holds; before, it held this.
    Won(Option<Value>),
    /// The key holds a later write, or this one already.
    Lost,
}

/// The keys of a node, in the order of their bytes.
///
/// Invariants: an entry's version only grows; `keys`, `tombstones`, `bytes` and `hash` are those
/// of `entries`.
#[derive(Debug, Default, Clone)]
pub struct Store {
    entries: BTreeMap<Key, Entry>,
    keys: u64,
    tombstones: u64,
    bytes: u64,
    hash: u64,
}

impl Store {
    /// The entry of a key, be it a deletion.
    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The entry of a key that exists.
    pub fn live(&self, key: &Key) -> Option<(&Entry, &Value)> {
        let entry = self.entries.get(key)?;
        entry.value.as_ref().map(|value| (entry, value))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Stores `write` unless the key holds a later one. Commutative, associative, idempotent: two
    /// stores that have merged the same writes are equal, in whatever order they came.
    pub fn merge(&mut self, write: Write) -> Merged {
        let Write { key, entry } = write;
        if let Some(held) = self.entries.get_mut(&key) {
            if entry.version <= held.version {
                return Merged::Lost;
            }
            let (added, removed) = (entry_hash(&key, &entry), entry_hash(&key, held));
            self.hash = self.hash.wrapping_add(added).wrapping_sub(removed);
            let key_bytes = key.as_str().len();
            let new = Weight::of(key_bytes, &entry);
            let before = std::mem::replace(held, entry);
            self.shift(new, Weight::of(key_bytes, &before));
            return Merged::Won(before.value);
        }
        self.hash = self.hash.wrapping_add(entry_hash(&key, &entry));
        self.shift(Weight::of(key.as_str().len(), &entry), Weight::default());
        self.entries.insert(key, entry);
        Merged::Won(None)
    }

    fn shift(&mut self, added: Weight, removed: Weight) {
        self.keys = self.keys + added.keys - removed.keys;
        self.tombstones = self.tombstones + added.tombstones - removed.tombstones;
        self.bytes = self.bytes + added.bytes - removed.bytes;
    }

    /// The keys that exist and begin with `prefix`, from the first one on that is at least
    /// `start`.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        start: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Entry, &'a Value)> {
        let from = start.map_or(prefix, |start| start.max(prefix));
        self.entries
            .range::<str, _>((Bound::Included(from), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
            .filter_map(|(key, entry)| Some((key, entry, entry.value.as_ref()?)))
    }

    /// All entries behind `after`, deletions included.
    pub fn entries_after(&self, after: Option<&Key>) -> impl Iterator<Item = (&Key, &Entry)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range::<Key, _>((from, Bound::Unbounded))
    }

    /// How many keys exist.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// How many deletions are remembered.
    pub fn tombstones(&self) -> u64 {
        self.tombstones
    }

    /// What keys and values take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Equal for stores that hold the same entries; else different, but by a chance of 2^-64. It
    /// is a sum over the entries, so that a write changes it at once, whatever the order.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// What an entry adds to the counts of a store.
#[derive(Default)]
struct Weight {
    keys: u64,
    tombstones: u64,
    bytes: u64,
}

impl Weight {
    fn of(key_bytes: usize, entry: &Entry) -> Self {
        let value_bytes = entry.value.as_ref().map_or(0, |value| value.as_bytes().len());
        Self {
            keys: u64::from(entry.value.is_some()),
            tombstones: u64::from(entry.value.is_none()),
            bytes: (key_bytes + value_bytes) as u64,
        }
    }
}

fn entry_hash(key: &Key, entry: &Entry) -> u64 {
    let Version { clock, node, incarnation } = entry.version;
    let writer = xxh3_64_with_seed(&node.0.to_le_bytes(), incarnation.0);
    let place = xxh3_64_with_seed(key.as_str().as_bytes(), clock ^ writer);
    match &entry.value {
        Some(value) => xxh3_64_with_seed(value.as_bytes(), place),
        None => xxh3_64_with_seed(b"deleted", !place),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::{Incarnation, NodeId};

    fn write(key: &str, clock: u64, node: u64, value: Option<&str>) -> Write {
        let version = Version { clock, node: NodeId(node), incarnation: Incarnation(1) };
        let value = value.map(|v| Value::try_from(v.as_bytes().to_vec()).expect("short"));
        let entry = Entry { version, created: clock, writes: 1, value };
        Write { key: Key::try_from(key).expect("a key"), entry }
    }

    /// Few keys, clocks and nodes, so that writes meet. The value follows from the version, as it
    /// does in a cluster: a version is given out once.
    fn writes() -> impl Strategy<Value = Vec<Write>> {
        let one = (0_u64..4, 0_u64..6, 0_u64..3).prop_map(|(key, clock, node)| {
            let text = format!("{clock}.{node}");
            let value = (clock % 3 != 0).then_some(text.as_str());
            write(&format!("k{key}"), clock, node, value)
        });
        prop::collection::vec(one, 0..40)
    }

    fn merged(writes: impl IntoIterator<Item = Write>) -> Store {
        let mut store = Store::default();
        for write in writes {
            store.merge(write);
        }
        store
    }

    fn counted(store: &Store) -> (u64, u64, u64) {
        let live = store.entries.values().filter(|entry| entry.value.is_some()).count() as u64;
        let hash = store.entries.iter().map(|(k, e)| entry_hash(k, e));
        (live, store.entries.len() as u64 - live, hash.fold(0, u64::wrapping_add))
    }

    proptest! {
        /// S7: whatever the order and however often, the same writes make the same state.
        #[test]
        fn merging_is_commutative_and_idempotent(
            (writes, shuffled) in writes().prop_flat_map(|w| (Just(w.clone()), Just(w).prop_shuffle())),
        ) {
            let once = merged(writes.clone());
            let twice = merged(shuffled.into_iter().chain(writes));
            prop_assert_eq!(&once.entries, &twice.entries);
            prop_assert_eq!(once.hash(), twice.hash());
        }

        /// What a sync sends is a store merged into a store; it may come in any grouping.
        #[test]
        fn merging_is_associative(a in writes(), b in writes(), c in writes()) {
            let flat = |store: Store| store.entries.into_iter().map(|(key, entry)| Write { key, entry });
            let bc = merged(flat(merged(b.clone())).chain(flat(merged(c.clone()))));
            let left = merged(flat(merged(a.iter().cloned().chain(b))).chain(flat(merged(c))));
            let right = merged(flat(merged(a)).chain(flat(bc)));
            prop_assert_eq!(left.entries, right.entries);
        }

        #[test]
        fn counts_and_hash_are_those_of_the_entries(writes in writes()) {
            let store = merged(writes);
            let counts = (store.keys(), store.tombstones(), store.hash());
            prop_assert_eq!(counts, counted(&store));
        }
    }

    /// S5: a deletion is remembered, so an older write does not bring the key back.
    #[test]
    fn a_deleted_key_stays_deleted() {
        let mut store = merged([write("k", 2, 1, None)]);
        assert_eq!(store.merge(write("k", 1, 9, Some("old"))), Merged::Lost);
        assert_eq!((store.keys(), store.tombstones()), (0, 1));
    }

    #[test]
    fn a_range_holds_the_keys_of_its_prefix() {
        let keys = ["a", "b", "b/1", "b/2", "b0", "c"];
        let store = merged(keys.map(|key| write(key, 1, 1, Some("v"))));
        let found = |prefix, start| {
            store.range(prefix, start).map(|(key, ..)| key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("b/", None), ["b/1", "b/2"]);
        assert_eq!(found("b", Some("b/2")), ["b/2", "b0"]);
        assert_eq!(found("b", Some("a")), ["b", "b/1", "b/2", "b0"]);
        assert_eq!(found("", None).len(), 6);
    }
}

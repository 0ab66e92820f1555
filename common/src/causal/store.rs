//! The keys of causal mode, each with the versions that stand side by side.
//!
//! It is an optimised OR-set of versions (Bieniusa et al. 2012). There are no tombstones: a version
//! that is not here, and whose dot the node has seen, was replaced or deleted. So a deletion is
//! told however long a node was away, and nothing has to be collected.

use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::causal::clock::{Dot, VectorClock};
use crate::causal::tree::{Bucket, HashTree};
use crate::causal::version::Version;
use crate::causal::write::Write;
use crate::kv::key::Key;

/// The versions of a key, in the order of their dots. A clone shares them.
pub type Versions = Arc<[Version]>;

/// Keys in the order of their bytes. A clone takes no time and shares what doesn't change after
/// it: that is a snapshot.
///
/// Invariants: a key has a version, and not two of one dot; `several`, `bytes` and `tree` are
/// those of `keys`.
#[derive(Debug, Clone, Default)]
pub struct Store {
    keys: OrdMap<Key, Entry>,
    /// Those with more than one version.
    several: OrdSet<Key>,
    bytes: u64,
    tree: HashTree,
}

/// What a key has.
///
/// Invariant: `hash` is that of key and versions.
#[derive(Debug, Clone)]
struct Entry {
    versions: Versions,
    hash: u64,
}

/// A key has other versions than before.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Those before; none if there was no such key.
    pub before: Option<Versions>,
    /// Those after; none if there is none now.
    pub after: Option<Versions>,
}

impl Store {
    /// The versions of a key; none if it does not exist.
    pub fn get(&self, key: &Key) -> &[Version] {
        self.keys.get(key).map_or(&[], |entry| &entry.versions)
    }

    /// Applies a write: what it replaces goes, what it adds comes.
    pub fn apply(&mut self, write: &Write) -> Changed {
        let added = Version::of(write);
        let Some(entry) = self.keys.get_mut(&write.key) else {
            return self.load(write.key.clone(), added.into_iter().collect());
        };
        let stays =
            |version: &&Version| !write.replaces.contains(&version.dot) && version.dot != write.dot;
        let mut versions: Vec<Version> = entry.versions.iter().filter(stays).cloned().collect();
        versions.extend(added);
        if versions.is_empty() {
            return self.load(write.key.clone(), versions);
        }
        let place = place_of(&write.key);
        let after = Entry::new(place, versions);
        let before = std::mem::replace(entry, after.clone());
        self.settle(&write.key, place, Some(before), Some(after))
    }

    /// Gives a key just these versions; none removes it.
    pub fn load(&mut self, key: Key, versions: Vec<Version>) -> Changed {
        let place = place_of(&key);
        let after = (!versions.is_empty()).then(|| Entry::new(place, versions));
        let before = match &after {
            Some(entry) => self.keys.insert(key.clone(), entry.clone()),
            None => self.keys.remove(&key),
        };
        self.settle(&key, place, before, after)
    }

    /// Keeps the invariants, where a key has had other versions.
    fn settle(
        &mut self,
        key: &Key,
        place: u64,
        before: Option<Entry>,
        after: Option<Entry>,
    ) -> Changed {
        let bucket = Bucket::at_hash(place);
        if let Some(before) = &before {
            self.bytes -= weight(key, &before.versions);
            self.tree.remove(bucket, before.hash);
        }
        if let Some(after) = &after {
            self.bytes += weight(key, &after.versions);
            self.tree.add(bucket, after.hash);
        }
        let are_several =
            |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.versions.len() > 1);
        match (are_several(&before), are_several(&after)) {
            (false, true) => drop(self.several.insert(key.clone())),
            (true, false) => drop(self.several.remove(key)),
            (false, false) | (true, true) => {}
        }
        let versions = |entry: Option<Entry>| entry.map(|entry| entry.versions);
        Changed { before: versions(before), after: versions(after) }
    }

    /// The keys with `prefix`, from the first one on that is at least `start`.
    pub fn from<'a>(
        &'a self,
        prefix: &'a str,
        start: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a [Version])> + use<'a> {
        let from = start.map_or(prefix, |start| start.max(prefix));
        self.between(Bound::Included(from), prefix)
    }

    /// The keys with `prefix`, those behind `after`.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a [Version])> {
        let from = after.map_or(Bound::Included(prefix), |key| Bound::Excluded(key.as_str()));
        self.between(from, prefix)
    }

    fn between<'a>(
        &'a self,
        from: Bound<&str>,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a [Version])> + use<'a> {
        let keys = self.keys.range::<_, str>((from, Bound::Unbounded));
        keys.map(|(key, entry)| (key, &*entry.versions))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// The keys behind `after`, or all.
    pub fn behind(&self, after: Option<&Key>) -> impl Iterator<Item = (&Key, &[Version])> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys.range::<_, Key>((from, Bound::Unbounded));
        keys.map(|(key, entry)| (key, &*entry.versions))
    }

    /// The keys with more than one version that begin with `prefix`, from `start` on.
    pub fn several<'a>(
        &'a self,
        prefix: &'a str,
        start: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a [Version])> {
        let from = start.map_or(prefix, |start| start.max(prefix));
        let keys = self.several.range::<_, str>((Bound::Included(from), Bound::Unbounded));
        keys.take_while(move |key| key.as_str().starts_with(prefix)).map(|key| (key, self.get(key)))
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &[Version])> {
        self.behind(None)
    }

    /// How many keys exist.
    pub fn keys(&self) -> u64 {
        self.keys.len() as u64
    }

    /// How many of them have more than one version.
    pub fn several_keys(&self) -> u64 {
        self.several.len() as u64
    }

    /// What keys and values take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hashes of its parts.
    pub fn tree(&self) -> &HashTree {
        &self.tree
    }

    /// Equal for stores that hold the same; else different, but by a chance of 2^-64.
    pub fn hash(&self) -> u64 {
        self.tree.root()
    }
}

/// What two nodes' versions of a key make together: a version of both stays; one that only one of
/// them has stays if the other has not seen it, and else was replaced there.
pub fn join(
    (ours, our_clock): (&[Version], &VectorClock),
    (theirs, their_clock): (&[Version], &VectorClock),
) -> Vec<Version> {
    let is_in = |versions: &[Version], dot: Dot| versions.iter().any(|version| version.dot == dot);
    let kept = ours
        .iter()
        .filter(|version| is_in(theirs, version.dot) || !their_clock.contains(version.dot));
    let added = theirs
        .iter()
        .filter(|version| !is_in(ours, version.dot) && !our_clock.contains(version.dot));
    let mut versions: Vec<Version> = kept.chain(added).cloned().collect();
    versions.sort_unstable_by_key(|version| version.dot);
    versions
}

impl Entry {
    fn new(place: u64, mut versions: Vec<Version>) -> Self {
        versions.sort_unstable_by_key(|version| version.dot);
        let hash = versions.iter().fold(place, |hash, version| {
            let Version { dot, lamport, time, created, writes, value } = version;
            let numbers = [hash, dot.node.0, dot.counter, *lamport, time.bits(), *created, *writes];
            let seed = xxh3_64(numbers.map(u64::to_le_bytes).as_flattened());
            xxh3_64_with_seed(value, seed)
        });
        Self { versions: versions.into(), hash }
    }
}

/// Where a key is in the tree.
fn place_of(key: &Key) -> u64 {
    xxh3_64(key.as_str().as_bytes())
}

fn weight(key: &Key, versions: &[Version]) -> u64 {
    let values: usize = versions.iter().map(|version| version.value.len()).sum();
    (key.as_str().len() + values) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::causal::hybrid::Timestamp;
    use crate::identity::NodeId;
    use crate::kv::value::Value;

    /// A node as simple as can be: what it has, and what it has seen.
    #[derive(Clone, Default)]
    struct Replica {
        store: Store,
        clock: VectorClock,
    }

    impl Replica {
        fn versions(&self) -> Vec<Dot> {
            self.store.get(&key()).iter().map(|version| version.dot).collect()
        }

        /// A write by `node` that takes the place of all that is here.
        fn write(&mut self, node: u64, value: Option<&str>) -> Write {
            let node = NodeId(node);
            let dot = Dot { node, counter: self.clock.get(node) + 1 };
            let value = value.map(|text| Value::try_from(text.as_bytes().to_vec()).expect("short"));
            let time = Timestamp::of_ms(1);
            let (key, replaces) = (key(), self.versions());
            let (past, request) = (Vec::new(), None);
            let (lamport, created, writes) = (1, 1, 1);
            let write =
                Write { dot, past, lamport, time, key, replaces, value, created, writes, request };
            self.apply(&write);
            write
        }

        fn apply(&mut self, write: &Write) {
            if !self.clock.contains(write.dot) {
                self.clock.advance(write.dot);
                self.store.apply(write);
            }
        }

        fn joined(&self, other: &Self) -> Self {
            let mut joined = self.clone();
            let ours = (self.store.get(&key()), &self.clock);
            let versions = join(ours, (other.store.get(&key()), &other.clock));
            joined.store.load(key(), versions);
            joined.clock.merge(&other.clock);
            joined
        }
    }

    fn key() -> Key {
        Key::try_from("k").expect("a key")
    }

    /// Three replicas after some writes, deletions and joins of each other.
    fn replicas(steps: &[(u8, u8, u8)]) -> [Replica; 3] {
        let mut all: [Replica; 3] = Default::default();
        for (kind, one, other) in steps {
            let (one, other) = (usize::from(one % 3), usize::from(other % 3));
            match kind % 4 {
                0 | 1 => drop(all[one].write(one as u64, Some("v"))),
                2 => drop(all[one].write(one as u64, None)),
                _ => all[one] = all[one].joined(&all[other]),
            }
        }
        all
    }

    fn same(one: &Replica, other: &Replica) -> bool {
        one.clock == other.clock
            && one.versions() == other.versions()
            && one.store.hash() == other.store.hash()
    }

    proptest! {
        /// L9: states join in any order, and any number of times, to the same.
        #[test]
        fn a_join_is_a_join(steps in prop::collection::vec(any::<(u8, u8, u8)>(), 0..24)) {
            let [a, b, c] = replicas(&steps);
            prop_assert!(same(&a.joined(&b), &b.joined(&a)));
            prop_assert!(same(&a.joined(&b).joined(&c), &a.joined(&b.joined(&c))));
            prop_assert!(same(&a.joined(&a), &a));
            prop_assert!(same(&a.joined(&b).joined(&a), &a.joined(&b)));
        }

        /// Concurrent writes commute: each node applies them in its own order.
        #[test]
        fn concurrent_writes_commute(before in prop::collection::vec(any::<(u8, u8, u8)>(), 0..12), kinds: (bool, bool)) {
            let [a, b, _] = replicas(&before);
            let start = a.joined(&b);
            let (mut one, mut other) = (start.clone(), start);
            let first = one.write(0, kinds.0.then_some("x"));
            let second = other.write(1, kinds.1.then_some("y"));
            one.apply(&second);
            other.apply(&first);
            prop_assert!(same(&one, &other));
            // A state transfer makes the same of them as messages do.
            prop_assert!(same(&one.joined(&other), &one));
        }

        #[test]
        fn bytes_and_hash_are_those_of_the_keys(steps in prop::collection::vec(any::<(u8, u8, u8)>(), 0..24)) {
            let [a, ..] = replicas(&steps);
            let mut anew = Store::default();
            for (key, versions) in a.store.iter() {
                anew.load(key.clone(), versions.to_vec());
            }
            prop_assert_eq!((anew.bytes(), anew.hash()), (a.store.bytes(), a.store.hash()));
            prop_assert_eq!(anew.several_keys(), a.store.several_keys());
        }
    }

    /// L11: a node that was away while a key was deleted does not bring it back, however long that
    /// is, and though nothing is left of the key.
    #[test]
    fn what_was_deleted_meanwhile_stays_so() {
        let mut stays = Replica::default();
        let put = stays.write(1, Some("v"));
        let mut away = Replica::default();
        away.apply(&put);
        stays.write(1, None);
        assert_eq!(stays.store.keys(), 0);
        for joined in [stays.joined(&away), away.joined(&stays)] {
            assert_eq!(joined.store.keys(), 0);
        }
    }
}

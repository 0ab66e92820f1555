//! The hash tree by which two nodes find out in which keys they differ (Merkle 1987; Dynamo §4.7).
//!
//! A key belongs to one of 65,536 buckets, by its hash. Each bucket is a leaf, 256 leaves make a
//! branch, 256 branches the tree. Nodes compare the hashes of the branches, then those of the
//! leaves of the branches that differ, and exchange the entries of the leaves that differ.
//!
//! A leaf is the wrapping sum of its entries' hashes, so that a write changes it in one step, in
//! whatever order writes come. A branch is such a sum over its leaves, each hashed with its place.
//! That is enough against chance, not against somebody who seeks a collision: members are trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::kv::bytes_shared;
use crate::kv::key::Key;

/// Branches of a tree, and leaves of a branch: a byte names either.
const FANOUT: usize = 256;

/// What a [`BucketSet`] takes, in bytes: a bit for each bucket.
const SET_BYTES: usize = FANOUT * FANOUT / 8;

/// One of 65,536 parts of all keys, in which they lie evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bucket(pub u16);

impl Bucket {
    /// The bucket of a key: the same on all nodes.
    pub fn of(key: &Key) -> Self {
        Self::at_hash(xxh3_64(key.as_str().as_bytes()))
    }

    /// The bucket of the key with that hash.
    pub(super) fn at_hash(hash: u64) -> Self {
        let [high, low, ..] = hash.to_be_bytes();
        Self::at(high, low)
    }

    /// The bucket of a leaf of a branch.
    pub fn at(branch: u8, leaf: u8) -> Self {
        Self(u16::from_be_bytes([branch, leaf]))
    }

    /// The branch that it is in.
    pub fn branch(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// Which leaf of its branch it is.
    pub fn leaf(self) -> u8 {
        self.0.to_be_bytes()[1]
    }
}

/// The hashes of a store by bucket. A clone shares what doesn't change after it, and costs a step
/// for each branch.
///
/// Invariant: no branch is without a leaf that is not zero, so trees over equal entries are `==`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashTree {
    branches: BTreeMap<u8, Branch>,
}

/// Invariants: `hash` is the sum of its leaves' hashes, `filled` the number of those not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Branch {
    leaves: Arc<[u64; FANOUT]>,
    hash: u64,
    filled: usize,
}

impl HashTree {
    /// An entry with this hash came into a bucket.
    pub fn add(&mut self, bucket: Bucket, hash: u64) {
        let branch = self.branches.entry(bucket.branch()).or_default();
        branch.change(bucket.leaf(), hash);
        if branch.filled == 0 {
            self.branches.remove(&bucket.branch());
        }
    }

    /// An entry with this hash went out of a bucket.
    pub fn remove(&mut self, bucket: Bucket, hash: u64) {
        self.add(bucket, hash.wrapping_neg());
    }

    /// The hash of each of the 256 branches; zero for one without entries.
    pub fn tops(&self) -> Vec<u64> {
        let mut tops = vec![0; FANOUT];
        self.branches.iter().for_each(|(place, top)| tops[usize::from(*place)] = top.hash);
        tops
    }

    /// The hash of each of the 256 leaves of a branch; none if it has no entries.
    pub fn leaves(&self, branch: u8) -> Option<Arc<[u64; FANOUT]>> {
        self.branches.get(&branch).map(|branch| Arc::clone(&branch.leaves))
    }

    /// The branches whose hash is not that of `theirs`, in order. What `theirs` lacks is zero.
    pub fn differing_tops(&self, theirs: &[u64]) -> Vec<u8> {
        differing(&self.tops(), theirs)
    }

    /// The buckets of a branch whose hash is not that of `theirs`, in order. What `theirs` lacks is
    /// zero: a branch without entries may as well be an empty slice.
    pub fn differing_leaves(&self, branch: u8, theirs: &[u64]) -> Vec<Bucket> {
        let ours = self.leaves(branch).unwrap_or_else(|| Arc::new([0; FANOUT]));
        differing(&ours[..], theirs).into_iter().map(|leaf| Bucket::at(branch, leaf)).collect()
    }

    /// Equal for equal trees, else different but by a chance of about 2^-64; zero without entries.
    pub fn root(&self) -> u64 {
        let tops = self.branches.iter();
        tops.fold(0, |sum, (place, branch)| sum.wrapping_add(placed(*place, branch.hash)))
    }
}

impl Default for Branch {
    fn default() -> Self {
        Self { leaves: Arc::new([0; FANOUT]), hash: 0, filled: 0 }
    }
}

impl Branch {
    fn change(&mut self, place: u8, by: u64) {
        let leaf = &mut Arc::make_mut(&mut self.leaves)[usize::from(place)];
        let before = *leaf;
        *leaf = before.wrapping_add(by);
        self.hash =
            self.hash.wrapping_sub(placed(place, before)).wrapping_add(placed(place, *leaf));
        self.filled = self.filled + usize::from(*leaf != 0) - usize::from(before != 0);
    }
}

/// What a leaf adds to its branch, or a branch to the root. What is empty adds nothing.
fn placed(place: u8, hash: u64) -> u64 {
    if hash == 0 { 0 } else { xxh3_64_with_seed(&hash.to_le_bytes(), u64::from(place)) }
}

fn differing(ours: &[u64], theirs: &[u64]) -> Vec<u8> {
    let theirs = theirs.iter().copied().chain(std::iter::repeat(0));
    let pairs = (0..=u8::MAX).zip(ours.iter().copied().zip(theirs));
    pairs.filter(|(_, (our, their))| our != their).map(|(place, _)| place).collect()
}

/// A set of buckets, which a message carries as 8 KiB whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSet {
    #[serde(with = "bytes_shared")]
    bits: Arc<[u8]>,
}

impl Default for BucketSet {
    fn default() -> Self {
        Self { bits: Arc::from([0; SET_BYTES].as_slice()) }
    }
}

impl BucketSet {
    /// Puts a bucket into the set.
    pub fn insert(&mut self, bucket: Bucket) {
        let (byte, bit) = place_of(bucket);
        Arc::make_mut(&mut self.bits).get_mut(byte).into_iter().for_each(|byte| *byte |= bit);
    }

    /// Whether a bucket is in the set.
    pub fn contains(&self, bucket: Bucket) -> bool {
        let (byte, bit) = place_of(bucket);
        self.bits.get(byte).is_some_and(|byte| byte & bit != 0)
    }

    /// How many buckets are in the set.
    pub fn len(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether no bucket is in the set.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|byte| *byte == 0)
    }

    /// Whether it has a place for each bucket, and for no more. A sound node sends nothing else.
    pub fn is_plausible(&self) -> bool {
        self.bits.len() == SET_BYTES
    }
}

/// Which byte of a set has the bucket, and which bit of it.
fn place_of(bucket: Bucket) -> (usize, u8) {
    (usize::from(bucket.0 / 8), 1 << (bucket.0 % 8))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Few buckets, so that entries meet in leaves and leaves in branches.
    fn entries() -> impl Strategy<Value = Vec<(Bucket, u64)>> {
        let bucket = (0_u8..4, 0_u8..4).prop_map(|(branch, leaf)| Bucket::at(branch, leaf));
        prop::collection::vec((bucket, any::<u64>()), 0..40)
    }

    fn tree(entries: &[(Bucket, u64)]) -> HashTree {
        let mut tree = HashTree::default();
        entries.iter().for_each(|(bucket, hash)| tree.add(*bucket, *hash));
        tree
    }

    fn leaf(tree: &HashTree, bucket: Bucket) -> u64 {
        tree.leaves(bucket.branch()).map_or(0, |leaves| leaves[usize::from(bucket.leaf())])
    }

    /// What two nodes find that compare tops, then leaves, as the messages will carry them.
    fn found(ours: &HashTree, theirs: &HashTree) -> BTreeSet<Bucket> {
        let leaves = |branch| theirs.leaves(branch).map_or(Vec::new(), |leaves| leaves.to_vec());
        let tops = ours.differing_tops(&theirs.tops()).into_iter();
        tops.flat_map(|branch| ours.differing_leaves(branch, &leaves(branch))).collect()
    }

    proptest! {
        #[test]
        fn the_order_of_entries_does_not_matter(some in entries()) {
            let mut sorted = some.clone();
            sorted.sort_by_key(|(_, hash)| *hash);
            prop_assert_eq!(tree(&some), tree(&sorted));
        }

        /// An entry that comes and goes leaves nothing behind, and no memory either.
        #[test]
        fn adding_and_removing_is_doing_nothing(kept in entries(), gone in entries()) {
            let mut some = tree(&kept);
            let before = some.clone();
            gone.iter().for_each(|(bucket, hash)| some.add(*bucket, *hash));
            prop_assert_eq!(&before, &tree(&kept), "a clone is a snapshot");
            gone.iter().for_each(|(bucket, hash)| some.remove(*bucket, *hash));
            prop_assert_eq!(&some, &before);
            kept.iter().for_each(|(bucket, hash)| some.remove(*bucket, *hash));
            prop_assert_eq!(&some, &HashTree::default());
        }

        /// L15: what differs is found, all of it and nothing else.
        #[test]
        fn just_the_buckets_that_differ_are_found(
            both in entries(), ours in entries(), theirs in entries()
        ) {
            let one = tree(&[both.clone(), ours].concat());
            let other = tree(&[both, theirs].concat());
            let all = (0..4).flat_map(|branch| (0..4).map(move |leaf| Bucket::at(branch, leaf)));
            let differing: BTreeSet<_> =
                all.filter(|bucket| leaf(&one, *bucket) != leaf(&other, *bucket)).collect();
            prop_assert_eq!(&found(&one, &other), &differing);
            prop_assert_eq!(&found(&other, &one), &differing);
            prop_assert_eq!(one.root() == other.root(), differing.is_empty());
        }

        #[test]
        fn a_set_has_what_was_put_into_it(all in prop::collection::btree_set(any::<u16>(), 0..50)) {
            let mut set = BucketSet::default();
            all.iter().for_each(|bucket| set.insert(Bucket(*bucket)));
            let bytes = postcard::to_stdvec(&set).expect("bytes");
            let set: BucketSet = postcard::from_bytes(&bytes).expect("the same");
            prop_assert!(set.is_plausible() && bytes.len() < SET_BYTES + 8);
            prop_assert_eq!((set.len(), set.is_empty()), (all.len(), all.is_empty()));
            let has: BTreeSet<_> = (0..=u16::MAX).filter(|n| set.contains(Bucket(*n))).collect();
            prop_assert_eq!(has, all);
        }
    }

    /// Entries that change places are a change: two leaves of a branch, two branches of a tree.
    #[test]
    fn a_hash_counts_where_it_is() {
        let roots = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(branch, leaf)| {
            tree(&[(Bucket::at(branch, leaf), 7), (Bucket::at(2, 2), 8)]).root()
        });
        assert_eq!(BTreeSet::from(roots).len(), 4);
    }

    #[test]
    fn what_a_peer_sends_in_a_wrong_length_harms_nobody() {
        let some = tree(&[(Bucket::at(255, 255), 1)]);
        assert_eq!(some.differing_tops(&[]), [255]);
        assert_eq!(some.differing_tops(&[0; 1_000]), [255]);
        assert_eq!(some.differing_leaves(255, &[9]), [Bucket::at(255, 0), Bucket(u16::MAX)]);
        let mut set: BucketSet = postcard::from_bytes(&[1, 255]).expect("one byte");
        set.insert(Bucket(u16::MAX));
        assert!(!set.is_plausible() && !set.contains(Bucket(u16::MAX)) && set.contains(Bucket(7)));
    }

    /// A bucket is part of what nodes tell one another, so it must not change.
    #[test]
    fn keys_lie_evenly_and_where_they_always_lay() {
        let key = |n: u32| Key::try_from(format!("sensors/{n}").as_str()).expect("a key");
        assert_eq!(Bucket::of(&key(1)), Bucket(0xa64d));
        let mut branches = [0_u32; FANOUT];
        (0..25_600).map(key).for_each(|key| branches[usize::from(Bucket::of(&key).branch())] += 1);
        assert!(branches.iter().all(|keys| (50..200).contains(keys)), "{branches:?}");
    }
}

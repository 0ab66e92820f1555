//! What there is to be put in order for one key, with all that needs no search already done.
//!
//! Every value is put once, and that leaves less to order than there are operations (Gibbons and
//! Korach 1997, "Testing Shared Memories", §4, with known reads):
//!
//! - **A put and the gets that saw its value are one block.** Another write between them would
//!   take the value away for good; anything else between them would have seen it. So they stand
//!   together in every order, and afterwards only whether the key is present still matters.
//! - **A get that returns nothing stays out of it.** Without an answer it shows nothing and
//!   changes nothing.
//! - **A put without an answer whose value was seen did happen**, before the first of those gets
//!   returned. It is part of a block like any other.
//! - **A put without an answer whose value nobody saw is optional.** Leaving it out of an order
//!   leaves the state after the next write as it was, and up to there no get can have seen it. Only
//!   a delete can: one that found something, directly behind it, with nothing there before it. So
//!   it is not left out altogether, but stands before such a delete or nowhere.
//! - **A swap joins two blocks.** It is the last to see the value that it takes away, and the first
//!   of its own; nothing can stand between. So values that took each other's place are one block,
//!   in whose inside the order is known. One without an answer whose value nobody saw is left out:
//!   it finds the key present, and leaves it so.
//! - **A delete without an answer is optional** likewise: it stands directly before an operation
//!   that found nothing, with something there before it, or nowhere.
//!
//! An optional operation that is asked for earlier can stand wherever a later one of its kind
//! can. So which of them an order uses is decided by how many it has used: the earliest ones.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::{Action, Answer, Observed, Operation, Outcome};

/// The blocks and optional operations of a key.
///
/// Invariants: `blocks` are in the order of their deadlines; `release_min[i]` is the smallest
/// release from block `i` on; the optional ones are in the order of their invocations.
#[derive(Debug)]
pub(super) struct Puzzle {
    /// Whether the key may be present at the beginning.
    pub(super) begins_anyhow: bool,
    pub(super) blocks: Vec<Block>,
    pub(super) release_min: Vec<Duration>,
    pub(super) optional_puts: Vec<Duration>,
    pub(super) optional_deletes: Vec<Duration>,
}

/// Operations that stand together. Block A can stand before block B unless B's deadline is before
/// A's release. One operation's are its return and its invocation; the block of a put that was
/// seen for long has a deadline that is before its own release, which does no harm.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: Kind,
    /// The last invocation.
    pub(super) release: Duration,
    /// The first return.
    pub(super) deadline: Duration,
}

/// What a block needs, and what it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A put and its gets: leaves the key present.
    Write,
    /// A delete that found something: needs the key present, and leaves it absent.
    Remove,
    /// A get or a delete that found nothing: needs the key absent, and leaves it so.
    Void,
}

/// The block of a value, as far as it is known.
#[derive(Debug, Default)]
struct Cluster<'a> {
    /// When the write was asked for.
    put: Option<Duration>,
    release: Duration,
    /// None until something shows that the write took effect.
    deadline: Option<Duration>,
    /// Of a swap: the value whose place it takes.
    from: Option<&'a str>,
}

impl Cluster<'_> {
    fn add(&mut self, invoked: Duration, returned: Option<Duration>) {
        self.release = self.release.max(invoked);
        self.deadline = self.deadline.into_iter().chain(returned).min();
    }
}

impl Puzzle {
    /// The puzzle of one key's operations. Of those with an answer, the ones that are not
    /// `believed` are taken for operations without. With a `from` above zero, what had been
    /// answered before is left out, and the key may hold anything at first. None where it is plain
    /// that no order exists: a get saw what was not put before it returned, or two blocks exclude
    /// each other.
    pub(super) fn of(operations: &[&Operation], believed: &[bool], from: Duration) -> Option<Self> {
        let begins_anyhow = from > Duration::ZERO;
        let mut pieces = Pieces::default();
        for (operation, is_believed) in operations.iter().zip(believed) {
            let is_left_out = operation.outcome == Outcome::Failed || operation.returned() < from;
            if !is_left_out {
                pieces.take(operation, operation.answer().filter(|_| *is_believed));
            }
        }
        let Pieces { mut clusters, mut blocks, mut optional_puts, mut optional_deletes } = pieces;
        // Before it is said what is optional: a put that a swap has seen is not.
        for value in clusters.keys().copied().collect::<Vec<_>>() {
            show_origins(value, &mut clusters, begins_anyhow)?;
        }
        for cluster in clusters.values() {
            let put = cluster.put.or(begins_anyhow.then_some(Duration::ZERO))?;
            match cluster.deadline {
                None if cluster.from.is_none() => optional_puts.push(put),
                Some(deadline) if deadline < put => return None,
                None | Some(_) => {}
            }
        }
        blocks.append(&mut join(&clusters)?);
        blocks.sort_by_key(|block| (block.deadline, block.release));
        if is_circular(&blocks) {
            return None;
        }
        optional_puts.sort();
        optional_deletes.sort();
        let release_min = release_min(&blocks);
        Some(Self { begins_anyhow, blocks, release_min, optional_puts, optional_deletes })
    }
}

/// The operations of a key, sorted by what they show.
#[derive(Debug, Default)]
struct Pieces<'a> {
    clusters: BTreeMap<&'a str, Cluster<'a>>,
    /// Those that have no value.
    blocks: Vec<Block>,
    optional_puts: Vec<Duration>,
    optional_deletes: Vec<Duration>,
}

impl<'a> Pieces<'a> {
    fn take(&mut self, operation: &'a Operation, answer: Option<&'a Answer>) {
        let (invoked, returned) = (operation.invoked, answer.map(|answer| answer.returned));
        if let Some(value) = operation.action.value() {
            let cluster = self.clusters.entry(value).or_default();
            cluster.put = Some(invoked);
            cluster.add(invoked, returned);
            if let Action::Swap { from, .. } = &operation.action {
                cluster.from = Some(from);
            }
            return;
        }
        let Some(answer) = answer else {
            if operation.action == Action::Delete {
                self.optional_deletes.push(invoked);
            }
            return;
        };
        let kind = match &answer.observed {
            Observed::Got(Some(value)) => {
                self.clusters.entry(value).or_default().add(invoked, returned);
                return;
            }
            Observed::Deleted { existed: true } => Kind::Remove,
            Observed::Got(None) | Observed::Deleted { existed: false } => Kind::Void,
            Observed::Stored => unreachable!("a history has such answers of writes alone"),
        };
        self.blocks.push(Block { kind, release: invoked, deadline: answer.returned });
    }
}

/// The blocks of the values that were there, joined where a swap put one in the place of another.
/// None where that contradicts itself.
fn join(clusters: &BTreeMap<&str, Cluster<'_>>) -> Option<Vec<Block>> {
    let is_there = |cluster: &Cluster<'_>| cluster.deadline.is_some();
    let mut next = BTreeMap::new();
    for (value, cluster) in clusters.iter().filter(|(_, cluster)| is_there(cluster)) {
        if let Some(from) = cluster.from
            && next.insert(from, *value).is_some()
        {
            return None;
        }
    }
    let mut blocks = Vec::new();
    let mut joined = 0;
    for (value, cluster) in clusters {
        let (Some(mut deadline), None) = (cluster.deadline, cluster.from) else { continue };
        let (mut release, mut last) = (cluster.release, *value);
        while let Some(value) = next.get(last) {
            let cluster = &clusters[value];
            let deadline_next = cluster.deadline.filter(|deadline| *deadline >= release)?;
            deadline = deadline.min(deadline_next);
            release = release.max(cluster.release);
            last = value;
            joined += 1;
        }
        blocks.push(Block { kind: Kind::Write, release, deadline });
    }
    // Values that are in each other's place in a circle are behind no beginning.
    (joined == next.len()).then_some(blocks)
}

/// A swap whose value was there has seen the one before it, which so was there as well. None where
/// nobody wrote that, unless it may be from before the beginning.
fn show_origins<'a>(
    value: &str,
    clusters: &mut BTreeMap<&'a str, Cluster<'a>>,
    begins_anyhow: bool,
) -> Option<()> {
    let mut cluster = &clusters[value];
    while let Cluster { put: Some(put), deadline: Some(deadline), from: Some(from), .. } = *cluster
    {
        if begins_anyhow {
            clusters.entry(from).or_default();
        }
        let origin = clusters.get_mut(from)?;
        let before = (origin.release, origin.deadline);
        origin.add(put, Some(deadline));
        if before == (origin.release, origin.deadline) {
            break;
        }
        cluster = &clusters[from];
    }
    Some(())
}

/// Whether two blocks must each stand before the other: a stale read is a put and a get around
/// another put. It needs no search, which could be long if much that is fine came before.
fn is_circular(blocks: &[Block]) -> bool {
    let mut release_max = Duration::ZERO;
    let releases = blocks.iter().map(|block| {
        release_max = release_max.max(block.release);
        release_max
    });
    let releases: Vec<_> = releases.collect();
    blocks.iter().enumerate().any(|(place, block)| {
        // Those that must stand before `block`, as far as their deadlines are not behind its own.
        let before = blocks[..place].partition_point(|other| other.deadline < block.release);
        before > 0 && releases[before - 1] > block.deadline
    })
}

fn release_min(blocks: &[Block]) -> Vec<Duration> {
    let mut least = Duration::MAX;
    let mut release_min: Vec<_> = blocks
        .iter()
        .rev()
        .map(|block| {
            least = least.min(block.release);
            least
        })
        .collect();
    release_min.reverse();
    release_min
}

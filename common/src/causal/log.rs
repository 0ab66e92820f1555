//! The writes that members may still lack: what is sent again, and what is relayed.
//!
//! It is part of the persistent state, so that a restart forgets nothing that is owed to others;
//! and it is bounded: who lacks more takes the state over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::causal::clock::{Dot, VectorClock};
use crate::causal::write::Write;
use crate::identity::NodeId;

/// The latest writes of all writers.
///
/// Invariant: of each writer, those behind `base` up to what the node has applied, without a gap;
/// all of them take no more than `bytes_max` (L3).
#[derive(Debug, Clone)]
pub struct Log {
    writers: BTreeMap<NodeId, Kept>,
    bytes: usize,
    bytes_max: usize,
}

/// The latest writes of one writer.
#[derive(Debug, Clone, Default)]
struct Kept {
    base: u64,
    /// Each with the weight of all of this writer up to it, since the log was begun.
    writes: VecDeque<(u64, Arc<Write>)>,
    /// The same of those that are kept no more.
    gone: u64,
}

impl Log {
    /// An empty one.
    pub fn new(bytes_max: usize) -> Self {
        Self { writers: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// The log of a node that has seen `clock` and kept `writes`, in any order.
    pub fn of(clock: &VectorClock, mut writes: Vec<Arc<Write>>, bytes_max: usize) -> Self {
        let mut log = Self::new(bytes_max);
        writes.sort_unstable_by_key(|write| write.dot);
        for dot in clock.iter() {
            let kept = writes.iter().filter(|write| write.dot.node == dot.node).count();
            log.restart(Dot { counter: dot.counter - kept as u64, ..dot });
        }
        writes.into_iter().for_each(|write| log.push(write));
        log
    }

    /// Adds the next write of its writer. Past the bound the oldest go.
    pub fn push(&mut self, write: Arc<Write>) {
        let kept = self.writers.entry(write.dot.node).or_default();
        assert_eq!(kept.last() + 1, write.dot.counter, "a writer's writes come in order");
        self.bytes += write.weight();
        let total = kept.total_at(kept.last()) + write.weight() as u64;
        kept.writes.push_back((total, write));
        while self.bytes > self.bytes_max {
            let longest = self.writers.values_mut().max_by_key(|kept| kept.writes.len());
            let gone = longest.and_then(Kept::pop).expect("what is past the bound is there");
            self.bytes -= gone.weight();
        }
    }

    /// What all members have is not needed.
    pub fn release(&mut self, stable: &VectorClock) {
        for (node, kept) in &mut self.writers {
            let counter = stable.get(*node);
            while kept.base < counter {
                let Some(gone) = kept.pop() else { break };
                self.bytes -= gone.weight();
            }
        }
    }

    /// The state up to `dot` has come otherwise: nothing is kept of its writer.
    pub fn restart(&mut self, dot: Dot) {
        let kept = self.writers.entry(dot.node).or_default();
        self.bytes -= kept.writes.iter().map(|(_, write)| write.weight()).sum::<usize>();
        *kept = Kept { base: dot.counter, ..Kept::default() };
    }

    /// The writes of `node` behind `counter`, if all of them are kept.
    pub fn behind(&self, node: NodeId, counter: u64) -> Option<impl Iterator<Item = &Arc<Write>>> {
        let kept = self.writers.get(&node).filter(|kept| counter >= kept.base)?;
        let skipped = usize::try_from(counter - kept.base).unwrap_or(usize::MAX);
        Some(kept.writes.range(skipped.min(kept.writes.len())..).map(|(_, write)| write))
    }

    /// What the writes of `node` behind one counter up to another take, as far as they are kept, in
    /// bytes.
    pub fn bytes_between(&self, node: NodeId, from: u64, to: u64) -> u64 {
        let kept = self.writers.get(&node);
        kept.map_or(0, |kept| kept.total_at(to).saturating_sub(kept.total_at(from)))
    }

    /// All, those of a writer in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Write>> {
        self.writers.values().flat_map(|kept| &kept.writes).map(|(_, write)| write)
    }

    /// Of each writer, the last that is not kept.
    pub fn bases(&self) -> Vec<Dot> {
        let bases = self.writers.iter().map(|(node, kept)| (*node, kept.base));
        let bases = bases.filter(|(_, base)| *base > 0);
        bases.map(|(node, counter)| Dot { node, counter }).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.writers.values().map(|kept| kept.writes.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.writers.values().all(|kept| kept.writes.is_empty())
    }

    /// What they take in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Kept {
    fn last(&self) -> u64 {
        self.base + self.writes.len() as u64
    }

    /// The weight of all up to a counter.
    fn total_at(&self, counter: u64) -> u64 {
        let place = counter.min(self.last()).checked_sub(self.base + 1);
        let found = place.and_then(|place| self.writes.get(usize::try_from(place).ok()?));
        found.map_or(self.gone, |(total, _)| *total)
    }

    fn pop(&mut self) -> Option<Arc<Write>> {
        let (total, gone) = self.writes.pop_front()?;
        self.base += 1;
        self.gone = total;
        Some(gone)
    }
}

//! All writes that there ever were, with the past of each, and what any state is made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::causal::clock::{Dot, VectorClock};
use common::causal::version::Version;
use common::causal::write::Write;
use common::identity::NodeId;
use common::kv::command::Tag;
use common::kv::key::Key;

/// All writes, each once.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    writes: BTreeMap<Dot, Entry>,
    by_key: BTreeMap<Key, Vec<Dot>>,
    /// A writer gives out each number of its Lamport clock once.
    by_lamport: BTreeMap<(NodeId, u64), Dot>,
    by_tag: BTreeMap<Tag, Vec<Dot>>,
}

#[derive(Debug)]
struct Entry {
    write: Arc<Write>,
    /// All that its writer had seen, others' writes and its own; not the write itself.
    past: VectorClock,
    /// Writes that take its place.
    successors: Vec<Dot>,
}

impl Ledger {
    /// A write is durable at its writer, who had seen `past`.
    pub(super) fn add(&mut self, write: &Arc<Write>, past: &VectorClock) -> Result<(), String> {
        let dot = write.dot;
        if let Some(known) = self.writes.get(&dot) {
            return Err(format!("{dot} is given out twice: {:?} and {write:?}", known.write));
        }
        for replaced in &write.replaces {
            let Some(known) = self.writes.get_mut(replaced) else {
                return Err(format!("{dot} takes the place of {replaced}, which nobody wrote"));
            };
            if known.write.key != write.key || !past.contains(*replaced) {
                return Err(format!("{write:?} takes the place of {:?}", known.write));
            }
            known.successors.push(dot);
        }
        let same = self.by_lamport.insert((dot.node, write.lamport), dot);
        if let Some(same) = same {
            return Err(format!("{same} and {dot} have the same Lamport time"));
        }
        self.by_key.entry(write.key.clone()).or_default().push(dot);
        if let Some(request) = &write.request {
            self.by_tag.entry(request.tag).or_default().push(dot);
        }
        let (write, past, successors) = (Arc::clone(write), past.clone(), Vec::new());
        self.writes.insert(dot, Entry { write, past, successors });
        Ok(())
    }

    pub(super) fn get(&self, dot: Dot) -> Option<&Arc<Write>> {
        self.writes.get(&dot).map(|entry| &entry.write)
    }

    /// What the writer of a write had seen.
    pub(super) fn past(&self, dot: Dot) -> Option<&VectorClock> {
        self.writes.get(&dot).map(|entry| &entry.past)
    }

    pub(super) fn of_lamport(&self, node: NodeId, lamport: u64) -> Option<&Arc<Write>> {
        self.get(*self.by_lamport.get(&(node, lamport))?)
    }

    /// The writes that were made for a tagged request.
    pub(super) fn of_tag(&self, tag: Tag) -> impl Iterator<Item = &Arc<Write>> {
        self.by_tag.get(&tag).into_iter().flatten().filter_map(|dot| self.get(*dot))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.by_key.keys()
    }

    /// The versions of a key at a clock: of the writes in it those that no other write in it has
    /// taken the place of.
    pub(super) fn versions(&self, key: &Key, clock: &VectorClock) -> Vec<Version> {
        let dots = self.by_key.get(key).into_iter().flatten();
        let entries = dots.filter(|dot| clock.contains(**dot)).map(|dot| &self.writes[dot]);
        let stay = entries.filter(|e| !e.successors.iter().any(|next| clock.contains(*next)));
        let mut versions: Vec<Version> = stay.filter_map(|e| Version::of(&e.write)).collect();
        versions.sort_unstable_by_key(|version| version.dot);
        versions
    }

    /// Whether a clock has no effect without its cause.
    pub(super) fn check_closed(&self, clock: &VectorClock) -> Result<(), String> {
        for dot in clock.iter() {
            let past = self.past(dot).ok_or_else(|| format!("nobody has written {dot}"))?;
            if let Some(missing) = past.iter().find(|cause| !clock.contains(*cause)) {
                return Err(format!("{clock} has {dot}, and not {missing}, which that had seen"));
            }
        }
        Ok(())
    }
}

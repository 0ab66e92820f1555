//! Lag accounted: a write of a peer is delivered or counted as missed, never both; and where
//! nothing gets lost, nothing is missed.
//!
//! Source: Lab 1, "it may lose and diverge; what is lost is counted". Not in the specification,
//! where a write is in a store or not.

use std::collections::BTreeMap;

use common::identity::{Incarnation, NodeId};
use common::observe::Event;

use super::{Batch, Check, Network};

/// How many writes each process has made, and what others say of them.
#[derive(Debug)]
pub(super) struct Lag {
    network: Network,
    made: BTreeMap<(NodeId, Incarnation), u64>,
    incarnations: BTreeMap<NodeId, Incarnation>,
    seen: BTreeMap<(NodeId, NodeId), Seen>,
}

/// What one node has seen of a peer's writes.
#[derive(Debug, Default)]
struct Seen {
    incarnation: Incarnation,
    delivered: u64,
    missed: u64,
}

impl Lag {
    pub(super) fn new(network: Network) -> Self {
        Self {
            network,
            made: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }
}

impl Check for Lag {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        if batch.may_forget() {
            let of_it = self.seen.iter_mut().filter(|((owner, _), _)| *owner == batch.node);
            of_it.for_each(|(_, seen)| (seen.delivered, seen.missed) = (0, 0));
        }
        for event in batch.outbox.events() {
            self.follow(batch.node, event)?;
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        self.seen.retain(|(owner, _), _| *owner != node);
    }
}

impl Lag {
    fn follow(&mut self, node: NodeId, event: &Event) -> Result<(), String> {
        if let Event::Start { incarnation } = event {
            self.incarnations.insert(node, *incarnation);
        } else if let Event::Write { number, .. } = event {
            let incarnation = self.incarnations[&node];
            self.made.insert((node, incarnation), *number);
        } else if let Event::Link { peer, incarnation, .. } = event {
            let seen = self.seen.entry((node, *peer)).or_default();
            if seen.incarnation != *incarnation {
                let incarnation = *incarnation;
                *seen = Seen { incarnation, ..Seen::default() };
            }
        } else if let Event::Deliver { from, .. } = event {
            self.seen.entry((node, *from)).or_default().delivered += 1;
            self.judge(node, *from)?;
        } else if let Event::Miss { from, writes } = event {
            if self.network == Network::Lossless {
                return Err(format!("{writes} writes of {from} missed, and nothing was lost"));
            }
            self.seen.entry((node, *from)).or_default().missed += writes;
            self.judge(node, *from)?;
        }
        Ok(())
    }

    fn judge(&self, node: NodeId, from: NodeId) -> Result<(), String> {
        let seen = &self.seen[&(node, from)];
        let made = self.made.get(&(from, seen.incarnation)).copied().unwrap_or_default();
        if seen.delivered + seen.missed <= made {
            return Ok(());
        }
        Err(format!("{from} made {made} writes: {seen:?}"))
    }
}

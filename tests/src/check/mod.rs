//! What must be true of every run, whoever drives it.
//!
//! A checker sees a node from outside: what went in, what came out, and what the store holds
//! afterwards. It knows neither the network nor the faults, and takes no word of the node for what
//! can be seen otherwise. One file holds one property, and says where it is from, under which name
//! the specification (`spec/DistributedDb.tla`) has it, and which broken core it was seen to catch;
//! `spec/PROPERTIES.md` is the table of all that is promised, and of who looks.
//!
//! [`Checks`] feeds them all; [`convergence`] judges a cluster that has come to rest. Two look from
//! further away, at what clients were answered: [`common::check`].

mod answers;
pub mod causal;
pub mod convergence;
mod delivery;
mod invention;
mod lag;
mod monotone;
mod own_write;
mod peers;
pub mod raft;
mod readiness;
mod recipients;
mod resurrection;
mod sync;
mod versions;
mod watches;

use std::collections::BTreeMap;
use std::fmt;

use common::broadcast::store::Entry;
use common::check::Violation;
use common::identity::NodeId;
use common::kv::key::Key;
use common::node::{Message, Node};
use common::observe::Event;
use common::protocol::{Input, Outbox};

/// One commit of one node.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Whose.
    pub node: NodeId,
    /// What went in, in order.
    pub inputs: &'a [Input<Message>],
    /// What came out.
    pub outbox: &'a Outbox<Node>,
    /// The node afterwards.
    pub state: &'a Node,
    /// Its store before.
    pub before: &'a BTreeMap<Key, Entry>,
    /// What is different in its store since then.
    pub changes: &'a [Changed<'a>],
    /// Whether it was ready before.
    pub was_ready: bool,
}

impl Batch<'_> {
    /// Whether the node may have forgotten its store: one that is not ready may begin anew when it
    /// loses a peer or turns to a donor, since nobody has seen what it holds. TLA+: `LoseLinks`.
    fn may_forget(&self) -> bool {
        let begins_anew = |event: &Event| {
            matches!(event, Event::Unlink { .. } | Event::RequestSync { chunk: 0, .. })
        };
        !self.was_ready && self.outbox.events().any(begins_anew)
    }
}

/// A key whose entry is not what it was.
#[derive(Debug)]
pub struct Changed<'a> {
    /// Which.
    pub key: &'a Key,
    /// What it held.
    pub before: Option<&'a Entry>,
    /// What it holds.
    pub after: Option<&'a Entry>,
}

/// A property that every commit of every node keeps.
trait Check: fmt::Debug {
    /// Looks at a commit.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String>;

    /// The process of `node` has ended: what is remembered of its memory no longer counts.
    fn on_crash(&mut self, _node: NodeId) {}
}

/// All checkers.
///
/// Invariant: `nodes` has how each running node was after its last commit.
#[derive(Debug)]
pub struct Checks {
    checks: Vec<(&'static str, Box<dyn Check>)>,
    nodes: BTreeMap<NodeId, Known>,
}

/// How a node was.
#[derive(Debug, Default)]
struct Known {
    hash: u64,
    store: BTreeMap<Key, Entry>,
    is_ready: bool,
}

/// What the run promises, which decides what it may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// No connection breaks and no message gets lost: nothing may be missed.
    Lossless,
    /// Anything may happen.
    Lossy,
}

impl Checks {
    /// Checkers that have seen nothing.
    pub fn new(network: Network) -> Self {
        let checks: Vec<(&'static str, Box<dyn Check>)> = vec![
            ("nothing invented", Box::<invention::Invention>::default()),
            ("versions unique", Box::<versions::Versions>::default()),
            ("own write visible", Box::<own_write::OwnWrite>::default()),
            ("store monotone", Box::<monotone::Monotone>::default()),
            ("no resurrection", Box::<resurrection::Resurrection>::default()),
            ("served only when ready", Box::<readiness::ServedOnlyWhenReady>::default()),
            ("sync complete", Box::<sync::SyncComplete>::default()),
            ("sent once to each peer", Box::<recipients::Recipients>::default()),
            ("delivered once, in order", Box::<delivery::Delivery>::default()),
            ("watch without gap", Box::<watches::WatchWithoutGap>::default()),
            ("lag accounted", Box::new(lag::Lag::new(network))),
            ("answered once", Box::<answers::AnsweredOnce>::default()),
        ];
        Self { checks, nodes: BTreeMap::new() }
    }

    /// Shows a commit to all checkers.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn on_batch(
        &mut self,
        node: NodeId,
        inputs: &[Input<Message>],
        outbox: &Outbox<Node>,
        state: &Node,
    ) -> Result<(), Violation> {
        let known = self.nodes.entry(node).or_default();
        let hash = state.store().hash();
        let after: Option<BTreeMap<Key, Entry>> = (known.hash != hash).then(|| {
            let entries = state.store().entries_after(None);
            entries.map(|(key, entry)| (key.clone(), entry.clone())).collect()
        });
        let changes = after.as_ref().map_or(Vec::new(), |after| difference(&known.store, after));
        let batch = Batch {
            node,
            inputs,
            outbox,
            state,
            before: &known.store,
            changes: &changes,
            was_ready: known.is_ready,
        };
        for (property, check) in &mut self.checks {
            check.on_batch(&batch).map_err(|what| Violation { property, what })?;
        }
        known.is_ready = state.is_ready();
        if let Some(after) = after {
            known.hash = hash;
            known.store = after;
        }
        Ok(())
    }

    /// The process of `node` has ended.
    pub fn on_crash(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        for (_, check) in &mut self.checks {
            check.on_crash(node);
        }
    }
}

fn difference<'a>(
    before: &'a BTreeMap<Key, Entry>,
    after: &'a BTreeMap<Key, Entry>,
) -> Vec<Changed<'a>> {
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let gone = gone.map(|(key, entry)| Changed { key, before: Some(entry), after: None });
    let news = after.iter().filter_map(|(key, entry)| {
        let known = before.get(key);
        (known != Some(entry)).then_some(Changed { key, before: known, after: Some(entry) })
    });
    gone.chain(news).collect()
}

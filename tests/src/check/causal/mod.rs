//! What must be true of every run of causal mode, whoever drives it.
//!
//! As elsewhere, one file holds one property, and says where it is from. They follow what each
//! node's disk has, step by step, and keep a `ledger`: every write that was ever durable, with all
//! that its writer had seen. So they know what any clock makes of any key, by nobody's messages.

mod answers;
mod buffers;
mod ledger;
mod origins;
mod replicas;
mod views;

use common::causal::clock::VectorClock;
use common::identity::NodeId;
use common::node::{Message, Node, Record};
use common::observe::{CausalEvent, Event};
use common::protocol::{Input, Outbox};

use common::check::Violation;

use answers::Answers;
use ledger::Ledger;
use origins::Origins;
use replicas::Replicas;

/// All checkers.
#[derive(Debug)]
pub struct CausalChecks {
    ledger: Ledger,
    replicas: Replicas,
    origins: Origins,
    answers: Answers,
    log_bytes_max: u64,
}

impl CausalChecks {
    /// Checkers that have seen nothing, of nodes whose logs are bounded so.
    pub fn new(log_bytes_max: usize) -> Self {
        Self {
            ledger: Ledger::default(),
            replicas: Replicas::default(),
            origins: Origins::default(),
            answers: Answers::default(),
            log_bytes_max: log_bytes_max as u64,
        }
    }

    /// A process has started from what its disk had.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn on_start(&mut self, node: NodeId, state: &Node) -> Result<(), Violation> {
        let Some(causal) = state.causal() else { return Ok(()) };
        named("durable", self.replicas.on_start(node, &mut self.ledger, causal))
    }

    /// A step is done.
    pub fn on_step(&mut self, node: NodeId, inputs: &[Input<Message>], records: &[Record]) {
        for input in inputs {
            if let Input::Request { id, call } = input {
                self.origins.note(node, call);
                self.answers.note(node, *id, call);
            }
        }
        self.replicas.on_step(node, records);
    }

    /// What the step did is durable; the rest is about to leave.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn on_commit(
        &mut self,
        node: NodeId,
        outbox: &Outbox<Node>,
        state: &Node,
    ) -> Result<(), Violation> {
        let Some(causal) = state.causal() else { return Ok(()) };
        let progress = self.replicas.on_commit(node, &mut self.ledger, causal);
        let progress = progress.map_err(|what| Violation { property: "causal delivery", what })?;
        for (write, before) in &progress.made {
            named("as clients asked", self.origins.judge(write, before, &self.ledger))?;
        }
        let known = (&self.ledger, &self.replicas);
        let judged = self.answers.on_commit(node, &outbox.answers, state, known);
        named("answers are right", judged)?;
        named("buffers are bounded", buffers::judge(causal, self.log_bytes_max))?;
        named("no alarm", judge_events(outbox.events()))
    }

    /// The process of `node` has ended.
    pub fn on_crash(&mut self, node: NodeId) {
        self.answers.forget(node);
    }

    /// All that the disks of these nodes have, together.
    pub fn clock_of_all(&self, nodes: impl Iterator<Item = NodeId>) -> VectorClock {
        let mut all = VectorClock::default();
        nodes.for_each(|node| all.merge(&self.replicas.clock(node)));
        all
    }

    /// Judges a cluster that has come to rest.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn judge<'a>(&self, nodes: impl Iterator<Item = &'a Node>) -> Result<(), Violation> {
        for node in nodes {
            if let Some(causal) = node.causal() {
                named(
                    "equal clocks, equal versions",
                    self.replicas.compare_whole(node.hello().node, causal),
                )?;
            }
        }
        Ok(())
    }
}

/// Nodes with equal clocks are never different, so nobody finds that they are.
fn judge_events<'a>(mut events: impl Iterator<Item = &'a Event>) -> Result<(), String> {
    let alarm =
        events.find(|event| matches!(event, Event::Causal(CausalEvent::StatesDiffer { .. })));
    alarm.map_or(Ok(()), |event| Err(format!("{event:?}")))
}

fn named(property: &'static str, outcome: Result<(), String>) -> Result<(), Violation> {
    outcome.map_err(|what| Violation { property, what })
}

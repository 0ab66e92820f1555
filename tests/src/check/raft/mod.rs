//! What must be true of every run of Raft, whoever drives it.
//!
//! As with broadcast mode, one file holds one property, and says where it is from. They see what
//! each node holds after each commit, and what clients said and heard. One more thing they keep:
//! the `ledger`, all that was ever committed, with a copy of the state that is made of it by
//! nobody's messages.

mod answers;
pub mod clients;
mod completeness;
mod elections;
mod ledger;
mod matching;
mod persistence;
mod soundness;
pub mod watches;

use common::identity::NodeId;
use common::modes::Mode;
use common::node::{Message, Node, Record};
use common::protocol::{Input, Outbox};
use common::raft::Raft;

use common::check::Violation;

use answers::Answers;
use clients::Said;
use elections::Elections;
use ledger::Ledger;
use matching::Matching;
use persistence::Persistence;
use watches::Stretch;

/// All checkers.
#[derive(Debug)]
pub struct RaftChecks {
    ledger: Ledger,
    elections: Elections,
    matching: Matching,
    persistence: Persistence,
    answers: Answers,
}

impl RaftChecks {
    /// Checkers that have seen nothing of a cluster that was founded in that mode.
    pub fn new(mode: Mode) -> Self {
        Self {
            ledger: Ledger::new(mode),
            elections: Elections::default(),
            matching: Matching::default(),
            persistence: Persistence::default(),
            answers: Answers::default(),
        }
    }

    /// A process has started from what its disk had.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn on_start(&mut self, node: NodeId, state: &Node) -> Result<(), Violation> {
        let Some(raft) = state.raft() else { return Ok(()) };
        named("persistent over restarts", self.persistence.on_start(node, raft))
    }

    /// A step is done; what promises nothing about the disk is about to leave.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn on_step(
        &mut self,
        node: NodeId,
        inputs: &[Input<Message>],
        early: &Outbox<Node>,
        records: &[Record],
        state: &Node,
    ) -> Result<(), Violation> {
        self.persistence.on_step(node);
        self.answers.note(node, inputs);
        named("answered once", self.answers.judge(node, &early.answers))?;
        if let Some(raft) = state.raft() {
            named("monotone", self.persistence.compare(node, raft))?;
            named("saved before it is said", self.persistence.on_save(node, records, raft))?;
        }
        Ok(())
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
        named("answered once", self.answers.judge(node, &outbox.answers))?;
        let Some(raft) = state.raft() else { return Ok(()) };
        named("no alarm", soundness::judge(&outbox.events))?;
        named("one leader a term", self.elections.on_commit(node, &outbox.events))?;
        named("log matching", self.matching.on_commit(node, raft))?;
        named("committed entries stay", self.ledger.follow(node, raft))?;
        named("states are equal", self.ledger.compare(raft, &outbox.events))?;
        named("leader completeness", completeness::judge(&self.ledger, raft, &outbox.events))?;
        self.persistence.on_commit(node, raft);
        Ok(())
    }

    /// The process of `node` has ended.
    pub fn on_crash(&mut self, node: NodeId) {
        self.matching.forget(node);
        self.ledger.forget(node);
        self.persistence.on_crash(node);
        self.answers.forget(node);
    }

    /// A request that has not been answered, if there is one.
    pub fn waiting(&self) -> Option<String> {
        self.answers.waiting()
    }

    /// Judges a cluster that has come to rest, and what its clients were told.
    ///
    /// # Errors
    ///
    /// The first violation.
    pub fn judge<'a>(
        &self,
        nodes: impl Iterator<Item = &'a Raft>,
        said: &[Said],
        followed: impl Iterator<Item = &'a Stretch>,
    ) -> Result<(), Violation> {
        for raft in nodes {
            named("states are equal", self.ledger.compare_whole(raft))?;
        }
        named("clients", clients::judge(&self.ledger, said))?;
        named("watches", watches::judge(&self.ledger, followed))
    }
}

fn named(property: &'static str, outcome: Result<(), String>) -> Result<(), Violation> {
    outcome.map_err(|what| Violation { property, what })
}

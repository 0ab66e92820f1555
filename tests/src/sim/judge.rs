//! Which checkers look on.

use common::identity::NodeId;
use common::node::{Message, Node, Record};
use common::protocol::{Input, Outbox};

use crate::check::causal::CausalChecks;
use crate::check::raft::RaftChecks;
use crate::check::{self, Checks};
use common::check::Violation;

use super::lab::Lab;
use super::profile::Profile;

/// The checkers of the lab.
#[derive(Debug)]
pub(super) enum Judge {
    Broadcast(Box<Checks>),
    Raft(Box<RaftChecks>),
    /// Raft runs beside it, for the members and the modes.
    Causal(Box<(RaftChecks, CausalChecks)>),
}

impl Judge {
    pub(super) fn new(lab: Lab, profile: &Profile) -> Self {
        match lab {
            Lab::Broadcast if profile.is_lossless() => {
                Self::Broadcast(Box::new(Checks::new(check::Network::Lossless)))
            }
            Lab::Broadcast => Self::Broadcast(Box::new(Checks::new(check::Network::Lossy))),
            Lab::Raft => Self::Raft(Box::new(RaftChecks::new(profile.mode))),
            Lab::Causal => Self::Causal(Box::new((
                RaftChecks::new(profile.mode),
                CausalChecks::new(profile.causal_log_bytes),
            ))),
        }
    }

    /// A process has started.
    pub(super) fn on_start(&mut self, node: NodeId, state: &Node) -> Result<(), Violation> {
        match self {
            Self::Broadcast(_) => Ok(()),
            Self::Raft(checks) => checks.on_start(node, state),
            Self::Causal(checks) => {
                checks.0.on_start(node, state)?;
                checks.1.on_start(node, state)
            }
        }
    }

    /// A step is done, and what may leave at once is about to.
    pub(super) fn on_step(
        &mut self,
        node: NodeId,
        inputs: &[Input<Message>],
        early: &Outbox<Node>,
        records: &[Record],
        state: &Node,
    ) -> Result<(), Violation> {
        match self {
            Self::Broadcast(_) => Ok(()),
            Self::Raft(checks) => checks.on_step(node, inputs, early, records, state),
            Self::Causal(checks) => {
                checks.1.on_step(node, inputs, records);
                checks.0.on_step(node, inputs, early, records, state)
            }
        }
    }

    /// The disk has what a step did, and the rest is about to leave.
    pub(super) fn on_commit(
        &mut self,
        node: NodeId,
        inputs: &[Input<Message>],
        outbox: &Outbox<Node>,
        state: &Node,
    ) -> Result<(), Violation> {
        match self {
            Self::Broadcast(checks) => checks.on_batch(node, inputs, outbox, state),
            Self::Raft(checks) => checks.on_commit(node, outbox, state),
            Self::Causal(checks) => {
                checks.0.on_commit(node, outbox, state)?;
                checks.1.on_commit(node, outbox, state)
            }
        }
    }

    /// The process of `node` has ended.
    pub(super) fn on_crash(&mut self, node: NodeId) {
        match self {
            Self::Broadcast(checks) => checks.on_crash(node),
            Self::Raft(checks) => checks.on_crash(node),
            Self::Causal(checks) => {
                checks.0.on_crash(node);
                checks.1.on_crash(node);
            }
        }
    }

    /// The checkers of Raft, where it runs.
    pub(super) fn of_raft(&self) -> Option<&RaftChecks> {
        match self {
            Self::Broadcast(_) => None,
            Self::Raft(checks) => Some(checks),
            Self::Causal(checks) => Some(&checks.0),
        }
    }

    /// Those of causal mode.
    pub(super) fn of_causal(&self) -> Option<&CausalChecks> {
        match self {
            Self::Broadcast(_) | Self::Raft(_) => None,
            Self::Causal(checks) => Some(&checks.1),
        }
    }
}

//! What Lab 2 did. One variant for each action of `spec/Causal.tla` that is not but a message's
//! way; the rest tell operators more.

use serde::Serialize;

use crate::causal::clock::Dot;
use crate::identity::NodeId;
use crate::kv::key::Key;
use crate::observe::Event;

/// Something that a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ev")]
pub enum CausalEvent {
    /// A client's write was made here.
    Originate {
        /// The write.
        dot: Dot,
        /// Of which key.
        key: Key,
        /// The versions whose place it takes.
        replaces: Vec<Dot>,
    },
    /// A write took effect here.
    ApplyWrite {
        /// The write.
        dot: Dot,
        /// Of which key.
        key: Key,
        /// Whether it adds no version.
        deleted: bool,
    },
    /// A write waits for its past.
    Hold {
        /// The write.
        dot: Dot,
    },
    /// A member's state is to be taken over.
    BeginStateSync {
        /// Whose.
        donor: NodeId,
    },
    /// A member's state was taken over.
    EndStateSync {
        /// Whose.
        donor: NodeId,
        /// How many keys have changed.
        keys: u64,
    },
    /// A member's state was not taken over.
    AbandonStateSync {
        /// Whose.
        donor: NodeId,
        /// Why.
        reason: &'static str,
    },
    /// No member serves, and all are connected: this node serves with what it has.
    ServeWithoutDonor,
    /// This node's state is given.
    GiveState {
        /// To whom.
        to: NodeId,
    },
    /// A peer has seen the same, and holds something else.
    StatesDiffer {
        /// Which.
        peer: NodeId,
    },
    /// A peer has most likely failed.
    Suspect {
        /// Which.
        peer: NodeId,
    },
    /// A peer is suspected no longer.
    Trust {
        /// Which.
        peer: NodeId,
    },
    /// A snapshot is about to be written.
    TakeCausalSnapshot {
        /// Up to which step.
        position: u64,
    },
}

impl From<CausalEvent> for Event {
    fn from(event: CausalEvent) -> Self {
        Self::Causal(event)
    }
}

impl CausalEvent {
    /// Whether whoever is around the node may have to know.
    pub(super) fn is_news(&self) -> bool {
        match self {
            Self::EndStateSync { .. }
            | Self::ServeWithoutDonor
            | Self::Suspect { .. }
            | Self::Trust { .. } => true,
            Self::Originate { .. }
            | Self::ApplyWrite { .. }
            | Self::Hold { .. }
            | Self::BeginStateSync { .. }
            | Self::AbandonStateSync { .. }
            | Self::GiveState { .. }
            | Self::StatesDiffer { .. }
            | Self::TakeCausalSnapshot { .. } => false,
        }
    }
}

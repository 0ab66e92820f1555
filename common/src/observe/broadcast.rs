//! What Lab 1 did beside its actions: what a checker of traces must know of steps that are too
//! many, or too small, for a log. Observed only where the node is traced.

use serde::Serialize;

use crate::identity::{Incarnation, NodeId};
use crate::observe::Event;

/// Something that a step did, or what it has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ev")]
pub enum BroadcastEvent {
    /// A heartbeat has told something new.
    Hear {
        /// Whose.
        from: NodeId,
        /// The count of its writes.
        number: u64,
        /// Its Lamport clock, that of its versions.
        clock: u64,
        /// Whether it serves.
        ready: bool,
        /// A hash of whom it is connected with.
        mesh: u64,
    },
    /// Writes of a peer will not arrive, and need not: the donor of a node that does not serve yet
    /// must have them.
    Skip {
        /// Whose.
        from: NodeId,
        /// How many.
        writes: u64,
    },
    /// A node that does not serve was asked for its state.
    RefuseSync {
        /// By whom.
        to: NodeId,
        /// In which session.
        session: u64,
    },
    /// A donor has failed: a node that does not serve drops what it has.
    AbandonSync {
        /// Whose state it was to be.
        donor: NodeId,
        /// In which session.
        session: u64,
    },
    /// What a step has left, if it did anything.
    BroadcastState {
        /// The Lamport clock of the versions.
        clock: u64,
        /// The count of the node's writes.
        number: u64,
        /// Whether it serves.
        ready: bool,
        /// How many keys it holds.
        keys: u64,
        /// How many deletions it remembers.
        tombstones: u64,
        /// Whose state it is about to merge.
        donor: Option<NodeId>,
        /// Who else is a member.
        members: Vec<NodeId>,
        /// With whom it is connected.
        linked: Vec<NodeId>,
        /// How far it has heard of everybody.
        seen: Vec<(NodeId, Incarnation, u64)>,
    },
}

impl From<BroadcastEvent> for Event {
    fn from(event: BroadcastEvent) -> Self {
        Self::Broadcast(event)
    }
}

//! What Lab 2 did. One variant for each action of `spec/Causal.tla` that is not but a message's
//! way; the rest tell operators more.

use serde::Serialize;

use crate::causal::clock::{Dot, VectorClock};
use crate::causal::context::Context;
use crate::identity::NodeId;
use crate::kv::key::Key;
use crate::observe::Event;

/// Keys, each with the dots of versions.
pub type KeyDots = Vec<(Key, Vec<Dot>)>;

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
        /// More, for a trace.
        #[serde(skip_serializing_if = "Option::is_none")]
        made: Option<Box<Made>>,
    },
    /// A write took effect here.
    ApplyWrite {
        /// The write.
        dot: Dot,
        /// Of which key.
        key: Key,
        /// Whether it adds no version.
        deleted: bool,
        /// Where it came from.
        way: Way,
    },
    /// A write waits for its past.
    Hold {
        /// The write.
        dot: Dot,
        /// Who sent it.
        from: NodeId,
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
        /// In which of its sessions.
        session: u64,
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
    /// Traced: what a start has found on the disk.
    Recover {
        /// The last step.
        position: u64,
        /// What the node has seen.
        clock: VectorClock,
        /// Its Lamport clock.
        lamport: u64,
        /// Whether it serves.
        ready: bool,
        /// Of each writer, the last that the log does not keep.
        behind: Vec<Dot>,
        /// All keys.
        held: KeyDots,
        /// The steps of the last record: a crash may have come before they were told of.
        last: Vec<Redone>,
    },
    /// Traced: who belongs to the cluster, as far as this node knows.
    CausalMembers {
        /// Those.
        members: Vec<NodeId>,
    },
    /// Traced: a client has read a key.
    SessionRead {
        /// Which.
        key: Key,
        /// What the client had seen.
        context: Option<Context>,
        /// The versions that it is shown.
        dots: Vec<Dot>,
    },
    /// Traced: a member has told that it has more than was known.
    HandleAck {
        /// Which.
        peer: NodeId,
        /// What it has.
        clock: VectorClock,
    },
    /// Traced: a client is told who has its write.
    Answer {
        /// The write.
        dot: Dot,
        /// How many it wants to have it.
        needed: usize,
        /// Who has it.
        holders: Vec<NodeId>,
    },
    /// Traced: what all members have is no longer in the log.
    Collect {
        /// Of each writer, the last that the log does not keep.
        behind: Vec<Dot>,
    },
    /// Traced: the log was too long.
    Trim {
        /// As above.
        behind: Vec<Dot>,
    },
    /// Traced: a donor has told what its state is, and this node's is copied.
    StageState {
        /// Whose.
        donor: NodeId,
        /// In which session.
        session: u64,
        /// What it has seen.
        clock: VectorClock,
        /// Its Lamport clock.
        lamport: u64,
    },
    /// Traced: a part of a donor's state was joined.
    MergeStateChunk {
        /// The keys that have changed.
        changed: KeyDots,
    },
    /// Traced: the disk has all up to here.
    Sync {
        /// The last step.
        position: u64,
    },
    /// Traced: what the node is at the end of a commit.
    CausalState {
        /// The last step.
        position: u64,
        /// What it has seen.
        clock: VectorClock,
        /// Its Lamport clock.
        lamport: u64,
        /// Whether it serves.
        ready: bool,
        /// As above.
        behind: Vec<Dot>,
        /// The writes that wait for their past.
        waiting: Vec<Dot>,
        /// How many keys there are.
        keys: u64,
        /// Those that may have changed.
        held: KeyDots,
    },
}

/// What a trace tells of a write beside what logs do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// What its writer has seen since its write before.
    pub past: Vec<Dot>,
    /// Its Lamport clock.
    pub lamport: u64,
    /// Whether it adds no version.
    pub deleted: bool,
    /// By what it takes the place of others.
    pub basis: Basis,
    /// What its client had seen.
    pub context: Option<Context>,
    /// Of the client's request.
    pub tag: Option<String>,
}

/// By what a write takes the place of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Of all that are here.
    All,
    /// Of those that the client has seen.
    Context,
    /// Of this node's share of a counter.
    Share,
    /// Of some that were chosen otherwise.
    Some,
}

/// Where a write came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// It was made here.
    Own,
    /// A peer sent it.
    From(NodeId),
    /// It had waited for its past.
    Waited,
}

/// A step that a disk has kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redone {
    /// A write was applied.
    Apply {
        /// The write.
        dot: Dot,
        /// Of which key.
        key: Key,
        /// The versions whose place it takes.
        replaces: Vec<Dot>,
        /// What its writer had seen since its write before.
        past: Vec<Dot>,
        /// Its Lamport clock.
        lamport: u64,
        /// Whether it adds no version.
        deleted: bool,
        /// Of the client's request.
        tag: Option<String>,
    },
    /// A state was to be taken over.
    BeginSync {
        /// What its donor had seen.
        clock: VectorClock,
        /// Its Lamport clock.
        lamport: u64,
    },
    /// A part of it was joined.
    Stage(KeyDots),
    /// It was taken over.
    EndSync,
    /// The node serves.
    Ready,
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
            Self::Recover { .. }
            | Self::CausalMembers { .. }
            | Self::SessionRead { .. }
            | Self::HandleAck { .. }
            | Self::Answer { .. }
            | Self::Collect { .. }
            | Self::Trim { .. }
            | Self::StageState { .. }
            | Self::MergeStateChunk { .. }
            | Self::Sync { .. }
            | Self::CausalState { .. } => false,
        }
    }
}

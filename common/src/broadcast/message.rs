//! What nodes say to each other in broadcast mode.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::broadcast::members::Member;
use crate::broadcast::store::Write;
use crate::broadcast::version::CLOCK_PEER_MAX;
use crate::identity::{Incarnation, NodeId};
use crate::kv::key::Key;

/// Encoded by postcard, so variants are only ever added at the end, and a changed struct is a new
/// variant. `tests/wire.rs` pins the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A write of the sender.
    Write {
        /// Counts the sender's writes of this incarnation.
        number: u64,
        /// What was written.
        write: Write,
    },
    /// The sender lives. The first one on a connection tells from which write on the receiver
    /// gets all.
    Heartbeat(Heartbeat),
    /// All members that the sender knows.
    Members(Vec<Member>),
    /// The receiver's state is asked for, chunk by chunk.
    SyncRequest {
        /// Of the asker's counting.
        session: u64,
        /// From 0 on.
        chunk: u64,
        /// The last key of the chunk before.
        after: Option<Key>,
    },
    /// A part of the sender's state.
    SyncChunk(SyncChunk),
    /// The sender is not ready to give its state.
    SyncRefused {
        /// The session it was asked in.
        session: u64,
    },
}

/// What a heartbeat tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The number of the sender's latest write.
    pub number: u64,
    /// The sender's Lamport clock.
    pub clock: u64,
    /// Whether the sender serves.
    pub ready: bool,
    /// A hash of the members that the sender knows. Where it differs from the receiver's, the
    /// receiver tells the members that it knows.
    pub members: u64,
    /// A hash of the sender and the peers it is connected with, each in its incarnation. It is
    /// equal on all nodes just where all are connected with all.
    pub mesh: u64,
}

/// A part of a node's state, in the order of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncChunk {
    /// As asked.
    pub session: u64,
    /// As asked.
    pub chunk: u64,
    /// The sender's Lamport clock.
    pub clock: u64,
    /// How far the sender had heard of everybody's writes, itself included, when it made the first
    /// chunk; empty in the others.
    pub heard: BTreeMap<NodeId, Heard>,
    /// With whom the sender was connected then, beside the receiver, in which incarnation; empty
    /// in the others.
    pub connected: BTreeMap<NodeId, Incarnation>,
    /// The part.
    pub entries: Vec<Write>,
    /// Whether it is the last.
    pub done: bool,
}

/// How far a node has heard of another's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The writer's start.
    pub incarnation: Incarnation,
    /// All writes up to this number have come, or will not come.
    pub number: u64,
    /// How many of them did not come.
    pub missed: u64,
}

impl Message {
    /// Whether it is within bounds. A sound node sends nothing else; what is not sound must not
    /// reach the clock.
    pub fn is_plausible(&self) -> bool {
        match self {
            Self::Write { number, write } => *number < CLOCK_PEER_MAX && is_plausible(write),
            Self::Heartbeat(beat) => beat.clock < CLOCK_PEER_MAX && beat.number < CLOCK_PEER_MAX,
            Self::SyncChunk(chunk) => {
                let heard = chunk.heard.values();
                chunk.clock < CLOCK_PEER_MAX
                    && heard.clone().all(|h| h.number < CLOCK_PEER_MAX && h.missed <= h.number)
                    && chunk.entries.iter().all(is_plausible)
            }
            Self::Members(members) => members.iter().all(Member::is_plausible),
            Self::SyncRequest { .. } | Self::SyncRefused { .. } => true,
        }
    }
}

fn is_plausible(write: &Write) -> bool {
    write.entry.version.clock < CLOCK_PEER_MAX && write.entry.writes < CLOCK_PEER_MAX
}

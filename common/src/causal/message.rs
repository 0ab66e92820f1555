//! What nodes say to each other in causal mode.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::causal::clock::{Dot, VectorClock};
use crate::causal::tree::BucketSet;
use crate::causal::version::Version;
use crate::causal::write::{LAMPORT_MAX, Write};
use crate::identity::NodeId;
use crate::kv::key::Key;

/// Encoded by postcard, so variants are only ever added at the end, and a changed struct is a new
/// variant. `tests/wire_causal.rs` pins the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Writes of one writer, in order: the sender's, or another's that it relays.
    Writes {
        /// They themselves.
        writes: Vec<Arc<Write>>,
        /// Whether somebody waits for the acknowledgement.
        is_urgent: bool,
    },
    /// What the sender has, durably.
    Ack(Ack),
    /// The sender lives. The first on a connection tells where to go on.
    Beat(Beat),
    /// A client of the sender waits for what the sender lacks.
    Want(Ack),
    /// The receiver lacks writes that the sender no longer keeps: it takes the state over.
    Behind,
    /// The receiver's state is asked for.
    SyncAsk {
        /// Of the asker's counting.
        session: u64,
    },
    /// What the sender's state is; it stays as it is for the session.
    SyncTree {
        /// As asked.
        session: u64,
        /// What the state has seen.
        clock: VectorClock,
        /// The sender's Lamport clock.
        lamport: u64,
        /// The hashes of the branches of its tree.
        tops: Vec<u64>,
    },
    /// The leaves of some branches are asked for.
    SyncBranches {
        /// As before.
        session: u64,
        /// Which.
        branches: Vec<u8>,
    },
    /// The leaves of branches.
    SyncLeaves {
        /// As asked.
        session: u64,
        /// Each branch with its leaves; none for one without entries.
        leaves: Vec<(u8, Vec<u64>)>,
    },
    /// The next keys of some buckets are asked for.
    SyncFetch {
        /// As before.
        session: u64,
        /// Of which; in the first request only.
        buckets: Option<BucketSet>,
        /// The last key of the chunk before.
        after: Option<Key>,
        /// So many versions of the key behind it have come.
        skip: u32,
    },
    /// A part of the sender's state, in the order of keys.
    SyncChunk(SyncChunk),
    /// The sender can't give its state.
    SyncRefused {
        /// As asked.
        session: u64,
    },
}

/// What a node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// All of these are applied and durable: the cumulative acknowledgement.
    pub clock: VectorClock,
    /// These have come, and wait for others: the selective one. They are not durable.
    pub beyond: Vec<Dot>,
}

/// What a heartbeat tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// What the sender has.
    pub ack: Ack,
    /// Its wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Whether it serves.
    pub ready: bool,
    /// Counts the sender's beats.
    pub number: u64,
    /// Whom it hears, and which beat of each was the last that came.
    pub hears: Vec<(NodeId, u64)>,
    /// Equal for equal states.
    pub hash: u64,
}

/// A part of a donor's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncChunk {
    /// As asked.
    pub session: u64,
    /// As asked: so that a part that comes twice is known.
    pub after: Option<Key>,
    /// As asked.
    pub skip: u32,
    /// The keys of the buckets asked for, with their versions.
    pub entries: Vec<(Key, Vec<Version>)>,
    /// All keys up to this one were looked at.
    pub last: Option<Key>,
    /// Of the last entry only so many versions have come, those of the chunks before counted.
    pub begun: u32,
    /// Whether it is the last part.
    pub done: bool,
}

/// Dots that an acknowledgement tells beyond its clock, at most.
pub(super) const BEYOND_MAX: usize = 256;

/// Members whose beats are told, at most: as many as there may be members.
const HEARS_MAX: usize = 1_024;

impl Message {
    /// Whether it is within bounds. A sound node sends nothing else; what is not sound must not
    /// reach a clock.
    pub fn is_plausible(&self) -> bool {
        match self {
            Self::Writes { writes, .. } => writes.iter().all(|write| write.is_plausible()),
            Self::Ack(ack) | Self::Want(ack) => ack.is_plausible(),
            Self::Beat(beat) => beat.ack.is_plausible() && beat.hears.len() <= HEARS_MAX,
            Self::SyncTree { clock, lamport, tops, .. } => {
                clock.is_plausible() && *lamport <= LAMPORT_MAX && tops.len() == BRANCHES
            }
            Self::SyncBranches { branches, .. } => branches.len() <= BRANCHES,
            Self::SyncLeaves { leaves, .. } => {
                let is_whole = |leaves: &Vec<u64>| [0, BRANCHES].contains(&leaves.len());
                leaves.len() <= BRANCHES && leaves.iter().all(|(_, leaves)| is_whole(leaves))
            }
            Self::SyncFetch { buckets, .. } => buckets.as_ref().is_none_or(BucketSet::is_plausible),
            Self::SyncChunk(chunk) => {
                let mut versions = chunk.entries.iter().flat_map(|(_, versions)| versions);
                let is_sound = |versions: &Vec<Version>| {
                    !versions.is_empty() && versions.is_sorted_by(|one, next| one.dot < next.dot)
                };
                chunk.entries.iter().all(|(_, versions)| is_sound(versions))
                    && versions.all(Version::is_plausible)
            }
            Self::Behind | Self::SyncAsk { .. } | Self::SyncRefused { .. } => true,
        }
    }
}

/// Of a tree, and the leaves of each of them.
const BRANCHES: usize = 256;

impl Ack {
    fn is_plausible(&self) -> bool {
        self.clock.is_plausible() && self.beyond.len() <= BEYOND_MAX
    }
}

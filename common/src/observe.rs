//! What the core did, for logs, traces and checkers. One variant for each action of the
//! specification (`spec/DistributedDb.tla`), under the same name; the rest tell operators more.

use serde::Serialize;

use crate::broadcast::version::Version;
use crate::identity::{Incarnation, NodeId, NodeName};
use crate::kv::key::Key;

/// Something that a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ev")]
pub enum Event {
    /// The node has started; it serves nothing yet.
    Start {
        /// This start's.
        incarnation: Incarnation,
    },
    /// A peer is connected.
    Link {
        /// Which.
        peer: NodeId,
        /// Its name.
        name: NodeName,
        /// Its start.
        incarnation: Incarnation,
    },
    /// A peer is no longer connected.
    Unlink {
        /// Which.
        peer: NodeId,
        /// Why.
        reason: &'static str,
    },
    /// A client's write took effect here.
    Write {
        /// The count of this node's writes.
        number: u64,
        /// What was written.
        key: Key,
        /// When, in logical time.
        version: Version,
        /// Whether it is a deletion.
        deleted: bool,
    },
    /// A peer's write arrived.
    Deliver {
        /// Whose.
        from: NodeId,
        /// Its count.
        number: u64,
        /// What was written.
        key: Key,
        /// When, in logical time.
        version: Version,
        /// Whether it is now what the key holds.
        won: bool,
    },
    /// Writes of a peer will not arrive: a gap in its count.
    Miss {
        /// Whose.
        from: NodeId,
        /// How many.
        writes: u64,
    },
    /// The next chunk of a donor's state is asked for.
    RequestSync {
        /// Whom.
        donor: NodeId,
        /// In which session.
        session: u64,
        /// Which chunk of it.
        chunk: u64,
    },
    /// A chunk of this node's state was sent.
    ServeSync {
        /// To whom.
        to: NodeId,
        /// In which session.
        session: u64,
        /// How many keys.
        entries: usize,
        /// Whether it is the last.
        done: bool,
    },
    /// A donor's chunk was merged.
    MergeChunk {
        /// Whose.
        donor: NodeId,
        /// In which session.
        session: u64,
        /// How many keys.
        entries: usize,
        /// How many of them were news.
        won: usize,
        /// Whether it was the last.
        done: bool,
    },
    /// A donor has not yet got what was sent before this node was connected: it is asked again.
    DonorBehind {
        /// Whose state would have had a gap.
        donor: NodeId,
    },
    /// The node serves from here on.
    BecomeReady {
        /// Why it may.
        how: Readiness,
        /// How many keys it holds.
        keys: u64,
    },
    /// The state of all connected peers was merged once more.
    Repair {
        /// How many keys changed.
        changed: u64,
    },
    /// A member has come, or has another address.
    Member {
        /// Which.
        id: NodeId,
        /// Its name.
        name: NodeName,
        /// Where it is reached.
        address: String,
    },
    /// A node that calls itself as a connected member does was refused.
    NameTaken {
        /// The one refused.
        id: NodeId,
        /// The name.
        name: NodeName,
    },
}

/// Why a node may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It is the only member.
    Alone,
    /// It has a ready peer's whole state.
    Synced,
    /// All members are connected, none is ready, and it has the lowest id.
    Founded,
    /// No ready member could be found in time. As soon as one is connected, its state is merged.
    FoundedInDoubt,
}

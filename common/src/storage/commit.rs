//! What one commit adds to the log: the payload of a frame.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

use crate::storage::snapshot::Kind;
use crate::{causal, raft};

/// The format of frames whose payload is a [`Commit`].
pub(super) const FORMAT: u8 = 2;

/// The former one: the payload is the record of Raft alone.
pub(super) const FORMAT_RAFT_ALONE: u8 = 1;

/// The records of a commit; borrowed where it is written, owned where it is read.
///
/// Every commit tells term and vote, if there ever were any: one without a record of Raft repeats
/// those of the last. So they are in the newest frame, whatever is before it may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commit<R, C> {
    pub(super) raft: Option<R>,
    pub(super) causal: Option<C>,
}

impl<R: Borrow<raft::record::Record>, C: Borrow<causal::record::Record>> Commit<R, C> {
    /// What it holds of either log.
    pub(super) fn extent(&self) -> Extent {
        let raft = self.raft.as_ref().map(Borrow::borrow);
        let causal = self.causal.as_ref().map(Borrow::borrow);
        let marks = Marks {
            raft: raft.map_or(0, raft::record::Record::mark),
            causal: causal.map_or(0, causal::record::Record::mark),
        };
        let raft_behind =
            raft.and_then(|record| record.tail.as_ref()).map(|tail| tail.prev.index.0);
        Extent { marks, raft_behind }
    }
}

impl Commit<raft::record::Record, causal::record::Record> {
    /// That of a payload, unless it is none of that format.
    pub(super) fn read(format: u8, payload: &[u8]) -> Option<Self> {
        if format == FORMAT_RAFT_ALONE {
            let record = postcard::from_bytes(payload).ok()?;
            return Some(Self { raft: Some(record), causal: None });
        }
        postcard::from_bytes(payload).ok()
    }
}

/// What frames hold of the two logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// How far snapshots must go to stand for them.
    pub(super) marks: Marks,
    /// The least index behind which one of them has all of Raft's log. With a snapshot up to there
    /// nothing is needed of Raft that is in earlier frames, whatever their marks are.
    pub(super) raft_behind: Option<u64>,
}

impl Extent {
    /// Adds that of a frame.
    pub(super) fn add(&mut self, frame: Self) {
        self.marks.raise(frame.marks);
        let both = [self.raft_behind, frame.raft_behind];
        self.raft_behind = both.into_iter().flatten().min();
    }
}

/// How far snapshots go, or must go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// An index of Raft's log.
    pub(super) raft: u64,
    /// A position of causal mode.
    pub(super) causal: u64,
}

impl Marks {
    /// Of a snapshot.
    pub(super) fn of(kind: Kind, mark: u64) -> Self {
        match kind {
            Kind::Raft => Self { raft: mark, causal: 0 },
            Kind::Causal => Self { raft: 0, causal: mark },
        }
    }

    /// As far as either goes.
    pub(super) fn raise(&mut self, other: Self) {
        self.raft = self.raft.max(other.raft);
        self.causal = self.causal.max(other.causal);
    }
}

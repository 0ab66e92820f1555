//! What stands for the beginning of the log: the state it made, and who belonged to the cluster.

use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::kv::history::Kept;
use crate::kv::key::Key;
use crate::kv::state::{self, State};
use crate::kv::store::{Item, Store};
use crate::raft::configuration::Configuration;
use crate::raft::log::EntryId;
use crate::storage::snapshot::{self, Content, Kind, SnapshotError};

/// The state after an entry, with all that goes with it (Raft §7). A clone takes no time.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last entry that it stands for.
    pub last: EntryId,
    /// Who belonged to the cluster then.
    pub configuration: Configuration,
    /// Keys, sessions, modes and revision.
    pub state: State,
}

/// What a snapshot begins with.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    last: EntryId,
    configuration: Configuration,
    state: state::Head,
}

/// What follows the head: first all keys, then all changes that are kept, each in order.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    Key(Key, Item),
    Change(Kept),
}

impl Content for Snapshot {
    const KIND: Kind = Kind::Raft;

    fn mark(&self) -> u64 {
        self.last.index.0
    }

    fn frames(&self) -> impl Iterator<Item = Vec<u8>> {
        let (configuration, state) = (self.configuration.clone(), self.state.head());
        let head = Head { last: self.last, configuration, state };
        let keys = self.state.store.iter();
        let keys = keys.map(|(key, item)| Part::Key(key.clone(), item.clone()));
        snapshot::frames(head, keys.chain(self.state.history.kept().map(Part::Change)))
    }

    fn read(input: &mut impl Read) -> Result<Self, SnapshotError> {
        let (mut store, mut kept) = (Store::default(), Vec::new());
        let head: Head = snapshot::read(input, |part| match part {
            Part::Key(key, item) => store.load(key, item),
            Part::Change(change) => kept.push(change),
        })?;
        let state = State::assemble(head.state, store, kept)
            .ok_or(SnapshotError::Damaged("its parts do not belong together"))?;
        Ok(Self { last: head.last, configuration: head.configuration, state })
    }
}

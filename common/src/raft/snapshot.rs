//! What stands for the beginning of the log: the state it made, and who belonged to the cluster.

use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::kv::history::Kept;
use crate::kv::key::Key;
use crate::kv::state::{self, State};
use crate::kv::store::{Item, Store};
use crate::raft::configuration::Configuration;
use crate::raft::log::EntryId;
use crate::raft::message::NUMBER_MAX;
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
        let (mut last, mut is_ordered) = (None, true);
        let head: Head = snapshot::read(input, |part| match part {
            Part::Key(key, item) => {
                // A key that came twice would count twice.
                if last.as_ref().is_none_or(|last| *last < key) {
                    last = Some(key.clone());
                    store.load(key, item);
                } else {
                    is_ordered = false;
                }
            }
            Part::Change(change) => kept.push(change),
        })?;
        let state = State::assemble(head.state, store, kept)
            .filter(|_| is_ordered)
            .ok_or(SnapshotError::Damaged("its parts do not belong together"))?;
        let EntryId { term, index } = head.last;
        if [term.0, index.0, state.revision].iter().any(|number| *number >= NUMBER_MAX) {
            return Err(SnapshotError::Damaged("no cluster comes so far"));
        }
        Ok(Self { last: head.last, configuration: head.configuration, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeId;
    use crate::kv::store::{Author, Writing};
    use crate::modes::Mode;
    use crate::raft::log::Index;

    /// R25: behind the last of all numbers there is no room for an entry.
    #[test]
    fn r25_a_snapshot_that_goes_too_far_is_damage() {
        let read = |index| {
            let last = EntryId { index: Index(index), ..EntryId::default() };
            let (configuration, state) = (Configuration::default(), State::new(Mode::Raft));
            let snapshot = Snapshot { last, configuration, state };
            let bytes: Vec<u8> = snapshot.frames().flatten().collect();
            Snapshot::read(&mut bytes.as_slice())
        };
        assert!(read(NUMBER_MAX - 1).is_ok());
        assert!(matches!(read(NUMBER_MAX), Err(SnapshotError::Damaged(_))));
    }

    /// It comes from another node, whose word for it is not enough.
    #[test]
    fn a_key_that_comes_twice_is_damage() {
        let key = Key::try_from("key").expect("a key");
        let mut state = State::new(Mode::Raft);
        let author = Author::default();
        state.store.put(&key, Writing { value: b"value", lease: None, revision: 1, author });
        let (last, name) = (EntryId::default(), "n1".parse().expect("a name"));
        let configuration = Configuration::alone(NodeId(1), name);
        let item = || state.store.iter().next().map(|(_, item)| item.clone()).expect("a key");
        let read = |times| {
            let (configuration, state) = (configuration.clone(), state.head());
            let parts = (0..times).map(|_| Part::Key(key.clone(), item()));
            let frames = snapshot::frames(Head { last, configuration, state }, parts);
            Snapshot::read(&mut frames.flatten().collect::<Vec<u8>>().as_slice())
        };
        assert!(read(1).is_ok());
        assert!(matches!(read(2), Err(SnapshotError::Damaged(_))));
    }
}

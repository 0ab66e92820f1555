//! Snapshots on the disk, beside the running node: they are written one at a time.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::storage::snapshot::{Content, Kind};
use common::storage::{Owner, is_full};
use common::{causal, raft};
use tokio::sync::mpsc;

use crate::disk;

/// When to try again to write a snapshot that the disk had no room for.
const ROOM_PAUSE: Duration = Duration::from_secs(10);

/// Outcomes that wait for the driver. There is a snapshot at a time, so this is plenty.
const OUTCOMES_MAX: usize = 4;

/// The files of this node, for those who read and write snapshots beside the loop.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) path: Arc<Path>,
    /// Whether anything is synced at all.
    pub(crate) sync: bool,
}

impl Files {
    /// The index of the newest snapshot of Lab 3: peers are sent no other.
    pub(crate) fn newest_snapshot(&self) -> io::Result<Option<u64>> {
        let mut newest = None;
        for entry in fs::read_dir(&self.path)? {
            newest =
                newest.max(entry?.file_name().to_str().and_then(|file| Kind::Raft.mark_of(file)));
        }
        Ok(newest)
    }
}

/// A snapshot to be written. It takes hardly any memory: it shares the state's.
#[derive(Debug)]
pub(crate) enum Snapshot {
    Raft(Box<raft::snapshot::Snapshot>),
    Causal(Box<causal::snapshot::Snapshot>),
}

impl Snapshot {
    fn kind(&self) -> Kind {
        match self {
            Self::Raft(_) => Kind::Raft,
            Self::Causal(_) => Kind::Causal,
        }
    }
}

/// Takes snapshots to be written.
#[derive(Debug)]
pub(crate) struct Upkeep {
    snapshots: mpsc::UnboundedSender<(Owner, Snapshot)>,
}

impl Upkeep {
    /// Starts it, with the channel that tells what came of each: how far it goes, or why the disk
    /// has failed.
    pub(crate) fn start(files: Files) -> (Self, mpsc::Receiver<io::Result<(Kind, u64)>>) {
        let (snapshots, coming) = mpsc::unbounded_channel();
        let (outcomes, outcomes_receiver) = mpsc::channel(OUTCOMES_MAX);
        tokio::spawn(run(files, coming, outcomes));
        (Self { snapshots }, outcomes_receiver)
    }

    pub(crate) fn write(&self, owner: Owner, snapshot: Snapshot) {
        // The task is gone only while the process ends.
        let _ = self.snapshots.send((owner, snapshot));
    }
}

async fn run(
    files: Files,
    mut coming: mpsc::UnboundedReceiver<(Owner, Snapshot)>,
    outcomes: mpsc::Sender<io::Result<(Kind, u64)>>,
) {
    let mut waiting = VecDeque::new();
    loop {
        while let Ok(next) = coming.try_recv() {
            put(&mut waiting, next);
        }
        let Some((owner, snapshot)) = waiting.pop_front() else {
            let Some(next) = coming.recv().await else { return };
            put(&mut waiting, next);
            continue;
        };
        let files = files.clone();
        let writing = tokio::task::spawn_blocking(move || match &snapshot {
            Snapshot::Raft(snapshot) => write(&files, owner, &**snapshot),
            Snapshot::Causal(snapshot) => write(&files, owner, &**snapshot),
        });
        let outcome = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if outcomes.send(outcome).await.is_err() {
            return;
        }
    }
}

/// Of a kind the last says all, and takes the place of the one that waits. What the state has
/// changed since that was taken goes with it: to free a million keys takes longer than the loop
/// should stand still.
fn put(waiting: &mut VecDeque<(Owner, Snapshot)>, next: (Owner, Snapshot)) {
    let Some(held) = waiting.iter_mut().find(|(_, held)| held.kind() == next.1.kind()) else {
        waiting.push_back(next);
        return;
    };
    let older = std::mem::replace(held, next);
    tokio::task::spawn_blocking(move || drop(older));
}

/// Writes one, as soon as there is room for it; on a thread of its own, where it is dropped, too.
fn write<C: Content>(files: &Files, owner: Owner, snapshot: &C) -> io::Result<(Kind, u64)> {
    let mark = snapshot.mark();
    loop {
        match disk::snapshot::write(&files.path, owner, snapshot, files.sync) {
            Ok(bytes) => {
                tracing::info!(kind = ?C::KIND, mark, bytes, "wrote a snapshot");
                return Ok((C::KIND, mark));
            }
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "no room for a snapshot; the log is kept meanwhile");
                std::thread::sleep(ROOM_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::causal::clock::VectorClock;
    use common::causal::hybrid::Timestamp;
    use common::identity::{ClusterId, NodeId};
    use common::kv::state::State;
    use common::modes::Mode;
    use common::raft::configuration::Configuration;
    use common::raft::log::{EntryId, Index, Term};

    use super::*;

    fn raft(index: u64) -> Snapshot {
        let last = EntryId { term: Term(1), index: Index(index) };
        let configuration = Configuration::alone(NodeId(2), "node2".parse().expect("a name"));
        let state = State::new(Mode::Raft);
        Snapshot::Raft(Box::new(raft::snapshot::Snapshot { last, configuration, state }))
    }

    fn causal(position: u64) -> Snapshot {
        Snapshot::Causal(Box::new(causal::snapshot::Snapshot {
            position,
            clock: VectorClock::default(),
            lamport: 0,
            time: Timestamp::default(),
            ready: true,
            log: Vec::new(),
            sessions: Default::default(),
            store: Default::default(),
        }))
    }

    /// Neither kind waits for more than one of the other, however fast that one has new ones.
    #[tokio::test]
    async fn the_newest_of_each_kind_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files { path: Arc::from(dir.path()), sync: false };
        let (upkeep, mut outcomes) = Upkeep::start(files.clone());
        let owner = Owner { cluster: ClusterId(1), node: NodeId(2) };
        // Nothing is taken before this waits: there is one thread.
        for snapshot in [raft(5), raft(7), causal(3), raft(9), causal(20)] {
            upkeep.write(owner, snapshot);
        }
        for expected in [(Kind::Raft, 9), (Kind::Causal, 20)] {
            let outcome = outcomes.recv().await.expect("it runs").expect("room");
            assert_eq!(outcome, expected);
        }
        let names = fs::read_dir(dir.path()).expect("a directory");
        let mut names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        assert_eq!(names, ["causal-0000000000000014", "snapshot-0000000000000009"]);
        assert_eq!(files.newest_snapshot().expect("a directory"), Some(9), "for peers");
    }
}

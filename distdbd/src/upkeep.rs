//! Snapshots on the disk, beside the running node: they are written one at a time.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::raft::snapshot::Snapshot;
use common::storage::snapshot::Kind;
use common::storage::{Owner, is_full};
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
    /// The index of the newest snapshot.
    pub(crate) fn newest_snapshot(&self) -> io::Result<Option<u64>> {
        let mut newest = None;
        for entry in fs::read_dir(&self.path)? {
            newest =
                newest.max(entry?.file_name().to_str().and_then(|file| Kind::Raft.mark_of(file)));
        }
        Ok(newest)
    }
}

/// Takes snapshots to be written.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// Each takes hardly any memory: it shares the state's.
    snapshots: mpsc::UnboundedSender<(Owner, Box<Snapshot>)>,
}

impl Upkeep {
    /// Starts it, with the channel that tells what came of each: its index, or why the disk has
    /// failed.
    pub(crate) fn start(files: Files) -> (Self, mpsc::Receiver<io::Result<u64>>) {
        let (snapshots, waiting) = mpsc::unbounded_channel();
        let (outcomes, outcomes_receiver) = mpsc::channel(OUTCOMES_MAX);
        tokio::spawn(run(files, waiting, outcomes));
        (Self { snapshots }, outcomes_receiver)
    }

    pub(crate) fn write(&self, owner: Owner, snapshot: Box<Snapshot>) {
        // The task is gone only while the process ends.
        let _ = self.snapshots.send((owner, snapshot));
    }
}

async fn run(
    files: Files,
    mut waiting: mpsc::UnboundedReceiver<(Owner, Box<Snapshot>)>,
    outcomes: mpsc::Sender<io::Result<u64>>,
) {
    while let Some(next) = waiting.recv().await {
        let (owner, snapshot) = newest(next, &mut waiting);
        let files = files.clone();
        let writing = tokio::task::spawn_blocking(move || write(&files, owner, snapshot));
        let outcome = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if outcomes.send(outcome).await.is_err() {
            return;
        }
    }
}

/// Of those that wait, the last says all.
fn newest(
    mut next: (Owner, Box<Snapshot>),
    waiting: &mut mpsc::UnboundedReceiver<(Owner, Box<Snapshot>)>,
) -> (Owner, Box<Snapshot>) {
    while let Ok(newer) = waiting.try_recv() {
        drop_elsewhere(std::mem::replace(&mut next, newer).1);
    }
    next
}

/// What the state has changed since it was taken goes with a snapshot: to free a million keys takes
/// longer than the loop should stand still.
fn drop_elsewhere(snapshot: Box<Snapshot>) {
    tokio::task::spawn_blocking(move || drop(snapshot));
}

/// Writes one, as soon as there is room for it, and drops it; on a thread of its own.
fn write(files: &Files, owner: Owner, snapshot: Box<Snapshot>) -> io::Result<u64> {
    let index = snapshot.last.index.0;
    loop {
        match disk::snapshot::write(&files.path, owner, &snapshot, files.sync) {
            Ok(bytes) => {
                tracing::info!(index, bytes, "wrote a snapshot");
                return Ok(index);
            }
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "no room for a snapshot; the log is kept meanwhile");
                std::thread::sleep(ROOM_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

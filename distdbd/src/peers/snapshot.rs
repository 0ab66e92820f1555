//! A snapshot on its way from one node to another: a connection of its own, so that messages pass
//! it. It goes from file to file on a thread of its own, piece by piece.
//!
//! ```text
//!  sender                       receiver
//!    ├── hello, for a snapshot ───▶│
//!    │◀── hello ───────────────────┤
//!    ├── the frames of the file ──▶│ temporary file
//!    ├── no more ─────────────────▶│ check, sync, rename, read; the node takes it
//!    │◀── received ────────────────┤
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use common::identity::{NodeId, NodeName};
use common::peer::frame::{self, Kind};
use common::peer::hello::{Hello, Purpose, Received};
use common::storage::Owner;
use common::storage::snapshot::SnapshotError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::disk::snapshot::{self, Incoming};
use crate::fault::Faults;
use crate::peers::handshake::{self, HandshakeError};
use crate::peers::{PeerInput, Shared, View};

/// A transfer that gets no further for so long has failed; the core begins another.
const PROGRESS_TIME_MAX: Duration = Duration::from_secs(10);

/// What is read and written at once.
const PIECE_BYTES: usize = 64 * 1024;

/// How long the receiver may take to check and read a snapshot that has come whole.
const READ_TIME_MAX: Duration = Duration::from_secs(120);

/// How often to look meanwhile whether it is still there.
const ANSWER_POLL: Duration = Duration::from_secs(1);

/// Why a snapshot did not arrive.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    #[error("there is no snapshot")]
    None,
    #[error("a fault that was set cuts the peer off")]
    Fault,
    #[error("the receiver's answer is none")]
    Answer,
    #[error("the receiver is gone, or takes too long to read it")]
    Gone,
    #[error("this node ends, or the thread of the transfer has failed")]
    Ended,
}

/// Sends the newest snapshot to a member, and tells the driver what came of it.
pub(crate) fn send(to: NodeId, address: String, shared: Shared) {
    tokio::spawn(async move {
        let index = match dial_and_send(to, &address, &shared).await {
            Ok(index) => Some(index),
            Err(error) => {
                tracing::warn!(id = %to, address, %error, "a snapshot did not arrive");
                None
            }
        };
        let _ = shared.inputs.send(PeerInput::SnapshotSent { to, index }).await;
    });
}

async fn dial_and_send(to: NodeId, address: &str, shared: &Shared) -> Result<u64, TransferError> {
    let ours = shared.view().with_purpose(Purpose::Snapshot);
    let (stream, theirs, rest) = handshake::dial(address, &ours).await?;
    handshake::expect(&theirs, to)?;
    let link = Transfer::new(stream, theirs.name, shared.faults.clone())?;
    let (files, cluster) = (shared.files.clone(), ours.hello.cluster);
    let owner = Owner { cluster: cluster.ok_or(TransferError::None)?, node: ours.hello.node };
    let view = shared.views();
    let is_there = move || view.borrow().members.get(&to).is_some_and(|it| it.is_connected);
    let sending = tokio::task::spawn_blocking(move || {
        let index = files.newest_snapshot()?.ok_or(TransferError::None)?;
        link.send(index, snapshot::frames(&files.path, owner, index)?, rest, is_there)?;
        Ok(index)
    });
    sending.await.unwrap_or(Err(TransferError::Ended))
}

/// Takes a snapshot from a member of the same cluster, unless one is on its way already.
pub(super) fn receive(
    stream: tokio::net::TcpStream,
    theirs: &Hello,
    rest: BytesMut,
    ours: &View,
    shared: &Shared,
) -> Result<(), HandshakeError> {
    let (Some(cluster), true) = (ours.hello.cluster, ours.hello.cluster == theirs.cluster) else {
        return Err(HandshakeError::Stranger);
    };
    let permit = Arc::clone(&shared.receiving).try_acquire_owned();
    let permit = permit.map_err(|_| HandshakeError::Busy)?;
    let owner = Owner { cluster, node: ours.hello.node };
    let link = Transfer::new(stream, theirs.name.clone(), shared.faults.clone())?;
    tokio::spawn(take(link, (theirs.clock, rest), owner, permit, shared.clone()));
    Ok(())
}

/// Lets one snapshot come at a time: each takes room on the disk, and in memory.
pub(super) fn receiving() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

async fn take(
    mut link: Transfer,
    (clock, rest): (u64, BytesMut),
    owner: Owner,
    permit: OwnedSemaphorePermit,
    shared: Shared,
) {
    let name = link.peer.clone();
    let files = shared.files.clone();
    let receiving = tokio::task::spawn_blocking(move || {
        let mut incoming = Incoming::begin(&files.path, owner, files.sync)?;
        link.receive(&rest, &mut incoming)?;
        Ok::<_, TransferError>((incoming.finish()?, link))
    });
    let outcome = match receiving.await.unwrap_or(Err(TransferError::Ended)) {
        Ok((snapshot, link)) => {
            let index = snapshot.last.index.0;
            let input = PeerInput::SnapshotReceived { snapshot: Box::new(snapshot), clock };
            let handed = shared.inputs.send(input).await;
            handed.map_err(|_| TransferError::Ended).and_then(|()| link.acknowledge(index))
        }
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::warn!(peer = %name, %error, "a snapshot did not arrive");
    }
    drop(permit);
}

/// A connection on which a snapshot goes. It blocks, and is for a thread of its own.
struct Transfer {
    stream: TcpStream,
    peer: NodeName,
    faults: Faults,
}

impl Transfer {
    fn new(stream: tokio::net::TcpStream, peer: NodeName, faults: Faults) -> io::Result<Self> {
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PROGRESS_TIME_MAX))?;
        stream.set_write_timeout(Some(PROGRESS_TIME_MAX))?;
        Ok(Self { stream, peer, faults })
    }

    fn check_faults(&self) -> Result<(), TransferError> {
        if self.faults.is_cut_off(&self.peer) { Err(TransferError::Fault) } else { Ok(()) }
    }

    /// Sends the frames of `file`, which may be unlinked meanwhile, and waits for the answer as
    /// long as the receiver `is_there`.
    fn send(
        mut self,
        index: u64,
        mut file: File,
        answer: BytesMut,
        is_there: impl Fn() -> bool,
    ) -> Result<(), TransferError> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = file.read(&mut piece)?;
            if length == 0 {
                break;
            }
            self.check_faults()?;
            self.stream.write_all(&piece[..length])?;
        }
        self.stream.shutdown(Shutdown::Write)?;
        self.hear(index, answer, is_there)
    }

    fn hear(
        mut self,
        index: u64,
        mut answer: BytesMut,
        is_there: impl Fn() -> bool,
    ) -> Result<(), TransferError> {
        self.stream.set_read_timeout(Some(ANSWER_POLL))?;
        let begun = Instant::now();
        let mut piece = [0; ANSWER_BYTES_MAX];
        while begun.elapsed() < READ_TIME_MAX && is_there() {
            self.check_faults()?;
            let frame = frame::decode(&answer, ANSWER_BYTES_MAX);
            if let Some(frame) = frame.map_err(|_| TransferError::Answer)? {
                let is_it = frame.kind == Kind::Received
                    && frame.json::<Received>() == Ok(Received { index });
                return if is_it { Ok(()) } else { Err(TransferError::Answer) };
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(TransferError::Answer),
                Ok(length) => answer.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TransferError::Gone)
    }

    /// Writes what comes to `incoming`, beginning with what came with the hello.
    fn receive(&mut self, rest: &[u8], incoming: &mut Incoming) -> Result<(), TransferError> {
        incoming.write(rest)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = self.stream.read(&mut piece)?;
            if length == 0 {
                return Ok(());
            }
            self.check_faults()?;
            incoming.write(&piece[..length])?;
        }
    }

    fn acknowledge(mut self, index: u64) -> Result<(), TransferError> {
        let mut bytes = Vec::new();
        frame::encode_json(Kind::Received, &Received { index }, &mut bytes);
        // A socket's buffer has room for so little.
        Ok(self.stream.write_all(&bytes)?)
    }
}

/// Of a frame that tells that a snapshot has arrived.
const ANSWER_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::thread;

    use common::identity::ClusterId;
    use common::kv::key::Key;
    use common::kv::state::State;
    use common::kv::store::{Author, Writing};
    use common::modes::Mode;
    use common::raft::configuration::Configuration;
    use common::raft::log::{EntryId, Index, Term};
    use common::raft::snapshot::Snapshot;

    use super::*;

    const OWNER: Owner = Owner { cluster: ClusterId(1), node: NodeId(2) };
    const RECEIVER: Owner = Owner { node: NodeId(3), ..OWNER };

    fn name() -> NodeName {
        "node2".parse().expect("a name")
    }

    /// Of a few pieces.
    fn written(dir: &Path) -> Snapshot {
        let mut state = State::new(Mode::Raft);
        for n in 0..2_000 {
            let key = Key::try_from(format!("key{n}").as_str()).expect("a key");
            let author = Author::default();
            let writing = Writing { value: &[5; 100], lease: None, revision: n + 1, author };
            state.store.put(&key, writing);
        }
        let last = EntryId { term: Term(1), index: Index(7) };
        let snapshot =
            Snapshot { last, configuration: Configuration::alone(NodeId(2), name()), state };
        snapshot::write(dir, OWNER, &snapshot, false).expect("room");
        snapshot
    }

    fn connected() -> (Transfer, Transfer) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let transfer = |stream| Transfer { stream, peer: name(), faults: Faults::new(false) };
        let dialler = TcpStream::connect(address).expect("it listens");
        let (accepted, _) = listener.accept().expect("it was dialled");
        (transfer(dialler), transfer(accepted))
    }

    /// R18: what has arrived is acknowledged once it is on the receiver's disk, whole.
    #[test]
    fn r18_a_snapshot_is_acknowledged_when_it_is_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir(&from).expect("made");
        std::fs::create_dir(&to).expect("made");
        let sent = written(&from);
        let (sender, mut receiver) = connected();
        let file = snapshot::frames(&from, OWNER, 7).expect("its own");
        let sending = thread::spawn(move || sender.send(7, file, BytesMut::new(), || true));
        let mut incoming = Incoming::begin(&to, RECEIVER, false).expect("room");
        receiver.receive(&[], &mut incoming).expect("it comes");
        let received = incoming.finish().expect("whole");
        assert_eq!((received.last, received.state), (sent.last, sent.state));
        assert!(!sending.is_finished(), "it has not been acknowledged");
        receiver.acknowledge(7).expect("room in the socket");
        sending.join().expect("no panic").expect("acknowledged");
    }

    /// S3: of a snapshot whose sender dies nothing is left, and its sender learns of no success.
    #[test]
    fn s3_a_snapshot_that_breaks_off_is_neither_kept_nor_acknowledged() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut sender, mut receiver) = connected();
        sender.stream.write_all(b"not all").expect("room in the socket");
        drop(sender);
        let mut incoming = Incoming::begin(dir.path(), RECEIVER, false).expect("room");
        receiver.receive(&[], &mut incoming).expect("it comes");
        assert!(incoming.finish().is_err());
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
    }
}

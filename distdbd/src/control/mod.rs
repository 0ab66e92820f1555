//! The control socket: who connects, and what goes on with each connection.
//!
//! ```text
//!  listener ──▶ connection.rs: reader ── lines ──▶ ClientInput ──▶ driver
//!                   outlet.rs: socket ◀── Lines ◀──────────────────── Clients
//! ```

pub(crate) mod clients;
mod connection;
mod outlet;
pub(crate) mod socket;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::control::failure::{ErrorCode, Failure};
use common::control::reply::{Header, Reply, ReplyLine};
use common::control::request::Call;
use common::identity::NodeName;
use common::protocol::RequestId;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::clients::Client;

/// Requests that wait for the driver. Behind it, connections are not read.
pub(crate) const INPUTS_MAX: usize = 1_024;

/// How long to wait when no connection can be accepted: most likely no descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors that clients don't get: for peers, files, and the listeners.
const DESCRIPTORS_RESERVED: u64 = 128;

/// What clients make happen.
#[derive(Debug)]
pub(crate) enum ClientInput {
    /// One has connected.
    Opened { connection: u64, client: Client },
    /// It asks, in a line of so many bytes.
    Request { id: RequestId, call: Call, bytes: usize },
    /// It has gone.
    Closed { connection: u64 },
}

impl ClientInput {
    /// What it took of a connection.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Request { bytes, .. } => *bytes,
            Self::Opened { .. } | Self::Closed { .. } => 0,
        }
    }
}

/// The listener's side of the control socket.
pub(crate) struct Control {
    pub(crate) listener: UnixListener,
    pub(crate) node: NodeName,
    pub(crate) inputs: mpsc::Sender<ClientInput>,
    pub(crate) stop: CancellationToken,
    /// What is still to be written when the process ends.
    pub(crate) writers: TaskTracker,
}

impl Control {
    /// Accepts until told to stop.
    pub(crate) async fn accept(self, clients_max: usize) {
        let slots = Arc::new(Semaphore::new(clients_max));
        let mut connection = 0;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "can't accept a client");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                let _ = self.turn_away(stream).await;
                continue;
            };
            connection += 1;
            let (node, inputs) = (self.node.clone(), self.inputs.clone());
            let serving = connection::serve(stream, connection, node, inputs, &self.writers);
            tokio::spawn(async move {
                serving.await;
                drop(slot);
            });
        }
    }

    /// Says why; a client that does not read that does not matter.
    async fn turn_away(&self, mut stream: UnixStream) -> io::Result<()> {
        let failure = Failure::new(ErrorCode::Overloaded, "too many clients are connected");
        let line = refusal(self.node.clone(), failure.retry_after_ms(100));
        let _ = stream.try_write(&line)?;
        stream.shutdown().await
    }
}

/// How many clients may be connected, for that this process may have so many descriptors.
pub(crate) fn clients_max(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(1)).unwrap_or(usize::MAX)
}

/// The line for a client that is heard no further.
fn refusal(node: NodeName, failure: Failure) -> Vec<u8> {
    let header = Header::of(node);
    let line = ReplyLine::<Reply>::new(None, header, Err(failure));
    let mut bytes = serde_json::to_vec(&line).expect("strings and numbers serialize");
    bytes.push(b'\n');
    bytes
}

//! The peer port: who dials this node.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use common::peer::hello::{Hello, Purpose};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::peers::dial::DialEvent;
use crate::peers::handshake::{self, HandshakeError};
use crate::peers::{Shared, View, link, snapshot};

/// Connections that have not introduced themselves yet. More are ended at once.
const HANDSHAKES_MAX: usize = 64;

/// How long to wait when no connection can be accepted: most likely no descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Refusals are logged once in this time: anybody may knock as often as he likes.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Accepts until the process ends.
pub(crate) async fn accept(listener: TcpListener, shared: Shared) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let refusals = Arc::new(std::sync::Mutex::new(Refusals::default()));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "can't accept a peer");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else { continue };
        let (shared, refusals) = (shared.clone(), Arc::clone(&refusals));
        tokio::spawn(async move {
            let outcome = receive(stream, &shared).await;
            drop(permit);
            if let Err(error) = outcome {
                refusals.lock().expect("no holder panics").log(from, &error);
            }
        });
    }
}

async fn receive(mut stream: TcpStream, shared: &Shared) -> Result<(), HandshakeError> {
    let ours = shared.view();
    let (theirs, rest) = handshake::receive(&mut stream, &ours).await?;
    if shared.faults.is_cut_off(&theirs.name) {
        return Err(HandshakeError::Fault);
    }
    match theirs.purpose {
        Purpose::Messages => keep(stream, theirs, rest, &ours, shared).await,
        // Our hello has told it what it wanted to know.
        Purpose::Verify => {}
        Purpose::Snapshot => snapshot::receive(stream, &theirs, rest, &ours, shared)?,
    }
    Ok(())
}

/// A smaller id has come to stay; a larger one has knocked, and is dialled back.
async fn keep(stream: TcpStream, theirs: Hello, rest: BytesMut, ours: &View, shared: &Shared) {
    if ours.hello.is_dialler_to(theirs.node) {
        let Hello { node, incarnation, address, .. } = theirs;
        let knocked = DialEvent::Knocked { node, incarnation, address };
        let _ = shared.dial.send(knocked);
    } else {
        link::start(stream, theirs, rest, shared).await;
    }
}

#[derive(Default)]
struct Refusals {
    logged_at: Option<Instant>,
    since: u64,
}

impl Refusals {
    fn log(&mut self, from: std::net::SocketAddr, error: &HandshakeError) {
        self.since += 1;
        if self.logged_at.is_none_or(|at| at.elapsed() >= REFUSAL_LOG_INTERVAL) {
            tracing::warn!(%from, %error, refused = self.since, "refused a connection");
            self.logged_at = Some(Instant::now());
            self.since = 0;
        }
    }
}

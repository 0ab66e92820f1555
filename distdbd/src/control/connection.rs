//! One client's connection: a task that reads its lines, and one that writes what the driver could
//! not write itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use common::control::OUTSTANDING_MAX;
use common::control::failure::Failure;
use common::control::line::{LINE_BYTES_MAX, LineError};
use common::control::reply::Header;
use common::control::request::Call;
use common::control::status::PeerCredentials;
use common::identity::NodeName;
use common::protocol::RequestId;
use tokio::io::{AsyncReadExt, Interest, Ready};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::control::ClientInput;
use crate::control::clients::Client;
use crate::control::outlet::{BUFFER_BYTES_KEPT, Flow, Outgoing, Outlet};

/// What one read takes at first; longer lines let the buffer grow.
const READ_BYTES: usize = 4 * 1024;

/// How often to look whether a client that sends no more still reads.
const HANGUP_POLL: Duration = Duration::from_secs(1);

/// Serves one client until it goes. A panic in here is its end, and nobody else's.
pub(super) fn serve(
    stream: UnixStream,
    connection: u64,
    node: NodeName,
    inputs: mpsc::Sender<ClientInput>,
    tasks: &TaskTracker,
) -> impl Future<Output = ()> + use<> {
    let credentials = credentials(&stream);
    tracing::debug!(connection, ?credentials, "client connected");
    let (read_half, write_half) = stream.into_split();
    let flow = Arc::new(Flow::default());
    let (outlet, writer) = Outlet::new(write_half, Arc::clone(&flow));
    let tasks = tasks.clone();
    async move {
        let client = Client::new(outlet.clone(), Arc::clone(&flow), credentials);
        if inputs.send(ClientInput::Opened { connection, client }).await.is_err() {
            return; // The process ends.
        }
        tasks.spawn(writer.run());
        let reader = Reader {
            stream: read_half,
            connection,
            node,
            sequence: 0,
            outlet,
            inputs: inputs.clone(),
            flow: Arc::clone(&flow),
        };
        let broken = flow.broken.clone();
        let reading = tokio::spawn(async move {
            tokio::select! {
                () = broken.cancelled() => {}
                () = reader.run() => {}
            }
        });
        if let Err(error) = reading.await {
            tracing::error!(connection, %error, "a connection failed");
        }
        let _ = inputs.send(ClientInput::Closed { connection }).await;
    }
}

/// `SO_PEERCRED`: as they were when the client connected.
fn credentials(stream: &UnixStream) -> Option<PeerCredentials> {
    let cred = stream.peer_cred().ok()?;
    Some(PeerCredentials { uid: cred.uid(), gid: cred.gid(), pid: cred.pid().unwrap_or(0) })
}

struct Reader {
    stream: OwnedReadHalf,
    connection: u64,
    node: NodeName,
    sequence: u64,
    outlet: Outlet,
    inputs: mpsc::Sender<ClientInput>,
    flow: Arc<Flow>,
}

/// Whether the connection is read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Read,
    Close,
}

impl Reader {
    async fn run(mut self) {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        // All before this was searched for a newline.
        let mut searched = 0;
        loop {
            while let Some(at) = memchr::memchr(b'\n', &buffer[searched..]) {
                let next = self.on_line(&buffer[..searched + at]).await;
                buffer.advance(searched + at + 1);
                searched = 0;
                if next == Next::Close {
                    return self.close().await;
                }
            }
            searched = buffer.len();
            if searched > LINE_BYTES_MAX {
                self.refuse(Failure::bad_request("line has more than 4,194,304 bytes"));
                return self.close().await;
            }
            if buffer.is_empty() && buffer.capacity() > BUFFER_BYTES_KEPT {
                buffer = BytesMut::new();
            }
            buffer.reserve(READ_BYTES);
            match self.stream.read_buf(&mut buffer).await {
                Ok(0) if buffer.is_empty() => return self.finish().await,
                Ok(0) => {
                    // The last line may lack its newline.
                    self.on_line(&buffer).await;
                    return self.finish().await;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    async fn on_line(&mut self, line: &[u8]) -> Next {
        if line.len() > LINE_BYTES_MAX {
            self.refuse(Failure::bad_request("line has more than 4,194,304 bytes"));
            return Next::Close;
        }
        let call = match Call::parse(line) {
            Ok(call) => call,
            Err(error) => {
                let LineError { id, failure, close } = *error;
                self.reply(Outgoing::Reply(id, self.header(), Err(failure)));
                return if close { Next::Close } else { self.leave_room().await };
            }
        };
        self.sequence += 1;
        let id = RequestId { connection: self.connection, sequence: self.sequence };
        let is_nameless = call.id.is_none();
        self.flow.outstanding.fetch_add(1, Ordering::Relaxed);
        self.flow.nameless.fetch_add(usize::from(is_nameless), Ordering::Relaxed);
        let bytes = line.len();
        if self.inputs.send(ClientInput::Request { id, call, bytes }).await.is_err() {
            return Next::Close;
        }
        if is_nameless {
            self.until(|flow| flow.nameless.load(Ordering::Relaxed) == 0).await;
        }
        self.leave_room().await
    }

    /// Goes on when less than the bound is outstanding.
    async fn leave_room(&self) -> Next {
        self.until(|flow| flow.outstanding.load(Ordering::Relaxed) < OUTSTANDING_MAX).await;
        Next::Read
    }

    async fn until(&self, is_so: impl Fn(&Flow) -> bool) {
        while !is_so(&self.flow) {
            self.flow.written.notified().await;
        }
    }

    fn header(&self) -> Header {
        Header::of(self.node.clone())
    }

    fn refuse(&self, failure: Failure) {
        self.reply(Outgoing::Reply(None, self.header(), Err(failure)));
    }

    fn reply(&self, line: Outgoing) {
        self.flow.outstanding.fetch_add(1, Ordering::Relaxed);
        let Outgoing::Reply(id, ..) = &line else { return };
        self.flow.nameless.fetch_add(usize::from(id.is_none()), Ordering::Relaxed);
        self.outlet.push(line);
    }

    /// The client has sent all it will: what is outstanding is answered, then the connection
    /// ends. A watch is outstanding as long as the client reads.
    async fn finish(&self) {
        loop {
            let all_written = self.until(|flow| flow.outstanding.load(Ordering::Relaxed) == 0);
            if tokio::time::timeout(HANGUP_POLL, all_written).await.is_ok() {
                return;
            }
            let ready = self.stream.ready(Interest::WRITABLE).await;
            if ready.is_ok_and(Ready::is_write_closed) {
                return;
            }
        }
    }

    /// What was asked before is answered, but nothing more is read, and no watch goes on for long.
    async fn close(&self) {
        let is_written = |flow: &Flow| flow.outstanding.load(Ordering::Relaxed) == 0;
        let _ = tokio::time::timeout(HANGUP_POLL, self.until(is_written)).await;
    }
}

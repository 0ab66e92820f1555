//! One client's connection: a task that reads its lines, and one that writes its replies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use common::control::OUTSTANDING_MAX;
use common::control::failure::Failure;
use common::control::line::{LINE_BYTES_MAX, LineError};
use common::control::reply::{Header, Reply, ReplyLine, WatchLine};
use common::control::request::Call;
use common::control::status::PeerCredentials;
use common::identity::NodeName;
use common::protocol::RequestId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::control::ClientInput;
use crate::control::clients::{Client, Flow, Outgoing};

/// What one read takes at first; longer lines let the buffer grow.
const READ_BYTES: usize = 4 * 1024;

/// A buffer that has grown beyond this for one line is given back after it.
const BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// After so many bytes, lines are written out even if more wait.
const WRITE_BYTES: usize = 64 * 1024;

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
    let (outgoing, lines) = mpsc::unbounded_channel();
    let flow = Arc::new(Flow::default());
    let writer = Writer { stream: write_half, flow: Arc::clone(&flow), credentials };
    let tasks = tasks.clone();
    async move {
        let client = Client { outgoing: outgoing.clone(), flow: Arc::clone(&flow) };
        if inputs.send(ClientInput::Opened { connection, client }).await.is_err() {
            return; // The process ends.
        }
        tasks.spawn(writer.run(lines));
        let reader = Reader {
            stream: read_half,
            connection,
            node,
            sequence: 0,
            outgoing,
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
    outgoing: mpsc::UnboundedSender<Outgoing>,
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
        if self.inputs.send(ClientInput::Request { id, call }).await.is_err() {
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
        Header { node: self.node.clone(), mode: None, revision: None, served: None }
    }

    fn refuse(&self, failure: Failure) {
        self.reply(Outgoing::Reply(None, self.header(), Err(failure)));
    }

    fn reply(&self, line: Outgoing) {
        self.flow.outstanding.fetch_add(1, Ordering::Relaxed);
        let Outgoing::Reply(id, ..) = &line else { return };
        self.flow.nameless.fetch_add(usize::from(id.is_none()), Ordering::Relaxed);
        let _ = self.outgoing.send(line);
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

struct Writer {
    stream: OwnedWriteHalf,
    flow: Arc<Flow>,
    credentials: Option<PeerCredentials>,
}

/// What is in the buffer: requests that are answered by it, and lines of watches.
#[derive(Default)]
struct Written {
    requests: usize,
    nameless: usize,
    watch_lines: usize,
    watch_bytes: usize,
}

impl Writer {
    /// Writes until the driver drops its end, or the client goes.
    async fn run(mut self, mut lines: mpsc::UnboundedReceiver<Outgoing>) {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        while let Some(line) = lines.recv().await {
            let mut written = Written::default();
            self.append(line, &mut buffer, &mut written);
            while buffer.len() < WRITE_BYTES {
                let Ok(line) = lines.try_recv() else { break };
                self.append(line, &mut buffer, &mut written);
            }
            if self.stream.write_all(&buffer).await.is_err() {
                self.flow.broken.cancel();
                return;
            }
            buffer.clear();
            buffer.shrink_to(BUFFER_BYTES_KEPT);
            self.count(&written);
        }
        let _ = self.stream.shutdown().await;
    }

    fn append(&self, line: Outgoing, buffer: &mut Vec<u8>, written: &mut Written) {
        match line {
            Outgoing::Reply(id, header, mut outcome) => {
                if !matches!(outcome, Ok(Reply::Watch(_))) {
                    written.requests += 1;
                    written.nameless += usize::from(id.is_none());
                }
                if let Ok(Reply::Hello(hello)) = &mut outcome {
                    hello.peer = self.credentials;
                }
                serde_json::to_writer(&mut *buffer, &ReplyLine::new(id, header, outcome))
            }
            Outgoing::Watch(line, bytes) => {
                if let WatchLine::End { id, .. } = &line {
                    written.requests += 1;
                    written.nameless += usize::from(id.is_none());
                }
                written.watch_lines += 1;
                written.watch_bytes += bytes;
                serde_json::to_writer(&mut *buffer, &line)
            }
        }
        .expect("strings and numbers serialize, and memory takes them");
        buffer.push(b'\n');
    }

    fn count(&self, written: &Written) {
        let flow = &self.flow;
        flow.outstanding.fetch_sub(written.requests, Ordering::Relaxed);
        flow.nameless.fetch_sub(written.nameless, Ordering::Relaxed);
        flow.watch_lines.fetch_sub(written.watch_lines, Ordering::Relaxed);
        flow.watch_bytes.fetch_sub(written.watch_bytes, Ordering::Relaxed);
        flow.written.notify_one();
    }
}

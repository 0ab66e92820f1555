//! One TCP connection to a peer, after the handshake.
//!
//! What fits into the socket is written by the driver itself: a task that had to wake up for it
//! would do so behind the sync that the driver begins next. The rest goes through a queue, whose
//! writer waits for the socket.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use common::identity::{NodeId, NodeName};
use common::node::Message;
use common::peer::frame::{self, FRAME_BYTES_MAX, FrameError, Kind};
use common::peer::hello::Hello;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fault::{Faults, Way};
use crate::peers::{PeerInput, Shared, Stamped};

/// Below this many bytes, a link that was congested has room again.
const QUEUED_BYTES_LOW: usize = 1024 * 1024;

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;

/// The driver's end of a connection. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: NodeName,
    /// No two links of a process have the same.
    pub(crate) serial: u64,
    stream: Arc<OwnedWriteHalf>,
    queue: mpsc::UnboundedSender<Piece>,
    /// In the queue, and in its writer's hands.
    queued_bytes: Arc<AtomicUsize>,
    guard: Option<DropGuard>,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Not before this; a fault may set it.
    due: Option<Instant>,
}

impl Link {
    /// Writes as much as the socket takes, unless something has to leave before it.
    pub(crate) fn send(&self, mut bytes: Bytes, delay: Duration) {
        if delay.is_zero() && self.queued_bytes() == 0 {
            // One that is broken, or not ready, is the queue's writer's to find out.
            let sent = self.stream.try_write(&bytes).unwrap_or(0);
            bytes.advance(sent);
            if bytes.is_empty() {
                return;
            }
        }
        self.queued_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let due = (!delay.is_zero()).then(|| Instant::now() + delay);
        // A writer that is gone has told the driver so; the news is on its way.
        let _ = self.queue.send(Piece { bytes, due });
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    /// The writer ends the connection when it has sent all, not when this is dropped.
    pub(crate) fn finish(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
    }
}

/// Starts the two tasks of a connection, and tells the driver of it.
pub(crate) async fn start(stream: TcpStream, hello: Hello, rest: BytesMut, shared: &Shared) {
    static SERIALS: AtomicU64 = AtomicU64::new(1);
    let serial = SERIALS.fetch_add(1, Ordering::Relaxed);
    let (from, name) = (hello.node, hello.name.clone());
    let cancelled = CancellationToken::new();
    let (queue, pieces) = mpsc::unbounded_channel();
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let (read_half, write_half) = stream.into_split();
    let write_half = Arc::new(write_half);
    let link = Link {
        name: name.clone(),
        serial,
        stream: Arc::clone(&write_half),
        queue,
        queued_bytes: Arc::clone(&queued_bytes),
        guard: Some(cancelled.clone().drop_guard()),
    };
    let up = PeerInput::Up { hello: Box::new(hello), link };
    if shared.inputs.send(up).await.is_err() {
        return; // The process ends.
    }
    let writer = Writer { stream: write_half, queued_bytes, drained: Arc::clone(&shared.drained) };
    let stop = cancelled.clone();
    shared.writers.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = writer.run(pieces) => stop.cancel(),
        }
    });
    let faults = shared.faults.clone();
    let reader = Reader { stream: read_half, from, serial, name, faults };
    let inputs = shared.inputs.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = cancelled.cancelled() => {}
            () = reader.run(rest, &inputs) => cancelled.cancel(),
        }
        let _ = inputs.send(PeerInput::Down { from, serial }).await;
    });
}

struct Writer {
    /// Shut down when the link and this are gone.
    stream: Arc<OwnedWriteHalf>,
    queued_bytes: Arc<AtomicUsize>,
    drained: Arc<Notify>,
}

impl Writer {
    /// Ends when the link is dropped and all is sent, or the connection breaks.
    async fn run(self, mut pieces: mpsc::UnboundedReceiver<Piece>) {
        while let Some(piece) = pieces.recv().await {
            if let Some(due) = piece.due {
                tokio::time::sleep_until(due).await;
            }
            let length = piece.bytes.len();
            let sent = self.write_all(piece.bytes).await;
            let before = self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            if before > QUEUED_BYTES_LOW && before - length <= QUEUED_BYTES_LOW {
                self.drained.notify_one();
            }
            if sent.is_err() {
                return; // The reader sees it too, and tells.
            }
        }
    }

    async fn write_all(&self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(&bytes) {
                Ok(sent) => bytes.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

struct Reader {
    stream: OwnedReadHalf,
    from: NodeId,
    serial: u64,
    name: NodeName,
    faults: Faults,
}

impl Reader {
    /// Ends when the connection does, or the driver.
    async fn run(mut self, mut buffer: BytesMut, inputs: &mpsc::Sender<PeerInput>) {
        loop {
            let before = buffer.len();
            let mut stamped = match take_messages(&mut buffer) {
                Ok(stamped) => stamped,
                Err(error) => {
                    tracing::warn!(peer = %self.name, %error, "peer sent garbage; disconnecting");
                    return;
                }
            };
            if !stamped.messages.is_empty() {
                stamped.messages = self.suffer(stamped.messages).await;
                let (from, serial, bytes) = (self.from, self.serial, before - buffer.len());
                let input = PeerInput::Messages { from, serial, messages: stamped, bytes };
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            buffer.reserve(READ_BYTES);
            match self.stream.read_buf(&mut buffer).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(peer = %self.name, %error, "connection broke");
                    return;
                }
            }
        }
    }

    /// Lets the faults work that are set for what comes from this peer.
    async fn suffer(&self, messages: Vec<Message>) -> Vec<Message> {
        if !self.faults.are_active() {
            return messages;
        }
        let mut left = Vec::new();
        let mut delay = Duration::ZERO;
        for message in messages {
            let fate = self.faults.fate(&self.name, Way::In);
            delay = delay.max(fate.delay);
            left.extend((0..fate.copies).map(|_| message.clone()));
        }
        tokio::time::sleep(delay).await;
        left
    }
}

/// Takes all whole messages out of the buffer.
fn take_messages(buffer: &mut BytesMut) -> Result<Stamped, FrameError> {
    let mut stamped = Stamped::default();
    let mut taken = 0;
    while let Some(frame) = frame::decode(&buffer[taken..], FRAME_BYTES_MAX)? {
        match frame.kind {
            Kind::Message => stamped.messages.push(frame.message()?),
            Kind::Clock => stamped.clock = stamped.clock.max(frame.message()?),
            Kind::Hello | Kind::Refused | Kind::Received => {
                return Err(FrameError::Kind(frame.kind as u8));
            }
        }
        taken += frame.length;
    }
    buffer.advance(taken);
    Ok(stamped)
}

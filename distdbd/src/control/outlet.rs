//! What is on its way to one client. Lines that fit into the socket are written by the driver
//! itself, once for each commit; what does not waits in a queue, whose writer waits for the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::control::Id;
use common::control::failure::Failure;
use common::control::reply::{Header, Reply, ReplyLine};
use common::control::watching::WatchLine;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// After so many bytes, lines are written out even if more wait.
const WRITE_BYTES: usize = 64 * 1024;

/// A buffer that has grown beyond this is given back.
pub(super) const BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// A line on its way to a client.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A reply.
    Reply(Option<Id>, Header, Result<Reply, Failure>),
    /// A line of a watch, and what it counts for in [`Flow::watch_bytes`].
    Watch(WatchLine, usize),
    /// Lines whose beginning was written already.
    Rest(Lines),
}

/// What reader, writer and driver of a connection know together. The queue between them has no
/// bound of its own: these counts are its bounds.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Lines that the queue's writer has still to write.
    queued: AtomicUsize,
    /// Requests whose last line is not written yet. The reader keeps it below its bound.
    pub(crate) outstanding: AtomicUsize,
    /// Requests without an id among them: one at most.
    pub(crate) nameless: AtomicUsize,
    /// Lines of watches that are not written yet.
    pub(crate) watch_lines: AtomicUsize,
    /// Their keys and values.
    pub(crate) watch_bytes: AtomicUsize,
    /// Told after each write.
    pub(crate) written: Notify,
    /// The client is read no more: it has gone, or the process ends.
    pub(crate) broken: CancellationToken,
}

impl Flow {
    fn count(&self, lines: &Lines) {
        self.outstanding.fetch_sub(lines.requests, Ordering::Relaxed);
        self.nameless.fetch_sub(lines.nameless, Ordering::Relaxed);
        self.watch_lines.fetch_sub(lines.watch_lines, Ordering::Relaxed);
        self.watch_bytes.fetch_sub(lines.watch_bytes, Ordering::Relaxed);
        self.written.notify_one();
    }
}

/// Lines as bytes; which requests are answered by them, and what they hold of watches.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    sent: usize,
    requests: usize,
    nameless: usize,
    watch_lines: usize,
    watch_bytes: usize,
}

impl Lines {
    fn is_full(&self) -> bool {
        self.bytes.len() >= WRITE_BYTES
    }

    fn append(&mut self, line: Outgoing) {
        match line {
            Outgoing::Reply(id, header, outcome) => {
                if !matches!(outcome, Ok(Reply::Watch(_))) {
                    self.requests += 1;
                    self.nameless += usize::from(id.is_none());
                }
                serde_json::to_writer(&mut self.bytes, &ReplyLine::new(id, header, outcome))
            }
            Outgoing::Watch(line, bytes) => {
                if let WatchLine::End { id, .. } = &line {
                    self.requests += 1;
                    self.nameless += usize::from(id.is_none());
                }
                self.watch_lines += 1;
                self.watch_bytes += bytes;
                line.append_to(&mut self.bytes);
                Ok(())
            }
            Outgoing::Rest(rest) => {
                assert!(self.bytes.is_empty(), "a rest is the first that is queued");
                *self = rest;
                return;
            }
        }
        .expect("strings and numbers serialize, and memory takes them");
        self.bytes.push(b'\n');
    }

    /// Begins anew.
    fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.shrink_to(BUFFER_BYTES_KEPT);
        *self = Self { bytes, ..Self::default() };
    }
}

/// The way to a client.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    stream: Arc<OwnedWriteHalf>,
    queue: mpsc::UnboundedSender<Outgoing>,
    flow: Arc<Flow>,
}

impl Outlet {
    /// With the writer of its queue, which is to be run.
    pub(super) fn new(stream: OwnedWriteHalf, flow: Arc<Flow>) -> (Self, Writer) {
        let stream = Arc::new(stream);
        let (queue, lines) = mpsc::unbounded_channel();
        let writer = Writer { stream: Arc::clone(&stream), flow: Arc::clone(&flow), lines };
        (Self { stream, queue, flow }, writer)
    }

    /// Queues a line.
    pub(super) fn push(&self, line: Outgoing) {
        self.flow.queued.fetch_add(1, Ordering::Relaxed);
        // A writer that is gone has told the reader, who tells the driver.
        let _ = self.queue.send(line);
    }

    /// Writes lines, as many as the socket takes, and queues the rest.
    pub(super) fn send(&self, lines: impl Iterator<Item = Outgoing>, buffer: &mut Lines) {
        let mut lines = lines.peekable();
        if self.flow.queued.load(Ordering::Relaxed) == 0 {
            buffer.clear();
            while !buffer.is_full()
                && let Some(line) = lines.next()
            {
                buffer.append(line);
            }
            // One that is broken, or not ready, is the queue's writer's to find out.
            buffer.sent = self.stream.try_write(&buffer.bytes).unwrap_or(0);
            if buffer.sent == buffer.bytes.len() {
                self.flow.count(buffer);
            } else {
                self.push(Outgoing::Rest(std::mem::take(buffer)));
            }
        }
        for line in lines {
            self.push(line);
        }
    }
}

/// Writes what is queued.
pub(super) struct Writer {
    stream: Arc<OwnedWriteHalf>,
    flow: Arc<Flow>,
    lines: mpsc::UnboundedReceiver<Outgoing>,
}

impl Writer {
    /// Writes until the driver and the reader have dropped their ends, or the client goes.
    pub(super) async fn run(mut self) {
        let mut buffer = Lines::default();
        while let Some(line) = self.lines.recv().await {
            let mut count = 1;
            buffer.append(line);
            while !buffer.is_full() {
                let Ok(line) = self.lines.try_recv() else { break };
                buffer.append(line);
                count += 1;
            }
            if self.write(&mut buffer).await.is_err() {
                self.flow.broken.cancel();
                return;
            }
            self.flow.queued.fetch_sub(count, Ordering::Relaxed);
            self.flow.count(&buffer);
            buffer.clear();
        }
    }

    async fn write(&self, lines: &mut Lines) -> std::io::Result<()> {
        while lines.sent < lines.bytes.len() {
            self.stream.writable().await?;
            match self.stream.try_write(&lines.bytes[lines.sent..]) {
                Ok(sent) => lines.sent += sent,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::control::reply::Cancelled;
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::UnixStream;

    use super::*;

    fn reply(id: u64) -> Outgoing {
        let header = Header::of("node1".parse().expect("a name"));
        let reply = Reply::Cancel(Cancelled { cancelled: true });
        Outgoing::Reply(Some(Id::Unsigned(id)), header, Ok(reply))
    }

    /// P4, P12: a client that reads late gets every line once, in order, whoever has written it;
    /// and until it reads, its requests count as outstanding.
    #[tokio::test]
    async fn p12_what_the_socket_does_not_take_follows_in_order() {
        const LINES: usize = 20_000;
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let (_read_half, write_half) = ours.into_split();
        let flow = Arc::new(Flow::default());
        flow.outstanding.store(LINES, Ordering::Relaxed);
        let (outlet, writer) = Outlet::new(write_half, Arc::clone(&flow));
        let writing = tokio::spawn(writer.run());
        let mut buffer = Lines::default();
        for first in (0..LINES as u64).step_by(10) {
            outlet.send((first..first + 10).map(reply), &mut buffer);
            tokio::task::yield_now().await;
        }
        assert!(flow.outstanding.load(Ordering::Relaxed) > LINES / 2, "nobody reads");
        drop(outlet);
        let mut lines = BufReader::new(theirs).lines();
        for expected in 0..LINES {
            let line = lines.next_line().await.expect("sound").expect("not the end yet");
            assert!(line.starts_with(&format!("{{\"id\":{expected},")), "{line}");
        }
        assert_eq!(lines.next_line().await.expect("sound"), None);
        writing.await.expect("no panic");
        assert_eq!(flow.outstanding.load(Ordering::Relaxed), 0);
    }
}

//! The clients, as the driver has them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::control::Id;
use common::control::bytes::{Base64Bytes, TextBytes};
use common::control::failure::{ErrorCode, Failure};
use common::control::reply::{Header, Reply, WatchEvent, WatchLine};
use common::protocol::{Answer, RequestId};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Lines of a connection's watches that the client has not read. A watch that makes more ends.
const WATCH_LINES_MAX: usize = 10_000;

/// The same in bytes of keys and values.
const WATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The driver's end of a connection. Dropping it ends the connection, once all is written.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) outgoing: mpsc::UnboundedSender<Outgoing>,
    pub(crate) flow: Arc<Flow>,
}

/// A line on its way to a client.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A reply.
    Reply(Option<Id>, Header, Result<Reply, Failure>),
    /// A line of a watch, and what it counts for in [`Flow::watch_bytes`].
    Watch(WatchLine, usize),
}

/// What reader, writer and driver of a connection know together. The queue between them has no
/// bound of its own: these counts are its bounds.
#[derive(Debug, Default)]
pub(crate) struct Flow {
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

/// All connections, and what their clients call the requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: HashMap<u64, (Client, BTreeMap<u64, Option<Id>>)>,
}

impl Clients {
    pub(crate) fn open(&mut self, connection: u64, client: Client) {
        self.clients.insert(connection, (client, BTreeMap::new()));
    }

    pub(crate) fn close(&mut self, connection: u64) {
        self.clients.remove(&connection);
    }

    /// Notes what the client calls a request.
    pub(crate) fn expect(&mut self, request: RequestId, id: Option<Id>) {
        if let Some((_, waiting)) = self.clients.get_mut(&request.connection) {
            waiting.insert(request.sequence, id);
        }
    }

    /// Hands an answer to its connection. Tells if the request was a watch that had to end,
    /// because its client does not read fast enough.
    #[must_use]
    pub(crate) fn answer(&mut self, request: RequestId, answer: Answer) -> Option<RequestId> {
        // A client that has gone needs no answer.
        let (client, waiting) = self.clients.get_mut(&request.connection)?;
        let is_last = answer.is_last();
        let id = if is_last {
            waiting.remove(&request.sequence)?
        } else {
            waiting.get(&request.sequence)?.clone()
        };
        match answer {
            Answer::Reply(header, outcome) => client.send(Outgoing::Reply(id, header, outcome)),
            Answer::Watch(line) if is_last || client.has_room() => client.send_watch(line),
            Answer::Watch(line) => {
                waiting.remove(&request.sequence);
                client.send_watch(too_slow(id, &line));
                return Some(request);
            }
        }
        None
    }

    /// No client is heard any further.
    pub(crate) fn stop_reading(&self) {
        for (client, _) in self.clients.values() {
            client.flow.broken.cancel();
        }
    }
}

impl Client {
    fn send(&self, line: Outgoing) {
        // A writer that is gone has told the reader, who tells the driver.
        let _ = self.outgoing.send(line);
    }

    fn send_watch(&self, line: WatchLine) {
        let bytes = size(&line);
        self.flow.watch_lines.fetch_add(1, Ordering::Relaxed);
        self.flow.watch_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.send(Outgoing::Watch(line, bytes));
    }

    fn has_room(&self) -> bool {
        self.flow.watch_lines.load(Ordering::Relaxed) < WATCH_LINES_MAX
            && self.flow.watch_bytes.load(Ordering::Relaxed) < WATCH_BYTES_MAX
    }
}

/// The last line of a watch, in place of `line`, which is where it may go on.
fn too_slow(id: Option<Id>, line: &WatchLine) -> WatchLine {
    let resume = match line {
        WatchLine::Events { revision, .. } => *revision,
        WatchLine::Progress { progress, .. } => *progress,
        WatchLine::End { resume, .. } => *resume,
    };
    let message = "the watch makes more lines than the client reads";
    let failure = Failure::new(ErrorCode::SlowConsumer, message);
    WatchLine::End { id, end: true, resume, error: Some(failure) }
}

fn size(line: &WatchLine) -> usize {
    let WatchLine::Events { events, .. } = line else { return 0 };
    let of_event = |event: &WatchEvent| {
        let texts = [&event.value, &event.previous].into_iter().flatten();
        let bytes = [&event.value_b64, &event.previous_b64].into_iter().flatten();
        let texts = texts.map(TextBytes::byte_count);
        let bytes = bytes.map(Base64Bytes::byte_count);
        event.key.as_str().len() + texts.chain(bytes).sum::<usize>()
    };
    events.iter().map(of_event).sum()
}

//! The clients, as the driver has them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::control::Id;
use common::control::bytes::{Base64Bytes, TextBytes};
use common::control::failure::{ErrorCode, Failure};
use common::control::reply::{Header, Reply};
use common::control::request::{Call, Request};
use common::control::status::PeerCredentials;
use common::control::watching::{WatchEvent, WatchLine};
use common::protocol::{Answer, RequestId};

use crate::control::outlet::{Flow, Lines, Outgoing, Outlet};

/// Lines of a connection's watches that the client has not read, for each watch that it has. One
/// that makes more ends.
const WATCH_LINES_MAX: usize = 10_000;

/// The same in bytes of keys and values, for each watch.
const WATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same, for all watches of a connection.
const CONNECTION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A watch that catches up is told more when less than this is unread.
const CATCH_UP_BYTES: usize = 1024 * 1024;

/// The driver's end of a connection. Dropping it ends the connection, once all is written.
#[derive(Debug)]
pub(crate) struct Client {
    outlet: Outlet,
    flow: Arc<Flow>,
    credentials: Option<PeerCredentials>,
    /// Lines of this commit.
    lines: Vec<Outgoing>,
    waiting: BTreeMap<u64, Waiting>,
    /// Watches among those that wait.
    watches: usize,
}

/// A request without its last line.
#[derive(Debug)]
struct Waiting {
    id: Option<Id>,
    /// A watch or a wait: it may take as long as it likes.
    is_long: bool,
    is_watch: bool,
}

/// All connections, and what their clients call the requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: HashMap<u64, Client>,
    /// Those with lines of this commit.
    written_to: Vec<u64>,
    buffer: Lines,
    /// Requests that wait and are not long.
    unanswered: usize,
}

impl Clients {
    pub(crate) fn open(&mut self, connection: u64, client: Client) {
        self.clients.insert(connection, client);
    }

    pub(crate) fn close(&mut self, connection: u64) {
        if let Some(client) = self.clients.remove(&connection) {
            self.unanswered -= client.waiting.values().filter(|waiting| !waiting.is_long).count();
        }
    }

    /// Notes what the client calls a request.
    pub(crate) fn expect(&mut self, request: RequestId, call: &Call) {
        if let Some(client) = self.clients.get_mut(&request.connection) {
            let is_watch = matches!(call.request, Request::Watch { .. });
            let is_long = is_watch || call.request.is_long();
            let waiting = Waiting { id: call.id.clone(), is_long, is_watch };
            client.waiting.insert(request.sequence, waiting);
            client.watches += usize::from(is_watch);
            self.unanswered += usize::from(!is_long);
        }
    }

    /// Whether every request is answered that does not take as long as it likes.
    pub(crate) fn are_answered(&self) -> bool {
        self.unanswered == 0
    }

    /// Takes an answer; [`Self::flush`] lets it leave. Tells if the request was a watch that had
    /// to end, because its client does not read fast enough.
    #[must_use]
    pub(crate) fn answer(&mut self, request: RequestId, answer: Answer) -> Option<RequestId> {
        // A client that has gone needs no answer.
        let client = self.clients.get_mut(&request.connection)?;
        let waiting = client.waiting.get(&request.sequence)?;
        if client.lines.is_empty() {
            self.written_to.push(request.connection);
        }
        let (id, is_long, is_watch) = (waiting.id.clone(), waiting.is_long, waiting.is_watch);
        let has_room = client.has_room();
        let is_slow = matches!(answer, Answer::Watch(_)) && !answer.is_last() && !has_room;
        if answer.is_last() || is_slow {
            client.waiting.remove(&request.sequence);
            client.watches -= usize::from(is_watch);
            self.unanswered -= usize::from(!is_long);
        }
        match answer {
            Answer::Reply(header, outcome) => client.reply(id, header, outcome),
            Answer::Watch(line) if is_slow => client.send_watch(too_slow(id, &line)),
            Answer::Watch(line) => client.send_watch(line),
        }
        is_slow.then_some(request)
    }

    /// Lets all answers leave.
    pub(crate) fn flush(&mut self) {
        for connection in self.written_to.drain(..) {
            if let Some(client) = self.clients.get_mut(&connection) {
                client.outlet.send(client.lines.drain(..), &mut self.buffer);
            }
        }
    }

    /// The user behind a connection.
    pub(crate) fn uid(&self, connection: u64) -> Option<u32> {
        Some(self.clients.get(&connection)?.credentials?.uid)
    }

    /// Whether a client has read most of what its watches were told.
    pub(crate) fn has_room(&self, connection: u64) -> bool {
        let unread = |client: &Client| client.flow.watch_bytes.load(Ordering::Relaxed);
        self.clients.get(&connection).is_some_and(|client| unread(client) < CATCH_UP_BYTES)
    }

    /// No client is heard any further.
    pub(crate) fn stop_reading(&self) {
        for client in self.clients.values() {
            client.flow.broken.cancel();
        }
    }
}

impl Client {
    pub(super) fn new(
        outlet: Outlet,
        flow: Arc<Flow>,
        credentials: Option<PeerCredentials>,
    ) -> Self {
        Self { outlet, flow, credentials, lines: Vec::new(), waiting: BTreeMap::new(), watches: 0 }
    }

    fn reply(&mut self, id: Option<Id>, header: Header, mut outcome: Result<Reply, Failure>) {
        if let Ok(Reply::Hello(hello)) = &mut outcome {
            hello.peer = self.credentials;
        }
        self.lines.push(Outgoing::Reply(id, header, outcome));
    }

    fn send_watch(&mut self, line: WatchLine) {
        let bytes = size(&line);
        self.flow.watch_lines.fetch_add(1, Ordering::Relaxed);
        self.flow.watch_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.lines.push(Outgoing::Watch(line, bytes));
    }

    fn has_room(&self) -> bool {
        let bytes_max = CONNECTION_BYTES_MAX.min(WATCH_BYTES_MAX * self.watches);
        self.flow.watch_lines.load(Ordering::Relaxed) < WATCH_LINES_MAX * self.watches
            && self.flow.watch_bytes.load(Ordering::Relaxed) < bytes_max
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
    events.iter().map(of_event).sum::<usize>() + LINE_BYTES
}

/// What a line takes beside keys and values.
const LINE_BYTES: usize = 64;

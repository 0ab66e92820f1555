//! What happened, in words: for the last lines before a violation, and for the scripts.

mod causal;
mod raft;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use common::broadcast::message::{self, Heartbeat, SyncChunk};
use common::broadcast::store::{Entry, Write};
use common::broadcast::version::Version;
use common::control::reply::{Get, List, Reply};
use common::control::request::{Request, Selection};
use common::control::watching::WatchLine;
use common::identity::{Incarnation, NodeId, NodeName};
use common::kv::value::Value;
use common::node::Message;
use common::observe::Event;
use common::protocol::{Answer, Input};

/// Values are cut to this for people; a seed tells the rest.
const VALUE_BYTES_SHOWN: usize = 12;

/// What people call the nodes.
#[derive(Debug, Default, Clone)]
pub struct Names {
    names: BTreeMap<NodeId, String>,
}

impl Names {
    /// `id` is called `name`.
    pub fn insert(&mut self, id: NodeId, name: String) {
        self.names.insert(id, name);
    }

    /// The name of a node, or its id.
    pub fn of(&self, id: NodeId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// `5.n1`, and in a later start than the first `5.n1/2`.
    pub fn version(&self, version: Version) -> String {
        let Version { clock, node, incarnation } = version;
        let node = self.of(node);
        if incarnation == Incarnation(1) {
            format!("{clock}.{node}")
        } else {
            format!("{clock}.{node}/{}", incarnation.0)
        }
    }

    /// `value@5.n1`, or `deleted@5.n1`.
    pub fn entry(&self, entry: &Entry) -> String {
        let held = entry.value.as_ref().map_or("deleted".to_owned(), value);
        format!("{held}@{}", self.version(entry.version))
    }

    /// What a node was given.
    pub fn input(&self, input: &Input<Message>) -> String {
        match input {
            Input::Start => "start".to_owned(),
            Input::Tick => "tick".to_owned(),
            Input::PeerUp(hello) => format!("{} is connected", self.of(hello.node)),
            Input::PeerDown(peer) => format!("{} is not connected", self.of(*peer)),
            Input::Message { from, message } => {
                format!("from {}: {}", self.of(*from), self.message(message))
            }
            Input::Request { call, .. } => request(&call.request),
            Input::Abandoned(id) => format!("nobody waits for {}.{}", id.connection, id.sequence),
            Input::Closed { connection } => format!("client {connection} is gone"),
            Input::Stop => "stop".to_owned(),
            Input::Retire => "retire".to_owned(),
            Input::DiskFull(is_full) => format!("the disk is full: {is_full}"),
            Input::SnapshotWritten(index) => format!("snapshot {index} is written"),
            Input::CausalWritten(position) => format!("causal snapshot {position} is written"),
            Input::SnapshotReceived(snapshot) => {
                format!("snapshot {} has come", raft::id(snapshot.last))
            }
            Input::SnapshotSent { to, index: Some(index) } => {
                format!("snapshot {index} has arrived at {}", self.of(*to))
            }
            Input::SnapshotSent { to, index: None } => {
                format!("no snapshot has arrived at {}", self.of(*to))
            }
            Input::Room { connection } => format!("client {connection} has read what it was told"),
            Input::Wall(unix_ms) => format!("the wall clock is {unix_ms}"),
            Input::Verified { node, outcome } => {
                format!("{} answers at its address: {}", self.of(*node), outcome.is_ok())
            }
        }
    }

    /// What a node says to another.
    pub fn message(&self, message: &Message) -> String {
        let message = match message {
            Message::Broadcast(message) => message,
            Message::Raft(message) => return self.raft_message(message),
            Message::Causal(message) => return self.causal_message(message),
        };
        match message {
            message::Message::Write { number, write } => {
                format!("Write #{number} {}", self.write(write))
            }
            message::Message::Heartbeat(Heartbeat { number, clock, ready, .. }) => {
                let ready = if *ready { "ready" } else { "not ready" };
                format!("Heartbeat #{number}, clock {clock}, {ready}")
            }
            message::Message::Members(members) => {
                let names: Vec<_> = members.iter().map(|m| m.name.as_str()).collect();
                format!("Members {}", names.join(" "))
            }
            message::Message::SyncRequest { session, chunk, .. } => {
                format!("SyncRequest {session}.{chunk}")
            }
            message::Message::SyncChunk(chunk) => self.chunk(chunk),
            message::Message::SyncRefused { session } => format!("SyncRefused {session}"),
        }
    }

    fn chunk(&self, chunk: &SyncChunk) -> String {
        let SyncChunk { session, chunk: number, heard, entries, done, .. } = chunk;
        let mut text = format!("SyncChunk {session}.{number}");
        let keys = entries.len();
        match entries.as_slice() {
            [] => text.push_str(" empty"),
            few if keys <= 4 => few.iter().for_each(|w| text = format!("{text} {}", self.write(w))),
            _ => write!(text, " of {keys} keys").expect("a string takes all"),
        }
        for (node, heard) in heard {
            write!(text, ", heard {}#{}", self.of(*node), heard.number).expect("as above");
        }
        text + if *done { ", done" } else { "" }
    }

    fn write(&self, write: &Write) -> String {
        format!("{}={}", write.key, self.entry(&write.entry))
    }

    /// What a node says that it did.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is Raft's")]
    pub fn event(&self, event: &Event) -> String {
        match event {
            Event::Start { incarnation } => format!("Start {}", incarnation.0),
            Event::Link { peer, incarnation, .. } => {
                format!("Link {}, start {}", self.of(*peer), incarnation.0)
            }
            Event::Unlink { peer, reason } => format!("Unlink {}: {reason}", self.of(*peer)),
            Event::Write { number, key, version, deleted } => {
                let what = if *deleted { "delete" } else { "put" };
                format!("Write #{number} {what} {key}@{}", self.version(*version))
            }
            Event::Deliver { from, number, key, version, won } => {
                let won = if *won { "won" } else { "lost" };
                let version = self.version(*version);
                format!("Deliver {}#{number} {key}@{version} {won}", self.of(*from))
            }
            Event::Miss { from, writes } => format!("Miss {writes} of {}", self.of(*from)),
            Event::RequestSync { donor, session, chunk } => {
                format!("RequestSync {session}.{chunk} of {}", self.of(*donor))
            }
            Event::ServeSync { to, session, entries, done, .. } => {
                let done = if *done { ", done" } else { "" };
                format!("ServeSync {session} to {}: {entries} keys{done}", self.of(*to))
            }
            Event::MergeChunk { donor, session, entries, won, done } => {
                let done = if *done { ", done" } else { "" };
                let donor = self.of(*donor);
                format!("MergeChunk {session} of {donor}: {won} of {entries} keys new{done}")
            }
            Event::DonorBehind { donor } => format!("DonorBehind {}", self.of(*donor)),
            Event::BecomeReady { how, keys } => format!("BecomeReady {how:?}, {keys} keys"),
            Event::Repair { changed } => format!("Repair, {changed} changed"),
            Event::Member { id, name, .. } => format!("Member {name} is {id}"),
            Event::NameTaken { id, name } => format!("NameTaken {name} by {id}"),
            Event::Broadcast(event) => format!("{event:?}"),
            event => self.raft_event(event),
        }
    }

    /// What a client hears.
    pub fn answer(&self, answer: &Answer) -> String {
        match answer {
            Answer::Reply(_, Ok(reply)) => self.reply(reply),
            Answer::Reply(_, Err(failure)) => format!("{}: {failure}", failure.code),
            Answer::Watch(line) => watch_line(line),
        }
    }

    fn reply(&self, reply: &Reply) -> String {
        match reply {
            Reply::Put(put) => {
                let how = done(put.sent_to, put.duplicate);
                format!("ok, revision {}{how}", put.revision)
            }
            Reply::Get(get) => got(get),
            Reply::Delete(delete) => {
                let how = done(delete.sent_to, delete.duplicate);
                format!("{} deleted{how}", delete.deleted)
            }
            Reply::List(List { items, count, .. }) => {
                let keys: Vec<_> = items.iter().map(|item| item.key.as_str()).collect();
                format!("{count} keys: {}", keys.join(" "))
            }
            Reply::Count(count) => format!("ok, at {}", count.value),
            Reply::Conflicts(conflicts) => format!("{} conflicts", conflicts.items.len()),
            Reply::Watch(begun) => format!("watching from {}", begun.from),
            Reply::Cancel(done) => format!("cancelled: {}", done.cancelled),
            Reply::Status(status) => {
                let (ready, keys) = (status.ready, status.keys);
                let mut text =
                    format!("ready: {ready}, {keys} keys, {} deleted", status.tombstones);
                for peer in &status.peers {
                    let (name, state) = (&peer.name, peer.state.as_str());
                    write!(text, "; {name} {state}, lag {}", peer.lag).expect("as above");
                }
                text
            }
            Reply::Members(all) => {
                let names: Vec<_> = all.members.iter().map(|m| m.name.as_str()).collect();
                format!("members {}", names.join(" "))
            }
            Reply::Wait(waited) => format!("{} is so", waited.became),
            Reply::Check(check) => format!("{}: {}", check.ok, check.reason),
            Reply::Sync(done) => {
                let from: Vec<_> = done.from.iter().map(NodeName::as_str).collect();
                format!("{} changed, from {}", done.changed, from.join(" "))
            }
            Reply::Hello(hello) => format!("hello of {}", hello.node),
            Reply::Fault(_) => "faults".to_owned(),
            Reply::Trace(told) => format!("{} events", told.events.len()),
            Reply::MemberChanged(told) => told.summary.clone(),
            Reply::Transferred(told) => format!("{} leads", told.leader),
            Reply::Modes(told) => {
                let rows = told.modes.iter();
                let rows = rows.map(|row| format!("{:?} {}", row.prefix, row.mode.as_str()));
                format!("modes {}", rows.collect::<Vec<_>>().join(", "))
            }
            Reply::Explain(told) => told.verdict.clone(),
            Reply::Kv(reply) => format!("{reply:?}"),
        }
    }
}

/// How a write was done.
fn done(sent_to: Option<usize>, is_duplicate: bool) -> String {
    let sent = sent_to.map_or(String::new(), |peers| format!(", sent to {peers}"));
    sent + if is_duplicate { ", executed before" } else { "" }
}

fn got(get: &Get) -> String {
    let Some(item) = &get.item else {
        return "not found".to_owned();
    };
    let joined = common::control::bytes::join(item.value.clone(), item.value_b64.clone());
    let held = joined.ok().flatten().as_ref().map_or("nothing".to_owned(), value);
    format!("{held}, revision {}", item.mod_revision)
}

fn watch_line(line: &WatchLine) -> String {
    match line {
        WatchLine::Events { events, .. } => {
            let texts = events.iter().map(|event| {
                let joined =
                    common::control::bytes::join(event.value.clone(), event.value_b64.clone());
                let held = joined.ok().flatten().as_ref().map_or(String::new(), value);
                format!("{} {} {held}", event.kind.as_str(), event.key).trim_end().to_owned()
            });
            format!("event: {}", texts.collect::<Vec<_>>().join(", "))
        }
        WatchLine::Progress { progress, .. } => format!("progress: {progress}"),
        WatchLine::End { .. } => "the watch ends".to_owned(),
    }
}

fn request(request: &Request) -> String {
    match request {
        Request::Put { key, value: held, .. } => format!("put {key} {}", value(held)),
        Request::Get { key, .. } => format!("get {key}"),
        Request::Delete { selection, .. } => format!("delete {}", selected(selection)),
        Request::List(range) => format!("list {}*", range.prefix),
        Request::Watch { selection, .. } => format!("watch {}", selected(selection)),
        Request::Wait(condition) => format!("wait {condition}"),
        Request::Hello => "hello".to_owned(),
        Request::Cancel { .. } => "cancel".to_owned(),
        Request::Status => "status".to_owned(),
        Request::Members => "members".to_owned(),
        Request::Live => "live".to_owned(),
        Request::Ready => "ready".to_owned(),
        Request::Health => "health".to_owned(),
        Request::Sync { .. } => "sync".to_owned(),
        Request::Fault(_) => "fault".to_owned(),
        Request::Trace(_) => "trace".to_owned(),
        Request::Member { change, member, dry_run } => {
            format!("member {change:?} {member}, dry run: {dry_run}")
        }
        Request::TransferLeader { member: Some(member) } => format!("transfer to {member}"),
        Request::TransferLeader { member: None } => "transfer".to_owned(),
        Request::ModeSet { prefix, rule, .. } => format!("mode set {prefix} {rule:?}"),
        Request::Incr { key, delta, .. } => format!("incr {key} {delta}"),
        Request::Add { key, value: element, .. } => format!("add {key} {}", value(element)),
        Request::Remove { key, value: element, .. } => format!("remove {key} {}", value(element)),
        Request::Conflicts { prefix, .. } => format!("conflicts {prefix}*"),
        Request::Resolve { key, value: held, .. } => format!("resolve {key} {}", value(held)),
        Request::Kv(kv) => format!("{kv:?}"),
        Request::Modes => "modes".to_owned(),
        Request::Explain { .. } => "explain".to_owned(),
    }
}

fn selected(selection: &Selection) -> String {
    match selection {
        Selection::Key(key) => key.to_string(),
        Selection::Prefix(prefix) => format!("{prefix}*"),
    }
}

fn value(value: &Value) -> String {
    let bytes = value.as_bytes();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(VALUE_BYTES_SHOWN)]);
    if bytes.len() > VALUE_BYTES_SHOWN {
        return format!("{}...", shown.trim_end_matches('.'));
    }
    shown.into_owned()
}

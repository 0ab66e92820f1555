//! The node: which protocol a key belongs to, and what all of them share: watches and waits.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broadcast::members::Member;
use crate::broadcast::store::Store;
use crate::broadcast::{self, Broadcast};
use crate::config::Config;
use crate::control::condition::Condition;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Cancelled, Header, Reply, Waited, WatchBegun};
use crate::control::request::{Call, Request};
use crate::control::status::{Check, Hello, Limits};
use crate::control::{self, Id, line};
use crate::identity::{ClusterId, NodeId};
use crate::kv::watch::{Watch, Watches};
use crate::kv::{key, value};
use crate::modes::Mode;
use crate::peer;
use crate::protocol::{Answer, Effects, Input, Protocol, RequestId};
use crate::time::Time;

/// What nodes say to each other: that of one of the protocols. A variant is only ever added at
/// the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Lab 1.
    Broadcast(broadcast::message::Message),
}

/// What a node must find again after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Lab 1.
    pub broadcast: broadcast::Record,
}

/// A node: the protocols side by side, and the clients that wait for something.
#[derive(Debug)]
pub struct Node {
    config: Config,
    broadcast: Broadcast,
    watches: Watches,
    waits: BTreeMap<RequestId, Wait>,
}

/// A client that waits.
#[derive(Debug)]
struct Wait {
    id: Option<Id>,
    condition: Condition,
    deadline: Option<Time>,
}

impl Protocol for Node {
    type Message = Message;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<Message>, effects: &mut Effects<Self>) {
        match input {
            Input::Request { id, call } => self.on_request(now, id, call, effects),
            Input::Message { from, message: Message::Broadcast(message) } => {
                self.step_broadcast(now, Input::Message { from, message }, effects);
            }
            Input::Tick => {
                self.step_broadcast(now, Input::Tick, effects);
                let revision = self.broadcast.revision();
                self.watches.tick(now, revision, |to, answer| effects.answer(to, answer));
            }
            Input::Abandoned(request) => {
                self.watches.forget(request);
                self.waits.remove(&request);
            }
            Input::Closed { connection } => {
                self.watches.forget_connection(connection);
                self.waits.retain(|request, _| request.connection != connection);
            }
            Input::Stop => self.on_stop(now, effects),
            Input::Start => self.step_broadcast(now, Input::Start, effects),
            Input::PeerUp(hello) => self.step_broadcast(now, Input::PeerUp(hello), effects),
            Input::PeerDown(peer) => self.step_broadcast(now, Input::PeerDown(peer), effects),
        }
        self.answer_waits(now, effects);
    }

    fn deadline(&self) -> Option<Time> {
        let waits = self.waits.values().filter_map(|wait| wait.deadline).min();
        [self.broadcast.deadline(), self.watches.deadline(), waits].into_iter().flatten().min()
    }
}

impl Node {
    /// The node that `record` tells of; without one, a node that has yet to join.
    pub fn recover(config: Config, record: Option<Record>) -> Self {
        let broadcast = Broadcast::recover(config.clone(), record.map(|record| record.broadcast));
        Self { config, broadcast, watches: Watches::default(), waits: BTreeMap::new() }
    }

    /// What this node says of itself to a peer.
    pub fn hello(&self) -> peer::hello::Hello {
        self.broadcast.hello()
    }

    /// The cluster, once there is one.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.broadcast.cluster()
    }

    /// Whom to be connected with.
    pub fn other_members(&self) -> impl Iterator<Item = &Member> {
        self.broadcast.other_members()
    }

    /// Whether `peer` is connected.
    pub fn is_connected(&self, peer: NodeId) -> bool {
        self.broadcast.is_connected(peer)
    }

    /// Whether the node serves.
    pub fn is_ready(&self) -> bool {
        self.broadcast.is_ready()
    }

    /// How many members serve, as far as this node knows, and how many there are.
    pub fn members_up(&self) -> (usize, usize) {
        (self.broadcast.members_up(), self.other_members().count() + 1)
    }

    /// The keys in broadcast mode.
    pub fn store(&self) -> &Store {
        self.broadcast.store()
    }

    fn step_broadcast(
        &mut self,
        now: Time,
        input: Input<broadcast::message::Message>,
        effects: &mut Effects<Self>,
    ) {
        let record = |broadcast| Record { broadcast };
        let changes = effects.nested::<Broadcast>(Message::Broadcast, record, |e| {
            self.broadcast.step(now, input, e);
        });
        for change in &changes {
            self.watches.publish(change, |to, answer| effects.answer(to, answer));
        }
    }

    fn on_request(&mut self, now: Time, id: RequestId, call: Call, effects: &mut Effects<Self>) {
        let outcome = match call.request {
            Request::Hello => Ok(self.greet()),
            Request::Live => Ok(self.live()),
            Request::Cancel { target } => Ok(self.cancel(id.connection, &target, effects)),
            Request::Watch { selection, from, previous, progress } => {
                let watch = Watch { id: call.id, selection, previous, progress };
                self.watch(now, id, watch, from)
            }
            Request::Wait(condition) => {
                match self.wait(now, id, call.id, condition, call.timeout) {
                    Some(outcome) => outcome,
                    None => return, // It is answered when it is so.
                }
            }
            Request::Fault(_) => unreachable!("the driver has the links, and their faults"),
            Request::Put { .. }
            | Request::Get { .. }
            | Request::Delete(_)
            | Request::List(_)
            | Request::Status
            | Request::Members
            | Request::Ready
            | Request::Health
            | Request::Sync => {
                self.step_broadcast(now, Input::Request { id, call }, effects);
                return;
            }
        };
        effects.answer(id, Answer::Reply(self.header(), outcome));
    }

    /// The header of an answer that is about no keys.
    pub fn header(&self) -> Header {
        Header { node: self.config.name.clone(), mode: None, revision: None, served: None }
    }

    fn greet(&self) -> Reply {
        Reply::Hello(Box::new(Hello {
            protocol: control::PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.config.name.clone(),
            cluster: self.cluster(),
            features: vec![Mode::Broadcast.as_str().to_owned()],
            limits: Limits {
                line_bytes: line::LINE_BYTES_MAX,
                nesting: line::NESTING_MAX,
                outstanding: control::OUTSTANDING_MAX,
                key_bytes: key::KEY_BYTES_MAX,
                value_bytes: value::VALUE_BYTES_MAX,
            },
            peer: None,
        }))
    }

    fn live(&self) -> Reply {
        Reply::Check(Check { ok: true, reason: format!("{} answers", self.config.name) })
    }

    fn watch(
        &mut self,
        now: Time,
        request: RequestId,
        watch: Watch,
        from: Option<u64>,
    ) -> Result<Reply, Failure> {
        self.broadcast.check_ready()?;
        let name = watch.id.as_ref();
        if name.is_some_and(|id| self.watches.find(request.connection, id).is_some()) {
            let message = "this connection has a watch with that id already";
            return Err(Failure::bad_request(message));
        }
        let next = self.broadcast.revision() + 1;
        if from.is_some_and(|from| from < next) {
            let message = format!("broadcast mode keeps no history; a watch begins at {next}");
            let hint = "leave out `from`, and read the keys once the watch has begun";
            return Err(Failure::new(ErrorCode::Compacted, message).with_hint(hint));
        }
        self.watches.begin(now, request, watch);
        Ok(Reply::Watch(WatchBegun { from: next }))
    }

    /// The outcome, if it is known at once.
    fn wait(
        &mut self,
        now: Time,
        request: RequestId,
        id: Option<Id>,
        condition: Condition,
        timeout: Option<Duration>,
    ) -> Option<Result<Reply, Failure>> {
        if condition == Condition::Leader {
            let message = "broadcast mode has no leader to wait for";
            return Some(Err(Failure::new(ErrorCode::ModeMismatch, message)));
        }
        if self.holds(&condition) {
            return Some(Ok(Reply::Wait(Waited { became: condition.to_string() })));
        }
        let deadline = timeout.map(|timeout| now + timeout);
        self.waits.insert(request, Wait { id, condition, deadline });
        None
    }

    fn holds(&self, condition: &Condition) -> bool {
        let node = &self.broadcast;
        match condition {
            Condition::Leader => false,
            Condition::Synced => node.is_ready(),
            Condition::Members(n) => node.is_ready() && node.members_up() >= *n,
            Condition::Key(key) => node.is_ready() && node.store().live(key).is_some(),
            Condition::Revision(n) => node.is_ready() && node.revision() >= *n,
        }
    }

    fn answer_waits(&mut self, now: Time, effects: &mut Effects<Self>) {
        if self.waits.is_empty() {
            return;
        }
        let outcome_of = |wait: &Wait| {
            if self.holds(&wait.condition) {
                let became = wait.condition.to_string();
                return Some(Ok(Reply::Wait(Waited { became })));
            }
            let is_late = wait.deadline.is_some_and(|deadline| deadline <= now);
            is_late.then(|| {
                let message = format!("{} did not become true in time", wait.condition);
                Err(Failure::new(ErrorCode::Timeout, message))
            })
        };
        let waits = self.waits.iter();
        let over: Vec<_> = waits.filter_map(|(id, w)| Some((*id, outcome_of(w)?))).collect();
        for (id, outcome) in over {
            self.waits.remove(&id);
            effects.answer(id, Answer::Reply(self.header(), outcome));
        }
    }

    fn cancel(&mut self, connection: u64, target: &Id, effects: &mut Effects<Self>) -> Reply {
        if let Some(watch) = self.watches.find(connection, target) {
            self.end_watch(watch, None, effects);
            return Reply::Cancel(Cancelled { cancelled: true });
        }
        let mut waits = self.waits.iter();
        let found = waits.find(|(request, wait)| {
            request.connection == connection && wait.id.as_ref() == Some(target)
        });
        let found = found.map(|(request, _)| *request);
        if let Some(request) = found {
            self.waits.remove(&request);
            let failure = Failure::new(ErrorCode::Timeout, "the wait was cancelled");
            effects.answer(request, Answer::Reply(self.header(), Err(failure)));
        }
        Reply::Cancel(Cancelled { cancelled: found.is_some() })
    }

    fn end_watch(
        &mut self,
        request: RequestId,
        error: Option<Failure>,
        effects: &mut Effects<Self>,
    ) {
        if let Some(end) = self.watches.end(request, self.broadcast.revision(), error) {
            effects.answer(request, end);
        }
    }

    fn on_stop(&mut self, now: Time, effects: &mut Effects<Self>) {
        let failure = Failure::new(ErrorCode::ShuttingDown, "the node is about to end");
        for watch in self.watches.requests() {
            self.end_watch(watch, Some(failure.clone()), effects);
        }
        for (request, _) in std::mem::take(&mut self.waits) {
            effects.answer(request, Answer::Reply(self.header(), Err(failure.clone())));
        }
        self.step_broadcast(now, Input::Stop, effects);
    }
}

//! What clients ask.

use std::time::Duration;

use bytes::Bytes;

use common::control::Id;
use common::control::condition::Condition;
use common::control::request::{Call, Range, Request, Selection};
use common::kv::key::Key;
use common::kv::value::Value;
use common::protocol::{Input, RequestId};

use super::world::{Happening, World};

/// Clients that are there at the same time.
const SESSIONS: usize = 4;

/// How many of their latest requests clients may cancel or abandon.
const RECENT: usize = 8;

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Clients {
    sessions: [Session; SESSIONS],
    connections: u64,
    values: u64,
}

/// A client's connection to a node.
#[derive(Debug, Default)]
struct Session {
    machine: usize,
    /// Of the machine; none has the first, so a new client has no connection.
    life: u64,
    connection: u64,
    sequence: u64,
}

impl World {
    /// A client asks something of the node that it is connected to.
    pub(super) fn operate(&mut self) {
        if !self.is_chaos {
            return;
        }
        let next = self.now + self.dice.about(self.profile.operations);
        self.agenda.put(next, Happening::Operation);
        let client = self.dice.below(SESSIONS);
        if !self.is_connected(client) || self.dice.chance(0.05) {
            self.connect_client(client);
        }
        if !self.is_connected(client) {
            return;
        }
        let request = self.draw_request(client);
        let timeout = self.dice.chance(0.8).then(|| self.dice.about(Duration::from_millis(500)));
        let session = &mut self.clients.sessions[client];
        session.sequence += 1;
        let (machine, connection, sequence) =
            (session.machine, session.connection, session.sequence);
        let call = Call { id: Some(Id::Unsigned(sequence)), timeout, ..Call::new(request) };
        let id = RequestId { connection, sequence };
        self.statistics.operations += 1;
        self.give(machine, Input::Request { id, call });
        if self.dice.chance(0.02) {
            let sequence = self.recent(client);
            self.give(machine, Input::Abandoned(RequestId { connection, sequence }));
        }
    }

    fn is_connected(&self, client: usize) -> bool {
        let session = &self.clients.sessions[client];
        let machine = &self.machines[session.machine];
        machine.is_up() && machine.life == session.life
    }

    fn connect_client(&mut self, client: usize) {
        if self.is_connected(client) {
            let Session { machine, connection, .. } = self.clients.sessions[client];
            self.give(machine, Input::Closed { connection });
        }
        self.clients.connections += 1;
        let machine = self.dice.below(self.machines.len());
        self.clients.sessions[client] = Session {
            machine,
            life: self.machines[machine].life,
            connection: self.clients.connections,
            sequence: 0,
        };
    }

    /// The number of a request of late.
    fn recent(&mut self, client: usize) -> u64 {
        let back = self.dice.below(RECENT) as u64;
        self.clients.sessions[client].sequence.saturating_sub(back)
    }

    fn draw_request(&mut self, client: usize) -> Request {
        match self.dice.below(100) {
            0..55 => self.draw_put(),
            55..66 => Request::get(self.draw_key(), None),
            66..76 => Request::delete(Selection::Key(self.draw_key())),
            76..79 => Request::delete(Selection::Prefix(self.draw_prefix())),
            79..83 => Request::List(Range { prefix: self.draw_prefix(), ..Range::default() }),
            83..88 => self.draw_watch(),
            88..90 => Request::Cancel { target: Id::Unsigned(self.recent(client)) },
            90..94 => Request::Wait(self.draw_condition()),
            94..96 => Request::sync(),
            96..98 => Request::Status,
            _ => self.dice_request(),
        }
    }

    fn dice_request(&mut self) -> Request {
        match self.dice.below(5) {
            0 => Request::Hello,
            1 => Request::Live,
            2 => Request::Ready,
            3 => Request::Health,
            _ => Request::Members,
        }
    }

    /// Every value is put once, so it tells which put it is from.
    fn draw_put(&mut self) -> Request {
        self.clients.values += 1;
        let mut bytes = format!("v{}", self.clients.values).into_bytes();
        let length = self.dice.below(self.profile.value_bytes_max);
        bytes.resize(bytes.len().max(length), b'.');
        let value = Value::try_from(Bytes::from(bytes)).expect("below the bound");
        Request::put(self.draw_key(), value)
    }

    fn draw_watch(&mut self) -> Request {
        let selection = if self.dice.chance(0.5) {
            Selection::Key(self.draw_key())
        } else {
            Selection::Prefix(self.draw_prefix())
        };
        Request::Watch {
            selection,
            from: None,
            previous: self.dice.chance(0.7),
            only: None,
            progress: self.dice.chance(0.1).then_some(Duration::from_millis(100)),
        }
    }

    fn draw_condition(&mut self) -> Condition {
        match self.dice.below(5) {
            0 => Condition::Synced,
            1 => Condition::Members(self.dice.below(self.machines.len() + 2)),
            2 => Condition::Revision(self.dice.below(400) as u64),
            3 => Condition::Leader,
            _ => Condition::Key(self.draw_key()),
        }
    }

    fn draw_key(&mut self) -> Key {
        let number = self.dice.below(self.profile.keys);
        let folder = ["a", "b"][number % 2];
        Key::try_from(format!("{folder}/{number}").as_str()).expect("a short text")
    }

    fn draw_prefix(&mut self) -> String {
        self.dice.pick(&["", "a/", "b/", "a/1", "c"]).to_owned()
    }
}

//! Connections between machines, and what the network does to what is sent on them.

use std::collections::{BTreeMap, BTreeSet};

use common::identity::NodeId;
use common::node::Message;
use common::peer::hello::Hello;
use common::time::Time;

use super::dice::Dice;
use super::profile::Profile;
use super::statistics::Statistics;

/// Counted up: a connection that was is never mistaken for one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(u64);

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// What travels.
#[derive(Debug, Clone)]
pub(super) enum Packet {
    /// The acceptor's; the dialler's comes with the dialling.
    Hello(Box<Hello>),
    /// With the sender's Lamport clock.
    Message(Message, u64),
    /// The end of the stream.
    Close,
}

/// A machine's end of a connection, and what is on its way there.
#[derive(Debug)]
pub(super) struct End {
    pub(super) machine: usize,
    /// Which process of it.
    pub(super) life: u64,
    pub(super) node: NodeId,
    pub(super) is_open: bool,
    /// What is sent later must not arrive earlier.
    last_arrival: Time,
    /// Held back by a partition.
    stalled: Vec<Packet>,
}

impl End {
    pub(super) fn new(machine: usize, life: u64, node: NodeId) -> Self {
        Self {
            machine,
            life,
            node,
            is_open: true,
            last_arrival: Time::default(),
            stalled: Vec::new(),
        }
    }
}

/// A connection: a stream each way.
#[derive(Debug)]
pub(super) struct Connection {
    dialler: End,
    acceptor: End,
}

impl Connection {
    pub(super) fn end(&self, side: Side) -> &End {
        match side {
            Side::Dialler => &self.dialler,
            Side::Acceptor => &self.acceptor,
        }
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Dialler => &mut self.dialler,
            Side::Acceptor => &mut self.acceptor,
        }
    }
}

/// A packet that arrives.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) connection: ConnectionId,
    pub(super) to: Side,
    pub(super) packet: Packet,
}

/// All connections, and who can't reach whom.
#[derive(Debug, Default)]
pub(super) struct Network {
    connections: BTreeMap<ConnectionId, Connection>,
    count: u64,
    /// From, to.
    blocked: BTreeSet<(usize, usize)>,
}

impl Network {
    pub(super) fn open(&mut self, dialler: End, acceptor: End) -> ConnectionId {
        self.count += 1;
        let id = ConnectionId(self.count);
        self.connections.insert(id, Connection { dialler, acceptor });
        id
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    /// Closes one end; what still comes to it is not read.
    pub(super) fn close(&mut self, id: ConnectionId, side: Side) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.end_mut(side).is_open = false;
        if !connection.end(side.other()).is_open {
            self.connections.remove(&id);
        }
    }

    /// The connections between running processes.
    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    pub(super) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked.contains(&(from, to))
    }

    pub(super) fn block(&mut self, from: usize, to: usize) {
        self.blocked.insert((from, to));
    }

    /// Ends all partitions. Returns what they held back, in order.
    pub(super) fn unblock(&mut self) -> Vec<(ConnectionId, Side, Packet)> {
        self.blocked.clear();
        let mut held = Vec::new();
        for (id, connection) in &mut self.connections {
            for side in [Side::Dialler, Side::Acceptor] {
                let packets = std::mem::take(&mut connection.end_mut(side).stalled);
                held.extend(packets.into_iter().map(|packet| (*id, side, packet)));
            }
        }
        held
    }

    /// Sends `packet` to the end `to`. Returns when it arrives: never, once or twice.
    pub(super) fn send(
        &mut self,
        now: Time,
        (id, to): (ConnectionId, Side),
        packet: &Packet,
        profile: &Profile,
        dice: &mut Dice,
        statistics: &mut Statistics,
    ) -> Vec<Time> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Vec::new();
        };
        let from = connection.end(to.other()).machine;
        let end = connection.end_mut(to);
        if self.blocked.contains(&(from, end.machine)) {
            if profile.partition_stalls {
                end.stalled.push(packet.clone());
            }
            statistics.blocked += 1;
            return Vec::new();
        }
        let is_message = matches!(packet, Packet::Message(..));
        let mut copies = 1;
        if is_message && profile.loss > 0.0 && dice.chance(profile.loss) {
            statistics.lost += 1;
            copies = 0;
        } else if is_message && profile.duplication > 0.0 && dice.chance(profile.duplication) {
            statistics.duplicated += 1;
            copies = 2;
        }
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut at = now + dice.between(profile.delay_max / 4, profile.delay_max);
            if profile.fifo {
                at = at.max(end.last_arrival);
            } else if at < end.last_arrival {
                statistics.reordered += 1;
            }
            end.last_arrival = end.last_arrival.max(at);
            arrivals.push(at);
        }
        arrivals
    }
}

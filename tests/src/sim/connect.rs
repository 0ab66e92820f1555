//! How nodes find and leave each other: the part of the daemon that dials, greets and hangs up.
//!
//! The node with the smaller id dials, and keeps the connection. The other one knocks: it dials,
//! says hello, and is dialled back. See `common::peer`.

use std::collections::BTreeSet;
use std::time::Duration;

use common::identity::NodeId;
use common::peer::hello::Hello;
use common::protocol::Input;

use super::network::{Arrival, ConnectionId, End, Packet, Side};
use super::world::{Happening, World, machine_at};

/// A machine that dials another, and says who it is.
#[derive(Debug)]
pub(super) struct Dial {
    from: usize,
    life: u64,
    to: usize,
    hello: Hello,
}

impl World {
    /// Dials all members that are not connected; without a cluster or a connection, also whom it was
    /// told to join by.
    pub(super) fn look_around(&mut self, index: usize) {
        let machine = &self.machines[index];
        let Some(node) = machine.host.node() else {
            return;
        };
        let mut targets = BTreeSet::new();
        if !machine.is_paused && machine.has_begun() {
            if node.seeks_cluster() || machine.connections.is_empty() {
                // A second connection would end the first.
                let is_connected = |seed: &usize| {
                    machine.connections.contains_key(&self.machines[*seed].host.id())
                };
                targets.extend(machine.seeds.iter().copied().filter(|seed| !is_connected(seed)));
            }
            let missing = node.other_members().filter(|m| !machine.connections.contains_key(&m.id));
            targets.extend(missing.filter_map(|member| machine_at(&member.address)));
        }
        for target in targets {
            self.dial(index, target);
        }
        let heartbeat = self.profile.pace.heartbeat_interval;
        let pause = self.dice.between(heartbeat / 8, heartbeat / 4);
        self.agenda.put(self.now + pause, Happening::LookAround(index));
    }

    fn dial(&mut self, from: usize, to: usize) {
        let patience = self.dial_patience();
        let machine = &mut self.machines[from];
        let Some(hello) = machine.hello.clone() else {
            return;
        };
        let is_recent = |since| self.now.since(since) < patience;
        if machine.dialling.get(&to).copied().is_some_and(is_recent) || from == to {
            return;
        }
        machine.dialling.insert(to, self.now);
        let life = machine.life;
        let is_cut = self.network.is_blocked(from, to) || self.network.is_blocked(to, from);
        if !is_cut {
            let delay = self.dice.between(self.profile.delay_max / 4, self.profile.delay_max);
            let dial = Dial { from, life, to, hello };
            self.agenda.put(self.now + delay, Happening::Dialled(Box::new(dial)));
        }
    }

    /// For how long nobody dials again: a connection that is on its way would be replaced.
    fn dial_patience(&self) -> Duration {
        (self.profile.delay_max * 3).max(self.profile.pace.heartbeat_interval)
    }

    pub(super) fn on_dialled(&mut self, dial: Dial) {
        let Dial { from, life, to, hello: theirs } = dial;
        if self.machines[from].life != life || !self.machines[from].is_up() {
            return;
        }
        let Some(ours) = self.machines[to].hello.clone().filter(|_| !self.machines[to].is_paused)
        else {
            self.machines[from].dialling.remove(&to);
            return;
        };
        if let Err(error) = ours.check(&theirs) {
            self.machines[from].dialling.remove(&to);
            let name = self.machines[to].host.name();
            self.recorder.note(self.now, format_args!("{name} refuses {}: {error}", theirs.name));
            return;
        }
        if ours.is_dialler_to(theirs.node) {
            self.on_knock(to, &theirs, from, life);
            return;
        }
        let dialler = End::new(from, life, theirs.node);
        let acceptor = End::new(to, self.machines[to].life, ours.node);
        let connection = self.network.open(dialler, acceptor);
        self.connect(to, theirs, connection);
        self.send_from(to, connection, Packet::Hello(Box::new(ours)));
    }

    /// Dials back, unless the process that knocks is connected already.
    fn on_knock(&mut self, index: usize, theirs: &Hello, from: usize, life: u64) {
        let connection = self.machines[index].connections.get(&theirs.node);
        let connection = connection.and_then(|id| self.network.get(*id));
        if connection.is_some_and(|c| c.end(Side::Acceptor).life == life) {
            return;
        }
        let target = machine_at(&theirs.address).expect("simulated nodes tell their address");
        assert_eq!(target, from, "simulated nodes tell their own address");
        self.dial(index, target);
    }

    /// `index` has a connection on which it was greeted. It replaces the one before.
    fn connect(&mut self, index: usize, theirs: Hello, connection: ConnectionId) {
        self.hang_up(index, theirs.node);
        self.machines[index].connections.insert(theirs.node, connection);
        self.give(index, Input::PeerUp(Box::new(theirs)));
    }

    /// Ends the connection to `peer`, if there is one.
    pub(super) fn hang_up(&mut self, index: usize, peer: NodeId) {
        if let Some(connection) = self.machines[index].connections.get(&peer).copied() {
            self.send_from(index, connection, Packet::Close);
            self.lose(index, connection);
        }
    }

    /// `index` is no longer at its end of `connection`.
    pub(super) fn lose(&mut self, index: usize, connection: ConnectionId) {
        let Some(side) = self.side_of(index, connection) else {
            return;
        };
        let ends = self.network.get(connection).expect("it has a side");
        let (peer, life) = (ends.end(side.other()).node, ends.end(side).life);
        self.network.close(connection, side);
        let machine = &mut self.machines[index];
        if machine.life == life && machine.connections.get(&peer) == Some(&connection) {
            machine.connections.remove(&peer);
            if machine.is_up() {
                self.give(index, Input::PeerDown(peer));
            }
        }
    }

    /// Which end of a connection `index` holds.
    fn side_of(&self, index: usize, connection: ConnectionId) -> Option<Side> {
        let connection = self.network.get(connection)?;
        let is_ours = |side: &Side| connection.end(*side).machine == index;
        [Side::Dialler, Side::Acceptor].into_iter().find(is_ours)
    }

    /// `index` sends on a connection of its own.
    pub(super) fn send_from(&mut self, index: usize, connection: ConnectionId, packet: Packet) {
        if let Some(side) = self.side_of(index, connection) {
            self.send(connection, side.other(), packet);
        }
    }

    /// Sends to one end of a connection.
    pub(super) fn send(&mut self, connection: ConnectionId, to: Side, packet: Packet) {
        let place = (connection, to);
        let (dice, statistics) = (&mut self.dice, &mut self.statistics);
        let network = &mut self.network;
        for at in network.send(self.now, place, &packet, &self.profile, dice, statistics) {
            let packet = packet.clone();
            let arrival = Arrival { connection, to, packet };
            self.agenda.put(at, Happening::Arrived(arrival));
        }
    }

    pub(super) fn on_arrived(&mut self, arrival: Arrival) {
        let Arrival { connection, to, packet } = arrival;
        let Some(ends) = self.network.get(connection) else {
            return;
        };
        let (end, other) = (ends.end(to), ends.end(to.other()));
        let (index, peer, peer_machine) = (end.machine, other.node, other.machine);
        let machine = &self.machines[index];
        if !machine.is_up() || machine.life != end.life {
            self.network.close(connection, to); // Its process is gone, perhaps before a hello.
            return;
        }
        if !end.is_open {
            return;
        }
        let is_current = machine.connections.get(&peer) == Some(&connection);
        match packet {
            Packet::Hello(theirs) => self.on_greeted(index, *theirs, connection, peer_machine),
            Packet::Message(message, clock) if is_current => {
                self.machines[index].host.hear(clock);
                self.give(index, Input::Message { from: peer, message });
            }
            Packet::Message(..) => {} // It has overtaken the hello.
            Packet::Close => self.lose(index, connection),
        }
    }

    /// The dialler hears who has accepted.
    fn on_greeted(&mut self, index: usize, theirs: Hello, connection: ConnectionId, by: usize) {
        self.machines[index].dialling.remove(&by);
        let Some(ours) = self.machines[index].hello.clone() else {
            return;
        };
        if ours.check(&theirs).is_ok() && ours.is_dialler_to(theirs.node) {
            self.connect(index, theirs, connection);
        } else {
            self.send_from(index, connection, Packet::Close);
            self.lose(index, connection);
        }
    }
}

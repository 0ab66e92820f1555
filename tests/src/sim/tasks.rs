//! What daemons do beside their loop: they write, send and receive snapshots, see whether a node
//! answers, and end when they are no longer needed.

use std::time::Duration;

use common::identity::NodeId;
use common::node::Node;
use common::protocol::{Input, Task};
use common::storage::is_full;
use common::storage::snapshot::Content;
use common::{causal, raft};

use super::network::Packet;
use super::world::{Happening, World, machine_at};

/// Something beside a loop that is done, or has come to its next stage. It was begun by one
/// process, and is lost with it.
#[derive(Debug)]
pub(super) enum Work {
    /// A snapshot is to be on the disk.
    Write(Box<raft::snapshot::Snapshot>),
    /// The same of causal mode.
    WriteCausal(Box<causal::snapshot::Snapshot>),
    /// The newest snapshot begins its way to a member.
    Send(NodeId),
    /// It has come, from that process of another machine.
    Receive { sender: usize, life: u64, clock: u64, frames: Vec<u8> },
    /// The node has told the daemon of another one's answer.
    Tell(Box<Input<common::node::Message>>),
    /// Whether the node answers at that address.
    Verify(NodeId, String),
    /// The daemon has handed over, and ends.
    Stop,
}

impl World {
    pub(super) fn begin(&mut self, index: usize, task: Task) {
        let pause = self.profile.pace.heartbeat_interval;
        match task {
            Task::WriteSnapshot(snapshot) => {
                let after = self.dice.between(Duration::ZERO, pause * 3);
                self.later(index, after, Work::Write(snapshot));
            }
            Task::WriteCausal(snapshot) => {
                let after = self.dice.between(Duration::ZERO, pause * 3);
                self.later(index, after, Work::WriteCausal(snapshot));
            }
            Task::SendSnapshot(to) => {
                let after = self.dice.between(Duration::ZERO, pause);
                self.later(index, after, Work::Send(to));
            }
            Task::Verify(node, address) => {
                let after = self.dice.between(Duration::ZERO, pause);
                self.later(index, after, Work::Verify(node, address));
            }
            Task::Release(kind, mark) => {
                if self.machines[index].host.release(kind, mark).is_err() {
                    self.crash(index, false);
                }
            }
            Task::Retire => self.retire(index),
        }
    }

    fn later(&mut self, index: usize, after: Duration, work: Work) {
        let life = self.machines[index].life;
        let at = self.now + after;
        self.agenda.put(at, Happening::Work { index, life, work });
    }

    pub(super) fn give_later(
        &mut self,
        index: usize,
        after: Duration,
        input: Input<common::node::Message>,
    ) {
        self.later(index, after, Work::Tell(Box::new(input)));
    }

    pub(super) fn stop_later(&mut self, index: usize, after: Duration) {
        self.later(index, after, Work::Stop);
    }

    /// Goes on with `work`, unless the process that began it is gone.
    pub(super) fn go_on(&mut self, index: usize, life: u64, work: Work) {
        let machine = &self.machines[index];
        if machine.life != life || !machine.is_up() {
            if let Work::Receive { sender, life, .. } = work {
                let to = machine.host.id();
                self.tell_of_snapshot(sender, life, Input::SnapshotSent { to, index: None });
            }
            return;
        }
        match work {
            Work::Write(snapshot) => self.write_snapshot(index, snapshot, Work::Write),
            Work::WriteCausal(snapshot) => {
                self.write_snapshot(index, snapshot, Work::WriteCausal);
            }
            Work::Send(to) => self.send_snapshot(index, to),
            Work::Receive { sender, life, clock, frames } => {
                self.machines[index].host.hear(clock);
                self.receive_snapshot(index, &frames, sender, life);
            }
            Work::Tell(input) => self.give(index, *input),
            Work::Verify(node, address) => {
                let answers = machine_at(&address).is_some_and(|at| {
                    let there = &self.machines[at];
                    let is_it = there.awake().is_some() && there.host.id() == node;
                    is_it && self.can_talk(index, at)
                });
                let outcome = if answers { Ok(()) } else { Err("nobody answers".to_owned()) };
                self.give(index, Input::Verified { node, outcome });
            }
            Work::Stop => self.end(index),
        }
    }

    fn can_talk(&self, one: usize, other: usize) -> bool {
        !self.network.is_blocked(one, other) && !self.network.is_blocked(other, one)
    }

    fn write_snapshot<C: Content>(
        &mut self,
        index: usize,
        snapshot: Box<C>,
        again: fn(Box<C>) -> Work,
    ) {
        match self.machines[index].host.write_snapshot(&*snapshot) {
            Ok(()) => self.give(index, Input::written(C::KIND, snapshot.mark())),
            Err(error) if is_full(&error) => {
                let pause = self.profile.pace.election_timeout;
                self.later(index, pause, again(snapshot));
            }
            Err(_) => self.crash(index, false),
        }
    }

    /// A connection of its own: it is as slow as it likes, and ends with a partition.
    fn send_snapshot(&mut self, index: usize, to: NodeId) {
        let failed = Input::SnapshotSent { to, index: None };
        let target = self.machines.iter().position(|m| m.host.id() == to && m.awake().is_some());
        let newest = self.machines[index].host.newest_snapshot();
        let (Some(target), Some((_, frames))) = (target, newest) else {
            self.give(index, failed);
            return;
        };
        let is_lost = self.dice.chance(self.profile.snapshot_loss);
        if is_lost || !self.can_talk(index, target) {
            self.give(index, failed);
            return;
        }
        let delay = self.dice.between(Duration::ZERO, self.profile.pace.election_timeout);
        let life = self.machines[index].life;
        let clock = self.machines[index].host.node().map_or(0, Node::clock);
        let work = Work::Receive { sender: index, life, clock, frames };
        self.later(target, delay, work);
        self.statistics.snapshots_sent += 1;
    }

    fn receive_snapshot(&mut self, index: usize, frames: &[u8], sender: usize, life: u64) {
        let to = self.machines[index].host.id();
        let arrived = match self.machines[index].host.receive_snapshot(frames) {
            Ok(snapshot) => {
                let last = snapshot.last.index.0;
                self.give(index, Input::SnapshotReceived(Box::new(snapshot)));
                Some(last)
            }
            Err(error) if is_full(&error) => None,
            Err(_) => {
                self.crash(index, false);
                None
            }
        };
        // The answer may get lost although the snapshot is there.
        let is_heard =
            self.can_talk(index, sender) && !self.dice.chance(self.profile.snapshot_loss);
        let arrived = arrived.filter(|_| is_heard);
        self.tell_of_snapshot(sender, life, Input::SnapshotSent { to, index: arrived });
    }

    /// The connection tells the sender what came of a snapshot, or breaks.
    fn tell_of_snapshot(&mut self, index: usize, life: u64, input: Input<common::node::Message>) {
        let work = Work::Tell(Box::new(input));
        let at = self.now + self.profile.delay_max;
        self.agenda.put(at, Happening::Work { index, life, work });
    }

    /// The node was removed: its daemon ends for good, and only an empty disk can join again.
    fn retire(&mut self, index: usize) {
        let name = self.machines[index].host.name();
        self.recorder.note(self.now, format_args!("{name} is no longer needed"));
        self.machines[index].is_retired = true;
        self.statistics.retired += 1;
        self.end(index);
    }

    /// A daemon ends in good order: its connections are closed, its disk has all.
    pub(super) fn end(&mut self, index: usize) {
        let name = self.machines[index].host.name();
        self.recorder.note(self.now, format_args!("{name} ends"));
        self.machines[index].host.end();
        self.vacate(index, false);
        if !self.machines[index].is_retired {
            self.restart_later(index);
        }
    }

    /// The process is gone: what it had in memory is, too. Unless it is `silent`, peers are told.
    pub(super) fn vacate(&mut self, index: usize, is_silent: bool) {
        let machine = &mut self.machines[index];
        machine.inbox.clear();
        machine.dialling.clear();
        machine.wake_at = None;
        machine.is_paused = false;
        machine.hello = None;
        machine.commit = None;
        let (id, life) = (machine.host.id(), machine.life);
        self.judge.on_crash(id);
        self.callers.on_crash(index, life);
        self.followers.on_crash(index);
        self.sessions.on_crash(index);
        for connection in std::mem::take(&mut self.machines[index].connections).into_values() {
            if !is_silent {
                self.send_from(index, connection, Packet::Close);
            }
            self.lose(index, connection);
        }
    }

    pub(super) fn restart_later(&mut self, index: usize) {
        let election = self.profile.pace.election_timeout;
        let away = self.dice.between(Duration::from_millis(1), election * 3);
        self.agenda.put(self.now + away, Happening::Start(index));
    }
}

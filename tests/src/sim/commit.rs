//! One turn of a daemon's loop, in two halves, as the real one has it: what promises nothing about
//! the disk leaves at once, all else when the disk has it. In between, and while it is written,
//! anything may happen.

use std::time::Duration;

use common::node::{Message, Node};
use common::observe::Observed;
use common::peer::hello::Hello;
use common::protocol::{Input, Outbox};

use common::check::Violation;

use super::machine::Commit;
use super::network::Packet;
use super::world::{Happening, World};

impl World {
    /// Some of the inbox, and a tick if it is due, go into one commit.
    pub(super) fn wake(&mut self, index: usize) -> Result<(), Violation> {
        let machine = &mut self.machines[index];
        if machine.wake_at != Some(self.now) || machine.awake().is_none() {
            return Ok(()); // It was planned anew, or the process is not there to be woken.
        }
        machine.wake_at = None;
        if machine.commit.is_some() {
            return Ok(()); // It waits for its disk.
        }
        let taken = machine.inbox.len().min(1 + self.dice.below(self.profile.batch_max));
        let mut inputs: Vec<_> = machine.inbox.drain(..taken).collect();
        if machine.deadline().is_some_and(|deadline| deadline <= self.now) {
            let place = if self.dice.chance(0.5) { 0 } else { inputs.len() };
            inputs.insert(place.max(usize::from(is_start(&inputs))), Input::Tick);
        }
        if inputs.is_empty() {
            self.plan_wake(index);
            return Ok(());
        }
        self.step(index, inputs)
    }

    fn plan_wake(&mut self, index: usize) {
        let machine = &self.machines[index];
        let next = if machine.inbox.is_empty() { machine.deadline() } else { Some(self.now) };
        if let Some(next) = next {
            self.wake_by(index, next.max(self.now));
        }
    }

    fn step(&mut self, index: usize, inputs: Vec<Input<Message>>) -> Result<(), Violation> {
        let machine = &mut self.machines[index];
        let clock = machine.clock.read(self.now);
        let Ok((early, effects)) = machine.host.step(clock, inputs.iter().cloned()) else {
            self.crash(index, false);
            return Ok(());
        };
        let told = early.events.clone();
        machine.commit = Some(Commit { inputs, told, effects });
        self.record_inputs(index);
        self.record_outbox(index, &early);
        self.trace(index, &early.events);
        let machine = &self.machines[index];
        let node = machine.host.node().expect("it has just run");
        let commit = machine.commit.as_ref().expect("it was just put there");
        let Commit { inputs, effects, .. } = commit;
        self.judge.on_step(machine.host.id(), inputs, &early, effects.records(), node)?;
        self.deliver(index, early)?;
        if self.profile.sync_max.is_zero() {
            return self.finish(index, self.machines[index].life);
        }
        let life = self.machines[index].life;
        let at = self.now + self.dice.between(Duration::ZERO, self.profile.sync_max);
        self.agenda.put(at, Happening::Synced { index, life });
        Ok(())
    }

    /// The disk has it: the rest may leave.
    pub(super) fn finish(&mut self, index: usize, life: u64) -> Result<(), Violation> {
        let machine = &mut self.machines[index];
        if machine.life != life || !machine.is_up() {
            return Ok(());
        }
        if machine.is_paused {
            let at = self.now + self.profile.pace.heartbeat_interval / 2;
            self.agenda.put(at, Happening::Synced { index, life });
            return Ok(());
        }
        let Some(Commit { inputs, told, effects }) = machine.commit.take() else { return Ok(()) };
        let Ok(mut outbox) = machine.host.commit(effects) else {
            self.crash(index, false);
            return Ok(());
        };
        machine.hello =
            machine.host.node().map(|node| Hello { clock: node.clock(), ..node.hello() });
        self.record_outbox(index, &outbox);
        self.trace(index, &outbox.events);
        outbox.events.splice(..0, told);
        self.record_state(index);
        self.count_causal(self.machines[index].host.id(), &outbox);
        let machine = &self.machines[index];
        let node = machine.host.node().expect("it has just run");
        self.judge.on_commit(machine.host.id(), &inputs, &outbox, node)?;
        self.deliver(index, outbox)?;
        if self.machines[index].is_up() {
            self.plan_wake(index);
        }
        Ok(())
    }

    fn record_inputs(&mut self, index: usize) {
        if !self.recorder.is_on() {
            return;
        }
        let machine = &self.machines[index];
        let name = machine.host.name();
        for input in machine.commit.iter().flat_map(|commit| &commit.inputs) {
            self.recorder.note(self.now, format_args!("{name} < {}", self.names.input(input)));
        }
    }

    fn record_outbox(&mut self, index: usize, outbox: &Outbox<Node>) {
        if !self.recorder.is_on() {
            return;
        }
        let (host, names) = (&self.machines[index].host, &self.names);
        let name = host.name();
        for event in outbox.events() {
            self.recorder.note(self.now, format_args!("{name}   {}", names.event(event)));
        }
        for envelope in &outbox.messages {
            let to: Vec<_> = envelope.to.as_slice().iter().map(|peer| names.of(*peer)).collect();
            let (to, message) = (to.join(" "), names.message(&envelope.message));
            self.recorder.note(self.now, format_args!("{name} > {to}: {message}"));
        }
        for (id, answer) in &outbox.answers {
            let (client, answer) = (id.connection, names.answer(answer));
            self.recorder.note(self.now, format_args!("{name} = {client}: {answer}"));
        }
    }

    fn trace(&mut self, index: usize, events: &[Observed]) {
        let host = &self.machines[index].host;
        self.recorder.trace(self.now, (host.name(), host.id()), events);
    }

    fn record_state(&mut self, index: usize) {
        if !self.recorder.is_on() {
            return;
        }
        let host = &self.machines[index].host;
        let hash = host.node().map_or(0, |node| {
            node.store().hash()
                ^ node.raft().map_or(0, common::raft::Raft::state_hash)
                ^ node.causal().map_or(0, |causal| causal.store().hash())
        });
        let name = host.name();
        self.recorder.note(self.now, format_args!("{name}   state {hash:016x}"));
    }

    fn deliver(&mut self, index: usize, outbox: Outbox<Node>) -> Result<(), Violation> {
        let clock = self.machines[index].host.node().map_or(0, Node::clock);
        for envelope in outbox.messages {
            for peer in envelope.to.as_slice() {
                if let Some(connection) = self.machines[index].connections.get(peer).copied() {
                    let packet = Packet::Message(envelope.message.clone(), clock);
                    self.send_from(index, connection, packet);
                }
            }
        }
        for peer in outbox.disconnects {
            self.hang_up(index, peer);
        }
        for (id, answer) in outbox.answers {
            self.on_answer(index, id, answer)?;
        }
        for task in outbox.tasks {
            if self.machines[index].is_up() {
                self.begin(index, task);
            }
        }
        Ok(())
    }
}

/// Nothing comes before a start.
fn is_start(inputs: &[Input<Message>]) -> bool {
    matches!(inputs.first(), Some(Input::Start))
}

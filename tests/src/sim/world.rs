//! The machines, the network between them, and the one loop that moves virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use common::identity::{ClusterId, NodeId, NodeName};
use common::node::{Message, Node};
use common::protocol::{Answer, Input, Outbox, RequestId};
use common::time::Time;

use crate::check::{self, Checks, Violation};
use crate::describe::Names;
use crate::host::Host;

use super::agenda::Agenda;
use super::clients::Clients;
use super::connect::Dial;
use super::dice::Dice;
use super::machine::Machine;
use super::mischief::Mischief;
use super::network::{Arrival, Network, Packet};
use super::profile::Profile;
use super::recorder::{Recorder, Recording};
use super::statistics::Statistics;

/// All there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Time,
    pub(super) profile: Profile,
    pub(super) dice: Dice,
    pub(super) agenda: Agenda<Happening>,
    pub(super) machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) clients: Clients,
    /// Faults happen and clients ask.
    pub(super) is_chaos: bool,
    /// What was asked after the chaos, and has not been answered.
    pub(super) inquiries: BTreeMap<RequestId, usize>,
    /// Their answers.
    pub(super) findings: Vec<(usize, Answer)>,
    pub(super) checks: Checks,
    pub(super) names: Names,
    pub(super) recorder: Recorder,
    pub(super) statistics: Statistics,
}

/// What the agenda holds.
#[derive(Debug)]
pub(super) enum Happening {
    /// A process starts on this machine, unless one is up.
    Start(usize),
    /// The node of this machine looks at its inbox and its deadline.
    Wake(usize),
    /// The daemon of this machine looks whom to dial.
    LookAround(usize),
    Dialled(Box<Dial>),
    Arrived(Arrival),
    /// A client asks something.
    Operation,
    Mischief(Mischief),
}

impl World {
    pub(super) fn new(seed: u64, recording: Recording) -> Self {
        let mut dice = Dice::new(seed);
        let profile = Profile::draw(&mut dice);
        let network =
            if profile.is_lossless() { check::Network::Lossless } else { check::Network::Lossy };
        let mut world = Self {
            now: Time::default(),
            dice,
            agenda: Agenda::new(),
            machines: Vec::new(),
            network: Network::default(),
            clients: Clients::default(),
            is_chaos: true,
            inquiries: BTreeMap::new(),
            findings: Vec::new(),
            checks: Checks::new(network),
            names: Names::default(),
            recorder: Recorder::new(recording),
            statistics: Statistics::default(),
            profile,
        };
        world.statistics.lossless = u64::from(world.profile.is_lossless());
        world.set_up();
        world
    }

    /// One machine has a new cluster's record; each other joins by an earlier one.
    fn set_up(&mut self) {
        for index in 0..self.profile.machines {
            let name: NodeName = format!("n{}", index + 1).parse().expect("a letter and a digit");
            let host = Host::new(name, address_of(index), self.profile.pace);
            let offset = self.dice.between(Duration::ZERO, Duration::from_secs(3_600));
            let mut machine = Machine::new(host, offset);
            if index == 0 {
                machine.host.bootstrap(NodeId(self.dice.draw()), ClusterId(self.dice.draw()));
            } else {
                machine.seeds.push(self.dice.below(index));
            }
            self.machines.push(machine);
            let at = Time(self.dice.between(Duration::ZERO, self.profile.start_spread));
            self.agenda.put(at, Happening::Start(index));
        }
        self.agenda.put(self.now, Happening::Operation);
        self.plan_mischief();
    }

    /// Lets happen what happens until `until`, or until `is_over`. Tells whether it was.
    pub(super) fn run(
        &mut self,
        until: Time,
        is_over: impl Fn(&Self) -> bool,
    ) -> Result<bool, Violation> {
        while !is_over(self) {
            let Some((at, happening)) = self.agenda.take(until) else {
                self.now = until;
                return Ok(false);
            };
            self.now = at;
            self.statistics.events += 1;
            self.happen(happening)?;
        }
        Ok(true)
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Start(index) => self.start(index),
            Happening::Wake(index) => self.wake(index)?,
            Happening::LookAround(index) => self.look_around(index),
            Happening::Dialled(dial) => self.on_dialled(*dial),
            Happening::Arrived(arrival) => self.on_arrived(arrival),
            Happening::Operation => self.operate(),
            Happening::Mischief(mischief) => self.make_mischief(mischief),
        }
        Ok(())
    }

    pub(super) fn start(&mut self, index: usize) {
        let fresh = NodeId(self.dice.draw());
        let machine = &mut self.machines[index];
        if machine.is_up() {
            return;
        }
        machine.host.start(fresh);
        machine.life += 1;
        machine.is_paused = false;
        let (id, name) = (machine.host.id(), machine.host.name().to_string());
        self.recorder.note(self.now, format_args!("{name} starts as {id}"));
        self.names.insert(id, name);
        self.give(index, Input::Start);
        self.agenda.put(self.now, Happening::LookAround(index));
    }

    /// Puts `input` into the inbox of a machine whose process is up.
    pub(super) fn give(&mut self, index: usize, input: Input<Message>) {
        let think = self.dice.between(Duration::ZERO, self.profile.think_max);
        self.machines[index].inbox.push_back(input);
        self.wake_by(index, self.now + think);
    }

    pub(super) fn wake_by(&mut self, index: usize, at: Time) {
        let machine = &mut self.machines[index];
        if machine.wake_at.is_none_or(|planned| at < planned) {
            machine.wake_at = Some(at);
            self.agenda.put(at, Happening::Wake(index));
        }
    }

    /// One turn of the daemon's loop: some of the inbox, and a tick if it is due, into one commit;
    /// then what came of it goes out.
    fn wake(&mut self, index: usize) -> Result<(), Violation> {
        let machine = &mut self.machines[index];
        if machine.wake_at != Some(self.now) || machine.awake().is_none() {
            return Ok(()); // It was planned anew, or the process is not there to be woken.
        }
        machine.wake_at = None;
        let taken = machine.inbox.len().min(1 + self.dice.below(self.profile.batch_max));
        let mut inputs: Vec<_> = machine.inbox.drain(..taken).collect();
        if machine.deadline().is_some_and(|deadline| deadline <= self.now) {
            let place = if self.dice.chance(0.5) { 0 } else { inputs.len() };
            inputs.insert(place.max(usize::from(is_start(&inputs))), Input::Tick);
        }
        if !inputs.is_empty() {
            self.commit(index, &inputs)?;
        }
        let machine = &self.machines[index];
        let next = if machine.inbox.is_empty() { machine.deadline() } else { Some(self.now) };
        if let Some(next) = next {
            self.wake_by(index, next.max(self.now));
        }
        Ok(())
    }

    fn commit(&mut self, index: usize, inputs: &[Input<Message>]) -> Result<(), Violation> {
        let machine = &mut self.machines[index];
        let clock = machine.clock(self.now);
        let Ok(outbox) = machine.host.run(clock, inputs.iter().cloned()) else {
            self.crash(index, false);
            return Ok(());
        };
        self.record(index, inputs, &outbox);
        let machine = &self.machines[index];
        let node = machine.host.node().expect("it has just run");
        self.checks.on_batch(machine.host.id(), inputs, &outbox, node)?;
        self.deliver(index, outbox);
        Ok(())
    }

    fn record(&mut self, index: usize, inputs: &[Input<Message>], outbox: &Outbox<Node>) {
        if !self.recorder.is_on() {
            return;
        }
        let (host, names) = (&self.machines[index].host, &self.names);
        let name = host.name();
        for input in inputs {
            self.recorder.note(self.now, format_args!("{name} < {}", names.input(input)));
        }
        for event in &outbox.events {
            self.recorder.note(self.now, format_args!("{name}   {}", names.event(event)));
        }
        for (_, answer) in &outbox.answers {
            self.recorder.note(self.now, format_args!("{name} = {}", names.answer(answer)));
        }
        let hash = host.node().map_or(0, |node| node.store().hash());
        self.recorder.note(self.now, format_args!("{name}   state {hash:016x}"));
    }

    fn deliver(&mut self, index: usize, outbox: Outbox<Node>) {
        for envelope in outbox.messages {
            for peer in envelope.to.as_slice() {
                if let Some(connection) = self.machines[index].connections.get(peer).copied() {
                    let packet = Packet::Message(envelope.message.clone());
                    self.send_from(index, connection, packet);
                }
            }
        }
        for peer in outbox.disconnects {
            self.hang_up(index, peer);
        }
        for (id, answer) in outbox.answers {
            if self.inquiries.remove(&id).is_some() {
                self.findings.push((index, answer));
            }
        }
    }
}

/// Where peers reach the node of a machine.
pub(super) fn address_of(index: usize) -> String {
    format!("machine{index}:7101")
}

/// The machine at an address.
pub(super) fn machine_at(address: &str) -> Option<usize> {
    address.strip_prefix("machine")?.strip_suffix(":7101")?.parse().ok()
}

/// Nothing comes before a start.
fn is_start(inputs: &[Input<Message>]) -> bool {
    matches!(inputs.first(), Some(Input::Start))
}

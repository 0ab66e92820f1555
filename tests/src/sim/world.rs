//! The machines, the network between them, and the one loop that moves virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use common::identity::{ClusterId, NodeId, NodeName};
use common::node::Message;
use common::protocol::{Answer, Input, RequestId};
use common::time::Time;

use crate::describe::Names;
use crate::host::{Host, Setup, StartError};
use common::check::Violation;

use super::agenda::Agenda;
use super::callers::Callers;
use super::clients::Clients;
use super::connect::Dial;
use super::dice::Dice;
use super::followers::Followers;
use super::judge::Judge;
use super::lab::Lab;
use super::machine::{Clock, Machine};
use super::mischief::Mischief;
use super::network::{Arrival, Network};
use super::profile::Profile;
use super::recorder::{Recorder, Recording};
use super::sessions::Sessions;
use super::statistics::Statistics;
use super::tasks::Work;

/// All there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) lab: Lab,
    pub(super) now: Time,
    pub(super) profile: Profile,
    pub(super) dice: Dice,
    pub(super) agenda: Agenda<Happening>,
    pub(super) machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) clients: Clients,
    /// Those of raft.
    pub(super) callers: Callers,
    pub(super) followers: Followers,
    /// Those of causal mode.
    pub(super) sessions: Sessions,
    /// Faults happen and clients ask.
    pub(super) is_chaos: bool,
    /// What was asked after the chaos, and has not been answered.
    pub(super) inquiries: BTreeMap<RequestId, usize>,
    /// Their answers.
    pub(super) findings: Vec<(usize, Answer)>,
    pub(super) judge: Judge,
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
    /// The disk of this machine has what its node has committed.
    Synced {
        index: usize,
        /// Of which process.
        life: u64,
    },
    /// The daemon of this machine looks whom to dial.
    LookAround(usize),
    Dialled(Box<Dial>),
    Arrived(Arrival),
    /// Something beside the loop of this machine is done.
    Work {
        index: usize,
        /// Of which process.
        life: u64,
        work: Work,
    },
    /// A client asks something.
    Operation,
    /// A client of raft asks something, or has waited long enough.
    Turn(usize),
    /// A client that follows keys looks after its watch.
    Follow(usize),
    /// Somebody sets the rules of prefixes that have none.
    Rules,
    Mischief(Mischief),
}

impl World {
    pub(super) fn new(lab: Lab, seed: u64, recording: Recording) -> Self {
        let mut dice = Dice::new(seed);
        let mut profile = match lab {
            Lab::Broadcast => Profile::draw(&mut dice),
            Lab::Causal => Profile::draw_causal(&mut dice),
            Lab::Raft => Profile::draw_raft(&mut dice),
        };
        if recording == Recording::Trace {
            profile.shorten(lab);
        }
        let mut world = Self {
            lab,
            now: Time::default(),
            dice,
            agenda: Agenda::new(),
            machines: Vec::new(),
            network: Network::default(),
            clients: Clients::default(),
            callers: Callers::default(),
            followers: Followers::default(),
            sessions: Sessions::default(),
            is_chaos: true,
            inquiries: BTreeMap::new(),
            findings: Vec::new(),
            judge: Judge::new(lab, &profile),
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
            let setup = Setup { is_traced: self.recorder.is_tracing(), ..self.profile.setup() };
            let host = Host::new(name, address_of(index), setup);
            let mut machine = Machine::new(host, self.draw_clock());
            if index == 0 {
                machine.host.bootstrap(NodeId(self.dice.draw()), ClusterId(self.dice.draw()));
            } else {
                machine.seeds.push(self.dice.below(index));
            }
            self.machines.push(machine);
            let at = Time(self.dice.between(Duration::ZERO, self.profile.start_spread));
            self.agenda.put(at, Happening::Start(index));
        }
        match self.lab {
            Lab::Broadcast => self.agenda.put(self.now, Happening::Operation),
            Lab::Causal => {
                self.plan_turns();
                self.agenda.put(self.now, Happening::Rules);
            }
            Lab::Raft => {
                self.plan_turns();
                self.plan_followers();
            }
        }
        self.plan_mischief();
    }

    fn draw_clock(&mut self) -> Clock {
        let offset = self.dice.between(Duration::from_secs(3_600), Duration::from_secs(7_200));
        let permille = self.dice.pick(self.profile.clock_rates);
        Clock { offset, permille }
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
            Happening::Start(index) => self.start(index)?,
            Happening::Wake(index) => self.wake(index)?,
            Happening::Synced { index, life } => self.finish(index, life)?,
            Happening::LookAround(index) => self.look_around(index),
            Happening::Dialled(dial) => self.on_dialled(*dial),
            Happening::Arrived(arrival) => self.on_arrived(arrival),
            Happening::Work { index, life, work } => self.go_on(index, life, work),
            Happening::Operation => self.operate(),
            Happening::Turn(caller) if self.lab == Lab::Causal => self.take_causal_turn(caller),
            Happening::Turn(caller) => self.take_turn(caller),
            Happening::Follow(follower) => self.look_after_watch(follower),
            Happening::Rules => self.set_rules(),
            Happening::Mischief(mischief) => self.make_mischief(mischief),
        }
        Ok(())
    }

    pub(super) fn start(&mut self, index: usize) -> Result<(), Violation> {
        let (fresh, seed) = (NodeId(self.dice.draw()), self.dice.draw());
        let machine = &mut self.machines[index];
        if machine.is_up() || machine.is_retired {
            return Ok(());
        }
        machine.host.disk_mut().set_failure(None);
        match machine.host.start(fresh, seed) {
            Ok(()) => {}
            Err(StartError::Full) => {
                self.restart_later(index);
                return Ok(());
            }
            Err(StartError::Broken(what)) => {
                return Err(Violation { property: "recovery", what });
            }
        }
        machine.life += 1;
        let node = machine.host.node().expect("it has just started");
        self.judge.on_start(machine.host.id(), node)?;
        let (id, name) = (machine.host.id(), machine.host.name().to_string());
        self.recorder.note(self.now, format_args!("{name} starts as {id}"));
        self.names.insert(id, name);
        self.give(index, Input::Start);
        self.agenda.put(self.now, Happening::LookAround(index));
        Ok(())
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
}

/// Where peers reach the node of a machine.
pub(super) fn address_of(index: usize) -> String {
    format!("machine{index}:7101")
}

/// The machine at an address.
pub(super) fn machine_at(address: &str) -> Option<usize> {
    address.strip_prefix("machine")?.strip_suffix(":7101")?.parse().ok()
}

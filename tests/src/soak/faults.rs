//! Harm, one kind after another, in the order that the seed draws: each is done, lasts a while, is
//! undone, and then all members must serve again within a bound.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use common::control::cluster::Transferred;
use common::control::fault::{Direction, FaultKind};
use common::control::request::Request;

use crate::cluster::causal;
use crate::sim::dice::Dice;
use crate::soak::machines::{Machines, POWERED, SMALL};
use crate::soak::pulse::Pulse;
use crate::soak::report::Report;
use crate::soak::vitals::Vitals;
use crate::soak::{hostile, rot, wait_until};

/// A kind of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`Kind::name` says it")]
pub enum Kind {
    Kill,
    KillAll,
    Terminate,
    PauseShort,
    PauseLong,
    Isolate,
    OneWay,
    Split,
    Bridge,
    NoMajority,
    Delay,
    Drop,
    Duplicate,
    SlowDisk,
    Clock,
    Hostile,
    FullDisk,
    PowerCut,
    Rot,
    TornTail,
    Wipe,
    Replace,
    Transfer,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 23] = [
        Self::Kill,
        Self::KillAll,
        Self::Terminate,
        Self::PauseShort,
        Self::PauseLong,
        Self::Isolate,
        Self::OneWay,
        Self::Split,
        Self::Bridge,
        Self::NoMajority,
        Self::Delay,
        Self::Drop,
        Self::Duplicate,
        Self::SlowDisk,
        Self::Clock,
        Self::Hostile,
        Self::FullDisk,
        Self::PowerCut,
        Self::Rot,
        Self::TornTail,
        Self::Wipe,
        Self::Replace,
        Self::Transfer,
    ];

    /// What is done.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9, restart",
            Self::KillAll => "kill -9 of all",
            Self::Terminate => "SIGTERM, restart",
            Self::PauseShort => "SIGSTOP, short",
            Self::PauseLong => "SIGSTOP, long",
            Self::Isolate => "one isolated",
            Self::OneWay => "one-way link",
            Self::Split => "split in two",
            Self::Bridge => "one sees both sides",
            Self::NoMajority => "no majority",
            Self::Delay => "slow links",
            Self::Drop => "lossy links",
            Self::Duplicate => "frames twice",
            Self::SlowDisk => "slow disk",
            Self::Clock => "wall clock off",
            Self::Hostile => "hostile bytes",
            Self::FullDisk => "full disk",
            Self::PowerCut => "power cut",
            Self::Rot => "damaged log",
            Self::TornTail => "torn tail",
            Self::Wipe => "wiped, joins anew",
            Self::Replace => "removed, added",
            Self::Transfer => "leader transfer",
        }
    }
}

/// The harm of a round.
#[derive(Debug)]
pub struct Mischief<'a> {
    dice: &'a mut Dice,
    report: &'a mut Report,
    vitals: &'a mut Vitals,
    time: Duration,
    count: u64,
    /// When harm was undone, or is about to be.
    undone: Instant,
}

/// Those who are concerned.
struct Scene<'a> {
    machines: &'a mut Machines,
    doors: &'a causal::Progress,
    pulse: &'a Pulse,
}

impl<'a> Mischief<'a> {
    /// Harm that goes on for so long.
    pub fn new(
        dice: &'a mut Dice,
        report: &'a mut Report,
        vitals: &'a mut Vitals,
        time: Duration,
    ) -> Self {
        Self { dice, report, vitals, time, count: 0, undone: Instant::now() }
    }

    /// How often harm was done.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest gap of service.
    pub fn note_gap(&mut self, gap: Duration) {
        self.report.gap = self.report.gap.max(gap);
    }

    /// Does harm until the time is over, and leaves all well.
    pub fn go_on(&mut self, machines: &mut Machines, doors: &causal::Progress, pulse: &Pulse) {
        let began = Instant::now();
        let mut scene = Scene { machines, doors, pulse };
        while began.elapsed() < self.time {
            let kind = self.draw();
            let victim = self.choose(scene.machines, kind);
            self.report.tell_fault(kind, victim);
            self.undone = Instant::now();
            if !self.harm(&mut scene, kind, victim) {
                self.report.skip(kind);
                continue;
            }
            self.count += 1;
            scene.machines.settle();
            self.report.recovered(kind, self.undone.elapsed());
            self.vitals.look(&mut scene.machines.cluster, false);
            self.last(300, 1_000);
        }
    }

    /// The next kind: in each deal of all kinds each comes once, so that none is left out for long.
    fn draw(&mut self) -> Kind {
        if self.report.deck.is_empty() {
            self.report.deck = Kind::ALL.to_vec();
        }
        let place = self.dice.below(self.report.deck.len());
        self.report.deck.swap_remove(place)
    }

    /// Whom it is done to: the leader more often than others.
    fn choose(&mut self, machines: &Machines, kind: Kind) -> usize {
        let (anyone, is_leader) = (self.dice.below(machines.members), self.dice.chance(0.4));
        if kind == Kind::FullDisk {
            SMALL
        } else if kind == Kind::PowerCut {
            POWERED
        } else if is_leader && kind != Kind::Transfer {
            machines.cluster.leader()
        } else {
            anyone
        }
    }

    fn last(&mut self, least_ms: u64, most_ms: u64) {
        let (least, most) = (Duration::from_millis(least_ms), Duration::from_millis(most_ms));
        thread::sleep(self.dice.between(least, most));
        self.undone = Instant::now();
    }

    /// Does harm, waits, and undoes it. Not where this machine can't.
    fn harm(&mut self, scene: &mut Scene<'_>, kind: Kind, victim: usize) -> bool {
        match kind {
            Kind::Kill | Kind::KillAll | Kind::Terminate => self.end(scene, kind, victim),
            Kind::PauseShort | Kind::PauseLong => self.pause(scene, kind, victim),
            Kind::Isolate
            | Kind::OneWay
            | Kind::Split
            | Kind::Bridge
            | Kind::NoMajority
            | Kind::Delay
            | Kind::Drop
            | Kind::Duplicate
            | Kind::SlowDisk
            | Kind::Clock => self.disturb(scene, kind, victim),
            Kind::Hostile => {
                let address = scene.machines.cluster.address(victim);
                hostile::write(&address, self.dice);
            }
            Kind::FullDisk => return self.fill(scene),
            Kind::PowerCut => return self.cut_power(scene),
            Kind::Rot | Kind::TornTail | Kind::Wipe | Kind::Replace => {
                self.replace(scene, kind, victim);
            }
            Kind::Transfer => transfer(scene.machines, victim),
        }
        true
    }

    fn end(&mut self, scene: &mut Scene<'_>, kind: Kind, victim: usize) {
        let cluster = &mut scene.machines.cluster;
        if kind == Kind::KillAll {
            scene.pulse.excuse();
            cluster.kill_all();
            self.last(0, 1_000);
            scene.machines.restart_members();
            scene.pulse.expect();
            return;
        }
        if kind == Kind::Kill {
            cluster.kill(victim);
        } else {
            let status = cluster.terminate(victim);
            assert!(status.success(), "node{} ended with {status} on SIGTERM", victim + 1);
        }
        self.last(0, 3_000);
        scene.machines.cluster.restart(victim);
    }

    fn pause(&mut self, scene: &mut Scene<'_>, kind: Kind, victim: usize) {
        scene.machines.cluster.pause(victim);
        match kind == Kind::PauseShort {
            true => self.last(50, 700),
            false => self.last(2_000, 5_000),
        }
        scene.machines.cluster.resume(victim);
    }

    /// What daemons do to themselves on request.
    fn disturb(&mut self, scene: &mut Scene<'_>, kind: Kind, victim: usize) {
        let members = scene.machines.members;
        let cluster = &scene.machines.cluster;
        let others: Vec<_> = (0..members).filter(|node| *node != victim).collect();
        // Five nodes are cut into two and two, or two and three; three into one and one, or two.
        let (some, rest) = others.split_at(members / 2);
        let ms = |dice: &mut Dice, most| Duration::from_millis(1 + dice.below(most) as u64);
        match kind {
            Kind::OneWay => {
                let direction = self.dice.pick(&[Direction::In, Direction::Out]);
                cluster.fault_one_way(victim, FaultKind::Partition, &others, direction);
            }
            Kind::Split => {
                for node in some {
                    let rest: Vec<_> = rest.iter().copied().chain([victim]).collect();
                    cluster.fault(*node, FaultKind::Partition, &rest);
                }
            }
            Kind::Bridge => {
                for node in some {
                    cluster.fault(*node, FaultKind::Partition, rest);
                }
            }
            Kind::NoMajority => {
                scene.pulse.excuse();
                for node in others.iter().take(members.div_ceil(2)) {
                    cluster.fault(*node, FaultKind::Isolate, &[]);
                }
            }
            Kind::Delay => cluster.fault(victim, FaultKind::Delay(ms(self.dice, 150)), &[]),
            Kind::Drop => cluster.fault(victim, FaultKind::Drop(0.15), &[]),
            Kind::Duplicate => cluster.fault(victim, FaultKind::Duplicate(0.3), &[]),
            Kind::SlowDisk => cluster.fault(victim, FaultKind::Disk(ms(self.dice, 100)), &[]),
            Kind::Clock => {
                let offset = self.dice.below(20_000) as i64 - 10_000;
                cluster.fault(victim, FaultKind::Clock(offset), &[]);
            }
            Kind::Isolate
            | Kind::Kill
            | Kind::KillAll
            | Kind::Terminate
            | Kind::PauseShort
            | Kind::PauseLong
            | Kind::Hostile
            | Kind::FullDisk
            | Kind::PowerCut
            | Kind::Rot
            | Kind::TornTail
            | Kind::Wipe
            | Kind::Replace
            | Kind::Transfer => cluster.fault(victim, FaultKind::Isolate, &[]),
        }
        self.last(1_000, 5_000);
        for node in 0..members {
            scene.machines.cluster.fault(node, FaultKind::Heal, &[]);
        }
        if kind == Kind::NoMajority {
            scene.pulse.expect();
        }
    }

    fn fill(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(disk) = &scene.machines.small else { return false };
        disk.fill();
        self.last(1_000, 4_000);
        disk.make_room();
        let cluster = &scene.machines.cluster;
        wait_until("it has room", Duration::from_secs(60), || {
            !cluster.client(SMALL).status().disk_full
        });
        true
    }

    fn cut_power(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(disk) = &scene.machines.powered else { return false };
        disk.cut_power();
        scene.machines.cluster.kill(POWERED);
        disk.power_on();
        self.last(0, 1_000);
        scene.machines.cluster.restart(POWERED);
        true
    }

    /// What a node keeps goes, and it comes back as somebody else. In causal mode it has promised
    /// that what it acknowledged is on its own disk, so the others must have all of it before.
    fn replace(&mut self, scene: &mut Scene<'_>, kind: Kind, victim: usize) {
        scene.doors.shut(victim);
        scene.machines.drain(victim);
        let machines = &mut *scene.machines;
        if kind == Kind::Replace {
            machines.remove(victim);
        } else {
            machines.cluster.kill(victim);
        }
        let data_dir = machines.cluster.data_dir(victim).to_owned();
        let start = match kind == Kind::Rot || kind == Kind::TornTail {
            true if kind == Kind::Rot => rot::damage(&data_dir, self.dice),
            true => rot::tear(&data_dir, self.dice),
            false => None,
        }
        .map(|damage| rot::start(&mut machines.cluster, victim, &damage));
        if kind == Kind::Rot || kind == Kind::TornTail {
            self.report.tell_start(start);
        }
        if start != Some(rot::Start::Serves) {
            self.last(0, 1_000);
            machines.cluster.wipe(victim);
            machines.cluster.restart(victim);
        }
        scene.machines.settle();
        scene.doors.open(victim);
    }
}

fn transfer(machines: &Machines, victim: usize) {
    let leader = machines.cluster.leader();
    let member = Some(machines.cluster.name(victim).to_owned());
    let request = Request::TransferLeader { member };
    // It may have lost its office meanwhile, and the other may be behind.
    let moved: Result<Transferred, _> = machines.cluster.client(leader).ask(request);
    drop(moved);
}

/// Recoveries by kind.
pub type Recoveries = BTreeMap<Kind, Vec<Duration>>;

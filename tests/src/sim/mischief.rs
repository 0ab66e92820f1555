//! Faults, as the profile has them.

use std::time::Duration;

use common::time::Time;

use crate::disk::DiskFailure;

use super::network::Side;
use super::world::{Happening, World};

/// A kind of fault that happens by itself from time to time, and what ends one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mischief {
    Break,
    Crash,
    FailDisk,
    Partition,
    /// The end of all partitions.
    Reunite,
    Pause,
    /// The end of a machine's pause.
    Resume(usize),
    FillDisk,
    /// There is room on the disk of a machine again.
    MakeRoom(usize),
    RemoveMember,
    Transfer,
    RetireDaemon,
}

impl World {
    pub(super) fn plan_mischief(&mut self) {
        for mischief in [
            Mischief::Break,
            Mischief::Crash,
            Mischief::FailDisk,
            Mischief::Partition,
            Mischief::Pause,
            Mischief::FillDisk,
            Mischief::RemoveMember,
            Mischief::Transfer,
            Mischief::RetireDaemon,
        ] {
            self.plan(mischief);
        }
    }

    /// Lets a kind of fault happen once more, if this seed brings it.
    fn plan(&mut self, mischief: Mischief) {
        let period = match mischief {
            Mischief::Break => self.profile.breaks,
            Mischief::Crash => self.profile.crashes,
            Mischief::FailDisk => self.profile.disk_failures,
            Mischief::Partition => self.profile.partitions,
            Mischief::Pause => self.profile.pauses,
            Mischief::FillDisk => self.profile.disk_full,
            Mischief::RemoveMember => self.profile.removals,
            Mischief::Transfer => self.profile.transfers,
            Mischief::RetireDaemon => self.profile.retirements,
            Mischief::Reunite | Mischief::Resume(_) | Mischief::MakeRoom(_) => None,
        };
        if let Some(period) = period {
            let at = self.now + self.dice.about(period);
            self.agenda.put(at, Happening::Mischief(mischief));
        }
    }

    pub(super) fn make_mischief(&mut self, mischief: Mischief) {
        if !self.is_chaos {
            return;
        }
        let victim = self.dice.below(self.machines.len());
        match mischief {
            Mischief::Break => self.break_connection(),
            Mischief::Crash if self.machines[victim].is_up() => self.crash_for_a_while(victim),
            Mischief::Crash => {}
            Mischief::FailDisk => {
                let when = self.dice.pick(&[DiskFailure::Before, DiskFailure::After]);
                let changes = u32::from(self.dice.chance(0.5));
                self.machines[victim].host.disk_mut().set_failure_after(changes, when);
                self.statistics.disk_failures += 1;
            }
            Mischief::Partition => self.partition(),
            Mischief::Reunite => self.reunite(),
            Mischief::Pause => self.pause(victim),
            Mischief::Resume(machine) => self.resume(machine),
            Mischief::FillDisk => self.fill_disk(victim),
            Mischief::MakeRoom(machine) => self.make_room(machine),
            Mischief::RemoveMember => self.remove_member(victim),
            Mischief::Transfer => self.transfer(victim),
            Mischief::RetireDaemon => self.retire_daemon(victim),
        }
        self.plan(mischief);
    }

    /// Resets a connection: what is on its way is lost, and both ends notice.
    fn break_connection(&mut self) {
        let ids = self.network.ids();
        if ids.is_empty() {
            return;
        }
        let id = self.dice.pick(&ids);
        let connection = self.network.get(id).expect("it was listed");
        let ends = [Side::Dialler, Side::Acceptor].map(|side| connection.end(side).machine);
        self.recorder.note(self.now, format_args!("a connection of {ends:?} is reset"));
        for machine in ends {
            self.lose(machine, id);
        }
        self.statistics.breaks += 1;
    }

    fn crash_for_a_while(&mut self, victim: usize) {
        let is_silent = self.dice.chance(self.profile.silent_crash);
        self.crash(victim, is_silent);
        if self.dice.chance(self.profile.wipe) {
            self.wipe(victim);
        }
    }

    /// Ends the process, perhaps amid a commit. Where it is `silent`, the machine dies with it, and
    /// no peer is told.
    pub(super) fn crash(&mut self, victim: usize, is_silent: bool) {
        let machine = &mut self.machines[victim];
        match machine.commit.take() {
            Some(commit) if self.dice.chance(0.7) => {
                let changes = u32::from(self.dice.chance(0.5)) + u32::from(self.dice.chance(0.5));
                machine.host.end_amid(commit.effects, changes);
            }
            Some(_) | None => machine.host.end(),
        }
        // The kernel keeps what a process has written; only the power takes it.
        if is_silent || self.dice.chance(self.profile.power_cuts) {
            machine.host.cut_power(|| self.dice.chance(0.5));
        }
        let name = machine.host.name();
        self.recorder.note(self.now, format_args!("{name} crashes, silently: {is_silent}"));
        self.vacate(victim, is_silent);
        self.statistics.crashes += 1;
        self.restart_later(victim);
    }

    /// Loses the data directory, unless the cluster would be lost with it.
    fn wipe(&mut self, victim: usize) {
        let indices = 0..self.machines.len();
        let others: Vec<usize> = indices.filter(|index| *index != victim).collect();
        let is_known = others.iter().any(|index| self.machines[*index].host.has_record());
        if is_known && self.can_spare(victim) {
            self.machines[victim].host.wipe();
            self.machines[victim].seeds = others;
            self.statistics.wipes += 1;
        }
    }

    /// Cuts the machines in two, both ways or one way, for a while.
    fn partition(&mut self) {
        let is_one_way = self.dice.chance(0.3);
        let sides: Vec<bool> = self.machines.iter().map(|_| self.dice.chance(0.5)).collect();
        for (from, from_side) in sides.iter().enumerate() {
            for (to, to_side) in sides.iter().enumerate() {
                let is_cut = from_side != to_side && (*from_side || !is_one_way);
                if is_cut {
                    self.network.block(from, to);
                }
            }
        }
        self.recorder.note(self.now, format_args!("partition {sides:?}, one way: {is_one_way}"));
        self.statistics.partitions += 1;
        let election = self.profile.pace.election_timeout;
        let end = self.now + self.dice.between(Duration::ZERO, election * 4);
        self.agenda.put(end, Happening::Mischief(Mischief::Reunite));
    }

    /// Ends all partitions; what they held back goes on its way.
    pub(super) fn reunite(&mut self) {
        self.recorder.note(self.now, format_args!("no partition"));
        for (connection, to, packet) in self.network.unblock() {
            self.send(connection, to, packet);
        }
    }

    fn pause(&mut self, victim: usize) {
        if self.machines[victim].awake().is_none() {
            return;
        }
        let name = self.machines[victim].host.name();
        self.recorder.note(self.now, format_args!("{name} stands still"));
        self.machines[victim].is_paused = true;
        self.statistics.pauses += 1;
        let election = self.profile.pace.election_timeout;
        let end = self.now + self.dice.between(Duration::ZERO, election * 2);
        self.agenda.put(end, Happening::Mischief(Mischief::Resume(victim)));
    }

    /// A machine that stood still goes on.
    pub(super) fn resume(&mut self, index: usize) {
        let now: Time = self.now;
        let machine = &mut self.machines[index];
        machine.is_paused = false;
        machine.wake_at = None;
        if machine.is_up() {
            self.wake_by(index, now);
        }
    }
}

//! What happens to clusters in raft mode besides: members go and come, leaders and daemons are
//! asked to hand over, disks fill up.

use std::time::Duration;

use common::control::request::{Call, MemberChange, Request};
use common::identity::NodeId;
use common::protocol::Input;

use super::lab::Lab;
use super::mischief::Mischief;
use super::world::{Happening, World};

impl World {
    /// A disk takes nothing more for a while.
    pub(super) fn fill_disk(&mut self, victim: usize) {
        let name = self.machines[victim].host.name();
        self.recorder.note(self.now, format_args!("the disk of {name} is full"));
        self.machines[victim].host.disk_mut().set_room(0);
        self.statistics.full_disks += 1;
        let election = self.profile.pace.election_timeout;
        let end = self.now + self.dice.between(Duration::ZERO, election * 5);
        self.agenda.put(end, Happening::Mischief(Mischief::MakeRoom(victim)));
    }

    /// There is room on it again.
    pub(super) fn make_room(&mut self, victim: usize) {
        self.machines[victim].host.disk_mut().set_room(u64::MAX);
    }

    /// Somebody asks a node, and does not wait for the answer.
    fn demand(&mut self, request: Request) {
        let at = self.dice.below(self.machines.len());
        if self.machines[at].is_up() && self.machines[at].has_begun() {
            let id = self.callers.connect();
            let call = Call { timeout: Some(Duration::from_secs(2)), ..Call::new(request) };
            self.give(at, Input::Request { id, call });
        }
    }

    pub(super) fn remove_member(&mut self, victim: usize) {
        let member = self.machines[victim].host.name().to_string();
        let dry_run = self.dice.chance(0.1);
        let change =
            self.dice.pick(&[MemberChange::Remove, MemberChange::Remove, MemberChange::Promote]);
        self.demand(Request::Member { change, member, dry_run });
        // Machines whose nodes were removed come back as new ones, sooner or later.
        let retired: Vec<usize> =
            (0..self.machines.len()).filter(|index| self.machines[*index].is_retired).collect();
        if !retired.is_empty() && self.dice.chance(0.7) {
            let index = self.dice.pick(&retired);
            self.replace(index);
            self.restart_later(index);
        }
    }

    /// Gives a machine whose node was removed an empty disk.
    pub(super) fn replace(&mut self, index: usize) {
        self.machines[index].host.wipe();
        self.machines[index].is_retired = false;
        self.machines[index].seeds = self.others(index);
    }

    pub(super) fn others(&self, index: usize) -> Vec<usize> {
        (0..self.machines.len()).filter(|other| *other != index).collect()
    }

    pub(super) fn transfer(&mut self, victim: usize) {
        let member = self.machines[victim].host.name().to_string();
        let member = self.dice.chance(0.5).then_some(member);
        self.demand(Request::TransferLeader { member });
    }

    /// A daemon is told to end: it hands over first.
    pub(super) fn retire_daemon(&mut self, victim: usize) {
        if self.machines[victim].awake().is_none() {
            return;
        }
        self.give(victim, Input::Retire);
        let patience = self.dice.about(self.profile.pace.election_timeout);
        self.give_later(victim, patience, Input::Stop);
        self.stop_later(victim, patience + self.profile.think_max + self.profile.sync_max * 2);
        self.statistics.retirements += 1;
    }

    /// Whether the cluster lives on without the disk of `victim`: of each configuration that any
    /// node has, a majority of the members is on other disks, and up. Learners count: they may be
    /// about to vote.
    pub(super) fn can_spare(&self, victim: usize) -> bool {
        if self.lab == Lab::Broadcast {
            return true;
        }
        let serves = |machine: &super::machine::Machine| {
            let causal = machine.host.node().and_then(common::node::Node::causal);
            causal.is_some_and(common::causal::Causal::is_ready)
        };
        let others = || self.machines.iter().enumerate().filter(|(index, _)| *index != victim);
        let are_up = others().all(|(_, machine)| machine.is_up() && !machine.is_retired);
        let there: Vec<NodeId> = others().map(|(_, machine)| machine.host.id()).collect();
        let lives_on = |machine: &super::machine::Machine| {
            let raft = machine.host.node().and_then(common::node::Node::raft);
            raft.is_none_or(|raft| {
                let members = raft.configuration();
                let kept = members.members().filter(|(id, _)| there.contains(id)).count();
                kept > members.len() / 2 && members.is_majority(|voter| there.contains(&voter))
            })
        };
        let is_kept = self.lab != Lab::Causal || others().any(|(_, machine)| serves(machine));
        are_up && is_kept && self.machines.iter().all(lives_on)
    }
}

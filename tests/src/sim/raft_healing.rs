//! The end of every run in raft mode: faults stop, and what the protocol promises for then is
//! called in.

use common::control::reply::Reply;
use common::control::request::{Call, Request};
use common::identity::NodeId;
use common::kv::key::Key;
use common::kv::value::Value;
use common::node::Node;
use common::protocol::{Answer, Input};
use common::raft::Raft;

use crate::check::raft::RaftChecks;
use common::check::Violation;

use super::world::World;

/// For how many election timeouts a cluster without faults may take to be whole: to elect, to
/// replace members, to catch up with a snapshot.
const PATIENCE: u32 = 60;

/// How many terms may begin after all faults have ended.
const TERMS_MAX: u64 = 8;

impl World {
    /// Ends all faults and clients, waits until all is well, and looks whether it is.
    pub(super) fn heal_and_judge_raft(&mut self) -> Result<(), Violation> {
        self.end_chaos()?;
        // Daemons that were told to end do so.
        self.run(self.now + self.profile.pace.election_timeout * 5, |_| false)?;
        let term_before = self.term();
        self.become_one()?;
        self.answer_all()?;
        let term_whole = self.term();
        self.write_once_more()?;
        // What the last of it made known to watches is on its way beside a sync.
        self.run(self.now + self.profile.pace.heartbeat_interval * 2, |_| false)?;
        self.become_one()?;
        let term = self.term();
        if term > term_before + TERMS_MAX || term > term_whole {
            let what = format!("{term_before}, {term_whole} when whole, {term} later");
            return Err(violation("terms settle", what));
        }
        self.judge_members()?;
        self.judge_logs()
    }

    /// All nodes hold what was committed, and clients were told so.
    pub(super) fn judge_logs(&self) -> Result<(), Violation> {
        let checks = self.judge.of_raft().expect("there is a log");
        let rafts = self.machines.iter().filter_map(|m| m.host.node()?.raft());
        checks.judge(rafts, &self.callers.said, self.followers.stretches())
    }

    fn rafts(&self) -> impl Iterator<Item = &Raft> {
        self.machines.iter().filter_map(|machine| machine.host.node().and_then(Node::raft))
    }

    fn term(&self) -> u64 {
        self.rafts().map(Raft::term).max().unwrap_or(0)
    }

    /// Why the cluster is not one: a leader whom all know, all members, and all in one state.
    fn trouble(&self) -> Option<String> {
        let up = self.machines.iter().filter(|machine| !machine.is_retired);
        let mut members: Vec<NodeId> = up.clone().map(|machine| machine.host.id()).collect();
        members.sort_unstable();
        let first = self.machines.iter().find_map(|m| m.host.node()?.raft());
        for machine in up {
            let name = machine.host.name();
            let Some(node) = machine.host.node() else { return Some(format!("{name} is down")) };
            let Some(raft) = node.raft() else { return Some(format!("{name} has no log")) };
            let voters: Vec<NodeId> = raft.configuration().voters().collect();
            let known: Vec<NodeId> = raft.configuration().members().map(|(id, _)| id).collect();
            if voters != members || known != members {
                return Some(format!("{name} knows {known:?}, voters {voters:?}, of {members:?}"));
            }
            if !node.is_ready() {
                return Some(format!("{name} is not ready: {:?}", raft.readiness()));
            }
            let first = first.expect("there is a node");
            if raft.leader() != first.leader() || raft.leader().is_none() {
                return Some(format!("{name} follows {:?}", raft.leader()));
            }
            let place = |raft: &Raft| (raft.applied_index(), raft.log().last(), raft.state_hash());
            if place(raft) != place(first) || raft.commit_index() != raft.log().last().index.0 {
                return Some(format!("{name} is at {:?}", place(raft)));
            }
        }
        None
    }

    /// Liveness: a leader is elected, and all that is up belongs to one cluster.
    pub(super) fn become_one(&mut self) -> Result<(), Violation> {
        let until = self.now + self.profile.pace.election_timeout * PATIENCE;
        while self.trouble().is_some() {
            let step = self.now + self.profile.pace.heartbeat_interval;
            if step > until {
                let what = self.trouble().expect("it was just there");
                return Err(violation("liveness", what));
            }
            self.run(step, |_| false)?;
        }
        Ok(())
    }

    /// Whoever asked is answered: by an outcome, or at a deadline.
    pub(super) fn answer_all(&mut self) -> Result<(), Violation> {
        let until = self.now + std::time::Duration::from_secs(6);
        let waiting = |world: &Self| world.judge.of_raft().and_then(RaftChecks::waiting);
        let is_over = |world: &Self| waiting(world).is_none();
        if self.run(until, is_over)? {
            return Ok(());
        }
        Err(violation("all are answered", format!("{:?}", waiting(self))))
    }

    /// A write through each node works at once, and a read of each sees it.
    fn write_once_more(&mut self) -> Result<(), Violation> {
        for index in 0..self.machines.len() {
            if !self.machines[index].is_up() {
                continue;
            }
            let key = Key::try_from("r/last").expect("a short text");
            let value = Value::try_from(format!("last{index}").into_bytes()).expect("short");
            self.ask(index, Request::put(key.clone(), value))?;
            let told = self.ask(index, Request::get(key, None))?;
            let is_seen = matches!(&told, Answer::Reply(_, Ok(Reply::Get(get))) if get.found);
            if !is_seen {
                return Err(violation("liveness", format!("a read was told {told:?}")));
            }
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, index: usize, request: Request) -> Result<Answer, Violation> {
        let id = self.callers.connect();
        self.inquiries.insert(id, index);
        self.give(index, Input::Request { id, call: Call::new(request.clone()) });
        let until = self.now + self.profile.pace.election_timeout * 2;
        self.run(until, |world| world.inquiries.is_empty())?;
        let answer = self.findings.pop().map(|(_, answer)| answer);
        match answer {
            Some(answer @ Answer::Reply(_, Ok(_))) => Ok(answer),
            other => Err(violation("liveness", format!("{request:?}: {other:?}"))),
        }
    }

    /// Where each member is reached is known to all. More may be: a node that never got as far as
    /// being a member, and lost its disk.
    pub(super) fn judge_members(&self) -> Result<(), Violation> {
        let up = self.machines.iter().filter(|machine| machine.is_up());
        for machine in up {
            let node = machine.host.node().expect("it is up");
            let others = node.other_members().count() + 1;
            let members = node.raft().map_or(0, |raft| raft.configuration().len());
            if others < members {
                let what = format!("{} knows {others} of {members}", machine.host.name());
                return Err(violation("members agree", what));
            }
        }
        Ok(())
    }
}

fn violation(property: &'static str, what: String) -> Violation {
    Violation { property, what }
}

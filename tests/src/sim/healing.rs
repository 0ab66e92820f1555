//! The end of every run: faults stop, and what the protocol promises for then is called in.

use common::control::reply::Reply;
use common::control::request::{Call, Request};
use common::protocol::{Answer, Input, RequestId};
use common::time::Time;

use crate::check::convergence;
use common::check::Violation;

use super::world::World;

/// For how many election timeouts a cluster without faults may take to be whole. A node looks for
/// others for ten of them before it serves in doubt; the rest is for those that wait for it.
const PATIENCE: u32 = 40;

/// Which connection asks after the chaos; clients count theirs up from 1.
const INQUIRER: u64 = u64::MAX;

/// What a node without faults takes into a commit, at least one of so many.
const BATCH_WHOLE: usize = 8;

impl World {
    /// Ends all faults and all clients, waits until all is well, and looks whether it is.
    pub(super) fn heal_and_judge(&mut self) -> Result<(), Violation> {
        let delivered_all = self.profile.delivers_all();
        self.end_chaos()?;
        self.become_whole()?;
        self.rest()?;
        if delivered_all {
            self.judge_convergence()?;
        }
        for _ in 0..2 {
            self.sync_everywhere()?;
            self.rest()?;
        }
        self.judge_convergence()?;
        self.judge_status()
    }

    pub(super) fn end_chaos(&mut self) -> Result<(), Violation> {
        self.recorder.note(self.now, format_args!("all faults end"));
        self.is_chaos = false;
        self.profile.loss = 0.0;
        self.profile.duplication = 0.0;
        self.profile.fifo = true;
        self.profile.delay_max = self.profile.pace.heartbeat_interval / 10;
        self.profile.think_max = self.profile.think_max.min(self.profile.delay_max);
        self.profile.snapshot_loss = 0.0;
        self.profile.sync_max = self.profile.sync_max.min(self.profile.delay_max);
        // With a sync for each message a node falls behind what four others tell it in time.
        self.profile.batch_max = self.profile.batch_max.max(BATCH_WHOLE);
        self.reunite();
        for index in 0..self.machines.len() {
            let machine = &mut self.machines[index];
            machine.clock = machine.clock.mended(self.now);
            machine.host.disk_mut().set_failure(None);
            self.make_room(index);
            self.resume(index);
            if self.machines[index].is_retired && self.dice.chance(0.5) {
                self.replace(index);
            }
            // Whom it was to join by may be gone for good.
            self.machines[index].seeds = self.others(index);
            self.start(index)?;
        }
        Ok(())
    }

    /// Liveness: every node is ready within a bound, and sees that all are. TLA+: `SyncCompletes`.
    fn become_whole(&mut self) -> Result<(), Violation> {
        let until = self.now + self.profile.pace.election_timeout * PATIENCE;
        let count = self.machines.len();
        let is_whole = |world: &Self| world.machines.iter().all(|m| m.sees_all_up(count));
        if self.run(until, is_whole)? {
            return Ok(());
        }
        let ill = self.machines.iter().filter(|machine| !machine.sees_all_up(count));
        let ill = ill.map(|machine| {
            let node = machine.host.node().expect("all were started");
            let (ready, up) = (node.is_ready(), node.members_up());
            format!("{} (ready: {ready}, members up: {up:?})", machine.host.name())
        });
        let ill: Vec<String> = ill.collect();
        Err(violation("liveness", format!("not whole in time: {}", ill.join(", "))))
    }

    /// Lets arrive what is on its way.
    fn rest(&mut self) -> Result<(), Violation> {
        let pace = self.profile.pace;
        let until = self.now + pace.heartbeat_interval * 3 + self.profile.delay_max * 4;
        self.run(until, |_| false)?;
        Ok(())
    }

    /// Repair: each node merges the states of all others. One that is at it already says so, and
    /// is asked again.
    fn sync_everywhere(&mut self) -> Result<(), Violation> {
        let until = self.now + self.profile.pace.election_timeout * PATIENCE;
        let mut left: Vec<usize> = (0..self.machines.len()).collect();
        while !left.is_empty() {
            let answers = self.inquire(&left, &Request::sync(), until)?;
            left = answers.iter().filter(|(_, answer)| !is_ok(answer)).map(|(m, _)| *m).collect();
            let pause = self.now + self.profile.pace.heartbeat_interval;
            self.run(pause, |_| false)?;
        }
        Ok(())
    }

    /// Asks some machines, and waits for their answers.
    fn inquire(
        &mut self,
        machines: &[usize],
        request: &Request,
        until: Time,
    ) -> Result<Vec<(usize, Answer)>, Violation> {
        for machine in machines {
            let sequence = self.statistics.events * 10 + *machine as u64;
            let id = RequestId { connection: INQUIRER, sequence };
            self.inquiries.insert(id, *machine);
            let call = Call::new(request.clone());
            self.give(*machine, Input::Request { id, call });
        }
        if self.run(until, |world| world.inquiries.is_empty())? {
            return Ok(std::mem::take(&mut self.findings));
        }
        let silent: Vec<usize> = self.inquiries.values().copied().collect();
        Err(violation("liveness", format!("{request:?} was not answered by {silent:?}")))
    }

    fn judge_convergence(&self) -> Result<(), Violation> {
        let nodes = self
            .machines
            .iter()
            .filter_map(|machine| Some((machine.host.name().as_str(), machine.host.node()?)));
        convergence::check(nodes)
    }

    /// What nodes tell of themselves is so: they hold the same, and nothing is missed any more.
    fn judge_status(&mut self) -> Result<(), Violation> {
        let all: Vec<usize> = (0..self.machines.len()).collect();
        let until = self.now + self.profile.pace.election_timeout * PATIENCE;
        let mut hashes = Vec::new();
        for (_, answer) in self.inquire(&all, &Request::Status, until)? {
            let Answer::Reply(_, Ok(Reply::Status(status))) = answer else {
                return Err(violation("status", format!("{answer:?}")));
            };
            if let Some(peer) = status.peers.iter().find(|peer| peer.lag > 0) {
                let (node, lag) = (&status.node, peer.lag);
                let what = format!("{node} lacks {lag} writes of {} after a sync", peer.name);
                return Err(violation("lag accounted", what));
            }
            hashes.push(status.state_hash);
        }
        hashes.dedup();
        if hashes.len() == 1 {
            return Ok(());
        }
        Err(violation("convergence", format!("the state hashes are {hashes:?}")))
    }
}

fn violation(property: &'static str, what: String) -> Violation {
    Violation { property, what }
}

fn is_ok(answer: &Answer) -> bool {
    matches!(answer, Answer::Reply(_, Ok(_)))
}

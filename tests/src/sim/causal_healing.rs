//! The end of every run in causal mode: faults stop, and what the protocol promises for then is
//! called in.

use common::causal::Causal;
use common::causal::clock::VectorClock;
use common::control::acks::Acks;
use common::control::request::Request;
use common::identity::NodeId;
use common::kv::key::Key;
use common::kv::value::Value;
use common::node::Node;

use common::check::Violation;

use super::world::World;

/// For how many election timeouts a cluster without faults may take until all have all writes.
const PATIENCE: u32 = 8;

/// For how many a node that is dead may be taken for alive.
const DETECTION: u32 = 20;

/// What a node takes into one commit then, at most.
const BATCH: usize = 16;

impl World {
    /// Ends all faults and clients, waits until all is well, and looks whether it is.
    pub(super) fn heal_and_judge_causal(&mut self) -> Result<(), Violation> {
        self.end_chaos()?;
        // Who takes one message at a time, and syncs for each, has no time for those of five.
        self.profile.batch_max = self.profile.batch_max.max(BATCH);
        // Daemons that were told to end do so.
        self.run(self.now + self.profile.pace.election_timeout * 5, |_| false)?;
        self.become_one()?;
        let durable = self.durable();
        self.converge(&durable)?;
        self.answer_all()?;
        self.write_everywhere()?;
        self.converge(&durable)?;
        self.judge_members()?;
        self.judge_logs()?;
        let checks = self.judge.of_causal().expect("it is causal's");
        checks.judge(self.machines.iter().filter_map(|machine| machine.host.node()))?;
        self.judge_detector()
    }

    fn live(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let up = self.machines.iter().filter(|machine| !machine.is_retired);
        up.filter_map(|machine| Some((machine.host.id(), machine.host.node()?)))
    }

    /// All that is on the disk of any member.
    fn durable(&self) -> VectorClock {
        let checks = self.judge.of_causal().expect("it is causal's");
        checks.clock_of_all(self.live().map(|(id, _)| id))
    }

    /// Why not all members have all writes, and nothing else.
    fn difference(&self, durable: &VectorClock) -> Option<String> {
        let place = |causal: &Causal| (causal.clock().clone(), causal.store().hash());
        let mut first = None;
        for (id, node) in self.live() {
            let Some(causal) = node.causal() else { return Some(format!("{id} has no causal")) };
            if !causal.is_ready() {
                return Some(format!("{id} does not serve"));
            }
            if let Some(missing) = durable.iter().find(|dot| !causal.clock().contains(*dot)) {
                return Some(format!("{id} lacks {missing}"));
            }
            let status = causal.status();
            if status.syncing.is_some() {
                return Some(format!("{id} takes a state over: {status:?}"));
            }
            let suspected = self.live().find(|(other, _)| causal.is_suspected(*other));
            if let Some((other, _)) = suspected {
                return Some(format!("{id} suspects {other}"));
            }
            let here = place(causal);
            let first = first.get_or_insert_with(|| here.clone());
            if here != *first {
                return Some(format!("{id} is at {here:?}, and another at {first:?}"));
            }
        }
        None
    }

    /// Liveness: each write that any member has comes to all, and all show the same.
    fn converge(&mut self, durable: &VectorClock) -> Result<(), Violation> {
        let until = self.now + self.profile.pace.election_timeout * PATIENCE;
        while let Some(what) = self.difference(durable) {
            let step = self.now + self.profile.pace.heartbeat_interval;
            if step > until {
                return Err(violation("convergence", what));
            }
            self.run(step, |_| false)?;
        }
        Ok(())
    }

    /// A write at each node is acknowledged by all.
    fn write_everywhere(&mut self) -> Result<(), Violation> {
        for index in 0..self.machines.len() {
            if !self.machines[index].is_up() {
                continue;
            }
            let key = Key::try_from("k/last").expect("a short text");
            let value = Value::try_from(format!("last{index}").into_bytes()).expect("short");
            let (acks, context) = (Acks::All, None);
            self.ask(index, Request::Put { key, value, acks, context })?;
        }
        Ok(())
    }

    /// Completeness: one that is dead is suspected, by all. Accuracy: and not for ever.
    fn judge_detector(&mut self) -> Result<(), Violation> {
        let up = (0..self.machines.len()).filter(|index| self.machines[*index].is_up());
        let up: Vec<usize> = up.collect();
        let victim = self.dice.pick(&up);
        let id = self.machines[victim].host.id();
        self.crash(victim, true);
        self.machines[victim].is_retired = true;
        let until = self.now + self.profile.pace.election_timeout * DETECTION;
        let is_suspected = |world: &Self| {
            let mut others = world.live().filter_map(|(_, node)| node.causal());
            others.all(|causal| causal.is_suspected(id))
        };
        if !self.run(until, is_suspected)? {
            return Err(violation("a dead member is suspected", format!("{id} is not")));
        }
        self.machines[victim].is_retired = false;
        self.start(victim)?;
        self.converge(&VectorClock::default())
    }
}

fn violation(property: &'static str, what: String) -> Violation {
    Violation { property, what }
}

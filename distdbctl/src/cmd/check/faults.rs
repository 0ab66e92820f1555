//! Links and processes that fail during a run, and are healed whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::control::failure::{ErrorCode, Failure};
use common::control::fault::{Direction, Fault, FaultKind, Faults};
use common::control::request::Request;
use common::control::status::Status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::args::command::check::Kind;
use crate::cmd::check::nodes::{Node, Wire};
use crate::cmd::check::run::{Run, below};
use crate::problem::Problem;

/// How long a fault lasts, in milliseconds: some are over before anybody notices, some take an
/// election and more.
const LASTS_MS: (usize, usize) = (300, 3_000);

/// How long all is well between two.
const REST_MS: (usize, usize) = (200, 800);

/// How often somebody looks whether the run is over.
const LOOK: Duration = Duration::from_millis(20);

/// How long healing is tried at a node: one that died needs none.
const HEAL_TIME_MAX: Duration = Duration::from_secs(10);

/// What was made to fail.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// How often, by kind.
    pub(super) counts: BTreeMap<&'static str, u64>,
    killed: BTreeSet<usize>,
}

impl Made {
    /// Whether nobody may be there any more.
    pub(super) fn has_killed(&self, node: usize) -> bool {
        self.killed.contains(&node)
    }
}

/// Refuses what the nodes won't do.
pub(super) fn may_be_made(kinds: &[Kind], nodes: &[Node]) -> Result<(), Problem> {
    let Some(node) = nodes.iter().find(|node| !kinds.is_empty() && !node.has_faults) else {
        return Ok(());
    };
    let message = format!("{} was started without --enable-faults", node.name);
    let hint = "leave --faults out; clusters that matter are not the place for it";
    Err(Problem::from(Failure::new(ErrorCode::Denied, message)).with_hint(hint))
}

/// Makes one fault after the other until `is_done`.
pub(super) fn make(run: &Run, is_done: &AtomicBool) -> Made {
    let mut harm = Harm { run, wire: run.wire(), stopped: Vec::new(), made: Made::default() };
    let is_over = || is_done.load(Ordering::Relaxed) || run.stop.is_over();
    let rest = |(least, most): (usize, usize)| {
        let until = Instant::now() + Duration::from_millis((least + below(most - least)) as u64);
        while Instant::now() < until && !is_over() {
            thread::sleep(LOOK);
        }
    };
    let mut kinds = Vec::new();
    while !run.kinds.is_empty() && !is_over() {
        rest(REST_MS);
        // Each kind comes before any comes again.
        if kinds.is_empty() {
            kinds.clone_from(&run.kinds);
        }
        let kind = kinds.swap_remove(below(kinds.len()));
        if !is_over() && harm.make(kind).is_some() {
            *harm.made.counts.entry(kind.as_str()).or_default() += 1;
            rest(LASTS_MS);
            harm.heal();
        }
    }
    std::mem::take(&mut harm.made)
}

/// What is broken at the moment. Heals it when it is dropped.
struct Harm<'a> {
    run: &'a Run,
    wire: Wire<'a>,
    stopped: Vec<Pid>,
    made: Made,
}

impl Harm<'_> {
    /// Breaks something; none if that can't be done at the moment.
    fn make(&mut self, kind: Kind) -> Option<()> {
        let victim = self.victim();
        let other = self.other_than(victim);
        let both = Direction::Both;
        match kind {
            Kind::Isolate => self.set(victim, FaultKind::Isolate, None, both),
            Kind::Partition => self.set(victim, FaultKind::Partition, Some(other?), both),
            Kind::OneWay => {
                let way = if below(2) == 0 { Direction::In } else { Direction::Out };
                self.set(victim, FaultKind::Isolate, None, way)
            }
            Kind::Delay => {
                let delay = Duration::from_millis(10 + below(200) as u64);
                self.set(victim, FaultKind::Delay(delay), None, both)
            }
            Kind::Drop => self.set(victim, FaultKind::Drop(0.3), None, both),
            Kind::Pause => {
                let pid = self.run.nodes[victim].pid(self.run.timeout)?;
                kill(pid, Signal::SIGSTOP).ok()?;
                self.stopped.push(pid);
                Some(())
            }
            Kind::Kill => {
                // A majority must stay, and a node that came back may be killed again.
                let is_enough = 2 * (self.made.killed.len() + 1) < self.run.nodes.len();
                if !is_enough && !self.made.has_killed(victim) {
                    return None;
                }
                let pid = self.run.nodes[victim].pid(self.run.timeout)?;
                kill(pid, Signal::SIGKILL).ok()?;
                self.made.killed.insert(victim);
                Some(())
            }
        }
    }

    /// Every other time who leads, if anybody does: that hurts most.
    fn victim(&mut self) -> usize {
        let node = below(self.run.nodes.len());
        let status: Option<Status> = self.wire.ask(node, Request::Status).answered();
        let leader = status.and_then(|status| status.leader).filter(|_| below(2) == 0);
        let leads = |node: &Node| Some(&node.name) == leader.as_ref();
        self.run.nodes.iter().position(leads).unwrap_or(node)
    }

    fn other_than(&self, node: usize) -> Option<usize> {
        let count = self.run.nodes.len();
        (count > 1).then(|| (node + 1 + below(count - 1)) % count)
    }

    fn set(
        &mut self,
        node: usize,
        kind: FaultKind,
        peer: Option<usize>,
        direction: Direction,
    ) -> Option<()> {
        let peers = peer.map(|peer| self.run.nodes[peer].name.to_string());
        let fault = Fault { kind, peers: peers.into_iter().collect(), direction };
        self.wire.ask::<Faults>(node, Request::Fault(Some(fault))).answered().map(|_| ())
    }

    /// All is well again, but for who was killed.
    fn heal(&mut self) {
        for pid in std::mem::take(&mut self.stopped) {
            let _ = kill(pid, Signal::SIGCONT);
        }
        for node in 0..self.run.nodes.len() {
            let deadline = Instant::now() + HEAL_TIME_MAX;
            while self.set(node, FaultKind::Heal, None, Direction::Both).is_none()
                && self.run.nodes[node].pid(self.run.timeout).is_some()
                && Instant::now() < deadline
            {
                thread::sleep(LOOK);
            }
        }
    }
}

impl Drop for Harm<'_> {
    fn drop(&mut self) {
        // What nobody has broken needs no healing, and may be somebody else's.
        if !self.run.kinds.is_empty() {
            self.heal();
        }
    }
}

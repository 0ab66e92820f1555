//! A machine of the simulation: a host, and the part of the daemon around its node.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use common::identity::NodeId;
use common::node::{Message, Node};
use common::observe::Observed;
use common::peer::hello::Hello;
use common::protocol::{Effects, Input, Protocol};
use common::time::Time;

use crate::host::Host;

use super::network::ConnectionId;

/// A commit that is on its way to the disk.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) inputs: Vec<Input<Message>>,
    /// What was observed before something left early.
    pub(super) told: Vec<Observed>,
    pub(super) effects: Effects<Node>,
}

/// A clock of its own: those of two machines have nothing to do with each other, and may not even
/// be equally fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) offset: Duration,
    /// How many thousandths of a second it goes on in a millisecond.
    pub(super) permille: u32,
}

impl Clock {
    /// What it shows.
    pub(super) fn read(&self, now: Time) -> Time {
        Time(self.offset + now.0 * self.permille / 1_000)
    }

    /// When it shows `time`, or more.
    fn when(&self, time: Time) -> Time {
        let shown = time.0.saturating_sub(self.offset) * 1_000;
        let mut when = shown / self.permille;
        while when * self.permille < shown {
            when += Duration::from_nanos(1);
        }
        Time(when)
    }

    /// The clock that shows the same at `now`, and goes on as it should.
    pub(super) fn mended(&self, now: Time) -> Self {
        Self { offset: self.read(now).0.saturating_sub(now.0), permille: 1_000 }
    }
}

/// A machine, and the process on it while it is up.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) host: Host,
    /// Whom a node without a cluster dials: the `--join` flags.
    pub(super) seeds: Vec<usize>,
    /// Counts starts of processes: what was meant for an earlier one is not for this one.
    pub(super) life: u64,
    pub(super) is_paused: bool,
    /// What it says of itself, as of its last commit; before the first nobody hears of it.
    pub(super) hello: Option<Hello>,
    /// Its node was removed from the cluster: it starts again only with an empty disk.
    pub(super) is_retired: bool,
    /// What has arrived and was not yet looked at.
    pub(super) inbox: VecDeque<Input<Message>>,
    /// When the node will look at its inbox or its deadline.
    pub(super) wake_at: Option<Time>,
    pub(super) connections: BTreeMap<NodeId, ConnectionId>,
    /// Machines that were dialled and have not answered, and since when.
    pub(super) dialling: BTreeMap<usize, Time>,
    /// What the node has stepped through, and what of it is on its way to the disk.
    pub(super) commit: Option<Commit>,
    pub(super) clock: Clock,
}

impl Machine {
    pub(super) fn new(host: Host, clock: Clock) -> Self {
        Self {
            host,
            seeds: Vec::new(),
            life: 0,
            is_paused: false,
            hello: None,
            is_retired: false,
            inbox: VecDeque::new(),
            wake_at: None,
            connections: BTreeMap::new(),
            dialling: BTreeMap::new(),
            commit: None,
            clock,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.host.node().is_some()
    }

    /// Whether clients and peers find it.
    pub(super) fn has_begun(&self) -> bool {
        self.hello.is_some()
    }

    /// The running node, if it does anything.
    pub(super) fn awake(&self) -> Option<&Node> {
        self.host.node().filter(|_| !self.is_paused)
    }

    /// When the node wants to be ticked.
    pub(super) fn deadline(&self) -> Option<Time> {
        Some(self.clock.when(self.host.node()?.deadline()?))
    }

    /// Whether the node serves, and all `machines` as far as it knows.
    pub(super) fn sees_all_up(&self, machines: usize) -> bool {
        let node = self.host.node();
        node.is_some_and(|node| node.is_ready() && node.members_up() == (machines, machines))
    }
}

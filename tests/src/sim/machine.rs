//! A machine of the simulation: a host, and the part of the daemon around its node.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use common::identity::NodeId;
use common::node::{Message, Node};
use common::protocol::{Input, Protocol};
use common::time::Time;

use crate::host::Host;

use super::network::ConnectionId;

/// A machine, and the process on it while it is up.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) host: Host,
    /// Whom a node without a cluster dials: the `--join` flags.
    pub(super) seeds: Vec<usize>,
    /// Counts starts of processes: what was meant for an earlier one is not for this one.
    pub(super) life: u64,
    pub(super) is_paused: bool,
    /// What has arrived and was not yet looked at.
    pub(super) inbox: VecDeque<Input<Message>>,
    /// When the node will look at its inbox or its deadline.
    pub(super) wake_at: Option<Time>,
    pub(super) connections: BTreeMap<NodeId, ConnectionId>,
    /// Machines that were dialled and have not answered, and since when.
    pub(super) dialling: BTreeMap<usize, Time>,
    /// Clocks of machines have nothing to do with each other.
    pub(super) clock_offset: Duration,
}

impl Machine {
    pub(super) fn new(host: Host, clock_offset: Duration) -> Self {
        Self {
            host,
            seeds: Vec::new(),
            life: 0,
            is_paused: false,
            inbox: VecDeque::new(),
            wake_at: None,
            connections: BTreeMap::new(),
            dialling: BTreeMap::new(),
            clock_offset,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.host.node().is_some()
    }

    /// The running node, if it does anything.
    pub(super) fn awake(&self) -> Option<&Node> {
        self.host.node().filter(|_| !self.is_paused)
    }

    /// The time on this machine's clock.
    pub(super) fn clock(&self, now: Time) -> Time {
        now + self.clock_offset
    }

    /// When the node wants to be ticked.
    pub(super) fn deadline(&self) -> Option<Time> {
        let deadline = self.host.node()?.deadline()?;
        Some(Time(deadline.0.saturating_sub(self.clock_offset)))
    }

    /// Whether the node serves, and all `machines` as far as it knows.
    pub(super) fn sees_all_up(&self, machines: usize) -> bool {
        let node = self.host.node();
        node.is_some_and(|node| node.is_ready() && node.members_up() == (machines, machines))
    }
}

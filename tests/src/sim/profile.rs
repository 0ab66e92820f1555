//! Which faults a seed brings, and how often.
//!
//! Not every seed brings all of them: each kind is switched on or off by itself, because faults
//! hide each other. A cluster that crashes all the time never gets to the bug that needs ten
//! seconds of partition (Groce et al., "Swarm Testing", ISSTA 2012).

use std::time::Duration;

use common::modes::Mode;

use crate::host::{Pace, Setup};

use super::dice::Dice;

mod causal;
mod raft;
mod traced;

/// What one seed brings. A kind of fault that has a period happens once in about that time.
#[derive(Debug, Clone)]
pub struct Profile {
    /// How many machines there are.
    pub machines: usize,
    /// Heartbeats.
    pub pace: Pace,
    /// How long faults happen and clients ask.
    pub chaos: Duration,
    /// Between starts of the machines at the beginning.
    pub start_spread: Duration,
    /// How long a packet takes, at most.
    pub delay_max: Duration,
    /// How long a node takes to look at its inbox, at most. What comes meanwhile is one commit.
    pub think_max: Duration,
    /// How much of its inbox a node takes into one commit, at most.
    pub batch_max: usize,
    /// How likely a message is lost, though its connection stays (`fault drop`).
    pub loss: f64,
    /// How likely a message comes twice.
    pub duplication: f64,
    /// Whether messages of a connection keep their order, as TCP sees to.
    pub fifo: bool,
    /// Connections that are reset.
    pub breaks: Option<Duration>,
    /// Processes that end.
    pub crashes: Option<Duration>,
    /// How likely a crash is that of the whole machine: peers are not told.
    pub silent_crash: f64,
    /// How likely a crash takes the data directory along.
    pub wipe: f64,
    /// Disks that fail at the next write.
    pub disk_failures: Option<Duration>,
    /// Partitions, one-way or both ways.
    pub partitions: Option<Duration>,
    /// Whether a partition holds packets back, as TCP does, or drops them, as `fault` does.
    pub partition_stalls: bool,
    /// Processes that stand still for a while.
    pub pauses: Option<Duration>,
    /// How often a client asks something.
    pub operations: Duration,
    /// How many keys clients use.
    pub keys: usize,
    /// How large values are, at most. A few large ones make a sync take several chunks.
    pub value_bytes_max: usize,
    /// In which mode the cluster is founded.
    pub mode: Mode,
    /// See [`Setup::snapshot_every`].
    pub snapshot_every: u64,
    /// See [`Setup::log_kept_bytes`].
    pub log_kept_bytes: usize,
    /// See [`Setup::causal_log_bytes`].
    pub causal_log_bytes: usize,
    /// See [`Setup::segment_bytes`].
    pub segment_bytes: u64,
    /// How long a disk takes to make a commit durable, at most.
    pub sync_max: Duration,
    /// How likely a crash is one of the power: it tears what is not synced.
    pub power_cuts: f64,
    /// How fast clocks are, in thousandths; each machine has one of these.
    pub clock_rates: &'static [u32],
    /// How likely a snapshot, or the word that it has come, gets lost.
    pub snapshot_loss: f64,
    /// Disks that are full for a while.
    pub disk_full: Option<Duration>,
    /// Members that are removed; their machines may come back as others.
    pub removals: Option<Duration>,
    /// Leaders that are asked to hand over.
    pub transfers: Option<Duration>,
    /// Daemons that end in good order, and come back.
    pub retirements: Option<Duration>,
    /// How likely a write carries a tag.
    pub tagged: f64,
}

impl Profile {
    /// The profile of a seed.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let mut profile = Self::calm(dice);
        // Some seeds are without faults, or let processes crash and lose nothing that was sent:
        // they show what must hold then.
        match dice.below(20) {
            0..5 => {}
            5..7 => profile.crashes = dice.pick(&[500, 2_000].map(Duration::from_millis)).into(),
            _ => profile.switch_on_faults(dice),
        }
        profile
    }

    /// Nothing but delays, short beside a heartbeat.
    fn calm(dice: &mut Dice) -> Self {
        let heartbeat_interval = dice.pick(&[100, 150, 200].map(Duration::from_millis));
        let pace =
            Pace { heartbeat_interval, election_timeout: heartbeat_interval * dice.pick(&[4, 5]) };
        Self {
            machines: dice.pick(&[1, 2, 2, 3, 3, 3, 3, 4, 5]),
            pace,
            chaos: dice.between(Duration::from_secs(2), Duration::from_secs(5)),
            start_spread: dice.pick(&[0, 10, 300, 2_000].map(Duration::from_millis)),
            delay_max: heartbeat_interval / dice.pick(&[10, 100, 1_000]),
            think_max: heartbeat_interval / dice.pick(&[10, 100, 1_000]),
            batch_max: dice.pick(&[1, 4, 64]),
            loss: 0.0,
            duplication: 0.0,
            fifo: true,
            breaks: None,
            crashes: None,
            silent_crash: 0.0,
            wipe: 0.0,
            disk_failures: None,
            partitions: None,
            partition_stalls: false,
            pauses: None,
            operations: dice.pick(&[5, 20, 50].map(Duration::from_millis)),
            keys: dice.pick(&[1, 4, 20]),
            value_bytes_max: dice.pick(&[16, 16, 16, 16, 16, 16, 16, 100_000]),
            mode: Mode::Broadcast,
            snapshot_every: 1_000,
            log_kept_bytes: 0,
            causal_log_bytes: 1_000_000,
            segment_bytes: 4_096,
            sync_max: Duration::ZERO,
            power_cuts: 0.0,
            clock_rates: &[1_000],
            snapshot_loss: 0.0,
            disk_full: None,
            removals: None,
            transfers: None,
            retirements: None,
            tagged: 0.0,
        }
    }

    /// How the nodes are set up.
    pub(super) fn setup(&self) -> Setup {
        Setup {
            pace: self.pace,
            mode: self.mode,
            snapshot_every: self.snapshot_every,
            log_kept_bytes: self.log_kept_bytes,
            causal_log_bytes: self.causal_log_bytes,
            segment_bytes: self.segment_bytes,
            is_traced: false,
        }
    }

    fn switch_on_faults(&mut self, dice: &mut Dice) {
        let is_on = |dice: &mut Dice| dice.chance(0.4);
        let period =
            |dice: &mut Dice| Some(dice.pick(&[200, 500, 2_000].map(Duration::from_millis)));
        if is_on(dice) {
            self.delay_max = self.pace.heartbeat_interval * dice.pick(&[1, 3, 6]);
        }
        if is_on(dice) {
            self.loss = dice.pick(&[0.01, 0.1, 0.3]);
        }
        if is_on(dice) {
            self.duplication = dice.pick(&[0.01, 0.1, 0.5]);
        }
        if dice.chance(0.2) {
            self.fifo = false;
        }
        if is_on(dice) {
            self.breaks = period(dice);
        }
        if is_on(dice) {
            self.crashes = period(dice);
            self.silent_crash = dice.pick(&[0.0, 0.3, 1.0]);
            self.wipe = dice.pick(&[0.0, 0.0, 0.3]);
        }
        if dice.chance(0.2) {
            self.disk_failures = period(dice);
        }
        if is_on(dice) {
            self.partitions = period(dice);
            self.partition_stalls = dice.chance(0.5);
        }
        if is_on(dice) {
            self.pauses = period(dice);
        }
    }

    /// Whether all that is sent comes, in order and soon, and nobody crashes: nothing may be missed.
    pub fn is_lossless(&self) -> bool {
        self.delivers_all() && self.crashes.is_none()
    }

    /// Whether all that is sent comes, in order and soon, be it from a process that has crashed
    /// meanwhile: stores become equal without a sync.
    pub fn delivers_all(&self) -> bool {
        let stays = self.breaks.is_none() && self.silent_crash == 0.0 && self.pauses.is_none();
        let comes = self.loss == 0.0 && self.fifo && self.partitions.is_none();
        let is_soon = self.delay_max + self.think_max < self.pace.heartbeat_interval / 4;
        stays && comes && is_soon && self.disk_failures.is_none()
    }
}

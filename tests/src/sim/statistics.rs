//! What happened in simulations, counted.

use std::fmt;
use std::ops::AddAssign;

/// Counts over one run or many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Steps of the simulation.
    pub events: u64,
    /// Requests of clients.
    pub operations: u64,
    /// Runs in which nothing may be missed.
    pub lossless: u64,
    /// Messages lost on a connection that stays.
    pub lost: u64,
    /// Messages that came twice.
    pub duplicated: u64,
    /// Messages that overtook another.
    pub reordered: u64,
    /// Packets stopped by a partition.
    pub blocked: u64,
    /// Partitions.
    pub partitions: u64,
    /// Connections reset.
    pub breaks: u64,
    /// Processes that ended.
    pub crashes: u64,
    /// Data directories lost.
    pub wipes: u64,
    /// Disks that failed.
    pub disk_failures: u64,
    /// Processes that stood still.
    pub pauses: u64,
    /// Snapshots on their way to another node.
    pub snapshots_sent: u64,
    /// Nodes that were removed from their cluster.
    pub retired: u64,
    /// Disks that were full.
    pub full_disks: u64,
    /// Daemons that were told to end.
    pub retirements: u64,
    /// Writes of clients, in causal mode.
    pub writes: u64,
    /// Writes that came before their past.
    pub held: u64,
    /// Writes that another than their writer sent.
    pub relayed: u64,
    /// Members that were told that the log has no longer what they lack.
    pub overflows: u64,
    /// States that were taken over.
    pub transfers: u64,
    /// States that were not, after all.
    pub abandoned: u64,
    /// Peers that were suspected.
    pub suspicions: u64,
    /// Requests that came before what their clients had seen.
    pub parked: u64,
    /// Answers with values side by side.
    pub siblings: u64,
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.operations += other.operations;
        self.lossless += other.lossless;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.blocked += other.blocked;
        self.partitions += other.partitions;
        self.breaks += other.breaks;
        self.crashes += other.crashes;
        self.wipes += other.wipes;
        self.disk_failures += other.disk_failures;
        self.pauses += other.pauses;
        self.snapshots_sent += other.snapshots_sent;
        self.retired += other.retired;
        self.full_disks += other.full_disks;
        self.retirements += other.retirements;
        self.writes += other.writes;
        self.held += other.held;
        self.relayed += other.relayed;
        self.overflows += other.overflows;
        self.transfers += other.transfers;
        self.abandoned += other.abandoned;
        self.suspicions += other.suspicions;
        self.parked += other.parked;
        self.siblings += other.siblings;
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, operations, lossless, .. } = self;
        write!(f, "{events} events, {operations} operations, {lossless} runs without loss; ")?;
        write!(f, "{} lost, {} twice, ", self.lost, self.duplicated)?;
        write!(f, "{} reordered, {} blocked, ", self.reordered, self.blocked)?;
        write!(f, "{} partitions, {} resets, ", self.partitions, self.breaks)?;
        write!(f, "{} crashes, {} wipes, ", self.crashes, self.wipes)?;
        write!(f, "{} disk failures, {} pauses", self.disk_failures, self.pauses)?;
        if self.snapshots_sent + self.retired + self.full_disks + self.retirements == 0 {
            return Ok(());
        }
        write!(f, ", {} snapshots sent, {} removed, ", self.snapshots_sent, self.retired)?;
        write!(f, "{} full disks, {} ended in order", self.full_disks, self.retirements)?;
        if self.writes == 0 {
            return Ok(());
        }
        write!(f, ", {} causal writes, {} held, ", self.writes, self.held)?;
        write!(f, "{} relayed, {} told to be behind, ", self.relayed, self.overflows)?;
        write!(f, "{} states taken over, {} not, ", self.transfers, self.abandoned)?;
        write!(f, "{} suspicions, {} late reads, ", self.suspicions, self.parked)?;
        write!(f, "{} conflicts shown", self.siblings)
    }
}

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
        write!(f, "{} full disks, {} ended in order", self.full_disks, self.retirements)
    }
}

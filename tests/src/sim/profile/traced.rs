//! What is left of a seed where its trace is held against the specification: a checker keeps all
//! that ever was, so the run is a short one.

use std::time::Duration;

use super::super::lab::Lab;
use super::Profile;

impl Profile {
    /// Makes the run short enough.
    pub(in super::super) fn shorten(&mut self, lab: Lab) {
        self.chaos = self.chaos.min(Duration::from_secs(2));
        self.machines = self.machines.min(3);
        match lab {
            Lab::Broadcast => self.shorten_broadcast(),
            Lab::Causal => self.shorten_causal(),
            Lab::Raft => self.shorten_raft(),
        }
    }

    fn shorten_broadcast(&mut self) {
        self.operations = Duration::from_millis(50);
        self.keys = self.keys.min(4);
    }

    fn shorten_causal(&mut self) {
        // A second more, for the cluster to be one first; and as many writes.
        self.chaos = Duration::from_secs(3);
        self.start_spread = self.start_spread.min(Duration::from_millis(300));
        self.machines = self.machines.max(2);
        self.operations = Duration::from_millis(50);
        self.keys = self.keys.min(3);
        if let Some(period) = &mut self.crashes {
            // Amid commits, and with the disk, as often as there is time for.
            *period = (*period).min(Duration::from_millis(300));
            self.sync_max = self.sync_max.max(self.pace.heartbeat_interval / 4);
            if self.removals.is_none() {
                self.wipe = self.wipe.max(0.4);
            }
        }
    }

    /// Elections take time, and are worth more than many entries.
    fn shorten_raft(&mut self) {
        self.chaos = self.pace.election_timeout * 10;
        self.start_spread = self.start_spread.min(self.pace.heartbeat_interval);
        self.operations = Duration::from_millis(200);
        self.snapshot_every = self.snapshot_every.min(20);
    }
}

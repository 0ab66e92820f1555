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
        self.operations = Duration::from_millis(100);
        self.keys = self.keys.min(3);
    }

    /// Elections take time, and are worth more than many entries.
    fn shorten_raft(&mut self) {
        self.chaos = self.pace.election_timeout * 10;
        self.start_spread = self.start_spread.min(self.pace.heartbeat_interval);
        self.operations = Duration::from_millis(200);
        self.snapshot_every = self.snapshot_every.min(20);
    }
}

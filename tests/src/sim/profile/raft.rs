//! What a seed brings to a cluster in raft mode.

use std::time::Duration;

use common::modes::Mode;

use super::super::dice::Dice;
use super::Profile;

impl Profile {
    /// The profile of a seed. Beside the faults of all clusters there are those of logs, disks and
    /// members.
    pub(in super::super) fn draw_raft(dice: &mut Dice) -> Self {
        let mut profile = Self::draw(dice);
        profile.mode = Mode::Raft;
        profile.chaos = dice.between(Duration::from_secs(3), Duration::from_secs(8));
        profile.operations = dice.pick(&[10, 30, 100].map(Duration::from_millis));
        profile.value_bytes_max = dice.pick(&[16, 16, 16, 2_000]);
        profile.snapshot_every = dice.pick(&[1, 5, 50, 1_000]);
        profile.log_kept_bytes = dice.pick(&[0, 0, 1_000, 1_000_000]);
        profile.segment_bytes = dice.pick(&[1_024, 4_096, 65_536]);
        profile.sync_max = profile.pace.heartbeat_interval / dice.pick(&[1, 10, 100, 1_000]);
        profile.power_cuts = dice.pick(&[0.0, 0.5, 1.0]);
        profile.tagged = dice.pick(&[0.0, 0.5, 1.0]);
        if dice.chance(0.8) {
            profile.switch_on_faults_of_raft(dice);
        }
        profile
    }

    fn switch_on_faults_of_raft(&mut self, dice: &mut Dice) {
        let is_on = |dice: &mut Dice| dice.chance(0.3);
        let period =
            |dice: &mut Dice| Some(dice.pick(&[300, 1_000, 3_000].map(Duration::from_millis)));
        if is_on(dice) {
            self.clock_rates = dice.pick(&[&[900, 1_000, 1_100], &[500, 1_000, 2_000]]);
        }
        if is_on(dice) {
            self.snapshot_loss = 0.3;
        }
        if is_on(dice) {
            self.disk_full = period(dice);
        }
        if is_on(dice) {
            self.removals = period(dice);
            // Who removes a member while another one's disk is lost has lost two of three.
            self.wipe = 0.0;
        }
        if is_on(dice) {
            self.transfers = period(dice);
        }
        if is_on(dice) {
            self.retirements = period(dice);
        }
        if is_on(dice) {
            self.sync_max = self.pace.heartbeat_interval * dice.pick(&[2, 5]);
        }
        if is_on(dice) {
            self.start_spread = self.chaos / 2;
        }
    }
}

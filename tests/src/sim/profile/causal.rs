//! What a seed brings to a cluster in causal mode.

use std::time::Duration;

use common::modes::Mode;

use super::super::dice::Dice;
use super::Profile;

impl Profile {
    /// The profile of a seed. Raft runs beside causal mode, with all that happens to it.
    pub(in super::super) fn draw_causal(dice: &mut Dice) -> Self {
        let mut profile = Self::draw_raft(dice);
        profile.mode = Mode::Causal;
        profile.chaos = dice.between(Duration::from_secs(2), Duration::from_secs(6));
        profile.causal_log_bytes = dice.pick(&[600, 3_000, 10_000, 1_000_000]);
        profile.keys = dice.pick(&[1, 3, 10, 100]);
        if dice.chance(0.05) {
            // A state comes in several chunks.
            profile.keys = 30;
            profile.value_bytes_max = 60_000;
        }
        if profile.removals.is_none() && dice.chance(0.3) {
            profile.wipe = 0.7;
        }
        profile
    }
}

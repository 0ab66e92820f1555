//! The hybrid logical clock (Kulkarni et al. 2014): close to wall clocks, and never back.
//!
//! It gives writes a time that people can read, and that ranks concurrent ones. Which write comes
//! after which is told by [`crate::causal::clock::VectorClock`], never by this: a wall clock that
//! is wrong costs the order of concurrent writes, and no more.
//!
//! Wall clocks are wrong now and then, so there are two bounds of [`SKEW_MS_MAX`]. A node that is
//! connected doesn't count its own wall clock where it is further than that ahead of most others'
//! ([`limit_ms`]); and a peer's timestamp that is further ahead of the own wall clock than that
//! doesn't move the own clock ([`HybridClock::see`]). So one clock that is far in the future moves
//! nobody else's.
//!
//! Departures from the paper: a receipt gets no timestamp of its own, as only writes have one; and
//! both parts are one number, in which a count that overflows runs into the next millisecond.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// How far ahead a wall clock may be and be believed, in milliseconds. Hosts that keep time by NTP
/// differ by some tens, and by 128 before ntpd steps; 500 is what CockroachDB tolerates.
pub const SKEW_MS_MAX: u64 = 500;

/// The latest that a wall clock is believed, in milliseconds since 1970: the year 4199. What is
/// above it is a mistake, and counts as this.
const WALL_MS_MAX: u64 = 1 << 46;

/// No sound node gives out a timestamp from here on, in milliseconds since 1970. It is twice
/// [`WALL_MS_MAX`], so that there is room to count on from the latest wall clock.
const UNIX_MS_END: u64 = 1 << 47;

/// The bits of a timestamp that count within a millisecond.
const LOGICAL_BITS: u32 = 16;

/// A point in hybrid time: milliseconds since 1970, and a count of what happened within one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The first of a millisecond, or of the last one that a timestamp can have.
    pub fn of_ms(unix_ms: u64) -> Self {
        Self(unix_ms.min(u64::MAX >> LOGICAL_BITS) << LOGICAL_BITS)
    }

    /// As a number, in the same order.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The milliseconds since 1970.
    pub fn unix_ms(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The one after it, in the next millisecond if there is none left in this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether a sound node can have given it out.
    pub fn is_plausible(self) -> bool {
        self.unix_ms() < UNIX_MS_END
    }
}

/// A node's hybrid clock.
///
/// Invariants: `latest` only grows; it is plausible, as far as what is restored is. Until the wall
/// clock is set it stands at 1970.
#[derive(Debug, Clone, Default)]
pub struct HybridClock {
    /// The latest that was given out or seen.
    latest: Timestamp,
    /// What the wall clock said last, in milliseconds since 1970.
    wall_ms: u64,
    /// When it said so.
    wall_set: Time,
}

impl HybridClock {
    /// The operating system's clock says at `now` that so many milliseconds have passed since 1970.
    pub fn set_wall(&mut self, now: Time, unix_ms: u64) {
        self.wall_ms = unix_ms;
        self.wall_set = now;
    }

    /// What the wall clock says at `now`, in milliseconds since 1970: what it said last, and the
    /// monotonic time since then.
    pub fn wall_ms(&self, now: Time) -> u64 {
        let passed = u64::try_from(now.since(self.wall_set).as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.saturating_add(passed).min(WALL_MS_MAX)
    }

    /// The time of a new write: later than all that were given out or seen, and that of the wall
    /// clock if this is later still, but not above a limit (see [`limit_ms`]).
    pub fn tick(&mut self, now: Time, limit_ms: Option<u64>) -> Timestamp {
        let wall_ms = self.wall_ms(now).min(limit_ms.unwrap_or(u64::MAX));
        self.latest = self.latest.next().max(Timestamp::of_ms(wall_ms));
        self.latest
    }

    /// The latest that was given out or seen.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// A write of another node is here: what is written from now on is later. One that is too far
    /// ahead of the own wall clock moves nothing.
    pub fn see(&mut self, now: Time, remote: Timestamp) {
        if remote.unix_ms() <= self.wall_ms(now) + SKEW_MS_MAX {
            self.latest = self.latest.max(remote);
        }
    }

    /// This was given out before a restart: what is written from now on is later.
    pub fn restore(&mut self, own_latest: Timestamp) {
        self.latest = self.latest.max(own_latest);
    }
}

/// How late a node may take it to be, in milliseconds since 1970: [`SKEW_MS_MAX`] after the lower
/// median of its own wall clock and those of the peers that it is connected with. As long as more
/// than half of them are right, no write is of a later time. Without peers there is no limit.
pub fn limit_ms(own_wall: u64, peers: impl Iterator<Item = u64>) -> Option<u64> {
    let mut walls: Vec<u64> = peers.chain([own_wall]).map(|wall| wall.min(WALL_MS_MAX)).collect();
    walls.sort_unstable();
    let median = walls[(walls.len() - 1) / 2];
    (walls.len() > 1).then_some(median + SKEW_MS_MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    /// Some day in 2025.
    const TODAY_MS: u64 = 1_760_000_000_000;

    fn at(ms: u64) -> Time {
        Time(Duration::from_millis(ms))
    }

    fn clock(wall_ms: u64) -> HybridClock {
        let mut clock = HybridClock::default();
        clock.set_wall(at(0), wall_ms);
        clock
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        SetWall(u64),
        Tick(Option<u64>),
        See(Timestamp),
        Restart,
    }

    /// Walls that are about right, hours off, or absurd.
    fn walls() -> impl Strategy<Value = u64> {
        let off = TODAY_MS - 2 * HOUR_MS..TODAY_MS + 2 * HOUR_MS;
        prop_oneof![TODAY_MS..TODAY_MS + 1_000, off, any::<u64>(), Just(u64::MAX), Just(0)]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let stamp = (walls(), 0_u64..1 << LOGICAL_BITS);
        let stamp = stamp.prop_map(|(ms, count)| Timestamp(Timestamp::of_ms(ms).0 | count));
        let step = prop_oneof![
            (0_u64..2_000).prop_map(Step::Wait),
            walls().prop_map(Step::SetWall),
            prop::option::of(walls()).prop_map(Step::Tick),
            stamp.prop_map(Step::See),
            Just(Step::Restart),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// L10, T3: whatever the wall clock does and peers say, the own timestamps only grow, and
        /// no restart takes one back; none is absurd.
        #[test]
        fn own_timestamps_only_grow(steps in steps()) {
            let (mut clock, mut now, mut last) = (clock(TODAY_MS), 0, Timestamp::default());
            for step in steps {
                match step {
                    Step::Wait(ms) => now += ms,
                    Step::SetWall(ms) => clock.set_wall(at(now), ms),
                    Step::See(remote) => clock.see(at(now), remote),
                    Step::Tick(limit_ms) => {
                        let time = clock.tick(at(now), limit_ms);
                        prop_assert!(time > last && time.is_plausible(), "{time:?}, {last:?}");
                        last = time;
                    }
                    Step::Restart => {
                        let wall_ms = clock.wall_ms(at(now));
                        (clock, now) = (HybridClock::default(), 0);
                        clock.set_wall(at(0), wall_ms);
                        clock.restore(last);
                    }
                }
            }
        }

        /// Causality among nodes whose clocks are sound: what is written after a write was seen has
        /// a later time.
        #[test]
        fn what_was_seen_is_earlier(ahead in 0..=SKEW_MS_MAX, count in 0_u64..1 << LOGICAL_BITS) {
            let mut clock = clock(TODAY_MS);
            let seen = Timestamp(Timestamp::of_ms(TODAY_MS + ahead).0 + count);
            clock.see(at(0), seen);
            prop_assert!(clock.tick(at(0), Some(TODAY_MS)) > seen);
        }

        /// As long as most walls are right, the others don't matter.
        #[test]
        fn most_walls_set_the_limit(
            right in prop::collection::vec(TODAY_MS..TODAY_MS + 100, 2..4), wrong in walls()
        ) {
            let limit = TODAY_MS..TODAY_MS + 100 + SKEW_MS_MAX;
            let peers = || right.iter().copied();
            prop_assert!(limit.contains(&limit_ms(wrong, peers()).expect("there are peers")));
            let peers = peers().skip(1).chain([wrong]);
            prop_assert!(limit.contains(&limit_ms(right[0], peers).expect("there are peers")));
        }
    }

    /// T3, L10: an hour forward, and back again.
    #[test]
    fn a_wall_clock_that_steps_takes_no_time_back() {
        let mut clock = clock(TODAY_MS);
        let before = clock.tick(at(10), None);
        assert_eq!(before, Timestamp::of_ms(TODAY_MS + 10));
        clock.set_wall(at(20), TODAY_MS + HOUR_MS);
        let limit = limit_ms(clock.wall_ms(at(20)), [TODAY_MS + 20, TODAY_MS + 25].into_iter());
        let ahead = clock.tick(at(20), limit);
        assert_eq!(ahead, Timestamp::of_ms(TODAY_MS + 25 + SKEW_MS_MAX));
        clock.set_wall(at(30), TODAY_MS - HOUR_MS);
        assert_eq!(clock.tick(at(30), None), ahead.next());
        clock.set_wall(at(40), TODAY_MS + 40);
        assert_eq!(clock.tick(at(40), None), ahead.next().next());
        let later = 40 + SKEW_MS_MAX;
        assert_eq!(clock.tick(at(later), None), Timestamp::of_ms(TODAY_MS + later));
    }

    /// L10: "far-future timestamps rejected".
    #[test]
    fn a_timestamp_of_the_far_future_moves_nothing() {
        let mut clock = clock(TODAY_MS);
        let hour = TODAY_MS + HOUR_MS;
        for far in [TODAY_MS + SKEW_MS_MAX + 1, hour, UNIX_MS_END, u64::MAX] {
            clock.see(at(0), Timestamp::of_ms(far));
        }
        assert_eq!(clock.tick(at(0), None), Timestamp::of_ms(TODAY_MS));
        clock.see(at(HOUR_MS), Timestamp::of_ms(hour + SKEW_MS_MAX));
        assert_eq!(clock.tick(at(HOUR_MS), None).unix_ms(), hour + SKEW_MS_MAX);
    }

    #[test]
    fn a_count_that_overflows_runs_into_the_next_millisecond() {
        let mut clock = clock(TODAY_MS);
        (0..1 << LOGICAL_BITS)
            .for_each(|_| assert_eq!(clock.tick(at(0), None).unix_ms(), TODAY_MS));
        assert_eq!(clock.tick(at(0), None), Timestamp::of_ms(TODAY_MS + 1));
        assert_eq!(clock.tick(at(1), None), Timestamp::of_ms(TODAY_MS + 1).next());
    }

    #[test]
    fn absurd_times_stay_within_what_is_plausible() {
        let mut clock = clock(u64::MAX);
        assert!(clock.tick(at(u64::MAX), None).is_plausible());
        assert!(Timestamp::of_ms(UNIX_MS_END - 1).is_plausible());
        assert!(!Timestamp::of_ms(UNIX_MS_END).is_plausible());
        assert!(!Timestamp::of_ms(u64::MAX).is_plausible());
        assert_eq!(limit_ms(TODAY_MS, std::iter::empty()), None);
        assert_eq!(limit_ms(TODAY_MS, [1].into_iter()), Some(1 + SKEW_MS_MAX));
        assert_eq!(limit_ms(u64::MAX, [u64::MAX].into_iter()), Some(WALL_MS_MAX + SKEW_MS_MAX));
    }
}

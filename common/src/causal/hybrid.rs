//! The hybrid logical clock (Kulkarni et al. 2014): close to wall clocks, and never back.

use serde::{Deserialize, Serialize};

/// A point in hybrid time: milliseconds since 1970, and a count of what happened within one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(u64);

/// The bits of a timestamp that count within a millisecond.
const LOGICAL_BITS: u32 = 16;

impl Timestamp {
    /// The first of a millisecond.
    pub fn of_ms(unix_ms: u64) -> Self {
        Self(unix_ms << LOGICAL_BITS)
    }

    /// As a number, in the same order.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether it is within bounds. A sound node sends nothing else.
    pub fn is_plausible(self) -> bool {
        self.unix_ms() < 1 << 47
    }

    /// The milliseconds since 1970.
    pub fn unix_ms(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

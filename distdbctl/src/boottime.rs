//! A clock that goes on while the machine sleeps, and is one for all processes: what a lease is
//! worth is counted by it.

use std::ops::{Add, Sub};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point in time, as the nanoseconds since the machine's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct BootTime(u64);

impl BootTime {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had it since 2.6.39");
        Self(nanoseconds(Duration::from(now)))
    }

    /// How long until then; nothing where it has passed.
    pub(crate) fn remaining(self) -> Duration {
        self - Self::now()
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl Sub for BootTime {
    type Output = Duration;

    /// Nothing where `before` is later.
    fn sub(self, before: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(before.0))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Becomes readable at a point in time; after a sleep of the machine beyond it, at once.
#[derive(Debug)]
pub(crate) struct Alarm(TimerFd);

impl Alarm {
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        TimerFd::new(timerfd::ClockId::CLOCK_BOOTTIME, flags).map(Self)
    }

    /// Sets it to that time and no other.
    pub(crate) fn set(&self, at: BootTime) -> Result<(), Errno> {
        // At zero it would never ring.
        let at = TimeSpec::from(Duration::from_nanos(at.0.max(1)));
        self.0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    #[test]
    fn what_has_passed_is_no_time_away() {
        let now = BootTime::now();
        assert_eq!(now.remaining(), Duration::ZERO);
        assert_eq!((now + Duration::from_secs(1)) - now, Duration::from_secs(1));
        assert_eq!(now - (now + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn an_alarm_of_the_past_rings_at_once() {
        let alarm = Alarm::new().unwrap();
        alarm.set(BootTime::now()).unwrap();
        let mut watched = [PollFd::new(alarm.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut watched, PollTimeout::from(10_000_u16)), Ok(1));
    }
}

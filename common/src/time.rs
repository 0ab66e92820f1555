//! Time as the core knows it: an argument, never a clock.

use std::collections::BTreeMap;
use std::ops::Add;
use std::time::Duration;

/// A point on a node's monotonic clock, counted from an origin of the driver's choice. Points of
/// two nodes can't be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl Time {
    /// How long ago `earlier` was; zero where it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Named timers: setting one replaces it, so there is at most one of each kind.
#[derive(Debug, Clone)]
pub struct Timers<T: Ord> {
    due: BTreeMap<T, Time>,
}

impl<T: Ord + Copy> Default for Timers<T> {
    fn default() -> Self {
        Self { due: BTreeMap::new() }
    }
}

impl<T: Ord + Copy> Timers<T> {
    /// Lets `timer` fire at `at`, and at no other time.
    pub fn set(&mut self, timer: T, at: Time) {
        self.due.insert(timer, at);
    }

    /// Lets `timer` fire at `at`, unless it fires already.
    pub fn set_first(&mut self, timer: T, at: Time) {
        self.due.entry(timer).or_insert(at);
    }

    /// Lets `timer` fire at `at`, unless it fires earlier.
    pub fn set_by(&mut self, timer: T, at: Time) {
        let due = self.due.entry(timer).or_insert(at);
        *due = at.min(*due);
    }

    /// `timer` will not fire.
    pub fn cancel(&mut self, timer: T) {
        self.due.remove(&timer);
    }

    /// When the next one fires.
    pub fn next(&self) -> Option<Time> {
        self.due.values().min().copied()
    }

    /// Takes one that is due, the earliest first.
    pub fn take_due(&mut self, now: Time) -> Option<T> {
        let (timer, at) = self.due.iter().min_by_key(|(_, at)| **at).map(|(t, at)| (*t, *at))?;
        (at <= now).then(|| {
            self.due.remove(&timer);
            timer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_fires_once_and_later() {
        let mut timers = Timers::default();
        let at = |seconds| Time(Duration::from_secs(seconds));
        timers.set('a', at(1));
        timers.set('a', at(3));
        timers.set('b', at(2));
        assert_eq!(timers.next(), Some(at(2)));
        assert_eq!(timers.take_due(at(1)), None);
        assert_eq!(timers.take_due(at(3)), Some('b'));
        assert_eq!(timers.take_due(at(3)), Some('a'));
        assert_eq!(timers.take_due(at(9)), None);
    }
}

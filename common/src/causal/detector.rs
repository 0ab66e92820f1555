//! The failure detector: how much a peer's silence tells against it (phi-accrual: Hayashibara,
//! Défago, Yared, Katayama 2004).
//!
//! A peer lets itself be heard once per interval. The detector keeps the last gaps between its
//! heartbeats, and takes them to be distributed normally. The level of suspicion is phi =
//! -log10(P), where P is the chance that a peer that lives is silent for so long: at level 8 it is
//! 10^-8, were gaps really distributed so.
//!
//! **Suspicion never changes data**, nor who is a member or which writes are acknowledged. It
//! steers who relays writes for whom and how soon a link tries again, and people see it. So a
//! detector may be wrong at any time, as each one is in an asynchronous system (Chandra, Toueg
//! 1996).
//!
//! # Rules
//!
//! - Who is silent beyond the mean gap, an acceptable pause and some deviations is suspected, when
//!   the node looks. That happens to a dead peer for certain (completeness), as gaps are bounded.
//! - Who is suspected is trusted again after some heartbeats in a row, over some time (hysteresis):
//!   neither one that comes late nor a burst is enough (L12).
//! - A silence that ended counts as no longer a gap than it takes to be suspected: one pause does
//!   not blunt the detector, yet a peer that is silent again and again is given more time.
//! - Of the time between two looks only so much counts as silence: a node that was stopped itself,
//!   or was too busy to look, suspects nobody for it (L13). Time is monotonic, so no step of a wall
//!   clock counts at all.
//!
//! # Departures
//!
//! The tail of the normal distribution is approximated (Bowling et al. 2009) by 1 / (1 + e^x), and
//! the 1 is dropped: at level 1 that makes 0.04 of a difference, at 8 none. So the level takes only
//! operations whose result IEEE 754 prescribes, and runs replay on every machine.
//!
//! # Not done
//!
//! A peer that pauses rarely, and then for far longer than its other gaps let expect, is suspected
//! each time, and trusted again. For none of it the acceptable pause would have to grow with each
//! mistake (Chandra, Toueg 1996, Figure 10), and the dead would be found later from then on.

use std::collections::VecDeque;
use std::f64::consts::LOG10_E;
use std::time::Duration;

use crate::time::Time;

/// The level at which a peer is suspected, as in the paper's experiments and in Cassandra.
const SUSPECT_LEVEL: f64 = 8.0;

/// How many deviations beyond what is acceptable make [`SUSPECT_LEVEL`].
const SUSPECT_DEVIATIONS: f64 = 5.226_103;

/// A heartbeat that comes below this level is in time.
const TRUST_LEVEL: f64 = 1.0;

/// Heartbeats in time, and intervals that they take at least, until a suspected peer is trusted.
const TRUST_BEATS: u32 = 5;

/// The highest level that is told: beyond it there is nothing to know.
const LEVEL_MAX: f64 = 99.9;

/// Gaps that are kept: at ten heartbeats a second, what was in the last ten seconds.
const GAPS_MAX: usize = 100;

/// The longest gap that is kept, in intervals. It bounds how long a peer that was heard rarely can
/// be dead unnoticed.
const GAP_INTERVALS_MAX: u32 = 30;

/// A pause that is acceptable whatever the gaps were, in intervals: a garbage collection, a slow
/// disk, a lost packet that TCP sends again.
const PAUSE_INTERVALS: u32 = 3;

/// Between two looks, so many intervals count as silence at most. A node looks once per interval.
const LOOK_INTERVALS_MAX: u32 = 2;

/// The intervals that can be told apart from none, and from never.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// A change of mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The peer has been silent for too long.
    Suspect,
    /// It is heard again as one that lives.
    Trust,
}

/// What one node makes of the heartbeats of one peer.
///
/// Invariants: `heard` and `looked` only grow; there is a gap at least.
#[derive(Debug, Clone)]
pub struct Detector {
    interval: Duration,
    gaps: Gaps,
    /// When the last heartbeat came, or later by what did not count as silence since then.
    heard: Time,
    looked: Time,
    /// Since when the peer is suspected.
    since: Option<Time>,
    /// Of a suspected peer: since its last silence.
    row: Row,
}

/// Heartbeats in time, one after the other.
#[derive(Debug, Clone, Copy)]
struct Row {
    beats: u32,
    from: Time,
}

impl Detector {
    /// Of a peer that is to be heard once per interval, from now on. Intervals are taken to be one
    /// millisecond to one hour.
    pub fn new(now: Time, interval: Duration) -> Self {
        let interval = interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        let mut gaps = Gaps::default();
        gaps.push(micros(interval));
        Self {
            interval,
            gaps,
            heard: now,
            looked: now,
            since: None,
            row: Row { beats: 0, from: now },
        }
    }

    /// A heartbeat has come.
    pub fn hear(&mut self, now: Time) -> Option<Transition> {
        let (level, silence) = (self.level(now), micros(self.silence(now)));
        let longest = micros(self.interval * GAP_INTERVALS_MAX);
        self.gaps.push(silence.min(self.patience()).min(longest));
        self.heard = self.heard.max(now);
        self.since?;
        if level >= SUSPECT_LEVEL {
            self.row = Row { beats: 0, from: now };
        } else if level < TRUST_LEVEL {
            self.row.beats += 1;
        }
        let Row { beats, from } = self.row;
        let is_steady = beats >= TRUST_BEATS && now.since(from) >= self.interval * TRUST_BEATS;
        is_steady.then(|| {
            self.since = None;
            Transition::Trust
        })
    }

    /// Looks whether the peer has been silent for too long. To be called once per interval: what
    /// passes between two calls counts up to twice that.
    pub fn look(&mut self, now: Time) -> Option<Transition> {
        let skipped = now.since(self.heard).saturating_sub(self.silence(now));
        self.heard = self.heard + skipped;
        self.looked = self.looked.max(now);
        let is_news = self.since.is_none() && self.level(now) >= SUSPECT_LEVEL;
        is_news.then(|| {
            self.since = Some(now);
            self.row = Row { beats: 0, from: now };
            Transition::Suspect
        })
    }

    /// Phi: 0 to 99.9. It only grows until the next heartbeat.
    pub fn level(&self, now: Time) -> f64 {
        let silence = micros(self.silence(now)) as f64;
        let deviations = ((silence - self.acceptable()) / self.deviation()).max(0.0);
        let exponent = deviations * (1.5976 + 0.07056 * deviations * deviations);
        (exponent * LOG10_E).min(LEVEL_MAX)
    }

    /// Whether the peer is suspected.
    pub fn is_suspected(&self) -> bool {
        self.since.is_some()
    }

    /// Since when it is suspected.
    pub fn since(&self) -> Option<Time> {
        self.since
    }

    /// For how long nothing was heard, as far as this node was there to hear it.
    fn silence(&self, now: Time) -> Duration {
        let seen = self.looked.since(self.heard);
        let unseen = now.since(self.heard.max(self.looked));
        seen.saturating_add(unseen.min(self.interval * LOOK_INTERVALS_MAX))
    }

    /// The silence that says nothing against the peer, in microseconds.
    fn acceptable(&self) -> f64 {
        self.gaps.mean() + micros(self.interval * PAUSE_INTERVALS) as f64
    }

    /// The standard deviation of the gaps, in microseconds. Regular heartbeats have next to none,
    /// and would make the least delay a suspicion: it is half an interval at least.
    fn deviation(&self) -> f64 {
        self.gaps.variance().sqrt().max(micros(self.interval) as f64 / 2.0)
    }

    /// The silence from which on the peer is suspected, in microseconds.
    fn patience(&self) -> u64 {
        let patience = self.acceptable() + SUSPECT_DEVIATIONS * self.deviation();
        #[expect(clippy::cast_possible_truncation, reason = "gaps are bounded")]
        let patience = patience as u64;
        patience
    }
}

/// The last gaps between heartbeats, in microseconds. The sums are integers: nothing is lost by
/// rounding, however often gaps come and go.
///
/// Invariants: `sum` and `squares` are those of `gaps`.
#[derive(Debug, Clone, Default)]
struct Gaps {
    gaps: VecDeque<u64>,
    sum: u64,
    squares: u128,
}

impl Gaps {
    fn push(&mut self, gap: u64) {
        self.gaps.push_back(gap);
        self.sum += gap;
        self.squares += square(gap);
        if self.gaps.len() > GAPS_MAX
            && let Some(oldest) = self.gaps.pop_front()
        {
            self.sum -= oldest;
            self.squares -= square(oldest);
        }
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.gaps.len() as f64
    }

    fn variance(&self) -> f64 {
        let count = self.gaps.len() as u64;
        // Cauchy and Schwarz see to it that this is not below zero.
        let scaled = u128::from(count) * self.squares - square(self.sum);
        scaled as f64 / square(count) as f64
    }
}

fn square(n: u64) -> u128 {
    u128::from(n) * u128::from(n)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

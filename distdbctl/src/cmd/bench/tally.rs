//! What the answers of a benchmark come to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::de::IgnoredAny;

use crate::client;
use crate::problem::Problem;

/// Where in an answer `"ok":true` must be found.
const OK_BYTES_MAX: usize = 64;

/// An hour: a longer latency counts as that.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// What came of a run.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) successes: u64,
    /// How many requests failed, by the reason's code.
    pub(super) failures: BTreeMap<String, u64>,
    /// Writes among them that may have been applied.
    pub(super) unknown: u64,
    pub(super) first_failure: Option<Problem>,
    /// Of the successes, in nanoseconds.
    pub(super) latencies: Histogram<u64>,
    /// The longest time without a success: how long a failover took, if there was one.
    pub(super) longest_gap: Duration,
    pub(super) elapsed: Duration,
    started: Instant,
    last_success: Instant,
}

impl Tally {
    pub(super) fn new(started: Instant) -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Self {
            successes: 0,
            failures: BTreeMap::new(),
            unknown: 0,
            first_failure: None,
            latencies: latencies.expect("the bounds are in order"),
            longest_gap: Duration::ZERO,
            elapsed: Duration::ZERO,
            started,
            last_success: started,
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Counts an answer; whether it is a success. That is seen without parsing it: the requests
    /// have no `id`, so `ok` comes first.
    pub(super) fn count(&mut self, answer: &[u8], latency: Duration, now: Instant) -> bool {
        let beginning = &answer[..answer.len().min(OK_BYTES_MAX)];
        if memchr::memmem::find(beginning, b"\"ok\":true").is_none() {
            let problem = match client::result::<IgnoredAny>(answer) {
                Ok(_) => client::contradictory(),
                Err(problem) => problem,
            };
            self.fail(problem);
            return false;
        }
        self.successes += 1;
        self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        self.end_gap(now);
        true
    }

    /// Counts a request that failed, or had no answer.
    pub(super) fn fail(&mut self, problem: Problem) {
        self.unknown += u64::from(problem.may_be_applied());
        *self.failures.entry(problem.code.to_string()).or_default() += 1;
        self.first_failure.get_or_insert(problem);
    }

    /// The run is over. What was not answered since the last success is a gap, too.
    pub(super) fn finish(mut self, now: Instant) -> Self {
        self.end_gap(now);
        self.elapsed = now.duration_since(self.started);
        self
    }

    fn end_gap(&mut self, now: Instant) {
        self.longest_gap = self.longest_gap.max(now.duration_since(self.last_success));
        self.last_success = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_their_code_and_fill_no_gap() {
        let started = Instant::now();
        let at = |ms| started + Duration::from_millis(ms);
        let success = br#"{"ok":true,"header":{"node":"n"},"result":{}}"#;
        let failure = |code: &str, applied: &str| {
            format!(
                r#"{{"ok":false,"header":{{"node":"n"}},"error":{{"code":"{code}","applied":"{applied}","message":"m"}}}}"#
            )
        };
        let mut tally = Tally::new(started);
        assert!(tally.count(success, Duration::from_millis(1), at(10)));
        assert!(!tally.count(failure("leader_lost", "unknown").as_bytes(), Duration::ZERO, at(20)));
        assert!(!tally.count(failure("no_leader", "no").as_bytes(), Duration::ZERO, at(30)));
        assert!(!tally.count(failure("no_leader", "no").as_bytes(), Duration::ZERO, at(40)));
        assert!(tally.count(success, Duration::from_millis(1), at(310)));
        let tally = tally.finish(at(400));
        assert_eq!((tally.successes, tally.failed(), tally.unknown), (2, 3, 1));
        assert_eq!(tally.failures["no_leader"], 2);
        assert_eq!(tally.longest_gap, Duration::from_millis(300));
        assert_eq!(tally.elapsed, Duration::from_millis(400));
    }
}

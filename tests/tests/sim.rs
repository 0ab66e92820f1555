//! A sample of simulations; `make sim SEEDS=1000` runs more.

#![expect(clippy::print_stderr, reason = "a failing seed is told where tests are told")]

use tests::sim::recorder::Recording;
use tests::sim::{self, report};

/// About ten seconds in a debug build.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=200;

/// Tells the seed of a core that panics: an assertion of its own is a finding as well.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}; {}", self.0, report::replay(self.0));
        }
    }
}

/// S1–S9, Q3: whatever the faults, every commit of every node keeps what `tests::check` lists, and
/// a healed cluster becomes whole and equal.
#[test]
fn a_sample_of_seeds_keeps_all_properties() {
    for seed in SEEDS {
        let running = Running(seed);
        if let Err(told) = report::examine(seed) {
            panic!("{told}");
        }
        drop(running);
    }
}

/// Q4: the seed decides all, to the byte.
#[test]
fn a_seed_is_a_run() {
    let runs = [7, 7, 8].map(|seed| sim::run(seed, Recording::Everything));
    assert_eq!(runs[0].hash, runs[1].hash);
    assert_eq!(runs[0].lines, runs[1].lines);
    assert_ne!(runs[0].hash, runs[2].hash);
}

/// A simulator that brings no faults would find nothing: over the sample, every kind happens.
#[test]
fn every_kind_of_fault_happens() {
    let mut all = sim::statistics::Statistics::default();
    for seed in SEEDS {
        let _running = Running(seed);
        all += sim::run(seed, Recording::Nothing).statistics;
    }
    let sim::statistics::Statistics {
        events,
        operations,
        lossless,
        lost,
        duplicated,
        reordered,
        blocked,
        partitions,
        breaks,
        crashes,
        wipes,
        disk_failures,
        pauses,
    } = all;
    let counts = [
        events,
        operations,
        lossless,
        lost,
        duplicated,
        reordered,
        blocked,
        partitions,
        breaks,
        crashes,
        wipes,
        disk_failures,
        pauses,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{all:?}");
}

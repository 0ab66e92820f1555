//! A sample of simulations; `make sim SEEDS=1000` runs more.

#![expect(clippy::print_stderr, reason = "a failing seed is told where tests are told")]

use tests::sim::lab::Lab;
use tests::sim::recorder::Recording;
use tests::sim::statistics::Statistics;
use tests::sim::{self, report};

/// About ten seconds in a debug build, of each lab.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=200;

/// Tells the seed of a core that panics: an assertion of its own is a finding as well.
struct Running(Lab, u64);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}, seed {}; {}", self.0, self.1, report::replay(self.0, self.1));
        }
    }
}

fn try_all(lab: Lab) {
    for seed in SEEDS {
        let running = Running(lab, seed);
        if let Err(told) = report::examine(lab, seed) {
            panic!("{told}");
        }
        drop(running);
    }
}

/// S1–S9, Q3: whatever the faults, every commit of every node keeps what `tests::check` lists, and
/// a healed cluster becomes whole and equal.
#[test]
fn a_sample_of_seeds_keeps_all_properties_of_broadcast() {
    try_all(Lab::Broadcast);
}

/// L1–L6, L8, L9, L11, L12, L15, L16, L18: the same of `tests::check::causal`.
#[test]
fn a_sample_of_seeds_keeps_all_properties_of_causal_mode() {
    try_all(Lab::Causal);
}

/// R1–R27, M1–M9, X1, D1–D4: the same of `tests::check::raft`.
#[test]
fn a_sample_of_seeds_keeps_all_properties_of_raft() {
    try_all(Lab::Raft);
}

/// Q4: the seed decides all, to the byte.
#[test]
fn a_seed_is_a_run() {
    for lab in Lab::ALL {
        let runs = [7, 7, 8].map(|seed| sim::run(lab, seed, Recording::Everything));
        assert_eq!(runs[0].hash, runs[1].hash);
        assert_eq!(runs[0].lines, runs[1].lines);
        assert_ne!(runs[0].hash, runs[2].hash);
    }
}

fn counts(lab: Lab) -> Statistics {
    let mut all = Statistics::default();
    for seed in SEEDS {
        let _running = Running(lab, seed);
        all += sim::run(lab, seed, Recording::Nothing).statistics;
    }
    all
}

/// A simulator that brings no faults would find nothing: over the sample, every kind happens.
#[test]
fn every_kind_of_fault_happens() {
    for lab in Lab::ALL {
        let all = counts(lab);
        let counts = [
            all.events,
            all.operations,
            all.lossless,
            all.lost,
            all.duplicated,
            all.reordered,
            all.blocked,
            all.partitions,
            all.breaks,
            all.crashes,
            all.wipes,
            all.disk_failures,
            all.pauses,
        ];
        assert!(counts.iter().all(|count| *count > 0), "{lab}: {all:?}");
        let of_raft = [all.snapshots_sent, all.retired, all.full_disks, all.retirements];
        let are_there = of_raft.iter().all(|count| *count > 0);
        assert_eq!(are_there, lab != Lab::Broadcast, "{lab}: {all:?}");
        let of_causal = [
            all.writes,
            all.held,
            all.relayed,
            all.overflows,
            all.transfers,
            all.abandoned,
            all.suspicions,
            all.parked,
            all.siblings,
        ];
        let are_there = of_causal.iter().all(|count| *count > 0);
        assert_eq!(are_there, lab == Lab::Causal, "{lab}: {all:?}");
    }
}

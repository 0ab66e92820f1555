//! Runs the simulator: `sim --seed N` tells one run, `sim --seeds COUNT` tries many; of the labs
//! that `--lab broadcast|causal|raft|all` names.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tests::sim::lab::Lab;
use tests::sim::recorder::Recording;
use tests::sim::statistics::Statistics;
use tests::sim::{self, report};

/// How many seeds are tried where nothing is said.
const SEEDS: u64 = 200;

/// The seed that runs, for a core that panics: an assertion of its own is a finding as well.
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// What the command line says.
struct Arguments {
    labs: Vec<Lab>,
    seed: Option<u64>,
    seeds: Option<u64>,
}

fn main() -> ExitCode {
    let Some(Arguments { labs, seed, seeds }) = arguments() else {
        eprintln!("usage: sim [--lab broadcast|causal|raft|all] [--seed N] [--seeds COUNT]");
        return ExitCode::from(2);
    };
    tell_seed_on_panic();
    let run = |lab: &Lab| match (seed, seeds) {
        (Some(seed), None) => show(*lab, seed),
        (seed, seeds) => try_many(*lab, seed.unwrap_or(1), seeds.unwrap_or(SEEDS)),
    };
    let is_well = labs.iter().all(run);
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// None if the command line says anything else.
fn arguments() -> Option<Arguments> {
    let (mut labs, mut seed, mut seeds) = (Lab::ALL.to_vec(), None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--lab" if value == "all" => labs = Lab::ALL.to_vec(),
            "--lab" => labs = vec![value.parse().ok()?],
            "--seed" => seed = Some(value.parse().ok()?),
            "--seeds" => seeds = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(Arguments { labs, seed, seeds })
}

fn tell_seed_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        let seed = RUNNING.load(Ordering::Relaxed);
        eprintln!("seed {seed} panicked; see it again with --seed {seed}");
    }));
}

/// One run, told. Whether all was well.
fn show(lab: Lab, seed: u64) -> bool {
    RUNNING.store(seed, Ordering::Relaxed);
    let outcome = sim::run(lab, seed, Recording::Everything);
    println!("{}", report::tell(lab, seed, &outcome, usize::MAX));
    outcome.violation.is_none()
}

/// Many runs, up to the first that fails.
fn try_many(lab: Lab, first: u64, seeds: u64) -> bool {
    println!("{lab}, seeds {first} to {}", first.saturating_add(seeds) - 1);
    let begun = Instant::now();
    let mut statistics = Statistics::default();
    for seed in first..first.saturating_add(seeds) {
        RUNNING.store(seed, Ordering::Relaxed);
        match report::examine(lab, seed) {
            Ok(one) => statistics += one,
            Err(told) => {
                println!("{told}");
                return false;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds, {statistics}, {seconds:.1} s");
    true
}

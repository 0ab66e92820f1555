//! Runs the simulator: `sim --seed N` tells one run, `sim --seeds COUNT` tries many.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tests::sim::recorder::Recording;
use tests::sim::statistics::Statistics;
use tests::sim::{self, report};

/// How many seeds are tried where nothing is said.
const SEEDS: u64 = 200;

/// The seed that runs, for a core that panics: an assertion of its own is a finding as well.
static RUNNING: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let Some((seed, seeds)) = arguments() else {
        eprintln!("usage: sim [--seed N] [--seeds COUNT]");
        return ExitCode::from(2);
    };
    tell_seed_on_panic();
    match (seed, seeds) {
        (Some(seed), None) => show(seed),
        (seed, seeds) => try_many(seed.unwrap_or(1), seeds.unwrap_or(SEEDS)),
    }
}

/// The values of `--seed` and `--seeds`; none if the command line says anything else.
fn arguments() -> Option<(Option<u64>, Option<u64>)> {
    let (mut seed, mut seeds) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--seed" => seed = Some(value),
            "--seeds" => seeds = Some(value),
            _ => return None,
        }
    }
    Some((seed, seeds))
}

fn tell_seed_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        let seed = RUNNING.load(Ordering::Relaxed);
        eprintln!("seed {seed} panicked; {}", report::replay(seed));
    }));
}

/// One run, told.
fn show(seed: u64) -> ExitCode {
    println!("seed {seed}");
    RUNNING.store(seed, Ordering::Relaxed);
    let outcome = sim::run(seed, Recording::Everything);
    println!("{}", report::tell(seed, &outcome, usize::MAX));
    ExitCode::from(u8::from(outcome.violation.is_some()))
}

/// Many runs, up to the first that fails.
fn try_many(first: u64, seeds: u64) -> ExitCode {
    println!("seeds {first} to {}", first.saturating_add(seeds) - 1);
    let begun = Instant::now();
    let mut statistics = Statistics::default();
    for seed in first..first.saturating_add(seeds) {
        RUNNING.store(seed, Ordering::Relaxed);
        match report::examine(seed) {
            Ok(one) => statistics += one,
            Err(told) => {
                println!("{told}");
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds, {statistics}, {seconds:.1} s");
    ExitCode::SUCCESS
}

//! Runs a seed as tests want it: determinism checked, and a violation told so that one can go and
//! look.

use std::fmt::Write as _;

use super::lab::Lab;
use super::recorder::Recording;
use super::statistics::Statistics;
use super::{Outcome, run};

/// Every so many seeds one is run twice, to see that nothing but the seed decides (pitfall Q4).
const TWICE_EVERY: u64 = 20;

/// How many lines before a violation are told: enough to see it come.
const LINES_TOLD: usize = 60;

/// Runs a seed.
///
/// # Errors
///
/// What was violated, what happened before, and how to see it again.
pub fn examine(lab: Lab, seed: u64) -> Result<Statistics, String> {
    if !seed.is_multiple_of(TWICE_EVERY) {
        let outcome = run(lab, seed, Recording::Nothing);
        if outcome.violation.is_none() {
            return Ok(outcome.statistics);
        }
    }
    let first = run(lab, seed, Recording::Everything);
    let second = run(lab, seed, Recording::Everything);
    if first.hash != second.hash {
        let (one, other) = (first.lines.join("\n"), second.lines.join("\n"));
        let runs = format!("one run ended\n{one}\nand the other\n{other}");
        return Err(format!("{lab}, seed {seed}: two runs differ; {runs}\n{}", replay(lab, seed)));
    }
    if first.violation.is_some() {
        return Err(tell(lab, seed, &first, LINES_TOLD));
    }
    Ok(first.statistics)
}

/// What a run was, in words: its profile, the last `lines` of what happened, its verdict.
pub fn tell(lab: Lab, seed: u64, outcome: &Outcome, lines: usize) -> String {
    let mut text = format!("{lab}, seed {seed}\n{:#?}\n", outcome.profile);
    for line in &outcome.lines[outcome.lines.len().saturating_sub(lines)..] {
        writeln!(text, "{line}").expect("a string takes all");
    }
    match &outcome.violation {
        Some(violation) => writeln!(text, "VIOLATED {violation}\n{}", replay(lab, seed)),
        None => writeln!(text, "{}", outcome.statistics),
    }
    .expect("a string takes all");
    text
}

/// How to see a seed again.
pub fn replay(lab: Lab, seed: u64) -> String {
    format!("replay it with: make sim LAB={lab} SEED={seed}")
}

//! What a check prints.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cmd::check::diagram::{self, Shown};
use crate::cmd::check::faults::Made;
use crate::cmd::check::run::Run;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// What a check has found.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) counts: Counts,
    pub(super) made: Made,
    pub(super) ran: Duration,
    pub(super) judged: Duration,
    pub(super) verdict: Verdict,
}

/// How many operations came to what.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Counts {
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }

    fn all(self) -> u64 {
        self.answered + self.refused + self.unknown
    }
}

/// Fewer answers say nothing of a cluster.
const ANSWERS_MIN: u64 = 20;

/// What is to be said of the cluster.
#[derive(Debug)]
pub(super) enum Verdict {
    Pass,
    Violation(Violation),
    /// Nobody can say, and why.
    Inconclusive(String),
}

impl Verdict {
    /// Without answers nothing was seen, so that nothing wrong was seen is worth nothing.
    pub(super) fn given(self, counts: Counts) -> Self {
        match self {
            Self::Pass if counts.answered < ANSWERS_MIN => {
                Self::Inconclusive(format!("only {} operations were answered", counts.answered))
            }
            verdict @ (Self::Pass | Self::Violation(_) | Self::Inconclusive(_)) => verdict,
        }
    }
}

/// What is not as it should be.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Violation {
    /// Which promise is broken.
    pub(super) property: &'static str,
    /// How, in some lines.
    pub(super) what: String,
    /// Those that show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) operations: Vec<Shown>,
}

/// All of it, as JSON has it.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    check: &'static str,
    verdict: &'static str,
    nodes: Vec<&'a str>,
    mode: &'static str,
    prefix: &'a str,
    keys: usize,
    clients: usize,
    operations: Counts,
    faults: &'a BTreeMap<&'static str, u64>,
    run_ms: u64,
    judged_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    violation: Option<&'a Violation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(check: &'static str, run: &'a Run, findings: &'a Findings) -> Self {
        let (verdict, violation, reason) = match &findings.verdict {
            Verdict::Pass => ("pass", None, None),
            Verdict::Violation(violation) => ("violation", Some(violation), None),
            Verdict::Inconclusive(reason) => ("inconclusive", None, Some(reason.as_str())),
        };
        Self {
            check,
            verdict,
            nodes: run.nodes.iter().map(|node| node.name.as_str()).collect(),
            mode: run.rule.mode().as_str(),
            prefix: &run.prefix,
            keys: run.keys.len(),
            clients: run.clients,
            operations: findings.counts,
            faults: &findings.made.counts,
            run_ms: milliseconds(findings.ran),
            judged_ms: milliseconds(findings.judged),
            violation,
            reason,
        }
    }

    /// Prints it; the exit code tells the same.
    pub(super) fn print(&self, output: &mut Output) -> Result<Exit, Problem> {
        if output.is_json() {
            output.json(self)?;
        } else {
            output.bytes(self.told().as_bytes())?;
        }
        Ok(match (self.violation, self.reason) {
            (Some(_), _) => Exit::FOUND_SOMETHING,
            (None, Some(_)) => Exit::UNAVAILABLE,
            (None, None) => Exit::DONE,
        })
    }

    fn told(&self) -> String {
        let Self { check, keys, clients, operations, .. } = self;
        let mut told = format!("{} {check}", self.verdict.to_uppercase());
        if let Some(reason) = self.reason {
            told += &format!(": {reason}");
        }
        told += &format!(
            "\n{} operations: {} answered, {} refused, {} of unknown outcome\n\
             {clients} clients, {keys} keys in {} mode, over {}\n",
            operations.all(),
            operations.answered,
            operations.refused,
            operations.unknown,
            self.mode,
            self.nodes.join(", "),
        );
        if !self.faults.is_empty() {
            let faults = self.faults.iter().map(|(kind, count)| format!("{count} {kind}"));
            told += &format!("faults: {}\n", faults.collect::<Vec<_>>().join(", "));
        }
        told +=
            &format!("ran for {}, judged in {}\n", seconds(self.run_ms), seconds(self.judged_ms));
        if let Some(Violation { property, what, operations }) = self.violation {
            told += &format!("\n{property}: {}\n", what.trim_end());
            if !operations.is_empty() {
                told += &format!("\n{}", diagram::draw(operations));
            }
        }
        told
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

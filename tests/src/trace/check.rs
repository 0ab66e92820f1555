//! Runs TLC on behaviours, and finds the step that it does not allow.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Behaviour, tla};
use crate::sim::lab::Lab;

/// What TLC says of some behaviours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Each of them is allowed.
    Accepted {
        /// How many distinct states TLC has found.
        states: u64,
    },
    /// One is not.
    Rejected(Box<Rejection>),
}

/// Where a behaviour ends to be one of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which behaviour, counted from 0.
    pub behaviour: usize,
    /// Which of its steps, counted from 0.
    pub step: usize,
    /// What is wrong: no such step, or the invariant that it breaks.
    pub why: String,
    /// What TLC had for its state: before a step that is not allowed, after one that breaks.
    pub state: String,
}

/// The module that checks traces of a lab.
fn module_of(lab: Lab) -> &'static str {
    match lab {
        Lab::Broadcast => "TraceDistributedDb",
        Lab::Causal => "TraceCausal",
        Lab::Raft => "TraceRaft",
    }
}

/// Lets TLC judge the behaviours, all in one run, in a folder of its own below `folder`.
///
/// # Errors
///
/// TLC can't be run, or says something that is no verdict.
pub fn check(lab: Lab, behaviours: &[Behaviour], folder: &Path) -> io::Result<Verdict> {
    run(lab, behaviours, folder, "", &[])
}

/// The same of behaviours none of which is one of the specification: each must end before its last
/// step, or break an invariant. The verdict is that on their wrongness: a rejection names one that
/// TLC has followed to its end.
///
/// # Errors
///
/// As above.
pub fn check_corrupted(lab: Lab, behaviours: &[Behaviour], folder: &Path) -> io::Result<Verdict> {
    // One that ends early is no error here, so that one run tells of all.
    run(lab, behaviours, folder, "Corrupted", &["-deadlock"])
}

fn run(
    lab: Lab,
    behaviours: &[Behaviour],
    folder: &Path,
    kind: &str,
    options: &[&str],
) -> io::Result<Verdict> {
    let folder = folder.join(lab.to_string());
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir("spec")? {
        let file = entry?.path();
        let is_needed = file.extension().is_some_and(|kind| kind == "tla" || kind == "cfg");
        if let (true, Some(name)) = (is_needed, file.file_name()) {
            fs::copy(&file, folder.join(name))?;
        }
    }
    let data = tla::module(behaviours).map_err(io::Error::other)?;
    fs::write(folder.join("TraceData.tla"), data)?;
    let module = module_of(lab);
    let folder: PathBuf = fs::canonicalize(folder)?;
    let (spec, config) = (format!("{module}.tla"), format!("{module}{kind}.cfg"));
    let output = Command::new("spec/tlc.sh")
        .args(["-C".as_ref(), folder.as_os_str()])
        .args([&spec, "-config", &config])
        .args(options)
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    fs::write(folder.join("tlc.log"), &told)?;
    match output.status.code() {
        Some(0) => Ok(Verdict::Accepted { states: states_in(&told) }),
        Some(11 | 12) => Ok(Verdict::Rejected(Box::new(rejection_in(&told)?))),
        code => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let log = folder.join("tlc.log");
            Err(io::Error::other(format!(
                "TLC ended with {code:?}; see {}\n{errors}",
                log.display()
            )))
        }
    }
}

fn states_in(told: &str) -> u64 {
    let line = told.lines().rfind(|line| line.contains("distinct states found"));
    let count = line.and_then(|line| line.split(", ").nth(1)?.split(' ').next()?.parse().ok());
    count.unwrap_or(0)
}

/// The last state that TLC tells has the behaviour's number as `tr` and the next line's as `l`.
fn rejection_in(told: &str) -> io::Result<Rejection> {
    let broken = told.lines().find_map(|line| {
        line.strip_prefix("Error: Invariant ")?.strip_suffix(" is violated.").map(str::to_owned)
    });
    let at = told.rfind("\nState ").ok_or_else(|| io::Error::other("TLC tells no state"))?;
    let state = told[at + 1..].split("\n\n").next().unwrap_or_default().to_owned();
    let number = |name: &str| -> io::Result<usize> {
        let prefix = format!("/\\ {name} = ");
        let value = state.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("TLC's state has no {name}:\n{state}")))
    };
    // An invariant is broken after the step, and `l` is the next.
    let next = number("l")?;
    let (step, why) = match broken {
        Some(invariant) => (next.saturating_sub(2), format!("it breaks {invariant}")),
        None => (next - 1, "the specification has no such step".to_owned()),
    };
    Ok(Rejection { behaviour: number("tr")? - 1, step, why, state })
}

/// How often each kind of step is there.
pub fn coverage(behaviours: &[Behaviour]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for step in behaviours.iter().flat_map(|behaviour| &behaviour.steps) {
        let name = step.get("ev").and_then(Value::as_str).unwrap_or("?");
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

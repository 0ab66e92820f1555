//! Holds traces against the specifications, with TLC:
//!
//! ```text
//! traces --lab raft --seeds 100             of simulated clusters, seeds 1 to 100
//! traces --lab raft --seed 7                of one, whose steps are left in target/traces
//! traces --lab raft FOLDER...               of real ones: a folder for each, with a file a node
//! traces --lab raft --real FOLDER           of all in FOLDER/raft
//! traces --lab raft --seed 7 --corrupted    with one line wrong, in all ways: none must be allowed
//! traces --lab raft --recorded FOLDER       of files raft-*.ndjson: just raft-good.ndjson is allowed
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use tests::sim;
use tests::sim::lab::Lab;
use tests::sim::recorder::Recording;
use tests::trace::check::{self, Rejection, Verdict};
use tests::trace::{self, Behaviour, Corrupted, Line};

/// Where it leaves what it has made.
const FOLDER: &str = "target/traces";

#[derive(Default)]
struct Arguments {
    labs: Vec<Lab>,
    seeds: Vec<u64>,
    folders: Vec<PathBuf>,
    /// Has a folder for each lab, and that one for each cluster.
    real: Option<PathBuf>,
    /// One line of each is made wrong.
    is_corrupted: bool,
    /// Has a file for each trace.
    recorded: Option<PathBuf>,
}

/// A trace, and where it is from.
struct Trace {
    source: String,
    lines: Vec<Line>,
    behaviour: Behaviour,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: traces [--lab broadcast|causal|raft|all] [--seed N | --seeds COUNT] [--real FOLDER] [--corrupted] [--recorded FOLDER] [FOLDER...]"
        );
        return ExitCode::from(2);
    };
    let mut is_well = true;
    for lab in &arguments.labs {
        match judge(*lab, &arguments) {
            Ok(accepted) => is_well &= accepted,
            Err(error) => {
                eprintln!("traces: {lab}: {error}");
                return ExitCode::from(70);
            }
        }
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(7) }
}

/// None if the command line says anything else.
fn arguments() -> Option<Arguments> {
    let mut found = Arguments { labs: Lab::ALL.to_vec(), ..Arguments::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--lab" => match arguments.next()?.as_str() {
                "all" => found.labs = Lab::ALL.to_vec(),
                lab => found.labs = vec![lab.parse().ok()?],
            },
            "--seed" => found.seeds = vec![arguments.next()?.parse().ok()?],
            "--seeds" => found.seeds = (1..=arguments.next()?.parse().ok()?).collect(),
            "--corrupted" => found.is_corrupted = true,
            "--real" => found.real = Some(arguments.next()?.into()),
            "--recorded" => found.recorded = Some(arguments.next()?.into()),
            folder if !folder.starts_with('-') => found.folders.push(folder.into()),
            _ => return None,
        }
    }
    let some = [!found.seeds.is_empty(), !found.folders.is_empty(), found.real.is_some()];
    (some.contains(&true) || found.recorded.is_some()).then_some(found)
}

/// Whether the specification of the lab allows all traces.
fn judge(lab: Lab, arguments: &Arguments) -> io::Result<bool> {
    if let Some(folder) = &arguments.recorded {
        return judge_recorded(lab, folder);
    }
    let begun = Instant::now();
    let mut traces = Vec::new();
    let mut is_well = true;
    for seed in &arguments.seeds {
        let outcome = sim::run(lab, *seed, Recording::Trace);
        // Its trace up to there may show as well what is wrong.
        if let Some(violation) = &outcome.violation {
            println!("{lab:<10} seed {seed} violates {violation}");
            is_well = false;
        }
        traces.push(of(lab, format!("seed {seed}"), trace::merge(outcome.trace))?);
    }
    for folder in folders(lab, arguments)? {
        traces.push(of(lab, folder.display().to_string(), trace::read(&folder)?)?);
    }
    is_well &= traces.iter().all(Option::is_some);
    let traces: Vec<Trace> = traces.into_iter().flatten().collect();
    if arguments.is_corrupted {
        return judge_corrupted(lab, &traces);
    }
    let behaviours: Vec<Behaviour> = traces.iter().map(|trace| trace.behaviour.clone()).collect();
    let steps: usize = behaviours.iter().map(|behaviour| behaviour.steps.len()).sum();
    let verdict = check::check(lab, &behaviours, Path::new(FOLDER))?;
    for (name, count) in check::coverage(&behaviours) {
        println!("{lab:<10} {name:<24} {count:>8}");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let of = format!("{} traces, {steps} steps", traces.len());
    match verdict {
        Verdict::Accepted { states } => {
            println!("{lab:<10} {of}: accepted, {states} states, {seconds:.1} s");
            Ok(is_well)
        }
        Verdict::Rejected(rejection) => {
            println!("{lab:<10} {of}: one is not allowed, {seconds:.1} s");
            tell(&traces[rejection.behaviour], &rejection)?;
            Ok(false)
        }
    }
}

/// Those of real clusters.
fn folders(lab: Lab, arguments: &Arguments) -> io::Result<Vec<PathBuf>> {
    let mut folders = arguments.folders.clone();
    if let Some(real) = &arguments.real {
        let mut clusters = Vec::new();
        for entry in fs::read_dir(real.join(lab.to_string()))? {
            clusters.push(entry?.path());
        }
        clusters.sort();
        folders.append(&mut clusters);
    }
    Ok(folders)
}

/// None where it makes no sense at all, which is told.
fn of(lab: Lab, source: String, lines: Vec<Line>) -> io::Result<Option<Trace>> {
    let behaviour = match trace::behaviour(lab, &lines) {
        Ok(behaviour) => behaviour,
        Err(what) => {
            println!("REJECTED at {source}: {what}");
            println!("the whole trace is in {}", keep(&lines)?.display());
            return Ok(None);
        }
    };
    if behaviour.steps.is_empty() {
        return Err(io::Error::other(format!("{source}: nothing has happened")));
    }
    Ok(Some(Trace { source, lines, behaviour }))
}

/// Whether the specification of the lab allows none of them once a line is wrong.
fn judge_corrupted(lab: Lab, traces: &[Trace]) -> io::Result<bool> {
    let corrupted = traces.iter().flat_map(|trace| trace::corruptions(lab, &trace.lines));
    let (mut whats, mut behaviours) = (Vec::new(), Vec::new());
    let mut counts = BTreeMap::<String, u64>::new();
    for corrupted in corrupted {
        *counts.entry(corrupted.what.clone()).or_default() += 1;
        // One that makes no sense at all is rejected, too.
        if let Ok(behaviour) = trace::behaviour(lab, &corrupted.lines) {
            whats.push(corrupted);
            behaviours.push(behaviour);
        }
    }
    for (what, count) in &counts {
        println!("{lab:<10} {what:<48} {count:>4}");
    }
    match check::check_corrupted(lab, &behaviours, Path::new(FOLDER))? {
        Verdict::Accepted { .. } => {
            let (kinds, all) = (counts.len(), counts.values().sum::<u64>());
            println!("{lab:<10} none of {all} traces with a wrong line, {kinds} kinds, is allowed");
            Ok(!counts.is_empty())
        }
        Verdict::Rejected(rejection) => {
            let Corrupted { what, at, .. } = &whats[rejection.behaviour];
            println!("{lab:<10} ALLOWED although line {} is wrong: {what}", at + 1);
            Ok(false)
        }
    }
}

/// Whether the good one of the recorded traces is allowed, and no other.
fn judge_recorded(lab: Lab, folder: &Path) -> io::Result<bool> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    let name = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files.retain(|file| name(file).starts_with(&format!("{lab}-")));
    files.sort();
    let mut is_well = true;
    for file in &files {
        let lines = trace::read(file)?;
        let is_allowed = match trace::behaviour(lab, &lines) {
            Ok(behaviour) => {
                let verdict = check::check(lab, &[behaviour], Path::new(FOLDER))?;
                matches!(verdict, Verdict::Accepted { .. })
            }
            Err(_) => false,
        };
        let is_good = name(file) == format!("{lab}-good");
        let verdict = if is_allowed { "allowed" } else { "not allowed" };
        println!("{lab:<10} {:<30} {verdict}", name(file));
        is_well &= is_allowed == is_good;
    }
    // One that is allowed, and one that is not.
    Ok(is_well && files.len() > 1)
}

/// What is wrong with which step, and the steps before it.
fn tell(trace: &Trace, rejection: &Rejection) -> io::Result<()> {
    let Rejection { step, why, state, .. } = rejection;
    let name = trace.behaviour.steps[*step]["ev"].as_str().unwrap_or_default();
    println!("REJECTED at {}, step {}, {name}: {why}", trace.source, step + 1);
    let steps = &trace.behaviour.steps;
    for (number, earlier) in steps.iter().enumerate().take(step + 1).skip(step.saturating_sub(10)) {
        println!("{:>6} {earlier}", number + 1);
    }
    println!("{state}");
    println!("the whole trace is in {}", keep(&trace.lines)?.display());
    Ok(())
}

/// Leaves the lines of a trace that is wrong.
fn keep(lines: &[Line]) -> io::Result<PathBuf> {
    let file = Path::new(FOLDER).join("rejected.ndjson");
    let mut text = String::new();
    for line in lines {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    fs::create_dir_all(FOLDER)?;
    fs::write(&file, text)?;
    Ok(file)
}

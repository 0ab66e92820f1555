//! Plants bugs, one at a time, and sees whether the check that is named for it catches it.
//!
//! Each file in `tests/mutants` is one bug:
//!
//! ```text
//! A line that says what is wrong.
//! file: common/src/raft/election.rs
//! caught by: sim 400 one leader a term
//! trace: raft 40
//! ---
//! what stands there
//! ===
//! what stands there in its place
//! ```
//!
//! `sim N PROPERTY` plays up to N seeds of the simulator's raft, and `causal N PROPERTY` of its
//! causal mode, `broadcast N PROPERTY` of its broadcast mode; one of them must show a violation of
//! the property. `test NAME` runs the unit tests of `common` whose names contain it, one of which
//! must fail. `trace LAB N` is what the line `trace:` says, of a bug that nothing else shows. `live
//! FLAGS` starts three real daemons, which `distdbctl check FLAGS` must refuse in one of a few runs.
//! Where a line begins with `trace:`, TLC must reject the trace of one of the first N seeds of that
//! lab as well, whatever the simulator says of it. The tree is copied to `target/mutants`, so
//! that nothing here is touched.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// A bug, and what must catch it.
struct Mutant {
    name: String,
    meaning: String,
    file: String,
    check: Check,
    trace: Option<(String, String)>,
    before: String,
    after: String,
}

enum Check {
    Simulation { lab: &'static str, seeds: String, property: String },
    Test(String),
    Trace { lab: String, seeds: String },
    Live(String),
}

fn main() -> ExitCode {
    let only: Vec<String> = std::env::args().skip(1).collect();
    match run(&only) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::from(70)
        }
    }
}

fn run(only: &[String]) -> io::Result<bool> {
    let tree = PathBuf::from("target/mutants/tree");
    copy_tree(&tree)?;
    let mut missed = 0;
    let mut count = 0;
    for mutant in mutants(Path::new("tests/mutants"))? {
        if !only.is_empty() && !only.contains(&mutant.name) {
            continue;
        }
        count += 1;
        let path = tree.join(&mutant.file);
        let sound = fs::read_to_string(&path)?;
        let bug = planted(&mutant, &sound)?;
        fs::write(&path, bug)?;
        let caught = mutant.check.catches(&tree);
        let rejected = mutant.trace.as_ref().map(|(lab, seeds)| rejects(&tree, lab, seeds));
        fs::write(&path, sound)?;
        let by = [Some(caught?), rejected.transpose()?];
        let by: Vec<Option<String>> = by.into_iter().flatten().collect();
        missed += usize::from(by.iter().any(Option::is_none));
        let told = by.into_iter().map(|by| by.unwrap_or_else(|| "NOT CAUGHT".to_owned()));
        let told = told.collect::<Vec<_>>().join("; ");
        println!("{:<28} {:<44} {told}", mutant.name, mutant.meaning);
    }
    println!("{} of {count} caught", count - missed);
    // A name that fits nothing must not pass.
    Ok(missed == 0 && count > 0)
}

/// What git tracks, and nothing that a build, or an earlier copy, has left.
fn copy_tree(to: &Path) -> io::Result<()> {
    let listed = Command::new("git").args(["ls-files"]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout);
    let kept: BTreeSet<PathBuf> = listed.lines().map(|file| to.join(file)).collect();
    remove_others(to, &kept)?;
    for file in listed.lines() {
        let target = to.join(file);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        // An unchanged file keeps its time, so that cargo builds only what differs.
        if fs::read(&target).ok() != Some(fs::read(file)?) {
            fs::copy(file, &target)?;
        }
    }
    Ok(())
}

/// Removes all files but those of the copy's sources.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn mutants(folder: &Path) -> io::Result<Vec<Mutant>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    files.iter().map(|file| parse(file)).collect()
}

fn parse(file: &Path) -> io::Result<Mutant> {
    let wrong = || io::Error::other(format!("{} is no mutant", file.display()));
    let text = fs::read_to_string(file)?;
    let (head, change) = text.split_once("\n---\n").ok_or_else(wrong)?;
    let (before, after) = change.split_once("\n===\n").ok_or_else(wrong)?;
    let mut lines = head.lines();
    let meaning = lines.next().ok_or_else(wrong)?.to_owned();
    let mut member = |name: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(name));
        line.map(|rest| rest.trim().to_owned()).ok_or_else(wrong)
    };
    let target = member("file:")?;
    let check = member("caught by:")?;
    let trace = match lines.next().map(|line| line.strip_prefix("trace:").ok_or_else(wrong)) {
        Some(rest) => {
            let (lab, seeds) = rest?.trim().split_once(' ').ok_or_else(wrong)?;
            Some((lab.to_owned(), seeds.to_owned()))
        }
        None => None,
    };
    let check = match check.split_once(' ') {
        Some(("test", name)) => Check::Test(name.to_owned()),
        Some(("trace", rest)) => {
            let (lab, seeds) = rest.split_once(' ').ok_or_else(wrong)?;
            Check::Trace { lab: lab.to_owned(), seeds: seeds.to_owned() }
        }
        Some(("live", flags)) => Check::Live(flags.to_owned()),
        Some((kind @ ("sim" | "causal" | "broadcast"), rest)) => {
            let (seeds, property) = rest.split_once(' ').ok_or_else(wrong)?;
            let lab = match kind {
                "causal" => "causal",
                "broadcast" => "broadcast",
                _ => "raft",
            };
            Check::Simulation { lab, seeds: seeds.to_owned(), property: property.to_owned() }
        }
        Some(_) | None => return Err(wrong()),
    };
    let name = file.file_stem().ok_or_else(wrong)?.to_string_lossy().into_owned();
    let (before, after) = (before.to_owned(), after.trim_end_matches('\n').to_owned());
    Ok(Mutant { name, meaning, file: target, check, trace, before, after })
}

fn planted(mutant: &Mutant, sound: &str) -> io::Result<String> {
    if sound.matches(&mutant.before).count() != 1 {
        let Mutant { name, file, .. } = mutant;
        return Err(io::Error::other(format!("{name}: {file} has changed; write the mutant anew")));
    }
    Ok(sound.replace(&mutant.before, &mutant.after))
}

impl Check {
    /// What caught the bug, if anything did. One that does not compile was not planted.
    fn catches(&self, tree: &Path) -> io::Result<Option<String>> {
        match self {
            Self::Simulation { lab, seeds, property } => {
                cargo(tree, &["build", "--release", "-p", "tests", "--bin", "sim"])?;
                let sim = ["--lab", lab, "--seeds", seeds];
                let output = Command::new(tree.join("../build/release/sim")).args(sim).output()?;
                let told = text(&output);
                let is_it = !output.status.success() && told.contains(property.as_str());
                let names_seed = |line: &&str| line.contains("SEED=") || line.contains("panicked");
                let seed = told.lines().rfind(names_seed).unwrap_or_default();
                let seed = seed.rsplit_once(' ').map_or(seed, |(_, seed)| seed);
                Ok(is_it.then(|| format!("{property}; {seed} of {seeds}")))
            }
            Self::Trace { lab, seeds } => rejects(tree, lab, seeds),
            Self::Test(name) => {
                cargo(tree, &["test", "--release", "-p", "common", "--lib", "--no-run"])?;
                let test = ["test", "--release", "-p", "common", "--lib", name.as_str()];
                let output = command(tree, &test).output()?;
                // A test that was renamed fails nothing.
                let failed = text(&output).contains("test result: FAILED. 0 passed; 1 failed");
                Ok(failed.then(|| format!("test {name}")))
            }
            Self::Live(flags) => {
                let build = ["build", "--release", "-p", "distdbd", "-p", "distdbctl"];
                cargo(tree, &build)?;
                let cluster = Cluster::start(tree)?;
                for run in 1..=LIVE_RUNS_MAX {
                    let check = cluster.check(flags)?;
                    match check.status.code() {
                        Some(VIOLATION) => {
                            return Ok(Some(format!(
                                "check {flags}; run {run} of {LIVE_RUNS_MAX}"
                            )));
                        }
                        Some(0) => {}
                        Some(_) | None => return Err(io::Error::other(text(&check))),
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Where TLC finds that the mutant is not what is specified, if it does.
fn rejects(tree: &Path, lab: &str, seeds: &str) -> io::Result<Option<String>> {
    cargo(tree, &["build", "--release", "-p", "tests", "--bin", "traces"])?;
    let mut traces = Command::new(fs::canonicalize(tree.join("../build/release/traces"))?);
    traces.args(["--lab", lab, "--seeds", seeds]).current_dir(tree);
    // The tree has no TLC of its own.
    if let Ok(jar) = fs::canonicalize("target/tla/tla2tools.jar") {
        traces.env("TLA2TOOLS_JAR", jar);
    }
    let output = traces.output()?;
    let told = text(&output);
    if output.status.code() == Some(70) {
        return Err(io::Error::other(told));
    }
    let place = told.lines().find_map(|line| line.strip_prefix("REJECTED at "));
    Ok(place.map(|place| format!("trace of {place}, of {seeds}")))
}

/// Whether a moment comes at which the bug shows is a matter of chance: it did in each of three.
const LIVE_RUNS_MAX: u32 = 3;

/// What `distdbctl check` exits with.
const VIOLATION: i32 = 7;

/// Real daemons of a tree. They end when it is dropped.
struct Cluster {
    tree: PathBuf,
    run: tempfile::TempDir,
}

impl Cluster {
    fn start(tree: &Path) -> io::Result<Self> {
        let cluster = Self { tree: tree.to_owned(), run: tempfile::tempdir()? };
        let output = cluster.script("start").output()?;
        if output.status.success() {
            return Ok(cluster);
        }
        Err(io::Error::other(format!("no cluster:\n{}", text(&output))))
    }

    fn script(&self, what: &str) -> Command {
        let mut script = Command::new("tests/cluster.sh");
        script.arg(what).current_dir(&self.tree);
        script.env("DISTDB_BIN", "../build/release").env("DISTDB_RUN", self.run.path());
        script
    }

    fn check(&self, flags: &str) -> io::Result<Output> {
        let mut check = Command::new(self.tree.join("../build/release/distdbctl"));
        check.env("DISTDB_RUNTIME_DIR", self.run.path()).arg("check");
        check.args(flags.split(' ')).output()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.script("stop").output();
    }
}

fn command(tree: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(arguments)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", "../build")
        // A mutant is built once and run for seconds.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command
}

fn cargo(tree: &Path, arguments: &[&str]) -> io::Result<()> {
    let output = command(tree, arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("it does not build:\n{}", text(&output))))
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

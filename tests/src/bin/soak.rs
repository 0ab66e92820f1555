//! Runs real daemons under faults for `--minutes`, with harm drawn from `--seed`, and judges them.
//!
//! The soak itself is a process of its own, with its daemons in its process group: however it ends,
//! also by ctrl-C, this one kills what is left and undoes its mounts.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use tests::soak::{self, Options};

/// A promise was broken.
const VIOLATED: u8 = 7;

/// Where no number is given.
const MINUTES: f64 = 30.0;

/// What the command line says.
struct Arguments {
    minutes: f64,
    seed: u64,
    /// Set where this is the soak itself.
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(Arguments { minutes, seed, dir }) = arguments() else {
        eprintln!("usage: soak [--minutes N] [--seed N]");
        return ExitCode::from(2);
    };
    let Some(dir) = dir else { return guard(minutes, seed) };
    let time = Duration::from_secs_f64(minutes * 60.0);
    // A broken promise is a panic: of whichever thread, it has said what it is.
    match std::panic::catch_unwind(|| soak::run(&Options { time, seed, dir: dir.clone() })) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(VIOLATED),
    }
}

/// None if the command line says anything else.
fn arguments() -> Option<Arguments> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut found = Arguments { minutes: MINUTES, seed: since.as_secs(), dir: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--minutes" => {
                found.minutes = value.parse().ok().filter(|it| (0.0..1e5).contains(it))?;
            }
            "--seed" => found.seed = value.parse().ok()?,
            "--dir" => found.dir = Some(value.into()),
            _ => return None,
        }
    }
    Some(found)
}

/// Runs the soak in a process of its own, and cleans up behind it.
fn guard(minutes: f64, seed: u64) -> ExitCode {
    let program = std::env::current_exe().expect("this program has a path");
    let dir = directory(&program, seed);
    fs::create_dir_all(&dir).expect("the target directory can be written");
    let mut command = Command::new(&program);
    command.args(["--minutes", &minutes.to_string(), "--seed", &seed.to_string(), "--dir"]);
    command.arg(&dir).process_group(0);
    let child = command.spawn().expect("this program can be started");
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let code = wait(child);
    let _ = killpg(group, Signal::SIGKILL);
    unmount(&dir);
    if code == Some(0) {
        let _ = fs::remove_dir_all(&dir);
        return ExitCode::SUCCESS;
    }
    println!("logs, data and histories are in {}", dir.display());
    println!("again: make soak MINUTES={minutes} SEED={seed}");
    if code == Some(VIOLATED.into()) { ExitCode::from(VIOLATED) } else { ExitCode::FAILURE }
}

/// Waits for the soak's end or a signal; none for a signal.
fn wait(mut child: Child) -> Option<i32> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_block().expect("these can be blocked");
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return status.code();
        }
        if signals.wait() != Ok(Signal::SIGCHLD) {
            return None;
        }
    }
}

/// Of this run, as short as can be: sockets are in it.
fn directory(program: &Path, seed: u64) -> PathBuf {
    let target = program.ancestors().nth(2).expect("TARGET/PROFILE/soak");
    let here = std::env::current_dir().unwrap_or_default();
    let target = target.strip_prefix(here).unwrap_or(target);
    target.join("soak").join(format!("{seed}-{}", std::process::id()))
}

/// Undoes the mounts of a run.
fn unmount(dir: &Path) {
    let Ok(dir) = fs::canonicalize(dir) else { return };
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for place in places.filter(|place| Path::new(place).starts_with(&dir)) {
        let _ = Command::new("umount").args(["--lazy", place]).status();
    }
}

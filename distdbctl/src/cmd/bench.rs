//! `bench`: a closed-loop load generator. Each client has one request outstanding; the next
//! follows the answer. One thread serves all clients, because the daemons under test share the
//! processors with it.

mod client;
mod engine;
mod fanout;
mod load;
mod report;
mod tally;

use std::fmt;
use std::time::{Duration, Instant};

use common::control::failure::Applied;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::Globals;
use crate::args::command::{Bench, Operation};
use crate::cmd::bench::engine::{Engine, Limits};
use crate::cmd::bench::load::Load;
use crate::cmd::bench::report::Report;
use crate::cmd::bench::tally::Tally;
use crate::exit::Exit;
use crate::output::Output;
use crate::place;
use crate::problem::Problem;

pub(crate) fn bench(
    globals: &Globals,
    bench: &Bench,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let sockets = place::several(globals)?;
    let nodes = sockets.len();
    if bench.op == Operation::Watch {
        let report = fanout::run(bench, &sockets, globals.timeout)?;
        return print(&report, output).map(|()| Exit::DONE);
    }
    let mut engine = Engine::connect(sockets, usize::from(bench.clients), globals.timeout)?;
    let mut limits = Limits { end: None, timeout: globals.timeout, applied: Applied::Unknown };
    if bench.op != Operation::Put {
        let tally = engine.run(&mut Load::fill(bench), &limits, |_, _| ())?;
        if let Some(problem) = refused(&tally) {
            return Err(problem);
        }
        limits.applied = Applied::No;
    }
    let started = Instant::now();
    limits.end = Some(started + bench.duration);
    let progress = progress(bench.duration, output);
    let tally = engine.run(&mut Load::random(bench), &limits, |now, answers| {
        show(&progress, now.duration_since(started), answers);
    });
    progress.finish_and_clear();
    let tally = tally?;
    let report = Report::new(bench, nodes, &tally);
    print(&report, output)?;
    match refused(&tally) {
        Some(problem) if tally.successes == 0 => return Err(problem),
        Some(problem) => output.note(&problem.message),
        None => {}
    }
    Ok(Exit::DONE)
}

fn print(report: &(impl Serialize + fmt::Display), output: &mut Output) -> Result<(), Problem> {
    if output.is_json() { output.json(report) } else { output.bytes(report.to_string().as_bytes()) }
}

/// What to say of requests that failed: what the first of them would have said.
fn refused(tally: &Tally) -> Option<Problem> {
    let problem = tally.first_failure.clone()?;
    let message = format!("{} requests failed, the first: {problem}", tally.failed());
    Some(Problem { message, ..problem })
}

fn progress(duration: Duration, output: &Output) -> ProgressBar {
    if !output.has_spectator() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(
        Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        ProgressDrawTarget::stderr(),
    );
    let style = ProgressStyle::with_template("{bar:40} {msg}");
    bar.with_style(style.expect("the template is well-formed"))
}

fn show(progress: &ProgressBar, elapsed: Duration, answers: u64) {
    if !progress.is_hidden() {
        progress.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        progress.set_message(format!("{:.0}/s", report::per_second(answers, elapsed)));
    }
}

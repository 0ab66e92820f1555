//! `watch`: changes as they come, printed or handed to a command.

use common::control::failure::Failure;
use common::control::request::{Request, Selection};
use common::control::watching::{WatchBegun, WatchEvent, WatchLine};

use crate::args::Globals;
use crate::args::command::Watch;
use crate::client::{self, Client, Dialogue};
use crate::cmd::{self, child, kv};
use crate::connection::Lost;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn watch(
    globals: &Globals,
    watch: &Watch,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let request = Request::Watch {
        selection: selection(watch)?,
        from: watch.from,
        previous: false,
        only: None,
        progress: None,
    };
    if !watch.command.is_empty() {
        child::close_inherited();
    }
    let mut dialogue = Client::new(globals)?.dialogue()?;
    let begun: WatchBegun = dialogue.ask(&request)?;
    if output.is_verbose() {
        output.note(&format!("watching from revision {}", begun.from));
    }
    follow(&mut dialogue, watch, begun.from, output)
}

fn selection(watch: &Watch) -> Result<Selection, Problem> {
    Ok(match &watch.key {
        None => Selection::Prefix(String::new()),
        Some(key) if watch.prefix => Selection::Prefix(cmd::prefix(key)?),
        Some(key) => Selection::Key(cmd::key(key)?),
    })
}

/// Hands out change after change, until the count is reached, a command fails or the node ends it.
/// `resume` is the first revision that was not delivered yet.
fn follow(
    dialogue: &mut Dialogue,
    watch: &Watch,
    mut resume: u64,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let mut left = watch.count;
    loop {
        let line = match dialogue.connection.receive_for_reader() {
            Ok(line) => line,
            Err(Lost::OutputClosed) => return Err(dialogue.problem(Lost::OutputClosed)),
            Err(lost) => return Err(resumable(dialogue.problem(lost), resume)),
        };
        let line: WatchLine =
            serde_json::from_slice(&line).map_err(|error| client::unreadable(&error))?;
        let (events, revision) = match line {
            WatchLine::Events { events, revision, .. } => (events, revision),
            WatchLine::Progress { progress, .. } => {
                resume = progress + 1;
                continue;
            }
            WatchLine::End { resume, error, .. } => return ended(error, resume),
        };
        for event in events.iter() {
            let exit = deliver(event.clone(), watch, output)?;
            left = left.map(|left| left - 1);
            if exit != Exit::DONE || left == Some(0) {
                return Ok(exit);
            }
        }
        resume = revision + 1;
    }
}

fn ended(error: Option<Failure>, resume: u64) -> Result<Exit, Problem> {
    error.map_or(Ok(Exit::DONE), |failure| Err(resumable(failure.into(), resume)))
}

/// A watch that ended too early: says where the next one has to begin so as to miss nothing.
fn resumable(problem: Problem, resume: u64) -> Problem {
    let go_on = format!("the watch ended; go on with --from {resume}");
    let hint = match &problem.hint {
        Some(hint) => format!("{hint}; {go_on}"),
        None => go_on,
    };
    problem.with_hint(hint)
}

fn deliver(event: WatchEvent, watch: &Watch, output: &mut Output) -> Result<Exit, Problem> {
    if let [program, arguments @ ..] = watch.command.as_slice() {
        return child::run(program, arguments, event);
    }
    if output.is_json() {
        output.json(&event)?;
    } else {
        let (kind, key) = (event.kind.as_str().as_bytes(), event.key.as_str().as_bytes());
        match (event.value, event.value_b64) {
            (None, None) => output.cells(&[kind, key])?,
            (text, base64) => {
                output.cells(&[kind, key, kv::value_of(text, base64)?.as_bytes()])?;
            }
        }
    }
    output.flush()?;
    Ok(Exit::DONE)
}

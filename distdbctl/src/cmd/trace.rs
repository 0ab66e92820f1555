//! `trace`: what nodes have observed of late, in an order in which nothing comes before what caused
//! it.

mod diagram;
mod event;

use std::fs;
use std::path::{Path, PathBuf};

use common::control::request::{Call, Request};
use common::control::trace::{self, Recent};
use serde_json::Value;

use crate::args::Globals;
use crate::args::command::cluster::Trace;
use crate::client::{self, Client, Deadline, Dialogue};
use crate::exit::Exit;
use crate::output::Output;
use crate::place;
use crate::problem::{OwnCode, Problem};

use event::{Event, Names};

pub(crate) fn trace(
    globals: &Globals,
    trace: &Trace,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let (mut events, all_told) = if trace.files.is_empty() {
        of_nodes(globals, trace, output)?
    } else {
        (of_files(&trace.files)?, true)
    };
    // Lamport's order; concurrent events go by the node's name, those of a node by their own order.
    events.sort_by(|one, other| (one.lc, &one.node).cmp(&(other.lc, &other.node)));
    let names = Names::of(&events);
    if !output.is_verbose() {
        event::leave_out_routine(&mut events);
    }
    let told = &events[events.len().saturating_sub(trace.limit)..];
    if output.is_json() {
        told.iter().try_for_each(|event| output.json(&event.line))?;
    } else if trace.diagram {
        let lines = diagram::draw(told, &names);
        lines.iter().try_for_each(|line| output.line(line.as_bytes()))?;
    } else {
        for event in told {
            let (lc, age) = (event.lc.to_string(), event.age());
            let cells = [&lc, &event.node, &age, &event.name, &names.members(event)];
            output.cells(&cells.map(String::as_bytes))?;
        }
    }
    Ok(if all_told { Exit::DONE } else { Exit::FOUND_SOMETHING })
}

/// All are asked before the first is heard. Tells as well whether all have answered.
fn of_nodes(
    globals: &Globals,
    trace: &Trace,
    output: &Output,
) -> Result<(Vec<Event>, bool), Problem> {
    let deadline = Deadline::after(globals.timeout);
    let request = Request::Trace(Recent { last: Some(trace.last), limit: None });
    let asked: Vec<_> = place::named_or_all(globals)?
        .into_iter()
        .map(|path| (ask(globals, &request, &path, deadline), path))
        .collect();
    let (mut events, mut failed) = (Vec::new(), None);
    for (dialogue, path) in asked {
        let line = dialogue.and_then(|mut dialogue| dialogue.answer_line(deadline));
        match line.and_then(|line| client::result::<trace::Trace>(&line)) {
            Ok(told) => {
                let read = |line| Event::read(line, Some(told.now_us));
                let told: Option<Vec<_>> = told.events.into_iter().map(read).collect();
                events.extend(told.ok_or_else(unreadable)?);
            }
            Err(problem) => {
                output.note(&format!("{}: {problem}", path.display()));
                failed = Some(problem);
            }
        }
    }
    match failed {
        Some(problem) if events.is_empty() => Err(problem),
        failed => Ok((events, failed.is_none())),
    }
}

fn ask(
    globals: &Globals,
    request: &Request,
    path: &Path,
    deadline: Deadline,
) -> Result<Dialogue, Problem> {
    let mut dialogue = Client::at(path, globals.timeout).dialogue()?;
    dialogue.send(&Call::new(request.clone()), deadline)?;
    Ok(dialogue)
}

fn unreadable() -> Problem {
    Problem::new(OwnCode::Protocol, "the node told an event that this distdbctl can't read")
}

/// Those that `distdbd --trace` has written, or this command with `--output json`.
fn of_files(files: &[PathBuf]) -> Result<Vec<Event>, Problem> {
    let mut events = Vec::new();
    for file in files {
        let name = file.display();
        let wrong = |what| Problem::new(OwnCode::Input, format!("{name}: {what}"));
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        // A process that was killed may have left half a line.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (number, line) in whole.lines().enumerate() {
            let event = serde_json::from_str::<Value>(line).ok();
            let event = event.and_then(|line| Event::read(line, None));
            events.push(event.ok_or_else(|| wrong(format!("line {} is no event", number + 1)))?);
        }
    }
    Ok(events)
}

//! `call`: the protocol itself, for operations that this client has no command for.

use common::control::failure::Failure;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::args::command::Call;
use crate::client::{self, Client};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// Operations that change nothing. Of any other, no answer means that its outcome is unknown.
const READS: [&str; 19] = [
    "history",
    "diff",
    "lease_show",
    "lease_list",
    "leader",
    "hello",
    "get",
    "list",
    "conflicts",
    "watch",
    "cancel",
    "status",
    "members",
    "modes",
    "wait",
    "live",
    "ready",
    "health",
    "explain",
];

/// What counts of a line, whatever else is in it.
#[derive(Deserialize)]
struct Outline {
    ok: Option<bool>,
    end: Option<bool>,
    error: Option<Failure>,
}

pub(crate) fn call(client: &Client, call: &Call, output: &mut Output) -> Result<Exit, Problem> {
    let mut line = serde_json::to_vec(&members(call)?).expect("it came from JSON");
    line.push(b'\n');
    let deadline = client.deadline();
    let mut dialogue = client.open(deadline)?;
    dialogue.send_line(&line, may_change(&call.op), deadline)?;
    let mut reply = dialogue.answer_line(deadline)?;
    loop {
        output.line(&reply)?;
        output.flush()?;
        let outline: Outline =
            serde_json::from_slice(&reply).map_err(|error| client::unreadable(&error))?;
        if let Some(failure) = outline.error {
            // The line that was printed says all.
            return Ok(Problem::from(failure).exit());
        }
        if call.op != "watch" || outline.ok == Some(false) || outline.end == Some(true) {
            return Ok(Exit::DONE);
        }
        let next = dialogue.connection.receive_for_reader();
        reply = next.map_err(|lost| dialogue.problem(lost))?;
    }
}

pub(super) fn may_change(op: &str) -> bool {
    !READS.contains(&op)
}

fn members(call: &Call) -> Result<Map<String, Value>, Problem> {
    let mut members = match call.json.as_deref().map(serde_json::from_str) {
        None => Map::new(),
        Some(Ok(Value::Object(members))) => members,
        Some(Ok(_)) => return Err(Problem::usage("JSON is no object")),
        Some(Err(error)) => return Err(Problem::usage(format!("JSON can't be read: {error}"))),
    };
    match members.insert("op".to_owned(), Value::String(call.op.clone())) {
        None => Ok(members),
        Some(_) => Err(Problem::usage("JSON has a member op; OP says that")),
    }
}

//! What a line of input is answered, and what to print of it.

use common::control::Id;
use common::control::conflict::Conflicts;
use common::control::reply::{self, ReplyLine};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client;
use crate::cmd::{kv, readiness, siblings};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// How a line's result is printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Put,
    Get,
    Delete,
    List,
    Count,
    Incr,
    Conflicts,
    Wait,
    /// A request in JSON: its answer is too, with the id that the line had.
    Json(Option<Id>),
}

impl Shape {
    /// Prints the result of the line that `reply` answers.
    pub(super) fn print(self, reply: &[u8], output: &mut Output) -> Result<Exit, Problem> {
        let outcome = self.outcome(reply);
        let own_id = match self {
            Self::Json(own_id) => own_id,
            Self::Put
            | Self::Get
            | Self::Delete
            | Self::List
            | Self::Count
            | Self::Incr
            | Self::Conflicts
            | Self::Wait => {
                if !output.is_json() {
                    return print_text(outcome, output);
                }
                None
            }
        };
        let reply: Result<ReplyLine<Value>, _> = serde_json::from_slice(reply);
        let reply = reply.map_err(|error| client::unreadable(&error))?;
        output.json(&ReplyLine { id: own_id, ..reply })?;
        Ok(outcome.map_or_else(|problem| problem.exit(), |(exit, _)| exit))
    }

    fn outcome(&self, line: &[u8]) -> Result<(Exit, Vec<Vec<u8>>), Problem> {
        Ok(match self {
            Self::Put => {
                let put: reply::Put = client::result(line)?;
                (Exit::DONE, vec![put.revision.to_string().into_bytes()])
            }
            Self::Get => {
                let get: reply::Get = client::result(line)?;
                (kv::exit_of(&get), values_of(get)?)
            }
            Self::Delete => {
                let delete: reply::Delete = client::result(line)?;
                let exit = if delete.deleted == 0 { Exit::NO } else { Exit::DONE };
                (exit, vec![delete.deleted.to_string().into_bytes()])
            }
            Self::List => {
                let list: reply::List = client::result(line)?;
                let mut cells = Vec::new();
                for item in list.items {
                    cells.push(item.key.as_str().as_bytes().to_vec());
                    let has_value = item.value.is_some() || item.value_b64.is_some();
                    cells.extend(has_value.then(|| bytes_of(item)).transpose()?);
                }
                (Exit::DONE, cells)
            }
            Self::Count => {
                let list: reply::List = client::result(line)?;
                (Exit::DONE, vec![list.count.to_string().into_bytes()])
            }
            Self::Incr => {
                let count: reply::Count = client::result(line)?;
                (Exit::DONE, vec![count.value.to_string().into_bytes()])
            }
            Self::Conflicts => {
                let Conflicts { items, .. } = client::result(line)?;
                let exit = if items.is_empty() { Exit::DONE } else { Exit::CONFLICT };
                let cells = items.into_iter().flat_map(|item| {
                    let siblings = item.siblings.to_string().into_bytes();
                    [item.key.as_str().as_bytes().to_vec(), siblings]
                });
                (exit, cells.collect())
            }
            Self::Wait => {
                let waited = client::result(line);
                let reply::Waited { became } = waited.map_err(readiness::in_vain)?;
                (Exit::DONE, vec![became.into_bytes()])
            }
            Self::Json(_) => {
                let Verdict { succeeded } = client::result(line)?;
                let is_void = succeeded == Some(false);
                (if is_void { Exit::CONDITION_FAILED } else { Exit::DONE }, vec![])
            }
        })
    }
}

/// What a result says of its success; a transaction alone does.
#[derive(Deserialize)]
struct Verdict {
    succeeded: Option<bool>,
}

/// The value, or the elements of a set.
fn values_of(get: reply::Get) -> Result<Vec<Vec<u8>>, Problem> {
    if siblings::is_set(get.conflict, &get.siblings) {
        let elements = siblings::elements(get.siblings)?;
        return Ok(elements.iter().map(|element| element.as_bytes().to_vec()).collect());
    }
    get.item.map(bytes_of).into_iter().collect()
}

fn bytes_of(item: reply::Item) -> Result<Vec<u8>, Problem> {
    Ok(kv::value_of(item.value, item.value_b64)?.as_bytes().to_vec())
}

fn print_text(
    outcome: Result<(Exit, Vec<Vec<u8>>), Problem>,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let (exit, cells) = match outcome {
        Ok(outcome) => outcome,
        Err(problem) => return print_refusal(problem, false, output),
    };
    let verdict: &[u8] = match exit {
        Exit::DONE => b"ok",
        Exit::CONFLICT => b"conflict",
        _ => b"no",
    };
    let cells: Vec<_> = [verdict].into_iter().chain(cells.iter().map(Vec::as_slice)).collect();
    output.cells(&cells)?;
    Ok(exit)
}

/// What is printed in JSON for a line that was not sent.
#[derive(Serialize)]
struct Refusal {
    ok: bool,
    error: Problem,
}

/// Prints the result of a line that was not sent, or failed.
pub(super) fn print_refusal(
    problem: Problem,
    is_json: bool,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let exit = problem.exit();
    if is_json || output.is_json() {
        output.json(&Refusal { ok: false, error: problem })?;
    } else {
        let code = problem.code.to_string();
        output.cells(&[b"error", code.as_bytes(), problem.message.as_bytes()])?;
    }
    Ok(exit)
}

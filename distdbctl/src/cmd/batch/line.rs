//! A line of input, and what to print of the answer to it.

use std::time::Duration;

use clap::ValueEnum;
use common::control::Id;
use common::control::failure::Failure;
use common::control::reply::{self, ReplyLine};
use common::control::request::{Call, Range, Read, Request, Selection};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::command::keys::ReadLevel;
use crate::client;
use crate::cmd::{self, call, check, kv};
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
    Wait,
    /// A request in JSON: its answer is too, with the id that the line had.
    Json(Option<Id>),
}

/// A line that is to be sent.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) line: Vec<u8>,
    pub(super) shape: Shape,
    pub(super) may_change: bool,
}

/// Reads a line of input; `None` if there is nothing to do for it.
pub(super) fn parse(line: &[u8], id: u64, timeout: Duration) -> Result<Option<Parsed>, Problem> {
    let line = line.trim_ascii();
    match line.first() {
        None | Some(b'#') => Ok(None),
        Some(b'{') => request(line, id).map(Some),
        Some(_) => command(line, id, timeout).map(Some),
    }
}

fn request(line: &[u8], id: u64) -> Result<Parsed, Problem> {
    let wrong = |message: String| Problem::from(Failure::bad_request(message));
    let members: Result<Map<String, Value>, _> = serde_json::from_slice(line);
    let mut members = members.map_err(|error| wrong(format!("no JSON object: {error}")))?;
    let own_id = members.insert("id".to_owned(), Value::from(id));
    let own_id = own_id.map(Id::deserialize).transpose();
    let own_id = own_id.map_err(|error| wrong(format!("member `id`: {error}")))?;
    let op = members.get("op").and_then(Value::as_str).unwrap_or_default();
    if op == "watch" || op == "cancel" {
        return Err(wrong(format!("{op} has no place in a batch; use call or watch")));
    }
    let may_change = call::may_change(op);
    let mut line = serde_json::to_vec(&members).expect("it came from JSON");
    line.push(b'\n');
    Ok(Parsed { line, shape: Shape::Json(own_id), may_change })
}

fn command(line: &[u8], id: u64, timeout: Duration) -> Result<Parsed, Problem> {
    let wrong = |message: String| Problem::from(Failure::bad_request(message));
    let text = std::str::from_utf8(line).map_err(|error| wrong(error.to_string()))?;
    let words = shell_words::split(text).map_err(|error| wrong(error.to_string()))?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (shape, request) = match words.as_slice() {
        ["put", key, "--", value] | ["put", key, value] => {
            let value = kv::checked(value.as_bytes().to_vec())?;
            (Shape::Put, Request::put(cmd::key(key.as_ref())?, value))
        }
        ["get", key] => (Shape::Get, Request::get(cmd::key(key.as_ref())?, None)),
        ["get", key, "--read", how] => {
            let (key, read) = (cmd::key(key.as_ref())?, Some(read(how)?));
            (Shape::Get, Request::get(key, read))
        }
        ["delete" | "del", "--prefix", prefix] => {
            let prefix = cmd::prefix(prefix.as_ref())?;
            (Shape::Delete, Request::delete(Selection::Prefix(prefix)))
        }
        ["delete" | "del", key] => {
            (Shape::Delete, Request::delete(Selection::Key(cmd::key(key.as_ref())?)))
        }
        ["list" | "ls", words @ ..] => list(words)?,
        ["wait", words @ ..] => {
            let condition = words.join(" ").parse();
            let condition = condition.map_err(|error| wrong(format!("{error}")))?;
            (Shape::Wait, Request::Wait(condition))
        }
        _ => {
            return Err(wrong(format!("no command of a batch: {text}"))
                .with_hint("distdbctl batch --help lists them"));
        }
    };
    let may_change = request.is_write();
    let timeout = Some(timeout);
    let call = Call { id: Some(Id::Unsigned(id)), timeout, ..Call::new(request) };
    Ok(Parsed { line: call.to_line(), shape, may_change })
}

fn read(how: &str) -> Result<Read, Problem> {
    let level = ReadLevel::from_str(how, false);
    level.map(Into::into).map_err(|_| {
        let message = format!("--read {how}: it takes linearizable or stale");
        Failure::bad_request(message).into()
    })
}

fn list(mut words: &[&str]) -> Result<(Shape, Request), Problem> {
    let wrong = |word: &str| Problem::from(Failure::bad_request(format!("list: what is {word}?")));
    let mut range = Range::default();
    loop {
        words = match words {
            [] => break,
            ["--keys", rest @ ..] => {
                range.keys_only = true;
                rest
            }
            ["--count", rest @ ..] => {
                range.count_only = true;
                rest
            }
            ["--limit", limit, rest @ ..] => {
                range.limit = Some(limit.parse().map_err(|_| wrong(limit))?);
                rest
            }
            ["--read", how, rest @ ..] => {
                range.read = Some(read(how)?);
                rest
            }
            [prefix, rest @ ..] if range.prefix.is_empty() && !prefix.starts_with("--") => {
                range.prefix = cmd::prefix(prefix.as_ref())?;
                rest
            }
            [word, ..] => return Err(wrong(word)),
        }
    }
    let shape = if range.count_only { Shape::Count } else { Shape::List };
    Ok((shape, Request::List(range)))
}

impl Shape {
    /// Prints the result of the line that `reply` answers.
    pub(super) fn print(self, reply: &[u8], output: &mut Output) -> Result<Exit, Problem> {
        let outcome = self.outcome(reply);
        let own_id = match self {
            Self::Json(own_id) => own_id,
            Self::Put | Self::Get | Self::Delete | Self::List | Self::Count | Self::Wait => {
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
                match get.item {
                    Some(item) => (Exit::DONE, vec![bytes_of(item)?]),
                    None => (Exit::NO, vec![]),
                }
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
            Self::Wait => {
                let waited = client::result(line);
                let reply::Waited { became } = waited.map_err(check::in_vain)?;
                (Exit::DONE, vec![became.into_bytes()])
            }
            Self::Json(_) => {
                let IgnoredAny = client::result(line)?;
                (Exit::DONE, vec![])
            }
        })
    }
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
    let verdict: &[u8] = if exit == Exit::DONE { b"ok" } else { b"no" };
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

//! `incr`, `add` and `remove`: what concurrent writes add up to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use common::control::failure::Applied;
use common::control::reply;
use common::control::request::Request;
use common::kv::key::Key;
use common::kv::value::Value;
use serde::de::DeserializeOwned;

use crate::args::command::keys::{Elements, Incr};
use crate::client::Client;
use crate::cmd::{self, kv};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn incr(client: Client, incr: &Incr, output: &mut Output) -> Result<Exit, Problem> {
    let request = Request::Incr {
        key: cmd::key(&incr.key)?,
        delta: incr.delta,
        acks: incr.writing.acks(),
        context: incr.writing.context.clone(),
    };
    let client = client.once(incr.writing.once.once.clone());
    let reply: reply::Count = client.ask(&request)?;
    if output.is_json() {
        output.json(&reply)?;
    } else {
        output.line(reply.value.to_string().as_bytes())?;
    }
    Ok(Exit::DONE)
}

pub(crate) fn add(client: Client, add: &Elements, output: &mut Output) -> Result<Exit, Problem> {
    let client = &client.once(add.writing.once.once.clone());
    let (acks, context) = (add.writing.acks(), &add.writing.context);
    let request = |key, value| Request::Add { key, value, acks, context: context.clone() };
    each(client, add, request, |reply: &reply::Put| kv::print_write(reply, output))?;
    Ok(Exit::DONE)
}

pub(crate) fn remove(
    client: Client,
    remove: &Elements,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let client = &client.once(remove.writing.once.once.clone());
    let (acks, context) = (remove.writing.acks(), &remove.writing.context);
    let request = |key, value| Request::Remove { key, value, acks, context: context.clone() };
    let mut removed = 0;
    each(client, remove, request, |reply: &reply::Delete| {
        removed += reply.deleted;
        kv::print_removal(reply, output)
    })?;
    Ok(if removed == 0 { Exit::NO } else { Exit::DONE })
}

/// A request for each element. All are looked at before the first is sent.
fn each<R: DeserializeOwned>(
    client: &Client,
    elements: &Elements,
    request: impl Fn(Key, Value) -> Request,
    mut on_reply: impl FnMut(&R) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let key = cmd::key(&elements.key)?;
    let value = |element: &std::ffi::OsString| kv::checked(element.as_bytes().to_vec());
    let values = elements.elements.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    for (done, value) in values.into_iter().enumerate() {
        let reply = client.ask(&request(key.clone(), value));
        let reply = reply.map_err(|problem| half_done(problem, done, &elements.elements[done]))?;
        on_reply(&reply)?;
    }
    Ok(())
}

/// What was done before a failure is done; to say that nothing was would be wrong.
fn half_done(problem: Problem, done: usize, element: &OsStr) -> Problem {
    if done == 0 {
        return problem;
    }
    let message = format!("{problem}; {done} elements before {element:?} were done");
    let applied = if problem.may_be_applied() { problem.applied } else { Some(Applied::Yes) };
    Problem { message, applied, ..problem }
}

#[cfg(test)]
mod tests {
    use common::control::failure::{ErrorCode, Failure};

    use super::*;

    #[test]
    fn what_was_half_done_is_never_called_surely_not_applied() {
        let problem = || Problem::from(Failure::new(ErrorCode::NotReady, "it syncs"));
        assert_eq!(half_done(problem(), 0, OsStr::new("a")).exit(), Exit::UNAVAILABLE);
        let half = half_done(problem(), 2, OsStr::new("c"));
        assert_eq!(half.exit(), Exit::OUTCOME_UNKNOWN);
        assert!(half.message.contains("2 elements before \"c\""), "{half}");
    }
}

//! `conflicts`: concurrent writes that stand side by side until somebody resolves them.

use std::ffi::OsStr;

use common::causal::clock::Dot;
use common::causal::context::Context;
use common::control::conflict;
use common::control::failure::{ErrorCode, Failure};
use common::control::reply;
use common::control::request::Request;
use common::kv::key::Key;

use crate::args::command::keys::{Conflicts, Resolve};
use crate::client::Client;
use crate::cmd::{self, kv, siblings};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::{OwnCode, Problem};

pub(crate) fn conflicts(
    client: impl FnOnce() -> Result<Client, Problem>,
    conflicts: &Conflicts,
    output: &mut Output,
) -> Result<Exit, Problem> {
    match conflicts {
        Conflicts::List { prefix } => list(&client()?, prefix.as_deref(), output),
        Conflicts::Show { key } => show(&client()?, cmd::key(key)?, output),
        Conflicts::Resolve(resolve) => self::resolve(client, resolve, output),
    }
}

/// Page by page, as `list`.
fn list(client: &Client, prefix: Option<&OsStr>, output: &mut Output) -> Result<Exit, Problem> {
    let prefix = prefix.map_or(Ok(String::new()), cmd::prefix)?;
    let (mut start, mut exit) = (None, Exit::DONE);
    loop {
        let (prefix, limit, context) = (prefix.clone(), None, None);
        let page: conflict::Conflicts =
            client.ask(&Request::Conflicts { prefix, start, limit, context })?;
        for item in &page.items {
            exit = Exit::CONFLICT;
            if output.is_json() {
                output.json(item)?;
            } else {
                let siblings = item.siblings.to_string();
                output.cells(&[item.key.as_str().as_bytes(), siblings.as_bytes()])?;
            }
        }
        match page.next {
            Some(next) if page.more => start = Some(next.as_str().to_owned()),
            Some(_) | None => return Ok(exit),
        }
    }
}

fn show(client: &Client, key: Key, output: &mut Output) -> Result<Exit, Problem> {
    let reply: reply::Get = client.ask(&Request::get(key, None))?;
    let exit = kv::exit_of(&reply);
    if output.is_json() {
        output.json(&reply)?;
    } else {
        siblings::print(reply, output)?;
    }
    Ok(exit)
}

fn resolve(
    client: impl FnOnce() -> Result<Client, Problem>,
    resolve: &Resolve,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let key = cmd::key(&resolve.key)?;
    let (client, request) = match resolve.take {
        Some(dot) => {
            let client = client()?;
            let request = take(&client, key, dot)?;
            (client, request)
        }
        None => {
            let (value, context) = (kv::value(&resolve.source)?, resolve.context.clone());
            (client()?, Request::Resolve { key, value, context })
        }
    };
    kv::print_write(&client.ask(&request)?, output)?;
    Ok(Exit::DONE)
}

/// The request that puts a sibling in the place of those that stand there as it is looked up. One
/// that comes meanwhile stays.
fn take(client: &Client, key: Key, dot: Dot) -> Result<Request, Problem> {
    let reply: reply::Get = client.ask(&Request::get(key.clone(), None))?;
    let context: Option<Context> = match reply.context.as_deref().map(str::parse) {
        None => None,
        Some(Ok(context)) => Some(context),
        Some(Err(error)) => {
            return Err(Problem::new(OwnCode::Protocol, format!("the node's answer: {error}")));
        }
    };
    let found = reply.siblings.into_iter().find(|sibling| sibling.dot() == dot);
    let sibling = found.ok_or_else(|| {
        let message = format!("no sibling of {key} was written by {dot}");
        Failure::new(ErrorCode::NotFound, message).with_hint("distdbctl conflicts show lists them")
    })?;
    let value = kv::value_of(sibling.value, sibling.value_b64)?;
    Ok(Request::Resolve { key, value, context })
}

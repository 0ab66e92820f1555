//! `wait`, `live`, `ready`, `health` and `sync`.

use common::control::condition::Condition;
use common::control::failure::ErrorCode;
use common::control::reply::{Synced, Waited};
use common::control::request::Request;
use common::control::status::Check;
use common::identity::NodeName;

use crate::args::command::{Sync, Wait};
use crate::client::Client;
use crate::cmd;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::{Code, OwnCode, Problem};

pub(crate) fn wait(client: &Client, wait: &Wait, output: &mut Output) -> Result<Exit, Problem> {
    let condition: Result<Condition, _> = wait.words.join(" ").parse();
    let condition = condition.map_err(|error| Problem::usage(error.to_string()))?;
    let waited: Result<Waited, Problem> = client.ask(&Request::Wait(condition));
    let waited = waited.map_err(in_vain)?;
    if output.is_json() {
        output.json(&waited)?;
    } else {
        output.line(waited.became.as_bytes())?;
    }
    Ok(Exit::DONE)
}

/// To wait in vain is the answer here, not that the node is unavailable.
pub(super) fn in_vain(problem: Problem) -> Problem {
    match problem.code {
        Code::Node(ErrorCode::Timeout) => {
            Problem { code: Code::Own(OwnCode::WaitedInVain), ..problem }
        }
        Code::Node(_) | Code::Own(_) => problem,
    }
}

pub(crate) fn live(client: &Client, output: &mut Output) -> Result<Exit, Problem> {
    check(client, &Request::Live, output)
}

pub(crate) fn ready(client: &Client, output: &mut Output) -> Result<Exit, Problem> {
    check(client, &Request::Ready, output)
}

pub(crate) fn health(client: &Client, output: &mut Output) -> Result<Exit, Problem> {
    check(client, &Request::Health, output)
}

fn check(client: &Client, request: &Request, output: &mut Output) -> Result<Exit, Problem> {
    let check: Check = client.ask(request)?;
    if output.is_json() {
        output.json(&check)?;
    } else {
        output.line(check.reason.as_bytes())?;
    }
    Ok(if check.ok { Exit::DONE } else { Exit::FOUND_SOMETHING })
}

pub(crate) fn sync(client: &Client, sync: &Sync, output: &mut Output) -> Result<Exit, Problem> {
    let prefix = sync.prefix.as_deref().map(cmd::prefix).transpose()?;
    let synced: Synced = client.ask(&Request::Sync { prefix, dry_run: sync.dry_run })?;
    if output.is_json() {
        output.json(&synced)?;
        return Ok(Exit::DONE);
    }
    match &synced.differing {
        Some(keys) => keys.iter().try_for_each(|key| output.cells(&[key.as_str().as_bytes()]))?,
        None => output.line(synced.changed.to_string().as_bytes())?,
    }
    if output.is_verbose() {
        let from: Vec<_> = synced.from.iter().map(NodeName::as_str).collect();
        let done = if sync.dry_run { "compared with" } else { "merged" };
        output.note(&format!("{done} the state of {}", from.join(", ")));
    }
    Ok(Exit::DONE)
}

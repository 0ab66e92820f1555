//! `mode`: which keys are replicated how.

use common::control::cluster::Modes;
use common::control::request::Request;
use common::modes::{ModeRow, Resolver, Rule};

use crate::args::command::cluster::Mode;
use crate::client::Client;
use crate::cmd;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn mode(client: &Client, mode: Mode, output: &mut Output) -> Result<Exit, Problem> {
    let request = match mode {
        Mode::List => Request::Modes,
        Mode::Set { prefix, mode, resolver, dry_run } => {
            let rule = Rule::new(mode.into(), resolver.map(Into::into));
            let rule = rule.ok_or_else(|| Problem::usage("--resolver is for causal mode alone"))?;
            Request::ModeSet { prefix: cmd::prefix(&prefix)?, rule, dry_run }
        }
    };
    let reply: Modes = client.ask(&request)?;
    if output.is_json() {
        output.json(&reply)?;
        return Ok(Exit::DONE);
    }
    let rows: Vec<_> = reply.modes.iter().map(cells).collect();
    output.table(&["prefix", "mode", "resolver"], &rows)?;
    Ok(Exit::DONE)
}

fn cells(row: &ModeRow) -> Vec<String> {
    let resolver = row.resolver.map_or("-", Resolver::as_str);
    vec![row.prefix.clone(), row.mode.as_str().to_owned(), resolver.to_owned()]
}

//! `mode`: which keys are replicated how.

use common::control::cluster::Modes;
use common::control::request::Request;
use common::modes;

use crate::args::command::cluster::Mode;
use crate::client::Client;
use crate::cmd;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn mode(client: &Client, mode: Mode, output: &mut Output) -> Result<Exit, Problem> {
    let request = match mode {
        Mode::List => Request::Modes,
        Mode::Set { prefix, mode, dry_run } => {
            let rule = modes::Mode::from(mode).into();
            Request::ModeSet { prefix: cmd::prefix(&prefix)?, rule, dry_run }
        }
    };
    let reply: Modes = client.ask(&request)?;
    if output.is_json() {
        output.json(&reply)?;
        return Ok(Exit::DONE);
    }
    let rows = reply.modes.iter().map(|row| vec![row.prefix.clone(), row.mode.as_str().to_owned()]);
    output.table(&["prefix", "mode"], &rows.collect::<Vec<_>>())?;
    Ok(Exit::DONE)
}

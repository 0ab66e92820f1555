//! What is known without a daemon: `completion`, `version` and the manual pages.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use common::control::PROTOCOL;
use serde::Serialize;

use crate::args::Args;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::{OwnCode, Problem};

pub(crate) fn completion(shell: Shell, output: &mut Output) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "distdbctl", &mut script);
    output.bytes(&script)?;
    Ok(Exit::DONE)
}

/// What `version` prints as JSON.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    protocol: u32,
}

pub(crate) fn version(output: &mut Output) -> Result<Exit, Problem> {
    let version = Version { version: env!("CARGO_PKG_VERSION"), protocol: PROTOCOL };
    if output.is_json() {
        output.json(&version)?;
    } else {
        let Version { version, protocol } = version;
        output.line(format!("distdbctl {version} (protocol {protocol})").as_bytes())?;
    }
    Ok(Exit::DONE)
}

/// A page for all, and one for each command.
pub(crate) fn manual(directory: &Path) -> Result<Exit, Problem> {
    let written = fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Args::command(), directory));
    let shown = directory.display();
    let unwritable = |error| format!("the manual can't be written to {shown}: {error}");
    written.map_err(|error| Problem::new(OwnCode::Output, unwritable(error)))?;
    Ok(Exit::DONE)
}

//! The commands, a file for each group of them.

mod batch;
mod bench;
mod call;
mod check;
mod child;
mod conflicts;
mod explain;
mod export;
mod fault;
mod history;
mod hold;
mod import;
mod kv;
mod leader;
mod lease;
mod member;
mod merging;
mod mode;
mod paper;
mod readiness;
mod siblings;
mod status;
mod trace;
mod txn;
mod watch;

use std::ffi::OsStr;

use common::control::failure::{ErrorCode, Failure};
use common::kv::key::{Key, KeyError, check_prefix};

use crate::args::Args;
use crate::args::command::Command;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// Runs a command to its end.
pub(crate) fn run(args: Args, output: &mut Output) -> Result<Exit, Problem> {
    let globals = &args.globals;
    let client = || Client::new(globals);
    match args.command {
        Command::Put(put) => kv::put(client, &put, output),
        Command::Get(get) => kv::get(&client()?, &get, output),
        Command::Delete(delete) => kv::delete(client()?, &delete, output),
        Command::List(list) => kv::list(&client()?, &list, output),
        Command::Incr(incr) => merging::incr(client()?, &incr, output),
        Command::History(history) => history::history(&client()?, &history, output),
        Command::Diff(diff) => history::diff(&client()?, &diff, output),
        Command::Revert(revert) => history::revert(client()?, &revert, output),
        Command::Compact(compact) => history::compact(&client()?, &compact, output),
        Command::Txn(txn) => txn::txn(client, &txn, output),
        Command::Lease(lease) => lease::lease(client()?, lease, output),
        Command::Export(export) => export::export(&client()?, &export, output),
        Command::Import(import) => import::import(globals, &import, output),
        Command::Add(add) => merging::add(client()?, &add, output),
        Command::Remove(remove) => merging::remove(client()?, &remove, output),
        Command::Conflicts(conflicts) => conflicts::conflicts(client, &conflicts, output),
        Command::Watch(watch) => watch::watch(globals, &watch, output),
        Command::Lock(lock) => hold::lock(globals, &lock, output),
        Command::Elect(elect) => hold::elect(globals, &elect, output),
        Command::Leader(leader) => leader::leader(globals, &leader, output),
        Command::Wait(wait) => readiness::wait(&client()?, &wait, output),
        Command::Status(status) => status::status(globals, &status, output),
        Command::Members => status::members(&client()?, output),
        Command::Nodes => status::nodes(&client()?, output),
        Command::Member(member) => member::member(&client()?, member, output),
        Command::Mode(mode) => mode::mode(&client()?, mode, output),
        Command::Explain(explain) => explain::explain(&client()?, &explain, output),
        Command::Trace(args) => trace::trace(globals, &args, output),
        Command::Live => readiness::live(&client()?, output),
        Command::Ready => readiness::ready(&client()?, output),
        Command::Health => readiness::health(&client()?, output),
        Command::Sync(sync) => readiness::sync(&client()?, &sync, output),
        Command::Call(call) => call::call(&client()?, &call, output),
        Command::Batch(batch) => batch::batch(globals, &batch, output),
        Command::Fault(fault) => fault::fault(&client()?, fault, output),
        Command::Check(check) => check::check(globals, &check, output),
        Command::Bench(bench) => bench::bench(globals, &bench, output),
        Command::Completion { shell } => paper::completion(shell, output),
        Command::Version => paper::version(output),
        Command::Man { directory } => paper::manual(&directory),
    }
}

/// A key of the command line.
fn key(text: &OsStr) -> Result<Key, Problem> {
    Ok(Key::try_from(utf8(text)?).map_err(|error| key_failure(&error))?)
}

/// A prefix of the command line.
fn prefix(text: &OsStr) -> Result<String, Problem> {
    let text = utf8(text)?;
    check_prefix(text).map_err(|error| key_failure(&error))?;
    Ok(text.to_owned())
}

fn utf8(text: &OsStr) -> Result<&str, Problem> {
    let wrong = || Failure::bad_request(format!("key {text:?} is not UTF-8")).into();
    text.to_str().ok_or_else(wrong)
}

fn key_failure(error: &KeyError) -> Failure {
    match error {
        KeyError::TooLong(_) => Failure::new(ErrorCode::TooLarge, error.to_string()),
        KeyError::Empty | KeyError::Control(_) => Failure::bad_request(error.to_string()),
    }
}

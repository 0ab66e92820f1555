//! `txn`: several things at once, or not at all.

mod grammar;
mod words;

use std::ffi::OsStr;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

use common::control::failure::Failure;
use common::control::kv::reply::{OpDone, TxnDone};
use common::control::kv::{self as requests, Kv};
use common::control::request::{Call, Request};

use crate::args::command::data::Txn;
use crate::client::Client;
use crate::cmd::{self, kv};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::{OwnCode, Problem};

/// A transaction has no more bytes than a line of the protocol.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(crate) fn txn(
    client: impl FnOnce() -> Result<Client, Problem>,
    txn: &Txn,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let text = read(txn)?;
    let parsed = parse(&text)?;
    let client = client()?.once(txn.once.once.clone());
    let done: TxnDone = client.ask(&Request::Kv(Box::new(Kv::Txn(parsed))))?;
    let exit = exit_of(&done);
    if output.is_json() {
        output.json(&done)?;
    } else {
        for result in done.results {
            print_result(result, output)?;
        }
    }
    Ok(exit)
}

/// C2: what was done else was done because the condition was false.
pub(super) fn exit_of(done: &TxnDone) -> Exit {
    if done.succeeded { Exit::DONE } else { Exit::CONDITION_FAILED }
}

/// The text form, or the JSON object of the protocol.
pub(super) fn parse(text: &str) -> Result<requests::Txn, Problem> {
    if !text.trim_start().starts_with('{') {
        return grammar::parse(text)
            .map_err(|error| Failure::bad_request(error.to_string()).into());
    }
    let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| Failure::bad_request(format!("the txn is no JSON object: {error}")))?;
    members.insert("op".to_owned(), "txn".into());
    let line = serde_json::to_vec(&members).expect("it was just parsed");
    let call = Call::parse(&line).map_err(|error| Problem::from(error.failure))?;
    let Request::Kv(kv) = call.request else { unreachable!("the operation was given") };
    let Kv::Txn(txn) = *kv else { unreachable!("the operation was given") };
    Ok(txn)
}

fn read(txn: &Txn) -> Result<String, Problem> {
    match (&txn.text, &txn.file) {
        (Some(text), _) if text != "-" => Ok(cmd::utf8(text)?.to_owned()),
        (None, Some(path)) if path != Path::new("-") => {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| {
                let message = format!("{} can't be read: {error}", path.display());
                Problem::new(OwnCode::Input, message)
            })
        }
        (None, None) if stdin().is_terminal() => {
            Err(Problem::usage("the transaction is missing, and stdin is a terminal")
                .with_hint("give it as a word, or by --file FILE"))
        }
        (Some(_) | None, _) => {
            let mut text = String::new();
            let read = stdin().lock().take(TEXT_BYTES_MAX).read_to_string(&mut text);
            read.map_err(|error| {
                Problem::new(OwnCode::Input, format!("stdin can't be read: {error}"))
            })?;
            Ok(text)
        }
    }
}

/// A line for each operation: what the command of that name prints.
fn print_result(result: OpDone, output: &mut Output) -> Result<(), Problem> {
    let previous = |text, base64| -> Result<Vec<Vec<u8>>, Problem> {
        let value = common::control::bytes::join(text, base64)?;
        Ok(value.map(|value| value.as_bytes().to_vec()).into_iter().collect())
    };
    let (name, cells): (&OsStr, Vec<Vec<u8>>) = match result {
        OpDone::Put(put) => ("put".as_ref(), previous(put.previous, put.previous_b64)?),
        OpDone::Delete(delete) => {
            let mut cells = vec![delete.deleted.to_string().into_bytes()];
            cells.extend(previous(delete.previous, delete.previous_b64)?);
            ("delete".as_ref(), cells)
        }
        OpDone::Get(get) => {
            let value = get.item.map(|item| kv::value_of(item.value, item.value_b64));
            let value = value.transpose()?.map(|value| value.as_bytes().to_vec());
            ("get".as_ref(), value.into_iter().collect())
        }
        OpDone::List(list) => {
            let mut cells = Vec::new();
            for item in list.items {
                cells.push(item.key.as_str().as_bytes().to_vec());
                cells.push(kv::value_of(item.value, item.value_b64)?.as_bytes().to_vec());
            }
            ("list".as_ref(), cells)
        }
        OpDone::Incr(count) => ("incr".as_ref(), vec![count.value.to_string().into_bytes()]),
    };
    let name = name.as_encoded_bytes();
    let cells = [name].into_iter().chain(cells.iter().map(Vec::as_slice));
    output.cells(&cells.collect::<Vec<_>>())
}

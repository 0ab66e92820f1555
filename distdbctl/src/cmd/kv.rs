//! `put`, `get`, `delete` and `list`.

use std::ffi::OsStr;
use std::io::{IsTerminal, Read, stdin};
use std::os::unix::ffi::OsStrExt;

use common::control::bytes::{self, Base64Bytes, TextBytes};
use common::control::failure::{ErrorCode, Failure};
use common::control::reply;
use common::control::request::{Range, Request, Selection};
use common::kv::value::{VALUE_BYTES_MAX, Value};
use serde::Serialize;

use crate::args::Format;
use crate::args::command::keys::{Delete, Get, List, Put, Source};
use crate::client::Client;
use crate::cmd::{self, siblings};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::{OwnCode, Problem};

pub(crate) fn put(
    client: impl FnOnce() -> Result<Client, Problem>,
    put: &Put,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let request = Request::Put {
        key: cmd::key(&put.key)?,
        value: value(&put.source)?,
        acks: put.writing.acks(),
        context: put.writing.context.clone(),
    };
    print_write(&client()?.ask(&request)?, output)?;
    Ok(Exit::DONE)
}

/// Of a write that answers as `put` does: nothing, unless somebody wants to know.
pub(super) fn print_write(reply: &reply::Put, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        output.json(reply)
    } else if output.is_verbose() {
        output.line(reply.revision.to_string().as_bytes())
    } else {
        Ok(())
    }
}

/// Of a removal that prints nothing, unless somebody wants to know.
pub(super) fn print_removal(reply: &reply::Delete, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        output.json(reply)
    } else if output.is_verbose() {
        output.line(reply.revision.to_string().as_bytes())
    } else {
        Ok(())
    }
}

/// The value that the command line has, or stdin.
pub(super) fn value(source: &Source) -> Result<Value, Problem> {
    match &source.value {
        Some(value) if source.is_literal || value != "-" => checked(value.as_bytes().to_vec()),
        None if stdin().is_terminal() => {
            Err(Problem::usage("VALUE is missing, and stdin is a terminal")
                .with_hint("give VALUE, or FILE by < FILE; '-' reads from the terminal"))
        }
        None | Some(_) => checked(read_value()?),
    }
}

fn read_value() -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    // One byte past the bound tells a value that is too long from one that just fits.
    let mut limited = stdin().lock().take(VALUE_BYTES_MAX as u64 + 1);
    match limited.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Problem::new(OwnCode::Input, format!("stdin can't be read: {error}"))),
    }
}

pub(super) fn checked(bytes: Vec<u8>) -> Result<Value, Problem> {
    let is_cut = bytes.len() > VALUE_BYTES_MAX;
    Value::try_from(bytes).map_err(|error| {
        let message = if is_cut {
            "value has more than 1,048,576 bytes".to_owned()
        } else {
            error.to_string()
        };
        Failure::new(ErrorCode::TooLarge, message).into()
    })
}

pub(crate) fn get(client: &Client, get: &Get, output: &mut Output) -> Result<Exit, Problem> {
    let request = Request::Get {
        key: cmd::key(&get.key)?,
        read: get.freshness.read(),
        context: get.context.clone(),
        min_revision: None,
    };
    let reply: reply::Get = client.ask(&request)?;
    let exit = exit_of(&reply);
    if output.is_json() {
        output.json(&reply)?;
    } else if get.siblings {
        siblings::print(reply, output)?;
    } else {
        print_value(reply, &get.key, output)?;
    }
    Ok(exit)
}

pub(super) fn exit_of(reply: &reply::Get) -> Exit {
    match (reply.found, reply.conflict) {
        (false, _) => Exit::NO,
        (true, true) => Exit::CONFLICT,
        (true, false) => Exit::DONE,
    }
}

/// The value and a newline; of a set the elements, a line each.
fn print_value(reply: reply::Get, key: &OsStr, output: &mut Output) -> Result<(), Problem> {
    let Some(item) = reply.item else { return Ok(()) };
    if reply.conflict {
        let (key, siblings) = (key.to_string_lossy(), reply.siblings.len());
        output.note(&format!("{siblings} siblings stand there: distdbctl conflicts show {key}"));
    }
    let is_set = siblings::is_set(reply.conflict, &reply.siblings);
    match output.format() {
        Format::Raw => output.bytes(value_of(item.value, item.value_b64)?.as_bytes()),
        Format::Text | Format::Json if is_set => {
            let mut elements = siblings::elements(reply.siblings)?.into_iter();
            elements.try_for_each(|element| output.cells(&[element.as_bytes()]))
        }
        Format::Text | Format::Json => {
            output.line(value_of(item.value, item.value_b64)?.as_bytes())
        }
    }
}

/// The bytes of either member.
pub(super) fn value_of(
    text: Option<TextBytes>,
    base64: Option<Base64Bytes>,
) -> Result<Value, Problem> {
    Ok(bytes::join(text, base64)?.unwrap_or_default())
}

pub(crate) fn delete(
    client: &Client,
    delete: &Delete,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let selection = match (&delete.key, &delete.prefix) {
        (Some(key), _) => Selection::Key(cmd::key(key)?),
        (None, Some(prefix)) => Selection::Prefix(cmd::prefix(prefix)?),
        (None, None) => return Err(Problem::usage("KEY or --prefix is missing")),
    };
    let (acks, context) = (delete.writing.acks(), delete.writing.context.clone());
    let reply: reply::Delete = client.ask(&Request::Delete { selection, acks, context })?;
    if output.is_json() {
        output.json(&reply)?;
    } else {
        output.line(reply.deleted.to_string().as_bytes())?;
    }
    Ok(if reply.deleted == 0 { Exit::NO } else { Exit::DONE })
}

/// What `list --count` prints as JSON.
#[derive(Serialize)]
struct Count {
    count: u64,
}

/// Page by page, each printed before the next is asked for: however long the list, the memory it
/// takes is a page's.
pub(crate) fn list(client: &Client, list: &List, output: &mut Output) -> Result<Exit, Problem> {
    let mut range = Range {
        prefix: list.prefix.as_deref().map_or(Ok(String::new()), cmd::prefix)?,
        limit: list.limit,
        keys_only: list.keys,
        count_only: list.count,
        read: list.freshness.read(),
        ..Range::default()
    };
    loop {
        let page: reply::List = client.ask(&Request::List(range.clone()))?;
        if list.count {
            return print_count(page.count, output).map(|()| Exit::DONE);
        }
        if let Some(limit) = &mut range.limit {
            *limit = limit.saturating_sub(page.items.len() as u64);
        }
        for item in page.items {
            print_item(item, list.keys, output)?;
        }
        match page.next {
            Some(next) if page.more && range.limit != Some(0) => {
                range.start = Some(next.as_str().to_owned());
            }
            Some(_) | None => return Ok(Exit::DONE),
        }
    }
}

fn print_count(count: u64, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        output.json(&Count { count })
    } else {
        output.line(count.to_string().as_bytes())
    }
}

fn print_item(item: reply::Item, is_key_alone: bool, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        return output.json(&item);
    }
    let key = item.key.as_str().as_bytes();
    if is_key_alone {
        return output.cells(&[key]);
    }
    let value = value_of(item.value, item.value_b64)?;
    output.cells(&[key, value.as_bytes()])
}

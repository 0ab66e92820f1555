//! `put`, `get`, `delete` and `list`.

use std::ffi::OsStr;
use std::io::{IsTerminal, Read, stdin};
use std::os::unix::ffi::OsStrExt;

use common::control::acks::Acks;
use common::control::bytes::{self, Base64Bytes, TextBytes};
use common::control::failure::{ErrorCode, Failure};
use common::control::kv::{Kv, Moment, PutOptions};
use common::control::reply;
use common::control::request::{Range, Request, Selection};
use common::kv::condition::Conditions;
use common::kv::value::{VALUE_BYTES_MAX, Value};
use common::modes::Mode;
use serde::Serialize;

use crate::args::Format;
use crate::args::command::data::Guard;
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
    let (key, options) = (cmd::key(&put.key)?, put_options(put)?);
    let value = value(&put.source)?;
    let request = if options == PutOptions::default() {
        let (acks, context) = (put.writing.acks(), put.writing.context.clone());
        Request::Put { key, value, acks, context }
    } else {
        check_acks(put.writing.acks())?;
        Request::Kv(Box::new(Kv::Put { key, value, options }))
    };
    let client = client()?.once(put.writing.once.once.clone());
    let reply: reply::Put = client.ask(&request)?;
    if put.guard.previous && !output.is_json() {
        print_previous(reply.previous, reply.previous_b64, output)?;
    } else {
        print_write(&reply, output)?;
    }
    Ok(Exit::DONE)
}

/// What goes with a put.
fn put_options(put: &Put) -> Result<PutOptions, Problem> {
    let guard = &put.put_guard;
    let if_value = guard.if_value.as_ref().map(|value| checked(value.as_bytes().to_vec()));
    let conditions = Conditions {
        if_absent: guard.if_absent,
        if_exists: guard.if_exists,
        if_value: if_value.transpose()?,
        ..conditions(&put.guard)
    };
    let ttl_ms = guard.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    Ok(PutOptions { conditions, lease: guard.lease, ttl_ms, previous: put.guard.previous })
}

fn conditions(guard: &Guard) -> Conditions {
    let Guard { if_revision, fence, previous: _ } = *guard;
    Conditions { if_revision, fence, ..Conditions::default() }
}

/// What takes a consensus is on the disks of a majority before it is answered.
fn check_acks(acks: Acks) -> Result<(), Problem> {
    match acks {
        Acks::Nodes(1) | Acks::Majority => Ok(()),
        Acks::Nodes(_) | Acks::All => {
            Err(Problem::usage("a condition takes no --acks but majority: it is raft mode's"))
        }
    }
}

/// The value before, if there was one.
fn print_previous(
    text: Option<TextBytes>,
    base64: Option<Base64Bytes>,
    output: &mut Output,
) -> Result<(), Problem> {
    let Some(value) = bytes::join(text, base64)? else { return Ok(()) };
    match output.format() {
        Format::Raw => output.bytes(value.as_bytes()),
        Format::Text | Format::Json => output.line(value.as_bytes()),
    }
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
    let (key, read) = (cmd::key(&get.key)?, get.freshness.read());
    let request = match get.when.moment() {
        Some(at) => Request::Kv(Box::new(Kv::Get { key, at, read })),
        None => Request::Get { key, read, context: get.context.clone(), min_revision: None },
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
    client: Client,
    delete: &Delete,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let selection = match (&delete.key, &delete.prefix) {
        (Some(key), _) => Selection::Key(cmd::key(key)?),
        (None, Some(prefix)) => Selection::Prefix(cmd::prefix(prefix)?),
        (None, None) => return Err(Problem::usage("KEY or --prefix is missing")),
    };
    let (acks, context) = (delete.writing.acks(), delete.writing.context.clone());
    let (conditions, previous) = (conditions(&delete.guard), delete.guard.previous);
    let request = if conditions.is_empty() && !previous {
        Request::Delete { selection, acks, context }
    } else {
        check_acks(acks)?;
        Request::Kv(Box::new(Kv::Delete { selection, conditions, previous }))
    };
    let client = client.once(delete.writing.once.once.clone());
    let reply: reply::Delete = client.ask(&request)?;
    if output.is_json() {
        output.json(&reply)?;
    } else if previous {
        print_previous(reply.previous, reply.previous_b64, output)?;
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
/// takes is a page's. In raft mode all pages are as of the revision of the first.
pub(crate) fn list(client: &Client, list: &List, output: &mut Output) -> Result<Exit, Problem> {
    let mut range = Range {
        prefix: list.prefix.as_deref().map_or(Ok(String::new()), cmd::prefix)?,
        limit: list.limit,
        keys_only: list.keys,
        count_only: list.count,
        read: list.freshness.read(),
        ..Range::default()
    };
    let mut at = list.when.moment();
    loop {
        let page = ask_page(client, &range, &mut at)?;
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

/// Asks for a page, and notes as of when the next is to be, where its mode can tell.
pub(super) fn ask_page(
    client: &Client,
    range: &Range,
    at: &mut Option<Moment>,
) -> Result<reply::List, Problem> {
    if let Some(at) = *at {
        return client.ask(&Request::Kv(Box::new(Kv::List { range: range.clone(), at })));
    }
    let (header, page): (_, reply::List) = client.ask_all(&Request::List(range.clone()))?;
    if header.mode == Some(Mode::Raft) && page.more {
        *at = header.revision.map(Moment::Revision);
    }
    Ok(page)
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

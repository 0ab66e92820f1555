//! `history`, `diff`, `revert` and `compact`: what keys held.

use std::time::{Duration, UNIX_EPOCH};

use common::control::bytes::{Base64Bytes, TextBytes};
use common::control::failure::{ErrorCode, Failure};
use common::control::kv::reply::{self, Compacted, Difference, Version};
use common::control::kv::{Keep, Kv, Moment, PutOptions};
use common::control::reply::{Delete, Get, Put};
use common::control::request::{Request, Selection};
use common::kv::condition::Conditions;
use common::kv::value::Value;

use crate::args::command::data::{Compact, Diff, History, Revert};
use crate::client::Client;
use crate::cmd::{self, kv};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn history(
    client: &Client,
    history: &History,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let key = cmd::key(&history.key)?;
    let (mut from, mut latest) = (None, std::collections::VecDeque::new());
    loop {
        let kv = Kv::History { key: key.clone(), from, limit: None, read: None };
        let page: reply::History = client.ask(&Request::Kv(Box::new(kv)))?;
        for version in page.versions {
            let Some(limit) = history.limit else {
                print_version(version, output)?;
                continue;
            };
            latest.push_back(version);
            if latest.len() as u64 > limit {
                latest.pop_front();
            }
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    latest.into_iter().try_for_each(|version| print_version(version, output))?;
    Ok(Exit::DONE)
}

fn print_version(version: Version, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        return output.json(&version);
    }
    let time = version.unix_ms.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    let time = time.map(|time| humantime::format_rfc3339_millis(time).to_string());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let cells = [
        version.revision.to_string(),
        version.kind.as_str().to_owned(),
        or_dash(time),
        or_dash(version.uid.map(|uid| uid.to_string())),
    ];
    let value = joined(version.value, version.value_b64)?;
    let value = value.as_ref().map(Value::as_bytes);
    let cells = cells.iter().map(String::as_bytes).chain(value);
    output.cells(&cells.collect::<Vec<_>>())
}

pub(crate) fn diff(client: &Client, diff: &Diff, output: &mut Output) -> Result<Exit, Problem> {
    let prefix = diff.prefix.as_deref().map_or(Ok(String::new()), cmd::prefix)?;
    let (mut to, mut start, mut has_any) = (diff.to, None, false);
    loop {
        let (prefix, from) = (prefix.clone(), diff.from);
        let kv = Kv::Diff { prefix, from, to, start, limit: None, read: None };
        let page: reply::Diff = client.ask(&Request::Kv(Box::new(kv)))?;
        has_any |= !page.items.is_empty();
        page.items.into_iter().try_for_each(|item| print_difference(item, output))?;
        // The latest is the same one on all pages.
        to = Some(page.to);
        match page.next {
            Some(next) => start = Some(next.as_str().to_owned()),
            None => return Ok(if has_any { Exit::NO } else { Exit::DONE }),
        }
    }
}

fn print_difference(item: Difference, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        return output.json(&item);
    }
    let before = joined(item.before, item.before_b64)?;
    let after = joined(item.after, item.after_b64)?;
    let mark: &[u8] = match (&before, &after) {
        (None, _) => b"+",
        (_, None) => b"-",
        (Some(_), Some(_)) => b"~",
    };
    let values = [&before, &after].into_iter().flatten().map(Value::as_bytes);
    let cells = [mark, item.key.as_str().as_bytes()].into_iter().chain(values);
    output.cells(&cells.collect::<Vec<_>>())
}

fn joined(text: Option<TextBytes>, base64: Option<Base64Bytes>) -> Result<Option<Value>, Problem> {
    match (&text, &base64) {
        (None, None) => Ok(None),
        (Some(_), _) | (_, Some(_)) => kv::value_of(text, base64).map(Some),
    }
}

/// Under the revision that was seen, so nothing is undone that was written meanwhile.
pub(crate) fn revert(
    client: Client,
    revert: &Revert,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let key = cmd::key(&revert.key)?;
    let at = Moment::Revision(revert.revision);
    let then: Get =
        client.ask(&Request::Kv(Box::new(Kv::Get { key: key.clone(), at, read: None })))?;
    let now: Get = client.ask(&Request::get(key.clone(), None))?;
    let seen = now.item.as_ref().map_or(0, |item| item.mod_revision);
    // Done once it is the same whenever it is tried: it must not name what is seen this time.
    let if_revision = if revert.once.once.is_some() { None } else { Some(seen) };
    let conditions = Conditions { if_revision, ..Conditions::default() };
    let client = client.once(revert.once.once.clone());
    let revision = match then.item {
        Some(item) => {
            let value = kv::value_of(item.value, item.value_b64)?;
            let options = PutOptions { conditions, ..PutOptions::default() };
            let put: Put = client.ask(&Request::Kv(Box::new(Kv::Put { key, value, options })))?;
            put.revision
        }
        None => {
            let selection = Selection::Key(key);
            let delete = Kv::Delete { selection, conditions, previous: false };
            let deleted: Delete = client.ask(&Request::Kv(Box::new(delete)))?;
            deleted.revision
        }
    };
    if output.is_json() {
        output.json(&Put::of(revision))?;
    } else if output.is_verbose() {
        output.line(revision.to_string().as_bytes())?;
    }
    Ok(Exit::DONE)
}

pub(crate) fn compact(
    client: &Client,
    compact: &Compact,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let keep = match (compact.revision, compact.keep) {
        (Some(revision), _) => Keep::From(revision),
        (None, Some(age)) => Keep::Age(age),
        (None, None) => {
            let failure = Failure::new(ErrorCode::BadRequest, "REVISION or --keep is missing");
            return Err(failure.into());
        }
    };
    let reply: Compacted = client.ask(&Request::Kv(Box::new(Kv::Compact(keep))))?;
    if output.is_json() {
        output.json(&reply)?;
    } else {
        output.line(reply.floor.to_string().as_bytes())?;
    }
    Ok(Exit::DONE)
}

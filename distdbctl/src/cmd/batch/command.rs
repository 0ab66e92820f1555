//! A line of input, read as a command or as a request.

use clap::ValueEnum;
use common::control::Id;
use common::control::acks::Acks;
use common::control::failure::Failure;
use common::control::request::{Range, Read, Request, Selection};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::args::command::keys::ReadLevel;
use crate::cmd::batch::line::Shape;
use crate::cmd::{self, call, kv};
use crate::problem::Problem;

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) asked: Asked,
    pub(super) shape: Shape,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    /// A command's request.
    Command(Request),
    /// A line of the protocol as it came, but for its id.
    Line { line: Vec<u8>, may_change: bool },
}

impl Asked {
    pub(super) fn may_change(&self) -> bool {
        match self {
            Self::Command(request) => request.is_write(),
            Self::Line { may_change, .. } => *may_change,
        }
    }
}

/// Reads a line of input; `None` if there is nothing to do for it.
pub(super) fn parse(line: &[u8], id: u64) -> Result<Option<Parsed>, Problem> {
    let line = line.trim_ascii();
    match line.first() {
        None | Some(b'#') => Ok(None),
        Some(b'{') => request(line, id).map(Some),
        Some(_) => command(line).map(Some),
    }
}

fn request(line: &[u8], id: u64) -> Result<Parsed, Problem> {
    let members: Result<Map<String, Value>, _> = serde_json::from_slice(line);
    let mut members = members.map_err(|error| wrong(format!("no JSON object: {error}")))?;
    let own_id = members.insert("id".to_owned(), Value::from(id));
    let own_id = own_id.map(Id::deserialize).transpose();
    let own_id = own_id.map_err(|error| wrong(format!("member `id`: {error}")))?;
    let op = members.get("op").and_then(Value::as_str).unwrap_or_default();
    if op == "watch" || op == "cancel" {
        return Err(wrong(format!("{op} has no place in a batch; use call or watch")));
    }
    let may_change = call::may_change(op);
    let mut line = serde_json::to_vec(&members).expect("it came from JSON");
    line.push(b'\n');
    Ok(Parsed { asked: Asked::Line { line, may_change }, shape: Shape::Json(own_id) })
}

fn command(line: &[u8]) -> Result<Parsed, Problem> {
    let text = std::str::from_utf8(line).map_err(|error| wrong(error.to_string()))?;
    let words = shell_words::split(text).map_err(|error| wrong(error.to_string()))?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let found = match words.split_first() {
        Some((&"get", words)) => get(words)?,
        Some((&("list" | "ls"), words)) => Some(list(words)?),
        Some((&"conflicts", ["list" | "ls", words @ ..])) => conflicts(words)?,
        Some((&"wait", words)) => {
            let condition = words.join(" ").parse();
            let condition = condition.map_err(|error| wrong(format!("{error}")))?;
            Some((Shape::Wait, Request::Wait(condition)))
        }
        Some(_) | None => write(&words)?,
    };
    let (shape, request) = found.ok_or_else(|| {
        wrong(format!("no command of a batch: {text}"))
            .with_hint("distdbctl batch --help lists them")
    })?;
    Ok(Parsed { asked: Asked::Command(request), shape })
}

/// What a command asks for; none if the words are no such command.
type Found = Option<(Shape, Request)>;

fn get(words: &[&str]) -> Result<Found, Problem> {
    Ok(match words {
        [key] => Some((Shape::Get, Request::get(cmd::key(key.as_ref())?, None))),
        [key, "--read", how] => {
            let (key, read) = (cmd::key(key.as_ref())?, Some(read(how)?));
            Some((Shape::Get, Request::get(key, read)))
        }
        _ => None,
    })
}

fn conflicts(words: &[&str]) -> Result<Found, Problem> {
    let prefix = match words {
        [] => String::new(),
        [prefix] => cmd::prefix(prefix.as_ref())?,
        _ => return Ok(None),
    };
    let (start, limit, context) = (None, None, None);
    Ok(Some((Shape::Conflicts, Request::Conflicts { prefix, start, limit, context })))
}

fn write(words: &[&str]) -> Result<Found, Problem> {
    let (acks, words) = take_acks(words)?;
    let key = |text: &str| cmd::key(text.as_ref());
    let value = |text: &str| kv::checked(text.as_bytes().to_vec());
    let context = None;
    Ok(Some(match words.as_slice() {
        ["put", name, "--", text] | ["put", name, text] => {
            let (key, value) = (key(name)?, value(text)?);
            (Shape::Put, Request::Put { key, value, acks, context })
        }
        ["delete" | "del", "--prefix", prefix] => {
            let selection = Selection::Prefix(cmd::prefix(prefix.as_ref())?);
            (Shape::Delete, Request::Delete { selection, acks, context })
        }
        ["delete" | "del", name] => {
            let selection = Selection::Key(key(name)?);
            (Shape::Delete, Request::Delete { selection, acks, context })
        }
        ["incr", name] => (Shape::Incr, Request::Incr { key: key(name)?, delta: 1, acks, context }),
        ["incr", name, delta] => {
            let delta =
                delta.parse().map_err(|_| wrong(format!("{delta:?} is no whole number")))?;
            (Shape::Incr, Request::Incr { key: key(name)?, delta, acks, context })
        }
        ["add", name, "--", text] | ["add", name, text] => {
            (Shape::Put, Request::Add { key: key(name)?, value: value(text)?, acks, context })
        }
        ["remove", name, "--", text] | ["remove", name, text] => {
            (Shape::Put, Request::Remove { key: key(name)?, value: value(text)?, acks, context })
        }
        ["conflicts", "resolve", name, "--", text] | ["conflicts", "resolve", name, text] => {
            (Shape::Put, Request::Resolve { key: key(name)?, value: value(text)?, context })
        }
        _ => return Ok(None),
    }))
}

/// Takes `--acks N` out of the words of a write, where it has them besides what it needs.
fn take_acks<'a>(words: &[&'a str]) -> Result<(Acks, Vec<&'a str>), Problem> {
    let flags = words.iter().take_while(|word| **word != "--");
    match flags.clone().position(|word| *word == "--acks") {
        Some(at) if at + 1 < flags.count() => {
            let acks = words[at + 1].parse().map_err(|error| wrong(format!("--acks {error}")))?;
            Ok((acks, [&words[..at], &words[at + 2..]].concat()))
        }
        Some(_) | None => Ok((Acks::default(), words.to_vec())),
    }
}

fn wrong(message: String) -> Problem {
    Failure::bad_request(message).into()
}

fn read(how: &str) -> Result<Read, Problem> {
    let level = ReadLevel::from_str(how, false);
    level
        .map(Into::into)
        .map_err(|_| wrong(format!("--read {how}: it takes linearizable, session or stale")))
}

fn list(mut words: &[&str]) -> Result<(Shape, Request), Problem> {
    let what = |word: &str| wrong(format!("list: what is {word}?"));
    let mut range = Range::default();
    loop {
        words = match words {
            [] => break,
            ["--keys", rest @ ..] => {
                range.keys_only = true;
                rest
            }
            ["--count", rest @ ..] => {
                range.count_only = true;
                rest
            }
            ["--limit", limit, rest @ ..] => {
                range.limit = Some(limit.parse().map_err(|_| what(limit))?);
                rest
            }
            ["--read", how, rest @ ..] => {
                range.read = Some(read(how)?);
                rest
            }
            [prefix, rest @ ..] if range.prefix.is_empty() && !prefix.starts_with("--") => {
                range.prefix = cmd::prefix(prefix.as_ref())?;
                rest
            }
            [word, ..] => return Err(what(word)),
        }
    }
    let shape = if range.count_only { Shape::Count } else { Shape::List };
    Ok((shape, Request::List(range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Request {
        match parse(line.as_bytes(), 1).expect(line).expect(line).asked {
            Asked::Command(request) => request,
            Asked::Line { .. } => panic!("{line} is a command"),
        }
    }

    fn acks(line: &str) -> Option<Acks> {
        if let Request::Put { acks, .. }
        | Request::Delete { acks, .. }
        | Request::Incr { acks, .. } = asked(line)
        {
            return Some(acks);
        }
        None
    }

    #[test]
    fn a_flag_of_a_write_stands_anywhere_before_the_dashes() {
        let majority = Some(Acks::Majority);
        assert_eq!(acks("put k v --acks majority"), majority);
        assert_eq!(acks("put --acks majority k -- --acks"), majority);
        assert_eq!(acks("delete --acks majority --prefix p"), majority);
        assert_eq!(acks("incr k -5 --acks majority"), majority);
        assert_eq!(acks("put k --acks"), Some(Acks::default()));
        assert!(parse(b"put k v --acks 0", 1).is_err() && parse(b"put k v --ack 2", 1).is_err());
    }

    #[test]
    fn the_commands_of_causal_mode_have_lines() {
        assert!(matches!(asked("incr k -5"), Request::Incr { delta: -5, .. }));
        assert!(matches!(asked("incr k"), Request::Incr { delta: 1, .. }));
        assert!(matches!(asked("add k -- -x"), Request::Add { .. }));
        assert!(matches!(asked("remove k 'two words'"), Request::Remove { .. }));
        assert!(
            matches!(asked("conflicts list p"), Request::Conflicts { prefix, .. } if prefix == "p")
        );
        assert!(matches!(asked("conflicts resolve k v"), Request::Resolve { context: None, .. }));
        for bad in ["incr", "incr k x", "add k", "conflicts", "conflicts list a b", "remove"] {
            assert!(parse(bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }
}

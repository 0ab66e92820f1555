//! `import`: stores what `export` has printed, many lines at a time over one connection.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use common::control::Id;
use common::control::failure::{ErrorCode, Failure};
use common::control::kv::{Kv, PutOptions};
use common::control::line::LINE_BYTES_MAX;
use common::control::reply::Put;
use common::control::request::{Call, Request};
use common::kv::condition::Conditions;
use common::kv::key::Key;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::Globals;
use crate::args::command::data::{Import, OnConflict};
use crate::client::{self, Client, Dialogue};
use crate::cmd::export::Line;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::{Code, OwnCode, Problem};

/// Puts on their way at a time: enough that a commit has many.
const WINDOW: usize = 512;

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    stored: u64,
    skipped: u64,
}

/// The puts that are on their way, and what has become of the others.
struct Importer<'a> {
    dialogue: Dialogue,
    client: &'a Client,
    on_conflict: OnConflict,
    /// By their ids, in order: replies may come in any.
    sent: VecDeque<(u64, Key)>,
    done: Done,
    number: u64,
}

pub(crate) fn import(
    globals: &Globals,
    import: &Import,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let (mut input, bytes) = open(import.file.as_deref())?;
    let client = Client::new(globals)?;
    let bar = progress(bytes, output);
    let mut importer = Importer {
        dialogue: client.dialogue()?,
        client: &client,
        on_conflict: import.on_conflict,
        sent: VecDeque::new(),
        done: Done::default(),
        number: 0,
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
        let count = read.map_err(|error| unreadable(&error))?;
        if count == 0 {
            break;
        }
        bar.inc(count as u64);
        importer.send(&line)?;
    }
    while !importer.sent.is_empty() {
        importer.receive()?;
    }
    bar.finish_and_clear();
    if output.is_json() {
        output.json(&importer.done)?;
    } else if output.is_verbose() {
        let Done { stored, skipped } = importer.done;
        output.note(&format!("{stored} keys stored, {skipped} skipped"));
    }
    Ok(Exit::DONE)
}

impl Importer<'_> {
    fn send(&mut self, text: &[u8]) -> Result<(), Problem> {
        self.number += 1;
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let line: Line = serde_json::from_slice(text).map_err(|error| {
            let message = format!("line {} is no key and value: {error}", self.number);
            Problem::from(Failure::bad_request(message))
        })?;
        let key = line.key.clone();
        let value = common::control::bytes::join(line.value, line.value_b64)?.ok_or_else(|| {
            let message = format!("line {} has a key, and no value", self.number);
            Problem::from(Failure::bad_request(message))
        })?;
        let request = if self.on_conflict == OnConflict::Overwrite {
            Request::put(line.key, value)
        } else {
            let conditions = Conditions { if_absent: true, ..Conditions::default() };
            let options = PutOptions { conditions, ..PutOptions::default() };
            Request::Kv(Box::new(Kv::Put { key: line.key, value, options }))
        };
        let call = Call { id: Some(Id::Unsigned(self.number)), ..Call::new(request) };
        self.dialogue.send(&call, self.client.deadline())?;
        self.sent.push_back((self.number, key));
        if self.sent.len() >= WINDOW { self.receive() } else { Ok(()) }
    }

    fn receive(&mut self) -> Result<(), Problem> {
        let line = self.dialogue.answer_line(self.client.deadline())?;
        let id = client::id_of(&line)?;
        let is_it = |(sent, _): &(u64, Key)| Id::Unsigned(*sent) == id;
        let at = self.sent.iter().position(is_it);
        let at = at.ok_or_else(|| Problem::new(OwnCode::Protocol, "an answer to no question"))?;
        let (number, key) = self.sent.remove(at).expect("it was just seen");
        match client::result::<Put>(&line) {
            Ok(_) => self.done.stored += 1,
            Err(problem)
                if problem.code == Code::Node(ErrorCode::ConditionFailed)
                    && self.on_conflict == OnConflict::Skip =>
            {
                self.done.skipped += 1;
            }
            Err(problem) => {
                let behind = self.sent.len();
                let message = format!("line {number}, key {key}: {problem}");
                let hint = format!(
                    "what came before is stored, and of what came behind up to {behind} lines may be; \
                     --on-conflict skip or overwrite goes on"
                );
                return Err(Problem { message, ..problem }.with_hint(hint));
            }
        }
        Ok(())
    }
}

/// The input, and how long it is, if that is known.
fn open(path: Option<&Path>) -> Result<(Box<dyn BufRead>, Option<u64>), Problem> {
    match path {
        Some(path) if path != Path::new("-") => {
            let file = File::open(path);
            let file = file.map_err(|error| {
                let message = format!("{} can't be read: {error}", path.display());
                Problem::new(OwnCode::Input, message)
            })?;
            let bytes = file.metadata().ok().map(|data| data.len());
            Ok((Box::new(BufReader::new(file)), bytes))
        }
        Some(_) | None => Ok((Box::new(BufReader::new(io::stdin())), None)),
    }
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(OwnCode::Input, format!("the input can't be read: {error}"))
}

fn progress(bytes: Option<u64>, output: &Output) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    if !output.has_spectator() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}";
    bar.with_style(ProgressStyle::with_template(template).expect("it is well-formed"))
}

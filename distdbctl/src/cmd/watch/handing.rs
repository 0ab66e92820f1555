//! Hands changes out: prints them, or runs a command for them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::control::watching::WatchEvent;
use common::kv::value::Value;
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::args::command::watch::{Deliver, OnError, Watch};
use crate::cmd::child::{Ended, Runner};
use crate::cmd::kv;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;
use crate::signals::{End, Signals};
use crate::waiting;

/// What a command that failed waits before it is run again; twice as long after each failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A longer one would hide that the reason is gone.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// All changes of one revision, or of several that wait together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) events: Vec<WatchEvent>,
    /// The last of them.
    revision: u64,
}

impl Batch {
    pub(super) fn new(events: Vec<WatchEvent>, revision: u64) -> Self {
        Self { events, revision }
    }

    pub(super) fn append(&mut self, events: Vec<WatchEvent>, revision: u64) {
        self.events.extend(events);
        self.revision = revision;
    }

    /// Leaves so many of the changes, and all revisions that are whole.
    fn truncate(&mut self, count: usize) {
        if let Some(first) = self.events.get(count) {
            self.revision = first.revision.saturating_sub(1);
            self.events.truncate(count);
        }
    }
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Taken {
    /// All up to this revision is handled.
    pub(super) handled: Option<u64>,
    /// How we end, if this was the last one.
    pub(super) end: Option<End>,
}

/// Takes changes, and knows how many more are wanted.
pub(super) struct Hand<'a> {
    watch: &'a Watch,
    runner: Option<Runner<'a>>,
    left: Option<u64>,
}

impl<'a> Hand<'a> {
    pub(super) fn new(watch: &'a Watch, output: &Output) -> Result<Self, Problem> {
        let words = watch.command.as_slice();
        let is_run = !words.is_empty();
        let runner = is_run.then(|| Runner::new(words, output.voice())).transpose()?;
        Ok(Self { watch, runner, left: watch.count })
    }

    /// Where signals come in that were caught for a command's sake.
    pub(super) fn signals(&self) -> Option<&Signals> {
        self.runner.as_ref().map(|runner| &runner.signals)
    }

    pub(super) fn take(&mut self, mut batch: Batch, output: &mut Output) -> Result<Taken, Problem> {
        if let Some(left) = &mut self.left {
            batch.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= batch.events.len() as u64;
        }
        let handled = Some(batch.revision);
        let ended = match &self.runner {
            None => print(&batch.events, output).map(|()| None)?,
            Some(runner) => Handler { watch: self.watch, runner, output }.handle(batch)?,
        };
        Ok(match ended {
            Some(Stop { end, is_handled }) => {
                Taken { handled: handled.filter(|_| is_handled), end: Some(end) }
            }
            None => {
                let end = (self.left == Some(0)).then_some(End::With(Exit::DONE));
                Taken { handled, end }
            }
        })
    }
}

/// No more is to be handed out.
struct Stop {
    end: End,
    /// Whether all was handled.
    is_handled: bool,
}

/// Runs a command for one batch.
struct Handler<'a> {
    watch: &'a Watch,
    runner: &'a Runner<'a>,
    output: &'a Output,
}

impl Handler<'_> {
    fn handle(&self, batch: Batch) -> Result<Option<Stop>, Problem> {
        let events = match self.watch.deliver {
            Deliver::Each => batch.events,
            Deliver::Latest => last_of_each_key(batch.events),
            Deliver::Batch if batch.events.is_empty() => return Ok(None),
            Deliver::Batch => return self.run_for_all(&batch),
        };
        let mut left = events.len();
        for event in events {
            left -= 1;
            if let Some(stop) = self.run_for(event)? {
                let is_handled = stop.is_handled && left == 0;
                return Ok(Some(Stop { is_handled, ..stop }));
            }
        }
        Ok(None)
    }

    fn run_for(&self, event: WatchEvent) -> Result<Option<Stop>, Problem> {
        let variables = [
            ("DISTDB_EVENT", event.kind.as_str().to_owned()),
            ("DISTDB_KEY", event.key.as_str().to_owned()),
            ("DISTDB_REVISION", event.revision.to_string()),
        ];
        let value = kv::value_of(event.value, event.value_b64)?;
        self.run(&variables, value.as_bytes())
    }

    fn run_for_all(&self, batch: &Batch) -> Result<Option<Stop>, Problem> {
        let variables = [
            ("DISTDB_COUNT", batch.events.len().to_string()),
            ("DISTDB_REVISION", batch.revision.to_string()),
        ];
        let mut lines = Vec::new();
        for event in &batch.events {
            serde_json::to_writer(&mut lines, event).expect("strings and numbers serialize");
            lines.push(b'\n');
        }
        self.run(&variables, &lines)
    }

    /// Runs it until it succeeds, or that is not to be waited for.
    fn run(&self, variables: &[(&str, String)], input: &[u8]) -> Result<Option<Stop>, Problem> {
        let mut pause = PAUSE_MIN;
        loop {
            let Ended { exit, signal } = self.runner.run(variables, input.to_vec())?;
            let is_done = exit == Exit::DONE;
            if let Some(signal) = signal {
                let end = if is_done { End::By(signal) } else { End::With(exit) };
                return Ok(Some(Stop { end, is_handled: is_done }));
            }
            let code = exit.code();
            match self.watch.on_error {
                OnError::Retry | OnError::Skip | OnError::Stop if is_done => return Ok(None),
                OnError::Stop => {
                    return Ok(Some(Stop { end: End::With(exit), is_handled: false }));
                }
                OnError::Skip => {
                    self.output.note(&format!("the command ended with {code}; skipped"));
                    return Ok(None);
                }
                OnError::Retry => {
                    let shown = humantime::format_duration(pause);
                    self.output.note(&format!("the command ended with {code}; again in {shown}"));
                    if let Some(signal) = self.rest(pause) {
                        return Ok(Some(Stop { end: End::By(signal), is_handled: false }));
                    }
                    pause = PAUSE_MAX.min(pause * 2);
                }
            }
        }
    }

    /// Lets time pass; the signal if one is to end us before.
    fn rest(&self, pause: Duration) -> Option<Signal> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            waiting::until_readable_by([self.runner.signals.as_fd()], Some(until));
            if let Some(signal) = self.runner.signals.next_ending() {
                return Some(signal);
            }
        }
        None
    }
}

/// The newest change of each key, in the order of their revisions.
fn last_of_each_key(events: Vec<WatchEvent>) -> Vec<WatchEvent> {
    let mut seen = BTreeSet::new();
    let newest_first = events.into_iter().rev();
    let mut last: Vec<_> = newest_first.filter(|event| seen.insert(event.key.clone())).collect();
    last.reverse();
    last
}

fn print(events: &[WatchEvent], output: &mut Output) -> Result<(), Problem> {
    for event in events {
        if output.is_json() {
            output.json(event)?;
            continue;
        }
        let value = |text, base64| kv::value_of(text, base64).map(Some);
        let value = match (&event.value, &event.value_b64) {
            (None, None) => None,
            (text, base64) => value(text.clone(), base64.clone())?,
        };
        let previous = match (&event.previous, &event.previous_b64) {
            (None, None) => None,
            (text, base64) => Some(kv::value_of(text.clone(), base64.clone())?),
        };
        let mut cells = vec![event.kind.as_str().as_bytes(), event.key.as_str().as_bytes()];
        // The value before stands in the fourth cell, whatever the third is.
        if let Some(value) = value.as_ref() {
            cells.push(value.as_bytes());
        } else if previous.is_some() {
            cells.push(b"");
        }
        cells.extend(previous.as_ref().map(Value::as_bytes));
        output.cells(&cells)?;
    }
    output.flush()
}

/// A mark between changes.
#[derive(Serialize)]
struct Progress {
    progress: u64,
}

pub(super) fn print_progress(progress: u64, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        output.json(&Progress { progress })?;
    } else {
        output.cells(&[b"progress", progress.to_string().as_bytes()])?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use common::control::bytes;
    use common::control::watching::EventKind;
    use common::kv::key::Key;

    use super::*;

    fn put(key: &str, revision: u64) -> WatchEvent {
        let (value, value_b64) = bytes::split(Value::default());
        let key = Key::try_from(key).unwrap();
        let (previous, previous_b64) = (None, None);
        let kind = EventKind::Put;
        WatchEvent { kind, key, value, value_b64, previous, previous_b64, revision }
    }

    fn told(events: &[WatchEvent]) -> Vec<(&str, u64)> {
        events.iter().map(|event| (event.key.as_str(), event.revision)).collect()
    }

    #[test]
    fn the_latest_of_a_key_stands_for_those_before() {
        let events = vec![put("a", 1), put("b", 1), put("a", 2), put("c", 3)];
        assert_eq!(told(&last_of_each_key(events)), [("b", 1), ("a", 2), ("c", 3)]);
    }

    /// What is handled is a whole number of revisions.
    #[test]
    fn a_revision_that_is_cut_is_not_handled() {
        let mut batch = Batch::new(vec![put("a", 4), put("b", 5), put("c", 5)], 5);
        batch.append(vec![put("d", 8)], 9);
        batch.truncate(4);
        assert_eq!((batch.events.len(), batch.revision), (4, 9));
        batch.truncate(3);
        assert_eq!((batch.events.len(), batch.revision), (3, 7));
        batch.truncate(2);
        assert_eq!((batch.events.len(), batch.revision), (2, 4));
        batch.truncate(0);
        assert_eq!(batch.revision, 3);
    }
}

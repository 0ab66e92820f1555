//! `watch`: changes as they come, printed or handed to a command.
//!
//! A watch is long: it outlives the node that it began with. What it has handed out it knows by
//! the revision, so the next node goes on where the last one ended, without a gap. A cursor makes
//! that outlive the watch itself. Each change is handed out at least once, and is called handled
//! after that; what comes between the two, be it `kill -9`, brings it a second time.

mod cursor;
mod handing;
mod initial;
mod stream;

use common::control::request::{Request, Selection};
use common::control::watching::EventKind;
use nix::sys::signal::Signal;

use crate::args::Globals;
use crate::args::command::watch::{Deliver, Watch};
use crate::cmd::watch::cursor::Cursor;
use crate::cmd::watch::handing::{Batch, Hand};
use crate::cmd::watch::initial::Initial;
use crate::cmd::watch::stream::{Item, Stream};
use crate::cmd::{self, child};
use crate::exit::Exit;
use crate::link::Link;
use crate::output::Output;
use crate::problem::Problem;
use crate::signals::End;
use crate::waiting;

pub(crate) fn watch(
    globals: &Globals,
    watch: &Watch,
    output: &mut Output,
) -> Result<Exit, Problem> {
    if !watch.command.is_empty() {
        child::close_inherited();
    }
    let selection = selection(watch)?;
    let mut link = Link::new(globals)?;
    let mut cursor = match &watch.cursor {
        Some(path) => Some(Cursor::open(path, &mut link)?),
        None => None,
    };
    let mut hand = Hand::new(watch, output)?;
    let mut from = match cursor.as_ref().and_then(Cursor::position) {
        Some(handled) => Some(handled + 1),
        None => watch.from,
    };
    let wish = Wish::new(selection, watch);
    if watch.initial && from.is_none() {
        match take_initial(&mut link, &wish, &mut hand, output)? {
            Begun::At(revision) => from = Some(revision + 1),
            Begun::Over(end) => return Ok(end.reach()),
        }
    }
    let (stream, from) = Stream::begin(link, wish, from)?;
    if let Some(cursor) = &mut cursor {
        // Whatever comes next must be told after a restart, even if nothing was before.
        cursor.advance(from.saturating_sub(1))?;
    }
    if output.is_verbose() {
        output.note(&format!("watching from revision {from}"));
    }
    Follower { watch, stream, hand, cursor }.follow(output).map(End::reach)
}

fn selection(watch: &Watch) -> Result<Selection, Problem> {
    Ok(match &watch.key {
        None => Selection::Prefix(String::new()),
        Some(key) if watch.prefix => Selection::Prefix(cmd::prefix(key)?),
        Some(key) => Selection::Key(cmd::key(key)?),
    })
}

/// What a node is asked for, whichever it is.
struct Wish {
    selection: Selection,
    previous: bool,
    only: Option<Vec<EventKind>>,
    requires_quorum: bool,
    /// How somebody begins anew whose changes are not kept.
    anew: String,
}

impl Wish {
    fn new(selection: Selection, watch: &Watch) -> Self {
        let only: Vec<_> = watch.only.iter().copied().map(EventKind::from).collect();
        let anew = watch.cursor.as_ref().map_or_else(
            || "begin with --initial".to_owned(),
            |path| format!("remove {} and begin with --initial", path.display()),
        );
        Self {
            selection,
            previous: watch.previous,
            only: (!only.is_empty()).then_some(only),
            requires_quorum: watch.require_quorum,
            anew,
        }
    }

    fn request(&self, from: Option<u64>) -> Request {
        let (selection, only) = (self.selection.clone(), self.only.clone());
        let progress = Some(stream::PROGRESS);
        Request::Watch { selection, from, previous: self.previous, only, progress }
    }

    fn has_puts(&self) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&EventKind::Put))
    }
}

/// What came of the beginning.
enum Begun {
    /// All up to this revision was handed out.
    At(u64),
    /// More is not wanted, or was not handled.
    Over(End),
}

/// Hands out what is there, page by page, all as of one revision.
fn take_initial(
    link: &mut Link,
    wish: &Wish,
    hand: &mut Hand<'_>,
    output: &mut Output,
) -> Result<Begun, Problem> {
    let mut initial = Initial::new(&wish.selection);
    while let Some(mut events) = initial.page(link)? {
        if !wish.has_puts() {
            events.clear();
        }
        if let Some(end) = hand.take(Batch::new(events, 0), output)?.end {
            return Ok(Begun::Over(end));
        }
    }
    Ok(Begun::At(initial.revision()))
}

/// A watch on its way.
struct Follower<'a> {
    watch: &'a Watch,
    stream: Stream,
    hand: Hand<'a>,
    cursor: Option<Cursor>,
}

/// Waiting changes that are handed out at once; more are left to the node, and to the socket.
const EVENTS_MAX: usize = 10_000;

/// The same, in bytes as they came.
const BYTES_MAX: usize = 64 * 1024 * 1024;

impl Follower<'_> {
    fn follow(mut self, output: &mut Output) -> Result<End, Problem> {
        loop {
            match self.stream.ready(output)? {
                Some(Item::Events { events, revision, bytes }) => {
                    let batch = self.gather(Batch::new(events, revision), bytes, output)?;
                    if let Some(end) = self.hand_out(batch, output)? {
                        return Ok(end);
                    }
                }
                Some(Item::Progress(revision)) => self.on_progress(revision, output)?,
                None => {
                    if let Some(signal) = self.wait()? {
                        return Ok(End::By(signal));
                    }
                }
            }
        }
    }

    /// What waits behind a change, if the command wants it together.
    fn gather(
        &mut self,
        mut batch: Batch,
        mut bytes: usize,
        output: &Output,
    ) -> Result<Batch, Problem> {
        let is_gathered = self.watch.deliver != Deliver::Each;
        while is_gathered && batch.events.len() < EVENTS_MAX && bytes < BYTES_MAX {
            match self.stream.ready(output)? {
                Some(Item::Events { events, revision, bytes: more }) => {
                    bytes += more;
                    batch.append(events, revision);
                }
                Some(Item::Progress(revision)) => batch.append(Vec::new(), revision),
                None => break,
            }
        }
        Ok(batch)
    }

    fn hand_out(&mut self, batch: Batch, output: &mut Output) -> Result<Option<End>, Problem> {
        let taken = self.hand.take(batch, output)?;
        if let (Some(cursor), Some(handled)) = (&mut self.cursor, taken.handled) {
            cursor.advance(handled)?;
        }
        Ok(taken.end)
    }

    fn on_progress(&mut self, revision: u64, output: &mut Output) -> Result<(), Problem> {
        if self.watch.progress {
            handing::print_progress(revision, output)?;
        }
        self.cursor.as_mut().map_or(Ok(()), |cursor| cursor.advance_now_and_then(revision))
    }

    /// Waits until something comes; the signal if it is one that is to end us.
    fn wait(&mut self) -> Result<Option<Signal>, Problem> {
        let Some(signals) = self.hand.signals() else {
            waiting::for_reader(self.stream.as_fd().as_slice(), self.stream.wake_at())?;
            return Ok(None);
        };
        let fds: Vec<_> = [signals.as_fd()].into_iter().chain(self.stream.as_fd()).collect();
        waiting::for_reader(&fds, self.stream.wake_at())?;
        Ok(signals.next_ending())
    }
}

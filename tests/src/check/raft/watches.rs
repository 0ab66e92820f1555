//! Watches: who goes on from node to node, over crashes and snapshots, is told each change of the
//! keys it follows once, in order, all of a revision in one line, and nothing else: what the ledger
//! has from where it began to where it is. A mark stands for all up to it.
//!
//! Source: NoGap, Unique, Ordered, Atomic, ProgressNeverAhead of `spec/Watch.tla`; pitfalls W1, W3,
//! W5, W7, W9.

use common::control::bytes::join;
use common::control::watching::WatchEvent;
use common::kv::history::Event;
use common::kv::store::Item;

use super::ledger::Ledger;

/// What a client was told without a gap of which it was warned.
#[derive(Debug)]
pub struct Stretch {
    prefix: String,
    from: u64,
    /// The first revision of which it may be told next.
    pub next: u64,
    /// Whether it follows yet: then it was told all there is.
    pub is_live: bool,
    lines: Vec<(u64, Vec<WatchEvent>)>,
    /// What it was told that is of a revision already behind it.
    late: Option<u64>,
}

impl Stretch {
    /// One that begins.
    pub fn new(prefix: &str, from: u64) -> Self {
        let (lines, late) = Default::default();
        Self { prefix: prefix.to_owned(), from, next: from, is_live: false, lines, late }
    }

    /// The changes of one revision were told.
    pub fn hear(&mut self, revision: u64, events: Vec<WatchEvent>) {
        if revision < self.next {
            self.late = self.late.or(Some(revision));
        }
        self.lines.push((revision, events));
        self.reach(revision + 1);
    }

    /// All before a revision was told.
    pub fn reach(&mut self, next: u64) {
        self.next = self.next.max(next);
    }
}

pub(super) fn judge<'a>(
    ledger: &Ledger,
    all: impl Iterator<Item = &'a Stretch>,
) -> Result<(), String> {
    for stretch in all {
        if let Some(revision) = stretch.late {
            return Err(format!("{revision} is told when all before is: {stretch:?}"));
        }
        let upto = if stretch.is_live { ledger.revision() } else { stretch.next - 1 };
        let changes = ledger.changes(stretch.from, upto);
        let changes: Vec<&Event> =
            changes.filter(|change| change.key.as_str().starts_with(&stretch.prefix)).collect();
        let mut lines = stretch.lines.iter();
        for changes in changes.chunk_by(|one, next| one.revision == next.revision) {
            let is_it = |(revision, events): &(u64, Vec<WatchEvent>)| {
                *revision == changes[0].revision
                    && events.len() == changes.len()
                    && events.iter().zip(changes).all(|(event, change)| is_told(event, change))
            };
            let line = lines.next();
            if !line.is_some_and(is_it) {
                return Err(format!("{changes:?} was told as {line:?} from {}", stretch.from));
            }
        }
        if let Some(line) = lines.next() {
            return Err(format!("{line:?} is told, and was never"));
        }
    }
    Ok(())
}

fn is_told(event: &WatchEvent, change: &Event) -> bool {
    let value = join(event.value.clone(), event.value_b64.clone());
    let before = join(event.previous.clone(), event.previous_b64.clone());
    (event.kind, &event.key, event.revision) == (change.kind, &change.key, change.revision)
        && value.is_ok_and(|value| value == change.after.as_ref().map(Item::value))
        && before.is_ok_and(|before| before == change.before.as_ref().map(Item::value))
}

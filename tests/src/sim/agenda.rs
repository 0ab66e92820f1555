//! What is going to happen, in the order of virtual time.

use std::collections::BTreeMap;

use common::time::Time;

/// Things that will happen. Of two at the same time, the one that was put down first comes first.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    entries: BTreeMap<(Time, u64), T>,
    count: u64,
}

impl<T> Agenda<T> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), count: 0 }
    }

    pub(super) fn put(&mut self, at: Time, entry: T) {
        self.count += 1;
        self.entries.insert((at, self.count), entry);
    }

    /// The next one, unless it lies behind `until`.
    pub(super) fn take(&mut self, until: Time) -> Option<(Time, T)> {
        let next = self.entries.first_entry()?;
        let (at, _) = *next.key();
        (at <= until).then(|| (at, next.remove()))
    }
}

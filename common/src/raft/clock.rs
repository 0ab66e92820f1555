//! The clocks that a leader writes into its entries.

use std::time::Duration;

use crate::kv::state::Stamp;
use crate::raft::Raft;
use crate::raft::log::Index;
use crate::time::Time;

/// What a node takes the time to be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    /// Of the step that is being done.
    pub(super) now: Time,
    /// What the wall clock said last, and when.
    wall: Option<(Time, u64)>,
    /// Of a leader: when its office began, and where the clock of the log was then.
    office: (Time, u64),
}

impl Clock {
    pub(super) fn tell(&mut self, now: Time, unix_ms: u64) {
        self.wall = Some((now, unix_ms));
    }

    /// The clock of the log goes on from where it was: what has passed since, nobody knows. So a
    /// lease may last longer by an election, and ends for no one too early (T1).
    pub(super) fn begin_office(&mut self, now: Time, log_ms: u64) {
        self.office = (now, log_ms);
    }

    pub(super) fn unix_ms(&self) -> u64 {
        let (told, unix_ms) = self.wall.unwrap_or_default();
        unix_ms.saturating_add(milliseconds(self.now.since(told)))
    }

    fn stamp(&self) -> Stamp {
        let (since, log_ms) = self.office;
        let log_ms = log_ms.saturating_add(milliseconds(self.now.since(since)));
        Stamp { log_ms, unix_ms: self.unix_ms() }
    }
}

impl Raft {
    /// What a leader takes the time to be.
    pub(super) fn stamp(&self) -> Stamp {
        self.clock.stamp()
    }

    /// Where the clock of the log is, what is not applied yet included.
    pub(super) fn last_log_ms(&self) -> u64 {
        let unapplied = self.last_applied.next().0..=self.log.last().index.0;
        let stamps = unapplied.filter_map(|index| {
            let entry = self.log.get(Index(index))?;
            entry.payload.command().map(|(stamp, _)| stamp.log_ms)
        });
        stamps.fold(self.state.log_ms, u64::max)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

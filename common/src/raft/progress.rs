//! How far a leader has brought one other member.

use std::collections::VecDeque;

use crate::raft::log::Index;
use crate::time::Time;

/// Entries on their way to one member, in bytes: enough to fill a link while an answer comes back,
/// few enough that a slow member holds little of the leader's memory.
const IN_FLIGHT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Messages with entries on their way to one member.
const IN_FLIGHT_MAX: usize = 256;

/// What a leader knows of a member (Raft Figure 2: nextIndex, matchIndex), and how it sends.
///
/// Invariants: `match_index` only grows while the leader leads, and is below `next_index`.
#[derive(Debug)]
pub(super) struct Progress {
    match_index: Index,
    next_index: Index,
    pub(super) pace: Pace,
    /// The last index and the bytes of each message that is not acknowledged.
    in_flight: VecDeque<(Index, usize)>,
    in_flight_bytes: usize,
    /// The latest answer, to anything.
    pub(super) heard: Option<Time>,
    /// The highest round of reads that was acknowledged.
    pub(super) round: u64,
    /// The highest that was sent.
    pub(super) round_sent: u64,
    /// The commit index that was sent last.
    pub(super) commit_sent: Index,
    /// Of a learner: when it is caught up.
    pub(super) catch_up: CatchUp,
}

/// How fast a member is sent entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Where its log agrees is not known: one message, then its answer.
    Probe {
        /// Whether that one is on its way.
        is_sent: bool,
    },
    /// One message after the other (thesis §10.2.1: pipelining).
    Stream,
    /// It needs what is no longer in the log: a snapshot is on its way.
    Snapshot,
}

/// A learner is caught up once it has got, within an election timeout, all that was in the log
/// when that time began (thesis §4.2.1: rounds).
#[derive(Debug, Clone, Copy)]
pub(super) struct CatchUp {
    target: Index,
    since: Time,
}

impl Progress {
    /// Of a member of which nothing is known but that it may have all up to `last`.
    pub(super) fn new(now: Time, last: Index) -> Self {
        Self {
            match_index: Index(0),
            next_index: last.next(),
            pace: Pace::Probe { is_sent: false },
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            heard: None,
            round: 0,
            round_sent: 0,
            commit_sent: Index(0),
            catch_up: CatchUp { target: last, since: now },
        }
    }

    /// The member has all up to here.
    pub(super) fn match_index(&self) -> Index {
        self.match_index
    }

    /// What it is sent next.
    pub(super) fn next_index(&self) -> Index {
        self.next_index
    }

    /// Nothing that was sent before counts: the connection is another.
    pub(super) fn reconnect(&mut self) {
        self.probe(self.next_index);
        self.round_sent = self.round;
        self.commit_sent = Index(0);
    }

    /// Finds out whether the logs agree up to `next`, exclusively.
    pub(super) fn probe(&mut self, next: Index) {
        self.next_index = next.max(self.match_index.next());
        self.pace = Pace::Probe { is_sent: false };
        self.in_flight.clear();
        self.in_flight_bytes = 0;
    }

    /// Whether it may be sent entries.
    pub(super) fn has_room(&self) -> bool {
        match self.pace {
            Pace::Probe { is_sent } => !is_sent,
            Pace::Stream => {
                self.in_flight.len() < IN_FLIGHT_MAX && self.in_flight_bytes < IN_FLIGHT_BYTES_MAX
            }
            Pace::Snapshot => false,
        }
    }

    /// Entries up to `last` are on their way.
    pub(super) fn on_sent(&mut self, last: Index, bytes: usize) {
        match &mut self.pace {
            Pace::Probe { is_sent } => *is_sent = true,
            Pace::Stream => {
                self.next_index = last.next();
                self.in_flight.push_back((last, bytes));
                self.in_flight_bytes += bytes;
            }
            Pace::Snapshot => {}
        }
    }

    /// Its log is the leader's up to `index`. Tells whether that is news. An answer that is late or
    /// comes twice changes nothing (R8).
    pub(super) fn on_match(&mut self, index: Index) -> bool {
        while let Some((last, bytes)) = self.in_flight.front().copied()
            && last <= index
        {
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
        }
        let is_news = index > self.match_index;
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(self.match_index.next());
        match self.pace {
            Pace::Probe { .. } if index.next() >= self.next_index => self.pace = Pace::Stream,
            Pace::Probe { .. } | Pace::Stream | Pace::Snapshot => {}
        }
        is_news
    }

    /// Whether a refusal of what follows `prev` is of what is being sent, and not an old one.
    pub(super) fn concerns(&self, prev: Index) -> bool {
        match self.pace {
            Pace::Probe { .. } => prev.next() == self.next_index,
            Pace::Stream => prev > self.match_index,
            Pace::Snapshot => false,
        }
    }

    /// Whether it was heard of lately.
    pub(super) fn is_active(&self, now: Time, within: std::time::Duration) -> bool {
        self.heard.is_some_and(|heard| now.since(heard) <= within)
    }
}

impl CatchUp {
    /// Looks how far the learner is. `last` is the end of the log.
    pub(super) fn is_over(
        &mut self,
        now: Time,
        matched: Index,
        last: Index,
        within: std::time::Duration,
    ) -> bool {
        if matched < self.target {
            return false;
        }
        let was_fast = now.since(self.since) <= within;
        *self = Self { target: last, since: now };
        was_fast
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// R8: "matchIndex ... increases monotonically", Raft Figure 2.
    #[test]
    fn late_answers_move_nothing_back() {
        let mut progress = Progress::new(Time::default(), Index(0));
        assert!(progress.on_match(Index(0)) || progress.pace == Pace::Stream);
        for last in [3, 6, 9] {
            progress.on_sent(Index(last), 10);
        }
        assert!(progress.on_match(Index(6)));
        assert!(!progress.on_match(Index(3)));
        assert_eq!((progress.match_index(), progress.next_index()), (Index(6), Index(10)));
        assert!(!progress.concerns(Index(5)) && progress.concerns(Index(7)));
        progress.probe(Index(2));
        assert_eq!(progress.next_index(), Index(7));
    }

    #[test]
    fn a_member_that_does_not_answer_is_sent_no_more() {
        let mut progress = Progress::new(Time::default(), Index(0));
        progress.on_match(Index(0));
        progress.on_sent(Index(1), IN_FLIGHT_BYTES_MAX);
        assert!(!progress.has_room());
        progress.on_match(Index(1));
        assert!(progress.has_room());
    }

    /// M6: who is slow is not caught up, however near the end it once was.
    #[test]
    fn a_slow_learner_is_not_caught_up() {
        let at = |seconds| Time(Duration::from_secs(seconds));
        let within = Duration::from_secs(1);
        let mut catch_up = CatchUp { target: Index(100), since: at(0) };
        assert!(!catch_up.is_over(at(0), Index(99), Index(200), within));
        assert!(!catch_up.is_over(at(9), Index(100), Index(200), within));
        assert!(catch_up.is_over(at(10), Index(200), Index(201), within));
    }
}

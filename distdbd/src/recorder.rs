//! The flight recorder: what the node has observed of late, kept in memory, so that one can see
//! what led to a trouble after it came.
//!
//! Under load thousands of events a second are about writes. Those that tell of links, offices and
//! members are few, and kept apart, or they would be gone when somebody asks.

use std::collections::VecDeque;
use std::time::Duration;

use common::control::trace::{Recent, Trace};
use common::identity::{NodeId, NodeName};
use common::observe::{Line, Observed};

/// Events of each kind that are kept. With the keys in them they take a few MiB at most.
const EVENTS_MAX: usize = 4_096;

/// Events of one answer, which is a line.
const ANSWER_EVENTS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// What everybody around the node may have to know.
    news: VecDeque<Recorded>,
    routine: VecDeque<Recorded>,
    seq: u64,
}

#[derive(Debug)]
struct Recorded {
    seq: u64,
    /// Since the daemon's start.
    at: Duration,
    observed: Observed,
}

impl Recorder {
    pub(crate) fn take(&mut self, at: Duration, observed: Observed) {
        self.seq += 1;
        let events = if observed.event.is_news() { &mut self.news } else { &mut self.routine };
        if events.len() == EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(Recorded { seq: self.seq, at, observed });
    }

    /// What is asked for, in the order in which it was observed.
    pub(crate) fn tell(
        &self,
        node: (&NodeName, NodeId),
        now: Duration,
        Recent { last, limit }: Recent,
    ) -> Trace {
        let since = last.map_or(Duration::ZERO, |last| now.saturating_sub(last));
        let limit = limit.unwrap_or(ANSWER_EVENTS_MAX).min(ANSWER_EVENTS_MAX);
        let recent = |events: &VecDeque<Recorded>| {
            events.len() - events.partition_point(|recorded| recorded.at < since)
        };
        let mut news = self.news.iter().rev().take(recent(&self.news)).peekable();
        let mut routine = self.routine.iter().rev().take(recent(&self.routine)).peekable();
        let mut newest_first = Vec::new();
        while newest_first.len() < limit {
            let is_news = match (news.peek(), routine.peek()) {
                (Some(one), Some(other)) => one.seq > other.seq,
                (one, _) => one.is_some(),
            };
            let next = if is_news { news.next() } else { routine.next() };
            let Some(recorded) = next else { break };
            newest_first.push(recorded.line(node));
        }
        newest_first.reverse();
        let kept = (self.news.len() + self.routine.len()) as u64;
        Trace { events: newest_first, now_us: microseconds(now), forgotten: self.seq - kept }
    }
}

impl Recorded {
    fn line(&self, node: (&NodeName, NodeId)) -> serde_json::Value {
        let line = Line::new(node, self.seq, microseconds(self.at), &self.observed);
        serde_json::to_value(line).expect("events are numbers and strings")
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use common::identity::Incarnation;
    use common::observe::Event;
    use serde_json::Value;

    use super::*;

    fn tell(recorder: &Recorder, now: u64, last: Option<u64>, limit: Option<usize>) -> Vec<Value> {
        let recent = Recent { last: last.map(Duration::from_secs), limit };
        let name = "n1".parse().expect("a name");
        recorder.tell((&name, NodeId(1)), Duration::from_secs(now), recent).events
    }

    fn numbers(events: &[Value]) -> Vec<u64> {
        events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect()
    }

    #[test]
    fn news_outlive_what_is_routine_and_all_is_told_in_order() {
        let mut recorder = Recorder::default();
        let started = Event::Start { incarnation: Incarnation(1) };
        recorder.take(Duration::from_secs(1), Observed { lamport: 1, event: started });
        for index in 0..2 * EVENTS_MAX as u64 {
            let event = Event::AdvanceCommit { index };
            recorder.take(Duration::from_secs(2), Observed { lamport: 2 + index, event });
        }
        let lost = Event::StepDown { term: 3 };
        recorder.take(Duration::from_secs(9), Observed { lamport: 9_000, event: lost });
        let last = 2 * EVENTS_MAX as u64 + 2;
        assert_eq!(numbers(&tell(&recorder, 10, None, Some(2))), [last - 1, last]);
        assert_eq!(numbers(&tell(&recorder, 10, Some(5), None)), [last]);
        assert_eq!(tell(&recorder, 10, None, None).len(), ANSWER_EVENTS_MAX);
        assert_eq!(recorder.news[0].seq, 1);
        let name = "n1".parse().expect("a name");
        let all = recorder.tell((&name, NodeId(1)), Duration::from_secs(10), Recent::default());
        assert_eq!((all.forgotten, all.now_us), (EVENTS_MAX as u64, 10_000_000));
    }
}

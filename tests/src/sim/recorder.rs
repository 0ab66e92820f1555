//! What is kept of a run besides its verdict.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use common::identity::{NodeId, NodeName};
use common::observe::Observed;
use common::time::Time;

use crate::trace::Line;

/// What a run leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Its verdict.
    Nothing,
    /// All that happened in words, and a hash of them. Costs half the speed.
    Everything,
    /// What its nodes observed, as daemons write it into traces; the run is a short one.
    Trace,
}

/// Takes down what happens.
pub(super) struct Recorder {
    hash: Option<Xxh3>,
    lines: Vec<String>,
    trace: Option<Vec<Line>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(recording: Recording) -> Self {
        let hash = (recording == Recording::Everything).then(Xxh3::new);
        let trace = (recording == Recording::Trace).then(Vec::new);
        Self { hash, lines: Vec::new(), trace }
    }

    pub(super) fn is_on(&self) -> bool {
        self.hash.is_some()
    }

    /// Takes down one thing; nothing is put into words where nothing is kept.
    pub(super) fn note(&mut self, now: Time, what: fmt::Arguments<'_>) {
        let Some(hash) = &mut self.hash else { return };
        let line = format!("{:>10.3} ms  {what}", now.0.as_secs_f64() * 1_000.0);
        hash.update(line.as_bytes());
        self.lines.push(line);
    }

    /// Takes down what leaves a node, or rather what it observed before.
    pub(super) fn trace(&mut self, now: Time, node: (&NodeName, NodeId), events: &[Observed]) {
        let Some(lines) = &mut self.trace else { return };
        let at_us = u64::try_from(now.0.as_micros()).unwrap_or(u64::MAX);
        for observed in events {
            let seq = lines.len() as u64 + 1;
            lines.push(Line::of(node, seq, at_us, observed));
        }
    }

    pub(super) fn is_tracing(&self) -> bool {
        self.trace.is_some()
    }

    /// The hash of all that was taken down, its words, and the trace.
    pub(super) fn finish(self) -> (Option<u64>, Vec<String>, Vec<Line>) {
        (self.hash.map(|hash| hash.digest()), self.lines, self.trace.unwrap_or_default())
    }
}

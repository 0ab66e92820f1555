//! What is kept of a run besides its verdict.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use common::time::Time;

/// What a run leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Its verdict.
    Nothing,
    /// All that happened in words, and a hash of them. Costs half the speed.
    Everything,
}

/// Takes down what happens.
pub(super) struct Recorder {
    hash: Option<Xxh3>,
    lines: Vec<String>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(recording: Recording) -> Self {
        Self { hash: (recording == Recording::Everything).then(Xxh3::new), lines: Vec::new() }
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

    /// The hash of all that was taken down, and its words.
    pub(super) fn finish(self) -> (Option<u64>, Vec<String>) {
        (self.hash.map(|hash| hash.digest()), self.lines)
    }
}

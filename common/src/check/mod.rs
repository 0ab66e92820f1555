//! Judges of histories: what clients were answered, and whether one store can have answered so.
//!
//! They look from outside, so they judge a simulated cluster and a real one alike, and know nothing
//! of how it works. `distdbctl check` feeds them what it saw of a live cluster.

pub mod linearizability;
pub mod revisions;
#[cfg(test)]
mod sample;
mod table;

use std::fmt;

/// A property that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.what)
    }
}

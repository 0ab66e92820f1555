//! The flags of `fault`.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{duration_or_zero, offset};

/// `fault`.
#[derive(Debug, Subcommand)]
pub(crate) enum Fault {
    /// Cut all links
    Isolate(Ways),
    /// Cut the links to some peers
    Partition {
        /// Their names
        #[arg(required = true)]
        peers: Vec<String>,
        #[command(flatten)]
        ways: Ways,
    },
    /// Lose frames
    Drop {
        /// The peer's name, or '*' for all
        peer: String,
        /// How likely, 0 to 1
        probability: f64,
        #[command(flatten)]
        ways: Ways,
    },
    /// Deliver frames later
    Delay {
        /// The peer's name, or '*' for all
        peer: String,
        /// How much
        #[arg(value_parser = duration_or_zero)]
        duration: Duration,
        #[command(flatten)]
        ways: Ways,
    },
    /// Deliver frames twice
    Duplicate {
        /// The peer's name, or '*' for all
        peer: String,
        /// How likely, 0 to 1
        probability: f64,
        #[command(flatten)]
        ways: Ways,
    },
    /// Let each sync of the node's own disk take longer
    Disk {
        /// How much
        #[arg(value_parser = duration_or_zero)]
        duration: Duration,
    },
    /// Let the node's wall clock be fast, or slow
    Clock {
        /// How much; below 0 it is slow
        #[arg(value_name = "OFFSET", allow_hyphen_values = true, value_parser = offset)]
        ms: i64,
    },
    /// Print what fails, and change nothing
    List,
    /// Let all be well again, disk and clock too, or just the links to some peers
    Heal {
        /// Their names
        peers: Vec<String>,
    },
}

/// Which way a fault works. Both, if none is named.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Ways {
    /// Only what the peer sends
    #[arg(long = "in", conflicts_with = "outward")]
    pub(crate) inward: bool,
    /// Only what the peer is sent
    #[arg(long = "out")]
    pub(crate) outward: bool,
}

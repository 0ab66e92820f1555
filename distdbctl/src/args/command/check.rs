//! The flags of `check`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use crate::args::command::keys::Freshness;
use crate::args::duration;
use crate::help;

/// `check`.
#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Whether there is one order of all operations that explains every answer (raft mode)
    #[command(after_help = help::AFTER_CHECK)]
    Linearizable {
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        freshness: Freshness,
    },
    /// Whether sessions see causes before effects, and no acknowledged write is lost (causal mode)
    #[command(after_help = help::AFTER_CHECK)]
    Causal {
        #[command(flatten)]
        load: Load,
    },
    /// Whether all nodes come to hold the same
    #[command(after_help = help::AFTER_CHECK)]
    Converge {
        #[command(flatten)]
        load: Load,
    },
    /// Whether watches tell every change once and in order, and nothing else (raft mode)
    #[command(after_help = help::AFTER_CHECK)]
    Watch {
        #[command(flatten)]
        load: Load,
    },
}

/// What clients do meanwhile.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Load {
    /// How many keys they share
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) keys: u16,
    /// What the run's own prefix is put behind: a prefix in the mode that is to be checked
    #[arg(long, value_name = "PREFIX", default_value = "check/")]
    pub(crate) prefix: OsString,
    /// How many clients there are
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) clients: u16,
    /// How many operations there are; 10000 unless --duration alone is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) operations: Option<u64>,
    /// For how long; with --operations, these are spread over it
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Let links and processes fail meanwhile (daemons with --enable-faults): all kinds but kill,
    /// or those named
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',', num_args = 0..=1, default_missing_value = "isolate,partition,one-way,delay,drop,pause")]
    pub(crate) faults: Vec<Kind>,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// One node loses all links
    Isolate,
    /// The link between two nodes is cut
    Partition,
    /// One node is heard by nobody, or hears nobody
    OneWay,
    /// What a node sends and hears is late
    Delay,
    /// Of what a node sends and hears much is lost
    Drop,
    /// A daemon stands still
    Pause,
    /// A daemon is killed; nobody here starts it again
    Kill,
}

impl Kind {
    /// The kind as the command line spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Delay => "delay",
            Self::Drop => "drop",
            Self::Pause => "pause",
            Self::Kill => "kill",
        }
    }
}

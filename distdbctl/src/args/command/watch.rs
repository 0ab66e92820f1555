//! The flags of `watch`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use common::control::watching::EventKind;

/// `watch`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// Which; without it, all
    pub(crate) key: Option<OsString>,
    /// All that begin with KEY
    #[arg(long, requires = "key")]
    pub(crate) prefix: bool,
    /// From this revision on
    #[arg(long, value_name = "N", conflicts_with = "initial")]
    pub(crate) from: Option<u64>,
    /// End after so many changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Only changes of these kinds
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Kind>,
    /// With the value before
    #[arg(long)]
    pub(crate) previous: bool,
    /// First what is there, as if it were stored at this moment
    #[arg(long)]
    pub(crate) initial: bool,
    /// Note in FILE how far things are, and go on from there the next time
    #[arg(long, value_name = "FILE")]
    pub(crate) cursor: Option<PathBuf>,
    /// End, with exit code 69, once the node is cut off from the majority
    #[arg(long)]
    pub(crate) require_quorum: bool,
    /// Print, too, up to which revision all was told
    #[arg(long, conflicts_with = "command")]
    pub(crate) progress: bool,
    /// What to do when CMD fails
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, requires = "command")]
    pub(crate) on_error: OnError,
    /// What CMD is run for
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, requires = "command")]
    pub(crate) deliver: Deliver,
    /// Run this for changes
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// It was stored
    Put,
    /// It was removed
    Delete,
    /// It ended with its lease
    Expire,
}

impl From<Kind> for EventKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Put => Self::Put,
            Kind::Delete => Self::Delete,
            Kind::Expire => Self::Expire,
        }
    }
}

/// What becomes of a watch whose command fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Run it again for the same, after longer and longer pauses
    Retry,
    /// Go on
    Skip,
    /// End, with its exit code
    #[default]
    Stop,
}

/// What a command is run for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deliver {
    /// Each change
    #[default]
    Each,
    /// Of the changes that wait, the last of each key
    Latest,
    /// All changes that wait, at once: as lines of JSON on stdin
    Batch,
}

//! The flags of `member`, `mode`, `explain` and `trace`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use common::control::request::Purpose;
use common::modes;

use crate::args::duration;
use crate::help;

/// `member`.
#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// Print the members, as the command members does; exit 7 if one is not up
    #[command(visible_alias = "ls")]
    List,
    /// Make a member one no longer; print what becomes of the quorum
    #[command(visible_alias = "rm", after_help = help::AFTER_MEMBER_REMOVE)]
    Remove(Change),
    /// Give a learner that has caught up a vote; print what becomes of the quorum
    Promote(Change),
    /// Hand leadership over; print who leads then
    #[command(alias = "move-leader")]
    Transfer {
        /// To whom, by name or id; without it, to who is furthest
        member: Option<String>,
    },
}

/// `member remove` and `member promote`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Change {
    /// The member's name or id
    #[arg(value_name = "NAME")]
    pub(crate) member: String,
    /// Change nothing, and tell what would be; exit 7 if writes would stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `mode`.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Print the table: of a key the longest prefix counts
    #[command(visible_alias = "ls")]
    List,
    /// Give the keys of a prefix to a mode; print the table
    Set {
        /// What the keys begin with; '' begins all
        prefix: OsString,
        /// How they are to be replicated
        #[arg(value_enum)]
        mode: ModeName,
        /// What becomes of concurrent writes (causal mode; siblings where it is left out)
        #[arg(long, value_enum, value_name = "NAME")]
        resolver: Option<ResolverName>,
        /// Tell whether it could be done, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// What MODE takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// Sent to who is connected, read where you are: fast, and may diverge
    Broadcast,
    /// Durable here, then on all others; writable everywhere, and concurrent writes are kept
    Causal,
    /// Durable on a majority, read as if there were one copy
    Raft,
}

impl From<ModeName> for modes::Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Broadcast => Self::Broadcast,
            ModeName::Causal => Self::Causal,
            ModeName::Raft => Self::Raft,
        }
    }
}

/// What `--resolver` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResolverName {
    /// The latest wins, and the others are shown beside it until somebody resolves them
    Siblings,
    /// The latest wins
    Lww,
    /// The largest number wins
    Max,
    /// The smallest number wins
    Min,
    /// A counter: incr adds to it
    Counter,
    /// A set: add and remove change it
    Set,
}

impl From<ResolverName> for modes::Resolver {
    fn from(name: ResolverName) -> Self {
        match name {
            ResolverName::Siblings => Self::Siblings,
            ResolverName::Lww => Self::Lww,
            ResolverName::Max => Self::Max,
            ResolverName::Min => Self::Min,
            ResolverName::Counter => Self::Counter,
            ResolverName::Set => Self::Set,
        }
    }
}

/// `explain`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    /// Of which key; without it, of those of the cluster's first mode
    pub(crate) key: Option<OsString>,
    /// Just of reads, or of writes
    #[arg(long = "for", value_enum, value_name = "WHAT")]
    pub(crate) purpose: Option<PurposeName>,
}

/// What `--for` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PurposeName {
    /// Linearizable reads
    Read,
    /// Writes
    Write,
}

impl From<PurposeName> for Purpose {
    fn from(name: PurposeName) -> Self {
        match name {
            PurposeName::Read => Self::Read,
            PurposeName::Write => Self::Write,
        }
    }
}

/// `trace`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Trace {
    /// Of how long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) last: Duration,
    /// No more events than that, the newest
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) limit: usize,
    /// Draw a column for each node, and an arrow for each message
    #[arg(long)]
    pub(crate) diagram: bool,
    /// What distdbd --trace, or trace --output json, has written: no node is asked then
    pub(crate) files: Vec<PathBuf>,
}

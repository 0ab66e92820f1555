//! The flags of what reads and changes keys.

use std::ffi::OsString;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use common::causal::clock::Dot;
use common::causal::context::Context;
use common::control::acks::Acks;
use common::control::request::Read;

use crate::args::command::data::{Guard, Once, PutGuard, When};
use crate::args::dot;
use crate::help;

/// What every write takes.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Writing {
    /// How many nodes must have it on their disks before it is answered; causal mode takes any
    #[arg(long, value_name = "N|majority|all")]
    acks: Option<Acks>,
    /// What was seen before, as an answer had it as `context` (causal mode)
    #[arg(long, value_name = "TEXT")]
    pub(crate) context: Option<Context>,
    #[command(flatten)]
    pub(crate) once: Once,
}

impl Writing {
    pub(crate) fn acks(&self) -> Acks {
        self.acks.unwrap_or_default()
    }
}

/// A value of the command line, or of stdin.
#[derive(Debug, ClapArgs)]
pub(crate) struct Source {
    /// Up to 1 MiB; without it, or with '-', stdin
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: Option<OsString>,
    /// Whether the value stands behind `--`, so that `-` is a value.
    #[arg(skip)]
    pub(crate) is_literal: bool,
}

/// `put`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Put {
    /// 1 to 1,024 bytes of UTF-8, no control characters
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) guard: Guard,
    #[command(flatten)]
    pub(crate) put_guard: PutGuard,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// `get`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Get {
    /// Which
    pub(crate) key: OsString,
    /// All that stands side by side, a line each: value, NODE:COUNTER of its write, time
    #[arg(long)]
    pub(crate) siblings: bool,
    /// What the node must have seen, as an answer had it as `context` (causal mode)
    #[arg(long, value_name = "TEXT")]
    pub(crate) context: Option<Context>,
    #[command(flatten)]
    pub(crate) when: When,
    #[command(flatten)]
    pub(crate) freshness: Freshness,
}

/// How fresh a read is to be. Without a word, as fresh as the keys' mode has it.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
pub(crate) struct Freshness {
    /// How fresh it must be
    #[arg(long, value_enum, value_name = "HOW")]
    read: Option<ReadLevel>,
    /// What users of other stores try first.
    #[arg(long, hide = true, conflicts_with = "read")]
    stale: bool,
}

impl Freshness {
    pub(crate) fn read(self) -> Option<Read> {
        if self.stale { Some(Read::Stale) } else { self.read.map(Into::into) }
    }
}

/// What `--read` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReadLevel {
    /// As if there were one copy; what raft mode does unless told otherwise
    Linearizable,
    /// What this node has, once it has all that the session has seen; what --session makes of it
    Session,
    /// What this node has, even if it is cut off from the others
    Stale,
}

impl From<ReadLevel> for Read {
    fn from(level: ReadLevel) -> Self {
        match level {
            ReadLevel::Linearizable => Self::Linearizable,
            ReadLevel::Session => Self::Session,
            ReadLevel::Stale => Self::Stale,
        }
    }
}

/// `delete`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Delete {
    /// Which
    #[arg(required_unless_present = "prefix", conflicts_with = "prefix")]
    pub(crate) key: Option<OsString>,
    /// All that begin with it
    #[arg(long)]
    pub(crate) prefix: Option<OsString>,
    #[command(flatten)]
    pub(crate) guard: Guard,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// `list`.
#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// Those that begin with it; without it, all
    pub(crate) prefix: Option<OsString>,
    /// Keys alone
    #[arg(long)]
    pub(crate) keys: bool,
    /// How many there are
    #[arg(long, conflicts_with = "keys")]
    pub(crate) count: bool,
    /// No more than so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) when: When,
    #[command(flatten)]
    pub(crate) freshness: Freshness,
}

/// `incr`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Incr {
    /// Which counter
    pub(crate) key: OsString,
    /// How much; below 0 to take away
    #[arg(allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) delta: i64,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// `add` and `remove`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Elements {
    /// Which set
    pub(crate) key: OsString,
    /// Which elements, one request each
    #[arg(required = true, value_name = "ELEMENT", allow_negative_numbers = true)]
    pub(crate) elements: Vec<OsString>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// `conflicts`.
#[derive(Debug, Subcommand)]
pub(crate) enum Conflicts {
    /// Print keys whose siblings somebody has to resolve, and how many; exit 5 if there are any
    #[command(visible_alias = "ls")]
    List {
        /// Those that begin with it; without it, all
        prefix: Option<OsString>,
    },
    /// Print what stands side by side, as get --siblings does; exit 5 if it is in conflict
    Show {
        /// Of which key
        key: OsString,
    },
    /// Put one value in the place of all that stands side by side
    #[command(after_help = help::AFTER_RESOLVE)]
    Resolve(Resolve),
}

/// `conflicts resolve`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Resolve {
    /// Of which key
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) source: Source,
    /// The value of the sibling that was written so
    #[arg(long, value_name = "NODE:COUNTER", conflicts_with = "value", value_parser = dot)]
    pub(crate) take: Option<Dot>,
    /// What was seen before: what is in it is replaced, as an answer had it as `context`
    #[arg(long, value_name = "TEXT", conflicts_with = "take")]
    pub(crate) context: Option<Context>,
}

//! The commands, and the flags of each.

pub(crate) mod cluster;
pub(crate) mod fault;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use common::control::request::Read;

use crate::args::command::cluster::{Explain, Member, Mode};
use crate::args::command::fault::Fault;
use crate::args::{duration, value_size};
use crate::help;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store a value
    #[command(after_help = help::AFTER_PUT)]
    Put(Put),
    /// Print a value; exit 1 if the key does not exist
    #[command(after_help = help::AFTER_READ)]
    Get(Get),
    /// Remove a key, or all with a prefix; print how many; exit 1 if none
    #[command(visible_alias = "del")]
    Delete(Delete),
    /// Print keys and values, in the order of the keys
    #[command(visible_alias = "ls", after_help = help::AFTER_READ)]
    List(List),
    /// Print changes, or run a command for each, from here on
    #[command(after_help = help::AFTER_WATCH)]
    Watch(Watch),
    /// Wait until something is so
    #[command(after_help = help::AFTER_WAIT)]
    Wait(Wait),
    /// What the node knows of itself; exit 7 if it or a peer is not whole
    Status(Status),
    /// The members of the cluster; exit 7 if one is not up
    Members,
    /// The node and its peers as it sees them; exit 7 if one is not up
    Nodes,
    /// Look after the members: list, remove, promote, move leadership
    #[command(subcommand)]
    Member(Member),
    /// Say which keys are replicated how
    #[command(subcommand)]
    Mode(Mode),
    /// Say why reads and writes work, or don't, and what to do; exit 7 if they don't
    Explain(Explain),
    /// Whether the daemon works at all
    Live,
    /// Whether the node serves; exit 7 if not
    Ready,
    /// Whether the node and its cluster are whole; exit 7 if not
    Health,
    /// Take over what the connected peers have and this node lacks; print how many keys changed
    Sync,
    /// Send a request of the protocol, print the answer
    #[command(after_help = help::AFTER_CALL)]
    Call(Call),
    /// Run many commands over one connection
    #[command(after_help = help::AFTER_BATCH)]
    Batch(Batch),
    /// Make the node's own links or disk fail (daemons with --enable-faults), and print what fails
    #[command(subcommand)]
    Fault(Fault),
    /// Measure throughput and latency
    #[command(after_help = help::AFTER_BENCH)]
    Bench(Bench),
    /// Print a completion script
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// Where to
        directory: PathBuf,
    },
}

/// `put`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Put {
    /// 1 to 1,024 bytes of UTF-8, no control characters
    pub(crate) key: OsString,
    /// Up to 1 MiB; without it, or with '-', stdin
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: Option<OsString>,
    /// Whether the value stands behind `--`, so that `-` is a value.
    #[arg(skip)]
    pub(crate) is_literal: bool,
}

/// `get`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Get {
    /// Which
    pub(crate) key: OsString,
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
    /// What this node has, even if it is cut off from the others
    Stale,
}

impl From<ReadLevel> for Read {
    fn from(level: ReadLevel) -> Self {
        match level {
            ReadLevel::Linearizable => Self::Linearizable,
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
    pub(crate) freshness: Freshness,
}

/// `watch`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// Which; without it, all
    pub(crate) key: Option<OsString>,
    /// All that begin with KEY
    #[arg(long, requires = "key")]
    pub(crate) prefix: bool,
    /// From this revision on
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// End after so many changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Run this for each change
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// `wait`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Wait {
    /// What for
    #[arg(required = true, value_name = "CONDITION")]
    pub(crate) words: Vec<String>,
}

/// `status`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Status {
    /// Of every node with a socket in the runtime directory; exit 7 also if they hold different
    /// states at the same index
    #[arg(long)]
    pub(crate) all: bool,
}

/// `call`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Call {
    /// The operation
    pub(crate) op: String,
    /// The other members, as a JSON object
    pub(crate) json: Option<String>,
}

/// `batch`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Batch {
    /// Read from this file; without it, or with '-', stdin
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,
}

/// `bench`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Bench {
    /// What the clients do
    #[arg(long, value_enum, default_value_t = Operation::Put)]
    pub(crate) op: Operation,
    /// How many clients there are
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) clients: u16,
    /// For how long
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How many bytes a value has, such as 256 or 64K
    #[arg(long, value_name = "SIZE", default_value = "256", value_parser = value_size)]
    pub(crate) value_size: usize,
    /// How many keys there are
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keys: u32,
    #[command(flatten)]
    pub(crate) freshness: Freshness,
}

/// What a client of the benchmark does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Store values
    Put,
    /// Read values
    Get,
    /// Read up to 100 keys and values
    List,
}

//! The commands, and the flags of each.

pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod data;
pub(crate) mod fault;
pub(crate) mod hold;
pub(crate) mod keys;
pub(crate) mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use common::control::acks::Acks;

use crate::args::command::check::Check;
use crate::args::command::cluster::{Explain, Member, Mode, Trace};
use crate::args::command::data::{Compact, Diff, Export, History, Import, Lease, Revert, Txn};
use crate::args::command::fault::Fault;
use crate::args::command::hold::{Elect, Leader, Lock};
use crate::args::command::keys::{Conflicts, Delete, Elements, Freshness, Get, Incr, List, Put};
use crate::args::command::watch::Watch;
use crate::args::{duration, key_prefix, value_size};
use crate::help;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store a value
    #[command(after_help = help::AFTER_PUT)]
    Put(Put),
    /// Print a value; exit 1 if the key does not exist, 5 if others stand beside the value
    #[command(after_help = help::AFTER_READ)]
    Get(Get),
    /// Remove a key, or all with a prefix; print how many; exit 1 if none
    #[command(visible_alias = "del")]
    Delete(Delete),
    /// Print keys and values, in the order of the keys
    #[command(visible_alias = "ls", after_help = help::AFTER_READ)]
    List(List),
    /// Add to a number, and print what it is at (raft and causal mode)
    #[command(after_help = help::AFTER_INCR)]
    Incr(Incr),
    /// Print what a key held, the oldest first (raft mode)
    #[command(after_help = help::AFTER_HISTORY)]
    History(History),
    /// Print which keys hold something else than they did; exit 1 if there are any (raft mode)
    #[command(after_help = help::AFTER_HISTORY)]
    Diff(Diff),
    /// Put back what a key held; exit 3 if somebody writes it meanwhile, but with --once, which puts
    /// it back all the same (raft mode)
    Revert(Revert),
    /// Forget history, and print the first revision that is kept (raft mode)
    Compact(Compact),
    /// Do several things at once, or not at all; exit 3 if the condition is false (raft mode)
    #[command(after_help = help::AFTER_TXN)]
    Txn(Txn),
    /// Look after leases: what ends together unless it is kept alive (raft mode)
    #[command(subcommand)]
    Lease(Lease),
    /// Print keys and values as JSON, an object a line, all as of one revision
    #[command(after_help = help::AFTER_EXPORT)]
    Export(Export),
    /// Store what export has printed
    #[command(after_help = help::AFTER_EXPORT)]
    Import(Import),
    /// Add elements to a set (causal mode)
    #[command(after_help = help::AFTER_SET)]
    Add(Elements),
    /// Take elements out of a set; exit 1 if none was in it (causal mode)
    #[command(after_help = help::AFTER_SET)]
    Remove(Elements),
    /// Look after concurrent writes that stand side by side (causal mode)
    #[command(subcommand)]
    Conflicts(Conflicts),
    /// Print changes, or run a command for each, from here on
    #[command(after_help = help::AFTER_WATCH)]
    Watch(Watch),
    /// Hold a lock, and run a command under it
    #[command(after_help = help::AFTER_LOCK)]
    Lock(Lock),
    /// Stand for election, and run a command while leading
    #[command(after_help = help::AFTER_ELECT)]
    Elect(Elect),
    /// Print the value of the leader, or of who holds a lock; exit 1 if nobody does
    Leader(Leader),
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
    /// Print what nodes have observed of late, in causal order; exit 7 if a node does not answer
    #[command(after_help = help::AFTER_TRACE)]
    Trace(Trace),
    /// Whether the daemon works at all
    Live,
    /// Whether the node serves; exit 7 if not
    Ready,
    /// Whether the node and its cluster are whole; exit 7 if not
    Health,
    /// Take over what the connected peers have and this node lacks; print how many keys changed
    #[command(visible_alias = "repair")]
    Sync(Sync),
    /// Send a request of the protocol, print the answer
    #[command(after_help = help::AFTER_CALL)]
    Call(Call),
    /// Run many commands over one connection
    #[command(after_help = help::AFTER_BATCH)]
    Batch(Batch),
    /// Make the node's own links, disk or clock fail (daemons with --enable-faults), and print what fails
    #[command(subcommand)]
    Fault(Fault),
    /// See on a live cluster whether it keeps what its modes promise; exit 7 if not, 69 if nobody
    /// can say
    #[command(subcommand)]
    Check(Check),
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

/// `sync`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Sync {
    /// Only keys that begin with it; without it, all
    pub(crate) prefix: Option<OsString>,
    /// Print the keys that differ, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
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
    /// What the keys begin with: a prefix in the mode that is to be measured
    #[arg(long, value_name = "PREFIX", default_value = "bench/", value_parser = key_prefix)]
    pub(crate) key_prefix: String,
    /// How many nodes must have a put on their disks before it is answered
    #[arg(long, value_name = "N|majority|all", default_value_t)]
    pub(crate) acks: Acks,
    /// How many follow the key that --op watch puts
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) watchers: u32,
    /// Over how many connections they do
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
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
    /// Read up to 1,000 keys and values
    Range,
    /// Store a value of a key of one's own, if nobody else has written it: compare and swap
    Cas,
    /// Put one key that many watch
    Watch,
}

//! The command line, and what follows from it.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use common::config::Keeping;
use common::identity::NodeName;
use common::modes::Mode;
use common::peer::hello::is_address;

const AFTER_HELP: &str = "\
Start-up is decided by the data directory, so a unit file never has to change: one that holds this \
node resumes it, whatever --bootstrap or --join say; an empty one takes --bootstrap (a new cluster) \
or --join (any member's address will do). Another node's, or one in use, is refused.

Examples:
  distdbd --node node1 --listen 127.0.0.1:7101 --bootstrap
  distdbd --node node2 --listen 127.0.0.1:7102 --join 127.0.0.1:7101

Files:
  RUNTIME/NAME/control.sock   where distdbctl connects; newline-delimited JSON
  RUNTIME/NAME/peer.addr      the peer address in use, where port 0 was asked for
  DATA/node                   who this node is, and its peers
  DATA/wal-*                  the log of raft and causal mode, in segments of --segment-size
  DATA/snapshot-*, causal-*   the states that the log goes on from, each --snapshot-every entries
  DATA/LOCK                   held by the daemon that has the directory
  RUNTIME is --runtime-dir, else /run/distdb for root, else $XDG_RUNTIME_DIR/distdb.

Signals:
  SIGTERM, SIGINT   hand leadership over, answer what is in flight, tell the peers, exit 0;
                    a second one exits at once

Exit codes:
  0 ended as asked   70 disk failure, corruption or a bug   78 configuration";

/// The daemon of distdb, a replicated key-value store: one for each node
#[derive(Debug, Parser)]
#[command(name = "distdbd", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The node's name: a letter or digit, then up to 62 letters, digits, '.', '_' or '-'
    #[arg(long, env = "DISTDB_NODE", value_name = "NAME")]
    pub(crate) node: NodeName,

    /// Where to listen for peers; port 0 takes the one it had before, or a free one, and writes it
    /// to RUNTIME/NAME/peer.addr
    #[arg(long, env = "DISTDB_LISTEN", value_name = "HOST:PORT")]
    pub(crate) listen: String,

    /// Found a new cluster of one node, if the data directory is empty
    #[arg(long, env = "DISTDB_BOOTSTRAP", value_parser = switch)]
    pub(crate) bootstrap: bool,

    /// Join the cluster of any of these nodes, if the data directory is empty; tried until one
    /// answers. A node that resumes asks them as well while it is connected to nobody: its peers
    /// may all have other addresses than before
    #[arg(long, env = "DISTDB_JOIN", value_name = "ADDR", value_delimiter = ',', value_parser = address)]
    pub(crate) join: Vec<String>,

    /// Where peers reach this node, if not at --listen
    #[arg(long, env = "DISTDB_ADVERTISE", value_name = "HOST:PORT", value_parser = address)]
    pub(crate) advertise: Option<String>,

    /// Where this node keeps who it is [default: $DISTDB_DATA_DIR/NAME, else
    /// /var/lib/distdb/NAME for root, else $XDG_STATE_HOME/distdb/NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Where sockets of nodes are [default: /run/distdb for root, else $XDG_RUNTIME_DIR/distdb]
    #[arg(long, env = "DISTDB_RUNTIME_DIR", value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,

    /// How the keys of a cluster that is founded are replicated; who joins or resumes goes by its
    /// cluster
    #[arg(long, env = "DISTDB_MODE", value_enum, default_value_t = ModeArg::Raft)]
    pub(crate) mode: ModeArg,

    /// How often peers hear from this node
    #[arg(long, env = "DISTDB_HEARTBEAT_INTERVAL", value_name = "DURATION", default_value = "100ms", value_parser = duration)]
    pub(crate) heartbeat_interval: Duration,

    /// After how much silence a peer is taken for dead; at least three heartbeat intervals
    #[arg(long, env = "DISTDB_ELECTION_TIMEOUT", value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(crate) election_timeout: Duration,

    /// After how many entries of the log the state is written out, so that they can go; one beyond
    /// 16 MiB waits until as much was written to the log, or for 16 times as many entries
    #[arg(long, env = "DISTDB_SNAPSHOT_EVERY", value_name = "N", default_value = "100000", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) snapshot_every: u64,

    /// How large a file of the log is: 64K to 1G
    #[arg(long, env = "DISTDB_SEGMENT_SIZE", value_name = "SIZE", default_value = "16M", value_parser = segment_size)]
    pub(crate) segment_size: u64,

    /// For how long it is told what keys in raft mode held; what is older is forgotten
    #[arg(long, env = "DISTDB_HISTORY_AGE", value_name = "DURATION", default_value = "1h", value_parser = age)]
    pub(crate) history_age: Duration,

    /// How many changes are kept for that, at most
    #[arg(long, env = "DISTDB_HISTORY_EVENTS", value_name = "N", default_value = "250000", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) history_events: u64,

    /// What these may take in memory, at most
    #[arg(long, env = "DISTDB_HISTORY_SIZE", value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub(crate) history_size: u64,

    /// What keys in raft mode and their history may take in memory: past it a leader takes no more
    /// puts, but deletions. All members should have the same
    #[arg(long, env = "DISTDB_QUOTA", value_name = "SIZE", default_value = "2G", value_parser = size)]
    pub(crate) quota: u64,

    /// Whether what is acknowledged is on the disk
    #[arg(long, env = "DISTDB_FSYNC", value_enum, default_value_t = Fsync::Always)]
    pub(crate) fsync: Fsync,

    /// The mode of the control socket: who may write to it may do all
    #[arg(long, env = "DISTDB_SOCKET_MODE", value_name = "OCTAL", default_value = "0660", value_parser = octal)]
    pub(crate) socket_mode: u32,

    /// The group of the control socket, by name or number
    #[arg(long, env = "DISTDB_SOCKET_GROUP", value_name = "GROUP")]
    pub(crate) socket_group: Option<String>,

    /// How to log, on standard error
    #[arg(long, env = "DISTDB_LOG", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log: LogFormat,

    /// How much to log
    #[arg(long, env = "DISTDB_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: tracing::Level,

    /// Write all that the core does to this file, one JSON object a line, for checks against the
    /// specification: it goes on over restarts, and grows without bound
    #[arg(long, env = "DISTDB_TRACE", value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Let clients make this node's links fail: for tests
    #[arg(long, env = "DISTDB_ENABLE_FAULTS", value_parser = switch)]
    pub(crate) enable_faults: bool,

    /// Check flags and environment, start nothing, and exit 0 or 78
    #[arg(long)]
    pub(crate) check_config: bool,
}

/// How keys are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// Stored here and sent to every connected peer; nothing is acknowledged
    Broadcast,
    /// On this node's disk before it is acknowledged, and then on all others'; concurrent writes
    /// are kept side by side
    Causal,
    /// On the disks of a majority before it is acknowledged
    Raft,
}

impl From<ModeArg> for Mode {
    fn from(arg: ModeArg) -> Self {
        match arg {
            ModeArg::Broadcast => Self::Broadcast,
            ModeArg::Causal => Self::Causal,
            ModeArg::Raft => Self::Raft,
        }
    }
}

/// Whether writes to the log are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fsync {
    /// Before anything is promised
    Always,
    /// When the system likes to: a crash of it may lose what was acknowledged
    Never,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Of a variable; the flag itself takes no value.
fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("it takes 1 or 0, true or false, yes or no, on or off".to_owned()),
    }
}

fn address(text: &str) -> Result<String, String> {
    if is_address(text) { Ok(text.to_owned()) } else { Err("it takes HOST:PORT".to_owned()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(1)..=Duration::from_secs(3_600)).contains(&duration) {
        Ok(duration)
    } else {
        Err("it takes 1ms to 1h".to_owned())
    }
}

/// How long history is kept.
fn age(text: &str) -> Result<Duration, String> {
    let age = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=AGE_MAX).contains(&age) {
        Ok(age)
    } else {
        Err("it takes 1s to 1y".to_owned())
    }
}

/// A year of changes fits into no memory, but into the type.
const AGE_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

fn segment_size(text: &str) -> Result<u64, String> {
    match size(text) {
        Ok(bytes) if (64 << 10..=1 << 30).contains(&bytes) => Ok(bytes),
        Ok(_) | Err(_) => Err("it takes 64K to 1G, such as 16M".to_owned()),
    }
}

/// A number, with `K`, `M` or `G` behind it for a power of 1,024.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        Some(_) | None => (text, 1),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "it takes a size, such as 256M".to_owned())
}

fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        Ok(_) | Err(_) => Err("it takes an octal mode, such as 0660".to_owned()),
    }
}

impl Args {
    /// What is kept in raft mode beside the keys as they are.
    pub(crate) fn keeping(&self) -> Keeping {
        Keeping {
            age: self.history_age,
            events: self.history_events,
            bytes: self.history_size,
            quota_bytes: Some(self.quota),
        }
    }

    /// What the command line and the environment say. A variable that is empty is not set: unit
    /// files are full of these.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let is_blank = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
        let command = Self::command().mut_args(|arg| match arg.get_env() {
            Some(name) if is_blank(name) => arg.env(None),
            Some(_) | None => arg,
        });
        Self::from_arg_matches(&command.try_get_matches()?)
    }

    /// Checks what no single flag can tell.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.bootstrap || self.join.is_empty(),
            "--bootstrap founds a cluster and --join joins one; give one of them",
        );
        anyhow::ensure!(
            self.election_timeout >= self.heartbeat_interval * 3,
            "--election-timeout {} is less than three times --heartbeat-interval {}",
            humantime::format_duration(self.election_timeout),
            humantime::format_duration(self.heartbeat_interval),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_switch_in_the_environment_is_on_or_off() {
        assert_eq!([switch("YES"), switch("0")], [Ok(true), Ok(false)]);
        assert!(switch("perhaps").is_err());
    }

    #[test]
    fn a_size_may_have_a_unit() {
        let sizes = ["64K", "1M", "1G", "65536"].map(segment_size);
        assert_eq!(sizes, [Ok(65_536), Ok(1 << 20), Ok(1 << 30), Ok(65_536)]);
    }

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        let always = ["distdbd", "--node", "node1", "--listen", "127.0.0.1:0"];
        Args::try_parse_from(always.iter().chain(flags))
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for flags in [
            ["--join=nowhere"].as_slice(),
            &["--mode=paxos"],
            &["--heartbeat-interval=0s"],
            &["--socket-mode=0999"],
            &["--advertise=:1"],
            &["--snapshot-every=0"],
            &["--segment-size=63K"],
            &["--segment-size=2G"],
            &["--segment-size=64 M"],
            &["--fsync=sometimes"],
        ] {
            assert!(parse(flags).is_err(), "{flags:?}");
        }
        for flags in
            [["--election-timeout=200ms"].as_slice(), &["--bootstrap", "--join=127.0.0.1:1"]]
        {
            let args = parse(flags).expect("each flag alone is fine");
            assert!(args.check().is_err(), "{flags:?}");
        }
    }
}

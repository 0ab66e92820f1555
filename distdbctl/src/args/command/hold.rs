//! The flags of what holds a lock, leads, or looks who does.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::args::{seconds, ttl};

/// `lock`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Lock {
    /// Which; a name like a key's
    pub(crate) name: OsString,
    /// Hold it with others who share it
    #[arg(short, long, conflicts_with_all = ["exclusive", "slots"])]
    pub(crate) shared: bool,
    /// Hold it alone, which is what happens anyway
    #[arg(short = 'x', short_alias = 'e', long, conflicts_with = "slots")]
    pub(crate) exclusive: bool,
    /// Hold it with up to so many in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) slots: Option<u32>,
    /// What others are told of the holder; without it, HOST:PID
    #[arg(long, value_name = "V")]
    pub(crate) value: Option<OsString>,
    #[command(flatten)]
    pub(crate) claim: Claim,
}

/// `elect`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Elect {
    /// Which election; a name like a key's
    pub(crate) name: OsString,
    /// What others are told of the leader
    #[arg(required_unless_present = "observe", allow_negative_numbers = true)]
    pub(crate) value: Option<OsString>,
    /// Print the value of each leader, the one that leads and those that follow
    #[arg(long, conflicts_with_all = ["value", "nonblock", "wait", "ttl", "command"])]
    pub(crate) observe: bool,
    #[command(flatten)]
    pub(crate) claim: Claim,
}

/// What holding takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Claim {
    /// Fail rather than wait
    #[arg(short = 'n', long, visible_alias = "nb", alias = "nonblocking")]
    pub(crate) nonblock: bool,
    /// Wait no longer than so; a number alone is of seconds
    #[arg(short, long, value_name = "DURATION", conflicts_with = "nonblock", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,
    /// The exit code where it is not had with -n or in the time of -w
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = 4)]
    pub(crate) conflict_exit_code: u8,
    /// How long it is held, at the most, by one who is cut off
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = ttl)]
    pub(crate) ttl: Duration,
    /// Run this while it is held; without it, it is held until stdin ends
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// `leader`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Leader {
    /// Of which election, or lock
    pub(crate) name: OsString,
}

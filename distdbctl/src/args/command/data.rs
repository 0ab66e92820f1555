//! The flags of the data model: conditions, history, transactions, leases, export and import.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use common::control::kv::{Moment, OnceId};
use common::identity::LeaseId;

use crate::args::duration;
use crate::help;

/// Under what a key is written, in raft mode.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Guard {
    /// Only if this revision wrote it last; 0 if it does not exist; else exit 3 (raft mode)
    #[arg(long, value_name = "N")]
    pub(crate) if_revision: Option<u64>,
    /// Only if nobody has got the lock after the holder with this token; else exit 3 (raft mode)
    #[arg(long, value_name = "TOKEN")]
    pub(crate) fence: Option<u64>,
    /// Print the value before, if there was one (raft mode)
    #[arg(long)]
    pub(crate) previous: bool,
}

/// What a put can have besides, in raft mode.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct PutGuard {
    /// Only if the key does not exist; else exit 3 (raft mode)
    #[arg(long, conflicts_with = "if_exists")]
    pub(crate) if_absent: bool,
    /// Only if the key exists; else exit 3 (raft mode)
    #[arg(long)]
    pub(crate) if_exists: bool,
    /// Only if the key holds this; else exit 3 (raft mode)
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) if_value: Option<OsString>,
    /// The key ends after so long, unless it is put again (raft mode)
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "lease")]
    pub(crate) ttl: Option<Duration>,
    /// The key ends with this lease (raft mode)
    #[arg(long, value_name = "ID")]
    pub(crate) lease: Option<LeaseId>,
}

/// That something is done once.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Once {
    /// Do it once in a day under this id, whoever asks, however often (raft mode)
    #[arg(long, value_name = "ID", value_parser = once_id)]
    pub(crate) once: Option<OnceId>,
}

fn once_id(text: &str) -> Result<OnceId, String> {
    OnceId::new(text.into()).ok_or_else(|| "it takes 1 to 256 bytes".to_owned())
}

/// A point of history.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
pub(crate) struct When {
    /// As of this revision (raft mode)
    #[arg(long, value_name = "N", conflicts_with = "at")]
    pub(crate) rev: Option<u64>,
    /// As of this time: '10 min ago', 2026-01-31T12:00:00Z or @SECONDS since 1970 (raft mode)
    #[arg(long, value_name = "WHEN", value_parser = unix_ms)]
    pub(crate) at: Option<u64>,
}

impl When {
    pub(crate) fn moment(self) -> Option<Moment> {
        self.rev.map(Moment::Revision).or(self.at.map(Moment::UnixMs))
    }
}

/// A point in time, in milliseconds since 1970.
fn unix_ms(text: &str) -> Result<u64, String> {
    let wrong = || "it takes '10 min ago', 2026-01-31T12:00:00Z or @SECONDS".to_owned();
    let text = text.trim();
    let since_epoch = if let Some(seconds) = text.strip_prefix('@') {
        let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
        let is_part = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        let part = format!("{part:0<3}").parse().ok().filter(|_| is_part).ok_or_else(wrong)?;
        Duration::from_secs(whole.parse().map_err(|_| wrong())?) + Duration::from_millis(part)
    } else {
        let time = match text.strip_suffix("ago") {
            Some(age) => {
                let age = humantime::parse_duration(age.trim()).map_err(|_| wrong())?;
                SystemTime::now().checked_sub(age).ok_or_else(wrong)?
            }
            None => humantime::parse_rfc3339_weak(text).map_err(|_| wrong())?,
        };
        time.duration_since(UNIX_EPOCH).map_err(|_| wrong())?
    };
    u64::try_from(since_epoch.as_millis()).map_err(|_| wrong())
}

/// `history`.
#[derive(Debug, ClapArgs)]
pub(crate) struct History {
    /// Of which key
    pub(crate) key: OsString,
    /// The latest so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// `diff`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Diff {
    /// The older revision
    pub(crate) from: u64,
    /// The newer one; without it, the latest
    pub(crate) to: Option<u64>,
    /// Only keys that begin with it
    #[arg(long)]
    pub(crate) prefix: Option<OsString>,
}

/// `revert`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Revert {
    /// Which key
    pub(crate) key: OsString,
    /// To what it held after this revision
    pub(crate) revision: u64,
    #[command(flatten)]
    pub(crate) once: Once,
}

/// `compact`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Compact {
    /// The first revision that is kept
    #[arg(required_unless_present = "keep", conflicts_with = "keep")]
    pub(crate) revision: Option<u64>,
    /// Keep what is no older
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) keep: Option<Duration>,
}

/// `txn`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Txn {
    /// The transaction, as text or as a JSON object; without it, or with '-', stdin
    pub(crate) text: Option<OsString>,
    /// Read it from this file
    #[arg(short, long, conflicts_with = "text")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) once: Once,
}

/// `lease`.
#[derive(Debug, Subcommand)]
pub(crate) enum Lease {
    /// Begin one, and print its id
    Grant {
        /// How long it lasts without being kept alive
        #[arg(value_parser = duration)]
        ttl: Duration,
        /// What it is to be called: up to 16 hexadecimal digits
        #[arg(long, value_name = "ID")]
        id: Option<LeaseId>,
        #[command(flatten)]
        once: Once,
    },
    /// How long one lasts, and which keys end with it
    Show {
        /// Which
        id: LeaseId,
    },
    /// All of them
    #[command(visible_alias = "ls")]
    List,
    /// Let one last for its whole time from here on
    Renew {
        /// Which
        id: LeaseId,
    },
    /// Keep one alive until this ends; exit 6 when it is lost
    #[command(after_help = help::AFTER_LEASE_KEEP)]
    Keep {
        /// Which
        id: LeaseId,
    },
    /// End one, and remove its keys; print how many
    Revoke {
        /// Which
        id: LeaseId,
        #[command(flatten)]
        once: Once,
    },
}

/// `export`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Only keys that begin with it
    pub(crate) prefix: Option<OsString>,
}

/// `import`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// From this file; without it, or with '-', stdin
    pub(crate) file: Option<PathBuf>,
    /// What to do with a key that exists
    #[arg(long, value_enum, default_value_t = OnConflict::Fail)]
    pub(crate) on_conflict: OnConflict,
}

/// What `import` does with a key that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnConflict {
    /// Leave it as it is
    Skip,
    /// Store the value all the same
    Overwrite,
    /// End with exit code 3, naming it
    Fail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_three_ways() {
        assert_eq!(unix_ms("@1.5"), Ok(1_500));
        assert_eq!(unix_ms("@1795629846.097"), Ok(1_795_629_846_097));
        assert_eq!(unix_ms("1970-01-01T00:01:00Z"), Ok(60_000));
        let now = unix_ms("0s ago").expect("a time");
        let then = unix_ms("10 min ago").expect("a time");
        assert!((599_000..=601_000).contains(&(now - then)));
        for wrong in ["", "yesterday", "@", "@-1", "ago", "10 min", "1960-01-01T00:00:00Z"] {
            assert!(unix_ms(wrong).is_err(), "{wrong:?}");
        }
    }
}

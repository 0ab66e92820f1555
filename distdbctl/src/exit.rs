//! The exit codes: one table, and what leads to which row of it.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use common::control::failure::{Applied, ErrorCode};

/// What a script sees of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit(u8);

/// The rows of the table, and their meanings for people.
macro_rules! exits {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        impl Exit {
            $(#[doc = $meaning] pub(crate) const $name: Self = Self($code);)*
        }

        #[cfg(test)]
        const TABLE: &[(u8, &str)] = &[$(($code, $meaning)),*];
    };
}

exits! {
    DONE = 0, "done";
    NO = 1, "the answer is no: no such key, nothing deleted";
    USAGE = 2, "usage";
    CONDITION_FAILED = 3, "condition false, nothing changed";
    BUSY = 4, "busy";
    CONFLICT = 5, "conflict";
    LEASE_LOST = 6, "lost while held";
    FOUND_SOMETHING = 7, "a check found something: degraded, not ready, a promise broken";
    COMPACTED = 10, "compacted: that history is not kept";
    BAD_DATA = 65, "bad data, or too large";
    NO_INPUT = 66, "input missing or unreadable";
    NO_DAEMON = 68, "no daemon, surely not applied";
    UNAVAILABLE = 69, "unavailable, surely not applied";
    BROKEN = 70, "a bug, or corruption";
    NO_OUTPUT = 73, "output can't be written";
    OUTCOME_UNKNOWN = 74, "outcome unknown: it may have been applied, or may yet be";
    TRY_LATER = 75, "try later, surely not applied";
    PROTOCOL = 76, "protocol: the node doesn't know that, or answers what this client can't read";
    NOT_PERMITTED = 77, "not permitted";
    CONFIGURATION = 78, "configuration";
    TIMED_OUT = 124, "timed out";
    CANNOT_RUN = 126, "the command can't be run";
    COMMAND_NOT_FOUND = 127, "the command is not found";
    INTERRUPTED = 130, "interrupted";
}

impl Exit {
    /// The row of a failure that a node tells.
    ///
    /// A node that says "try later" of a write that may have been applied contradicts the rows
    /// 69 and 75, which promise that it was not; such a write's outcome is unknown.
    pub(crate) fn of(code: ErrorCode, applied: Option<Applied>) -> Self {
        let may_be_applied = match applied {
            None | Some(Applied::No) => false,
            Some(Applied::Yes | Applied::Unknown) => true,
        };
        match Self::row(code) {
            Self::UNAVAILABLE | Self::TRY_LATER if may_be_applied => Self::OUTCOME_UNKNOWN,
            row => row,
        }
    }

    fn row(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotFound => Self::NO,
            ErrorCode::ConditionFailed => Self::CONDITION_FAILED,
            ErrorCode::Busy => Self::BUSY,
            ErrorCode::Conflict => Self::CONFLICT,
            ErrorCode::LeaseLost => Self::LEASE_LOST,
            ErrorCode::Compacted => Self::COMPACTED,
            ErrorCode::BadRequest | ErrorCode::TooLarge | ErrorCode::ModeMismatch => Self::BAD_DATA,
            ErrorCode::NoLeader
            | ErrorCode::NoQuorum
            | ErrorCode::NotReady
            | ErrorCode::Removed
            | ErrorCode::Behind
            | ErrorCode::ShuttingDown
            | ErrorCode::Timeout => Self::UNAVAILABLE,
            ErrorCode::LeaderLost => Self::OUTCOME_UNKNOWN,
            ErrorCode::Internal | ErrorCode::Corrupt => Self::BROKEN,
            ErrorCode::Overloaded | ErrorCode::Quota | ErrorCode::SlowConsumer => Self::TRY_LATER,
            ErrorCode::UnknownOp | ErrorCode::Version => Self::PROTOCOL,
            ErrorCode::Denied => Self::NOT_PERMITTED,
        }
    }

    /// As a shell tells of a process that was killed.
    pub(crate) fn of_signal(signal: i32) -> Self {
        Self::of_code(Some(128 + signal))
    }

    /// The code that another process of ours has ended with.
    pub(crate) fn of_code(code: Option<i32>) -> Self {
        Self(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(Self::BROKEN.0))
    }

    pub(crate) fn code(self) -> u8 {
        self.0
    }

    /// As `env(1)` would end: with the child's code, or 128 and the signal that killed it.
    pub(crate) fn of_child(status: ExitStatus) -> Self {
        Self::of_code(status.code().or(status.signal().map(|signal| 128 + signal)))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::help::AFTER_LONG_HELP;

    /// The list is closed, so each code can be written down here with its row of the contract.
    #[test]
    fn each_error_code_has_the_exit_code_it_was_promised() {
        let no = Some(Applied::No);
        for (spelling, exit) in [
            ("not_found", 1),
            ("condition_failed", 3),
            ("busy", 4),
            ("conflict", 5),
            ("lease_lost", 6),
            ("compacted", 10),
            ("bad_request", 65),
            ("too_large", 65),
            ("mode_mismatch", 65),
            ("no_leader", 69),
            ("no_quorum", 69),
            ("not_ready", 69),
            ("removed", 69),
            ("behind", 69),
            ("shutting_down", 69),
            ("leader_lost", 74),
            ("timeout", 69),
            ("internal", 70),
            ("corrupt", 70),
            ("overloaded", 75),
            ("quota", 75),
            ("slow_consumer", 75),
            ("unknown_op", 76),
            ("version", 76),
            ("denied", 77),
        ] {
            let code: ErrorCode = serde_json::from_str(&format!("\"{spelling}\"")).expect(spelling);
            assert_eq!(Exit::of(code, no), Exit(exit), "{spelling}");
            assert_eq!(Exit::of(code, None), Exit(exit), "{spelling}");
        }
    }

    #[test]
    fn what_may_have_been_applied_is_never_called_surely_not_applied() {
        for applied in [Applied::Unknown, Applied::Yes] {
            for code in [ErrorCode::Timeout, ErrorCode::Overloaded, ErrorCode::ShuttingDown] {
                assert_eq!(Exit::of(code, Some(applied)), Exit::OUTCOME_UNKNOWN, "{code}");
            }
        }
    }

    /// C13: neither a code nor a signal gets lost.
    #[test]
    fn a_child_ends_as_env_would() {
        for (raw, exit) in [(0, 0), (7 << 8, 7), (255 << 8, 255), (9, 137), (15, 143)] {
            assert_eq!(Exit::of_child(ExitStatus::from_raw(raw)), Exit(exit));
        }
    }

    /// C16: the help does not drift from the table.
    #[test]
    fn the_help_lists_every_exit_code() {
        for (code, meaning) in TABLE {
            let row = format!("  {code:<4} {meaning}\n");
            assert!(AFTER_LONG_HELP.contains(&row), "{row:?} is not in the help");
        }
    }
}

//! Why a command failed: what is said on stderr, and which exit code that is.

use std::fmt;
use std::num::NonZeroU64;

use common::control::failure::{Applied, ErrorCode, Failure};
use common::identity::NodeName;
use serde::Serialize;

use crate::exit::Exit;

/// A command that failed. As JSON it is an error object like a node's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Problem {
    pub(crate) code: Code,
    /// Whether a write took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applied: Option<Applied>,
    /// Who has a write that not as many nodes have as was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acks: Option<Vec<NodeName>>,
    /// What its client has seen by a write in causal mode that took effect all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<NonZeroU64>,
    /// One line for people.
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<Box<str>>,
}

/// A node's reason, or the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Code {
    Node(ErrorCode),
    Own(OwnCode),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(code) => f.write_str(code.as_str()),
            // All of these are spelled by serde, and lines of text rarely have one.
            Self::Own(code) => code.serialize(f),
        }
    }
}

/// What goes wrong before a node can say a word about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OwnCode {
    /// The command line can't be meant.
    Usage,
    /// Nobody answers at that socket.
    NoDaemon,
    /// The connection ended before the answer came.
    Disconnected,
    /// What `wait` waited for did not come.
    #[serde(rename = "timeout")]
    WaitedInVain,
    /// Standard input or a file can't be read.
    Input,
    /// Standard output or a file can't be written.
    Output,
    /// Nobody reads the output any more. Not worth a word.
    ClosedPipe,
    /// The node says something that this client does not understand.
    Protocol,
    /// A path can't be used.
    Configuration,
    /// Ctrl-C came first.
    Interrupted,
    /// The program of `watch` is there, but can't be run.
    CannotRun,
    /// The program of `watch` is not there.
    CommandNotFound,
}

impl Problem {
    pub(crate) fn new(code: OwnCode, message: impl Into<String>) -> Self {
        let message = message.into();
        let code = Code::Own(code);
        let (applied, acks, context, floor) = Default::default();
        let (retry_after_ms, hint) = Default::default();
        Self { code, applied, acks, context, floor, message, retry_after_ms, hint }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(OwnCode::Usage, message)
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into_boxed_str());
        self
    }

    #[must_use]
    pub(crate) fn applied(mut self, applied: Applied) -> Self {
        self.applied = Some(applied);
        self
    }

    /// Whether what was asked may have taken effect.
    pub(crate) fn may_be_applied(&self) -> bool {
        matches!(self.applied, Some(Applied::Yes | Applied::Unknown))
    }

    pub(crate) fn exit(&self) -> Exit {
        let code = match self.code {
            Code::Node(code) => return Exit::of(code, self.applied),
            Code::Own(code) => code,
        };
        match code {
            OwnCode::Usage => Exit::USAGE,
            OwnCode::NoDaemon | OwnCode::Disconnected if self.may_be_applied() => {
                Exit::OUTCOME_UNKNOWN
            }
            OwnCode::NoDaemon => Exit::NO_DAEMON,
            OwnCode::Disconnected => Exit::UNAVAILABLE,
            OwnCode::WaitedInVain => Exit::TIMED_OUT,
            OwnCode::Input => Exit::NO_INPUT,
            OwnCode::Output => Exit::NO_OUTPUT,
            OwnCode::ClosedPipe => Exit::DONE,
            OwnCode::Protocol => Exit::PROTOCOL,
            OwnCode::Configuration => Exit::CONFIGURATION,
            OwnCode::Interrupted => Exit::INTERRUPTED,
            OwnCode::CannotRun => Exit::CANNOT_RUN,
            OwnCode::CommandNotFound => Exit::COMMAND_NOT_FOUND,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let Failure { code, applied, acks, context, floor, message, retry_after_ms, hint } =
            failure;
        let code = Code::Node(code);
        Self { code, applied, acks, context, floor, message, retry_after_ms, hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_object_of_a_node_comes_out_as_it_came() {
        let failure = Failure::new(ErrorCode::NotReady, "it syncs").with_hint("wait synced");
        let failure = Failure { acks: Some(vec!["node1".parse().unwrap()]), ..failure };
        let json = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::to_string(&Problem::from(failure)).unwrap(), json);
    }

    #[test]
    fn a_connection_lost_after_a_write_leaves_its_outcome_unknown() {
        for (code, exit) in
            [(OwnCode::Disconnected, Exit::UNAVAILABLE), (OwnCode::NoDaemon, Exit::NO_DAEMON)]
        {
            let lost = Problem::new(code, "gone");
            assert_eq!(lost.exit(), exit);
            assert_eq!(lost.applied(Applied::Unknown).exit(), Exit::OUTCOME_UNKNOWN);
        }
    }
}

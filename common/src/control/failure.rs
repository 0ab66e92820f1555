//! What a request that failed says: a code of a closed list, and whether it took effect.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::identity::NodeName;

/// Why a request failed. The list is closed; each code has one exit code in `distdbctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// What was named does not exist.
    NotFound,
    /// The condition was false; nothing changed.
    ConditionFailed,
    /// Somebody else holds it.
    Busy,
    /// Concurrent writes stand side by side.
    Conflict,
    /// The lease ended while it was relied on.
    LeaseLost,
    /// The history asked for is not kept.
    Compacted,
    /// The request is malformed.
    BadRequest,
    /// A key, value or line is past its bound.
    TooLarge,
    /// The key's replication mode can't do this.
    ModeMismatch,
    /// No leader is known.
    NoLeader,
    /// A majority can't be reached.
    NoQuorum,
    /// The node has not recovered or synced yet.
    NotReady,
    /// The node is no longer a member.
    Removed,
    /// The node has not seen what the session has seen.
    Behind,
    /// The node is about to end.
    ShuttingDown,
    /// Leadership was lost while the write was on its way.
    LeaderLost,
    /// The deadline passed.
    Timeout,
    /// A bug in the node.
    Internal,
    /// Stored bytes are damaged.
    Corrupt,
    /// Too much is outstanding.
    Overloaded,
    /// No room for more data.
    Quota,
    /// The watcher did not read fast enough.
    SlowConsumer,
    /// This node does not know the operation.
    UnknownOp,
    /// This node does not speak that version of the protocol.
    Version,
    /// Not permitted.
    Denied,
}

impl ErrorCode {
    /// The code as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::ConditionFailed => "condition_failed",
            Self::Busy => "busy",
            Self::Conflict => "conflict",
            Self::LeaseLost => "lease_lost",
            Self::Compacted => "compacted",
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::ModeMismatch => "mode_mismatch",
            Self::NoLeader => "no_leader",
            Self::NoQuorum => "no_quorum",
            Self::NotReady => "not_ready",
            Self::Removed => "removed",
            Self::Behind => "behind",
            Self::ShuttingDown => "shutting_down",
            Self::LeaderLost => "leader_lost",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Corrupt => "corrupt",
            Self::Overloaded => "overloaded",
            Self::Quota => "quota",
            Self::SlowConsumer => "slow_consumer",
            Self::UnknownOp => "unknown_op",
            Self::Version => "version",
            Self::Denied => "denied",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a write that failed took effect: what a caller must know before a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// Surely not.
    No,
    /// It has, though not as far as was asked.
    Yes,
    /// It was proposed, and may still take effect.
    Unknown,
}

/// The `error` member of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which of the closed list.
    pub code: ErrorCode,
    /// On every failure of a write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// Of a write in causal mode that not as many nodes have as was asked: those that do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acks: Option<Vec<NodeName>>,
    /// Of a write in causal mode that took effect all the same: what its client has seen by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Of `compacted`: what was before this revision is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<NonZeroU64>,
    /// One line for people.
    pub message: String,
    /// When it may be worth another try, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Box<str>>,
}

impl Failure {
    /// A failure of which nothing took effect.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            applied: Some(Applied::No),
            acks: None,
            context: None,
            floor: None,
            message: message.into(),
            retry_after_ms: None,
            hint: None,
        }
    }

    /// The request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// The same, with the next thing to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into_boxed_str());
        self
    }

    /// The same, with the time after which another try may succeed.
    #[must_use]
    pub fn retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_spelled_alike_in_text_and_in_json() {
        for code in [ErrorCode::NotFound, ErrorCode::TooLarge, ErrorCode::UnknownOp] {
            let json = serde_json::to_string(&code).expect("a string");
            assert_eq!(json, format!("\"{code}\""));
        }
    }
}

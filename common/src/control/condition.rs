//! What `wait` waits for.

use std::fmt;
use std::str::FromStr;

use crate::kv::key::Key;

/// What `wait` waits for, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `leader`: a leader is known.
    Leader,
    /// `members=N`: at least so many members are up and ready, this node among them.
    Members(usize),
    /// `synced`: this node serves.
    Synced,
    /// `key KEY`: the key exists.
    Key(Key),
    /// `revision>=N`: this node has applied revision N.
    Revision(u64),
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no condition; there are: leader, members=N, synced, \"key KEY\", \"revision>=N\""
)]
pub struct ConditionError(String);

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let number = |digits: &str| digits.trim().parse::<u64>().ok();
        let parsed = if let Some(digits) = text.strip_prefix("members=") {
            number(digits).and_then(|n| usize::try_from(n).ok()).map(Self::Members)
        } else if let Some(digits) = text.strip_prefix("revision>=") {
            number(digits).map(Self::Revision)
        } else if let Some(key) = text.strip_prefix("key ").or(text.strip_prefix("key=")) {
            Key::try_from(key).ok().map(Self::Key)
        } else {
            match text {
                "leader" => Some(Self::Leader),
                "synced" => Some(Self::Synced),
                _ => None,
            }
        };
        parsed.ok_or_else(|| ConditionError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::Members(n) => write!(f, "members={n}"),
            Self::Synced => f.write_str("synced"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Revision(n) => write!(f, "revision>={n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_reads_as_it_prints() {
        for text in ["leader", "members=3", "synced", "key a b=c", "revision>=7"] {
            assert_eq!(text.parse::<Condition>().expect(text).to_string(), text);
        }
        for bad in ["", "members=", "members=-1", "key ", "key", "revision=7", "leaders"] {
            assert!(bad.parse::<Condition>().is_err(), "{bad:?}");
        }
    }
}

//! Conditions: under which a write is done.

use serde::{Deserialize, Serialize};

use crate::identity::LeaseId;
use crate::kv::key::Key;
use crate::kv::value::Value;

/// Under which one key is written; all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The key does not exist.
    pub if_absent: bool,
    /// It does.
    pub if_exists: bool,
    /// This revision wrote it last; 0 where it does not exist.
    pub if_revision: Option<u64>,
    /// It holds this value.
    pub if_value: Option<Value>,
    /// Nobody has got the lock after the one with this token.
    pub fence: Option<u64>,
}

/// A condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// Of which key.
    pub key: Key,
    /// How what it has relates to what is named.
    pub relation: Relation,
    /// What is looked at, and what it is compared with.
    pub target: Target,
}

/// How two values relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// They are equal.
    #[serde(rename = "=")]
    Equal,
    /// They are not.
    #[serde(rename = "!=")]
    NotEqual,
    /// The key's is less.
    #[serde(rename = "<")]
    Less,
    /// The key's is greater.
    #[serde(rename = ">")]
    Greater,
}

impl Relation {
    /// Whether it holds between two.
    pub fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::Greater => left > right,
        }
    }
}

/// What of a key is compared, with what. Of a key that does not exist the numbers are 0, there is
/// no lease, and no comparison of its value holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Its value, byte by byte.
    Value(Value),
    /// How often it was written since it was made.
    Version(u64),
    /// The revision that made it.
    Create(u64),
    /// The revision that wrote it last.
    Mod(u64),
    /// Its lease; none is less than any.
    Lease(Option<LeaseId>),
}

impl Conditions {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

//! Who a node is: its name, its id, its cluster, and how often it has started; and the ids of leases.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest node name, so that `RUNTIME/NAME/control.sock` has room in a socket address.
pub const NAME_BYTES_MAX: usize = 63;

/// What operators call a node: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`.
///
/// Invariant: matches that pattern, so a path can be built from it without a check.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct NodeName(Arc<str>);

/// A text that is no node name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a node name: one letter or digit, then up to 62 letters, digits, '.', '_' or '-'"
)]
pub struct NodeNameError(String);

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Arc<str>> for NodeName {
    type Error = NodeNameError;

    fn try_from(text: Arc<str>) -> Result<Self, NodeNameError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if first && rest && text.len() <= NAME_BYTES_MAX {
            Ok(Self(text))
        } else {
            Err(NodeNameError(text.chars().take(NAME_BYTES_MAX + 1).collect()))
        }
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        Self::try_from(Arc::<str>::from(text))
    }
}

impl From<NodeName> for Arc<str> {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A 64-bit random id. It is 16 hexadecimal digits wherever people or scripts see it, because
/// `jq` rounds integers above 2^53.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_u64(self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return u64::deserialize(deserializer).map(Self);
                }
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                u64::from_str_radix(&text, 16).map(Self).map_err(D::Error::custom)
            }
        }
    };
}

random_id! {
    /// One node with one data directory. A wiped node comes back with another id; an id is
    /// never used again.
    NodeId
}

random_id! {
    /// One cluster, drawn at bootstrap. Nodes of different clusters refuse each other.
    ClusterId
}

random_id! {
    /// A lease of the cluster: what ends with it is removed with it.
    LeaseId
}

impl FromStr for LeaseId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// How often a node has started with its data directory. It tells a restarted node's writes
/// from those it made before, whose count its memory has lost.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "-a", "a b", "ä", "a\0", &"x".repeat(64)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
        for good in ["a", "node1", "0.b_c-d", &"x".repeat(63)] {
            assert!(good.parse::<NodeName>().is_ok(), "{good:?}");
        }
    }

    /// C10: `jq` must not round an id.
    #[test]
    fn an_id_is_text_in_json_and_a_number_on_the_wire() {
        let id = NodeId(u64::MAX - 1);
        let json = serde_json::to_string(&id).expect("a string");
        assert_eq!(json, "\"fffffffffffffffe\"");
        assert_eq!(serde_json::from_str::<NodeId>(&json).expect("the same"), id);
        let wire = postcard::to_stdvec(&id).expect("bytes");
        assert_eq!(postcard::from_bytes::<NodeId>(&wire).expect("the same"), id);
    }
}

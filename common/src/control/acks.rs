//! How many nodes must have a write before it is answered.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many members must have a write on their disks before it is answered: the `acks` member, a
/// number from 1 on, `"majority"` or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// So many, this node among them. Never 0.
    Nodes(u32),
    /// More than half of the members.
    Majority,
    /// Every member.
    All,
}

impl Default for Acks {
    fn default() -> Self {
        Self::Nodes(1)
    }
}

/// What the member takes, in words.
const EXPECTED: &str = "a number from 1 on, majority or all";

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => nodes.fmt(f),
            Self::Majority => f.write_str("majority"),
            Self::All => f.write_str("all"),
        }
    }
}

/// A text that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not {EXPECTED}")]
pub struct AcksError(String);

impl FromStr for Acks {
    type Err = AcksError;

    fn from_str(text: &str) -> Result<Self, AcksError> {
        match text {
            "majority" => Ok(Self::Majority),
            "all" => Ok(Self::All),
            number => match number.parse() {
                Ok(nodes) if nodes > 0 => Ok(Self::Nodes(nodes)),
                Ok(_) | Err(_) => Err(AcksError(text.chars().take(40).collect())),
            },
        }
    }
}

impl Serialize for Acks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nodes(nodes) => serializer.serialize_u32(*nodes),
            Self::Majority | Self::All => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Acks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AcksVisitor)
    }
}

struct AcksVisitor;

impl Visitor<'_> for AcksVisitor {
    type Value = Acks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: Error>(self, nodes: u64) -> Result<Acks, E> {
        match u32::try_from(nodes) {
            Ok(nodes) if nodes > 0 => Ok(Acks::Nodes(nodes)),
            Ok(_) | Err(_) => Err(E::invalid_value(Unexpected::Unsigned(nodes), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Acks, E> {
        match text {
            "majority" => Ok(Acks::Majority),
            "all" => Ok(Acks::All),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_a_number_or_a_word() {
        for (json, acks) in
            [("1", Acks::Nodes(1)), ("\"majority\"", Acks::Majority), ("\"all\"", Acks::All)]
        {
            assert_eq!(serde_json::from_str::<Acks>(json).expect(json), acks);
            assert_eq!(serde_json::to_string(&acks).expect("serializes"), json);
            assert_eq!(acks.to_string().parse(), Ok(acks));
        }
        for bad in ["0", "-1", "1.5", "4294967296", "\"0\"", "\"some\"", "null", "[1]"] {
            assert!(serde_json::from_str::<Acks>(bad).is_err(), "{bad}");
        }
        assert!("0".parse::<Acks>().is_err() && "".parse::<Acks>().is_err());
    }
}

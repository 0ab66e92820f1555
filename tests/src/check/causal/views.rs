//! What a read has to show of the versions that stand side by side.

use std::collections::BTreeSet;

use common::causal::clock::Dot;
use common::causal::version::Version;
use common::control::bytes::join;
use common::control::conflict::Sibling;
use common::control::reply::{Get, Item};
use common::kv::value::Value;
use common::modes::Resolver;

use super::origins::integer;

/// What a read shows of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) value: Option<Vec<u8>>,
    is_conflict: bool,
    /// Those that are told beside it, in order of their dots.
    siblings: BTreeSet<Dot>,
}

impl View {
    /// What is to be shown.
    pub(super) fn of(resolver: Resolver, versions: &[Version]) -> Self {
        let winner = versions.iter().max_by_key(|version| (version.time, version.dot));
        let winner = winner.map(|version| version.value.to_vec());
        let (value, is_conflict, siblings) = match resolver {
            Resolver::Counter => {
                let sum: i64 = versions.iter().map(|version| integer(&version.value)).sum();
                (winner.map(|_| sum.to_string().into_bytes()), false, BTreeSet::new())
            }
            Resolver::Set => {
                let elements: BTreeSet<&[u8]> = versions.iter().map(|v| &*v.value).collect();
                let joined = elements.iter().copied().collect::<Vec<_>>().join(&b'\n');
                let first = elements.iter().map(|element| {
                    let same = versions.iter().filter(|version| version.value[..] == **element);
                    let latest = same.max_by_key(|version| (version.time, version.dot));
                    latest.expect("it is of one of them").dot
                });
                (winner.map(|_| joined), false, first.collect())
            }
            Resolver::Siblings => {
                let is_conflict =
                    versions.iter().any(|version| Some(&*version.value) != winner.as_deref());
                let dots = versions.iter().filter(|_| is_conflict).map(|version| version.dot);
                (winner, is_conflict, dots.collect())
            }
            Resolver::Lww | Resolver::Max | Resolver::Min => (winner, false, BTreeSet::new()),
        };
        Self { value, is_conflict, siblings }
    }

    /// What was shown.
    pub(super) fn shown(get: &Get) -> Result<Self, String> {
        let value = get.item.as_ref().map_or(Ok(None), Self::value)?;
        let value = value.map(|value| value.as_bytes().to_vec());
        let siblings: BTreeSet<Dot> = get.siblings.iter().map(Sibling::dot).collect();
        if siblings.len() < get.siblings.len() || get.found != get.item.is_some() {
            return Err(format!("it contradicts itself: {get:?}"));
        }
        Ok(Self { value, is_conflict: get.conflict, siblings })
    }

    pub(super) fn value(item: &Item) -> Result<Option<Value>, String> {
        join(item.value.clone(), item.value_b64.clone()).map_err(|failure| failure.to_string())
    }
}

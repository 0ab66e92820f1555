//! Nothing invented, once for each request, and in the place of what its client had seen.
//!
//! Every write is what some client asked of its writer, a tagged request makes one write at a
//! writer, an increment adds just its delta to its writer's share, and a put takes the place of
//! the versions that its client had seen, no others.
//!
//! Source: pitfalls L2, L8; dotted version vectors (Preguiça et al. 2010).

use std::collections::{BTreeMap, BTreeSet};

use common::causal::clock::Dot;
use common::causal::context::Context;
use common::causal::version::Version;
use common::causal::write::Write;
use common::control::request::{Call, Request, Selection};
use common::identity::NodeId;
use common::kv::command::Tag;
use common::kv::key::Key;
use common::kv::value::Value;

use super::ledger::Ledger;

/// What clients have asked.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Every value is put once, on one key, with one context.
    puts: BTreeMap<Vec<u8>, (Key, Option<Context>)>,
    elements: BTreeSet<(Key, Vec<u8>)>,
    deletions: Vec<(Selection, NodeId)>,
    /// The deltas of increments, and how many writes they may still make.
    deltas: BTreeMap<(NodeId, Key, i64), u64>,
    tagged: BTreeSet<(Tag, NodeId)>,
}

impl Origins {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other writes")]
    pub(super) fn note(&mut self, node: NodeId, call: &Call) {
        let tag = call.tag.as_ref().and_then(Tag::of);
        match &call.request {
            Request::Put { key, value, context, .. } | Request::Resolve { key, value, context } => {
                self.puts.insert(value.as_bytes().to_vec(), (key.clone(), context.clone()));
            }
            Request::Add { key, value, .. } => {
                self.elements.insert((key.clone(), value.as_bytes().to_vec()));
            }
            Request::Remove { key, .. } => {
                self.deletions.push((Selection::Key(key.clone()), node));
            }
            Request::Delete { selection, .. } => {
                self.deletions.push((selection.clone(), node));
            }
            Request::Incr { key, delta, .. } => {
                let is_retry = tag.is_some_and(|tag| !self.tagged.insert((tag, node)));
                let count = self.deltas.entry((node, key.clone(), *delta)).or_default();
                *count += u64::from(!is_retry);
            }
            _ => {}
        }
    }

    /// A node has made a write where it held the versions `before`.
    pub(super) fn judge(
        &mut self,
        write: &Write,
        before: &[Version],
        ledger: &Ledger,
    ) -> Result<(), String> {
        let node = write.dot.node;
        if let Some(request) = &write.request {
            let same = ledger.of_tag(request.tag).filter(|other| other.dot.node == node);
            if same.count() > 1 {
                return Err(format!("{:?} was executed twice: {write:?}", request.tag));
            }
        }
        let folder = write.key.as_str().split('/').next();
        match (&write.value, folder) {
            (None, _) => self.judge_deletion(write),
            (Some(value), Some("n")) => self.judge_increment(write, value, before),
            (Some(value), Some("s")) => {
                let element = (write.key.clone(), value.as_bytes().to_vec());
                let is_asked = self.elements.contains(&element);
                is_asked.then_some(()).ok_or_else(|| format!("nobody has added {write:?}"))
            }
            (Some(value), _) => self.judge_put(write, value, before),
        }
    }

    fn judge_deletion(&self, write: &Write) -> Result<(), String> {
        let is_it = |(selection, node): &(Selection, NodeId)| {
            *node == write.dot.node && selection.contains(&write.key)
        };
        let is_asked = self.deletions.iter().rev().any(is_it);
        is_asked.then_some(()).ok_or_else(|| format!("nobody has deleted {write:?}"))
    }

    fn judge_put(&self, write: &Write, value: &Value, before: &[Version]) -> Result<(), String> {
        let Some((key, context)) = self.puts.get(value.as_bytes()) else {
            return Err(format!("nobody has put {write:?}"));
        };
        if *key != write.key {
            return Err(format!("{key} was to be put by {write:?}"));
        }
        let dots = before.iter().map(|version| version.dot);
        let is_seen = |dot: &Dot| context.as_ref().is_none_or(|context| context.contains(*dot));
        let seen: BTreeSet<Dot> = dots.filter(is_seen).collect();
        let replaced: BTreeSet<Dot> = write.replaces.iter().copied().collect();
        if seen != replaced {
            return Err(format!("{replaced:?} gave way, its client had seen {seen:?}: {write:?}"));
        }
        Ok(())
    }

    fn judge_increment(
        &mut self,
        write: &Write,
        value: &Value,
        before: &[Version],
    ) -> Result<(), String> {
        let node = write.dot.node;
        let own = before.iter().filter(|version| version.dot.node == node);
        let share: i64 = own.map(|version| integer(&version.value)).sum();
        let delta = integer(value.as_bytes()) - share;
        let left = self.deltas.get_mut(&(node, write.key.clone(), delta));
        match left {
            Some(left) if *left > 0 => {
                *left -= 1;
                Ok(())
            }
            Some(_) | None => Err(format!("nobody has asked for {delta} at {share}: {write:?}")),
        }
    }
}

/// A number as counters hold it.
pub(super) fn integer(bytes: &[u8]) -> i64 {
    let text = str::from_utf8(bytes).unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number of a counter"))
}

//! Lists of keys that belong to several modes: two pages become one.

use std::collections::BTreeMap;

use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Header, Item, List, Reply, Served};
use crate::control::request::Range;
use crate::kv::key::Key;
use crate::modes::Mode;
use crate::node::Node;
use crate::protocol::{Answer, Effects, RequestId};

/// The lists that Raft answers in part.
#[derive(Debug, Default)]
pub(super) struct Mixed {
    asked: BTreeMap<RequestId, Range>,
}

impl Mixed {
    pub(super) fn expect(&mut self, request: RequestId, range: Range) {
        self.asked.insert(request, range);
    }

    pub(super) fn forget_connection(&mut self, connection: u64) {
        self.asked.retain(|request, _| request.connection != connection);
    }
}

impl Node {
    /// Adds this node's own keys to the lists that Raft has just answered.
    pub(super) fn complete_lists(&mut self, effects: &mut Effects<Self>) {
        if self.mixed.asked.is_empty() {
            return;
        }
        let mut open = std::mem::take(&mut self.mixed.asked);
        effects.amend_answers(|request, answer| {
            let Some(range) = open.remove(&request) else { return };
            let Answer::Reply(header, outcome) = answer else { return };
            let Ok(Reply::List(replicated)) = outcome else { return };
            *outcome = self.add_own(&range, replicated.clone()).map(Reply::List);
            // What is served is no better than the weakest part.
            *header = Header { mode: None, served: Some(Served::Local), ..header.clone() };
        });
        self.mixed.asked = open;
    }

    /// The keys of Raft, with this node's own of the other modes.
    fn add_own(&self, range: &Range, replicated: List) -> Result<List, Failure> {
        let mut list = replicated;
        let is_of = |mode| move |key: &Key| self.mode_of(key.as_str()) == Ok(mode);
        if self.has_broadcast_keys() {
            let own = self.broadcast.list_where(range, is_of(Mode::Broadcast))?;
            list = merge(range, list, own);
        }
        if self.has_causal_keys() {
            let causal = self.require_causal()?;
            causal.check_ready()?;
            if range.context.as_ref().is_some_and(|seen| !seen.is_covered_by(causal.clock())) {
                let message = "this node has not seen what the session has seen";
                return Err(Failure::new(ErrorCode::Behind, message)
                    .with_hint("ask again, or a list of each mode by itself, which waits"));
            }
            list = merge(range, list, causal.list_where(range, is_of(Mode::Causal)));
            list.context = Some(causal.clock().to_string());
        }
        Ok(list)
    }
}

/// Both pages begin where the range does, and have no key in common. Beyond the end of either, the
/// other's keys would leave a gap.
fn merge(range: &Range, one: List, other: List) -> List {
    let limit = usize::try_from(range.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    if range.count_only {
        let count = (one.count + other.count).min(limit as u64);
        return List { items: Vec::new(), count, more: false, next: None, context: None };
    }
    let end = [one.next, other.next].into_iter().flatten().min();
    let mut items: Vec<Item> = one.items.into_iter().chain(other.items).collect();
    items.sort_by(|left, right| left.key.cmp(&right.key));
    let within = items.iter().take_while(|item| end.as_ref().is_none_or(|end| item.key < *end));
    let kept = within.count().min(limit);
    let next = items.get(kept).map(|item| item.key.clone());
    let next = [next, end].into_iter().flatten().min();
    items.truncate(kept);
    List { count: items.len() as u64, items, more: next.is_some(), next, context: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::try_from(text).expect("a key")
    }

    fn list(keys: &str, next: Option<&str>) -> List {
        let item = |text: &str| Item::new(key(text), None, 1, 1, 1);
        let items: Vec<_> = keys.split_terminator(' ').map(item).collect();
        let (more, next) = (next.is_some(), next.map(key));
        List { count: items.len() as u64, items, more, next, context: None }
    }

    fn merged(limit: Option<u64>, one: List, other: List) -> (String, Option<String>) {
        let merged = merge(&Range { limit, ..Range::default() }, one, other);
        let keys: Vec<_> = merged.items.iter().map(|item| item.key.as_str()).collect();
        (keys.join(" "), merged.next.map(|next| next.to_string()))
    }

    #[test]
    fn two_pages_become_one_without_a_gap() {
        let both = |limit, next| merged(limit, list("a c e", next), list("b d f", None));
        assert_eq!(both(None, None), ("a b c d e f".into(), None));
        assert_eq!(both(None, Some("f0")), ("a b c d e f".into(), Some("f0".into())));
        assert_eq!(both(None, Some("e0")), ("a b c d e".into(), Some("e0".into())));
        assert_eq!(both(Some(2), Some("e0")), ("a b".into(), Some("c".into())));
    }
}

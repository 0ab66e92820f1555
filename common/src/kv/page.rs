//! Pages of a list: what one answer has of a range.

use crate::control::reply::{Item, List};
use crate::control::request::Range;
use crate::identity::LeaseId;
use crate::kv::key::Key;
use crate::kv::value::Value;

/// The keys of a page. More would hold up other clients.
pub(crate) const PAGE_ITEMS_MAX: usize = 10_000;

/// The bytes of a page's keys and values; the item that passes it is its last. Even where JSON's
/// escapes make the page six times as long, it fits into a line together with that item.
pub(crate) const PAGE_BYTES_MAX: usize = 96 * 1024;

/// A key and what it holds.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Which key.
    pub key: &'a Key,
    /// Its value.
    pub value: Value,
    /// When the key came to be.
    pub create_revision: u64,
    /// When it was last written.
    pub mod_revision: u64,
    /// How often it has been written since it came to be.
    pub version: u64,
    /// In raft mode: the lease with which it ends.
    pub lease: Option<LeaseId>,
}

impl From<Row<'_>> for Item {
    fn from(row: Row<'_>) -> Self {
        row.into_item(true)
    }
}

impl Row<'_> {
    fn into_item(self, with_value: bool) -> Item {
        let Row { key, value, create_revision, mod_revision, version, lease } = self;
        let value = with_value.then_some(value);
        Item { lease, ..Item::new(key.clone(), value, create_revision, mod_revision, version) }
    }
}

/// The first page of `range`, out of rows that begin where it does, in the order of keys.
pub fn page<'a>(range: &Range, rows: impl Iterator<Item = Row<'a>>) -> List {
    let below_end =
        |row: &Row<'_>| range.end.as_ref().is_none_or(|end| row.key.as_str() < end.as_str());
    let mut rows = rows.take_while(below_end);
    let limit = usize::try_from(range.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    if range.count_only {
        let count = rows.take(limit).count() as u64;
        return List { items: Vec::new(), count, more: false, next: None, context: None };
    }
    let mut items = Vec::new();
    let mut bytes = 0;
    while items.len() < PAGE_ITEMS_MAX.min(limit) && bytes < PAGE_BYTES_MAX {
        let Some(row) = rows.next() else { break };
        bytes += row.key.as_str().len();
        bytes += if range.keys_only { 0 } else { row.value.as_bytes().len() };
        items.push(row.into_item(!range.keys_only));
    }
    let next = rows.next().map(|row| row.key.clone());
    let count = items.len() as u64;
    List { items, count, more: next.is_some(), next, context: None }
}

/// Two runs of keys, each in order, as one.
pub(crate) struct Merged<A: Iterator, B: Iterator> {
    one: std::iter::Peekable<A>,
    other: std::iter::Peekable<B>,
}

impl<A: Iterator, B: Iterator> Merged<A, B> {
    pub(crate) fn new(one: A, other: B) -> Self {
        Self { one: one.peekable(), other: other.peekable() }
    }
}

impl<T: Ord, A: Iterator<Item = T>, B: Iterator<Item = T>> Iterator for Merged<A, B> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match (self.one.peek(), self.other.peek()) {
            (Some(one), Some(other)) if other < one => self.other.next(),
            (Some(_), _) => self.one.next(),
            (None, _) => self.other.next(),
        }
    }
}

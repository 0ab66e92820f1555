//! Reads of this node's own copy.

use crate::broadcast::Broadcast;
use crate::broadcast::store::Entry;
use crate::control::failure::Failure;
use crate::control::reply::{Get, Item, List, Reply};
use crate::control::request::Range;
use crate::kv::key::Key;
use crate::kv::page::{Row, page};
use crate::kv::value::Value;

impl Broadcast {
    pub(super) fn get(&self, key: &Key) -> Result<Reply, Failure> {
        self.check_ready()?;
        let item = self.store.live(key).map(|(entry, value)| Item::from(row(key, entry, value)));
        Ok(Reply::Get(Box::new(Get::of(item))))
    }

    pub(super) fn list(&self, range: &Range) -> Result<Reply, Failure> {
        self.list_where(range, |_| true).map(Reply::List)
    }

    /// The first page of those keys of a range that count.
    ///
    /// # Errors
    ///
    /// The node does not serve yet.
    pub fn list_where(
        &self,
        range: &Range,
        counts: impl Fn(&Key) -> bool,
    ) -> Result<List, Failure> {
        self.check_ready()?;
        let found = self.store.range(&range.prefix, range.start.as_deref());
        let found = found.filter(|(key, ..)| counts(key));
        Ok(page(range, found.map(|(key, entry, value)| row(key, entry, value))))
    }
}

fn row<'a>(key: &'a Key, entry: &Entry, value: &'a Value) -> Row<'a> {
    Row {
        key,
        value: value.clone(),
        create_revision: entry.created,
        mod_revision: entry.version.clock,
        version: entry.writes,
        lease: None,
    }
}

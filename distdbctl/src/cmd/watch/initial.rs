//! What is there before the changes begin: all keys as of one revision, page by page, however much
//! is written meanwhile.

use common::control::failure::{ErrorCode, Failure};
use common::control::kv::{Kv, Moment};
use common::control::reply::{Get, Item, List, ReplyLine};
use common::control::request::{Range, Request, Selection};
use common::control::watching::{EventKind, WatchEvent};

use crate::link::{self, Link};
use crate::problem::Problem;

/// A page has so many keys at the most.
const PAGE_ITEMS: u64 = 1_000;

/// A list of what is there.
pub(super) struct Initial<'a> {
    selection: &'a Selection,
    /// As of when; known once the first page is there.
    revision: Option<u64>,
    /// Where the next page begins.
    start: Option<String>,
    is_over: bool,
}

impl<'a> Initial<'a> {
    pub(super) fn new(selection: &'a Selection) -> Self {
        Self { selection, revision: None, start: None, is_over: false }
    }

    /// The revision that all pages are of.
    pub(super) fn revision(&self) -> u64 {
        self.revision.expect("the first page has told it")
    }

    /// The next page, as changes to what was empty before.
    pub(super) fn page(&mut self, link: &mut Link) -> Result<Option<Vec<WatchEvent>>, Problem> {
        if self.is_over {
            return Ok(None);
        }
        let items = match self.selection {
            Selection::Key(key) => {
                let reply = link.ask::<Get>(&Request::get(key.clone(), None))?;
                self.note(&reply)?;
                self.is_over = true;
                link::result(reply).item.into_iter().collect()
            }
            Selection::Prefix(prefix) => {
                let reply = link.ask::<List>(&self.request(prefix))?;
                self.note(&reply)?;
                let page = link::result(reply);
                self.start = page.next.filter(|_| page.more).map(|key| key.as_str().to_owned());
                self.is_over = self.start.is_none();
                page.items
            }
        };
        Ok(Some(items.into_iter().map(event).collect()))
    }

    fn request(&self, prefix: &str) -> Request {
        let range = Range {
            prefix: prefix.to_owned(),
            start: self.start.clone(),
            limit: Some(PAGE_ITEMS),
            ..Range::default()
        };
        match self.revision {
            None => Request::List(range),
            Some(revision) => {
                Request::Kv(Box::new(Kv::List { range, at: Moment::Revision(revision) }))
            }
        }
    }

    /// Takes the revision from the first answer.
    fn note<R>(&mut self, reply: &ReplyLine<R>) -> Result<(), Problem> {
        if self.revision.is_none() {
            // Other modes have no history that could be gone on with.
            let revision = reply.header.term.and(reply.header.revision);
            let message = "--initial takes keys in raft mode; those of other modes have no history";
            let wrong = || Failure::new(ErrorCode::ModeMismatch, message);
            self.revision = Some(revision.ok_or_else(wrong)?);
        }
        Ok(())
    }
}

fn event(item: Item) -> WatchEvent {
    WatchEvent {
        kind: EventKind::Put,
        key: item.key,
        value: item.value,
        value_b64: item.value_b64,
        previous: None,
        previous_b64: None,
        revision: item.mod_revision,
    }
}

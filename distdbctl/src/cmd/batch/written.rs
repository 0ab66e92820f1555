//! Which keys are being written.

use std::collections::BTreeSet;

use common::control::request::{Request, Selection};
use common::kv::key::Key;

use crate::cmd::batch::command::Asked;

/// The keys of writes that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Written {
    keys: BTreeSet<Key>,
    /// Whether there may be any others.
    is_open: bool,
}

/// What a write does to which keys.
enum Writes<'a> {
    /// None.
    Nothing,
    /// It adds to what is there, whatever was seen of it.
    Adds(&'a Key),
    /// It takes the place of what was seen.
    Replaces(&'a Key),
    /// The same, of keys that are not known here.
    Any,
}

impl Written {
    /// Whether it may take the place of what one of these writes.
    pub(super) fn overlaps(&self, asked: &Asked) -> bool {
        match writes(asked) {
            Writes::Nothing | Writes::Adds(_) => false,
            Writes::Replaces(key) => self.is_open || self.keys.contains(key),
            Writes::Any => self.is_open || !self.keys.is_empty(),
        }
    }

    pub(super) fn add(&mut self, asked: &Asked) {
        match writes(asked) {
            Writes::Nothing => {}
            Writes::Adds(key) | Writes::Replaces(key) => {
                self.keys.insert(key.clone());
            }
            Writes::Any => self.is_open = true,
        }
    }
}

fn writes(asked: &Asked) -> Writes<'_> {
    if !asked.may_change() {
        return Writes::Nothing;
    }
    let Asked::Command(request) = asked else { return Writes::Any };
    if let Request::Incr { key, .. } | Request::Add { key, .. } = request {
        return Writes::Adds(key);
    }
    if let Request::Put { key, .. }
    | Request::Delete { selection: Selection::Key(key), .. }
    | Request::Remove { key, .. }
    | Request::Resolve { key, .. } = request
    {
        return Writes::Replaces(key);
    }
    Writes::Any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::batch::command::parse;

    fn asked(line: &str) -> Asked {
        parse(line.as_bytes(), 1).expect(line).expect(line).asked
    }

    /// L8: a put that has not seen the put before it would stand beside it.
    #[test]
    fn what_replaces_what_is_being_written_overlaps_it() {
        let overlaps = |first: &str, second: &str| {
            let mut written = Written::default();
            written.add(&asked(first));
            written.overlaps(&asked(second))
        };
        for (first, second) in [
            ("put a 1", "put a 2"),
            ("put a 1", "delete a"),
            ("put a 1", "delete --prefix b"),
            ("delete --prefix b", "put a 1"),
            ("add a x", "remove a x"),
            (r#"{"op":"put","key":"a","value":"1"}"#, "put b 1"),
        ] {
            assert!(overlaps(first, second), "{first}; {second}");
        }
        for (first, second) in [
            ("put a 1", "put b 1"),
            ("incr a", "incr a"),
            ("add a x", "add a y"),
            ("put a 1", "get a"),
            ("get a", "put a 1"),
        ] {
            assert!(!overlaps(first, second), "{first}; {second}");
        }
    }
}

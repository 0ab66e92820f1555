//! What watches told, compared with what was written.

use std::collections::{BTreeMap, BTreeSet};

use common::kv::key::Key;

use crate::cmd::check::report::Violation;

use super::{Line, Told, Write};

/// What watches may and must tell.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By revision, those that were answered.
    made: BTreeMap<u64, (Key, Option<String>)>,
    /// Values that may have been stored.
    unknown: BTreeSet<(Key, String)>,
    /// Keys whose deletion was asked for, and nobody knows.
    unknown_deletes: BTreeSet<Key>,
}

impl Known {
    pub(super) fn of<'a>(writes: impl Iterator<Item = &'a Write>) -> Self {
        let mut known = Self::default();
        for Write { revision, key, value } in writes {
            match (revision, value) {
                (Some(revision), value) => {
                    known.made.insert(*revision, (key.clone(), value.clone()));
                }
                (None, Some(value)) => {
                    known.unknown.insert((key.clone(), value.clone()));
                }
                (None, None) => {
                    known.unknown_deletes.insert(key.clone());
                }
            }
        }
        known
    }

    /// Whether somebody has asked for such a change.
    fn explains(&self, revision: u64, key: &Key, value: Option<&String>) -> bool {
        if let Some((made, stored)) = self.made.get(&revision) {
            return made == key && stored.as_ref() == value;
        }
        match value {
            Some(value) => self.unknown.contains(&(key.clone(), value.clone())),
            None => self.unknown_deletes.contains(key),
        }
    }
}

pub(super) fn judge(
    names: &[String],
    known: &Known,
    told: &[Told],
    last: u64,
) -> Result<(), Violation> {
    for (watch, told) in told.iter().enumerate() {
        let wrong = |what: String| Violation {
            property: "watches",
            what: format!("the watch that began at {} {what}", names[watch]),
            ..Violation::default()
        };
        judge_one(names, known, &told.lines, last).map_err(wrong)?;
    }
    // What one tells of an unknown outcome, all must tell.
    let changes = |told: &Told| -> BTreeSet<u64> {
        let changes = told.lines.iter().filter_map(|line| match line {
            Line::Change { revision, .. } => Some(*revision),
            Line::Progress { .. } => None,
        });
        changes.collect()
    };
    let sets: Vec<_> = told.iter().map(changes).collect();
    for (watch, set) in sets.iter().enumerate().skip(1) {
        if let Some(revision) = set.symmetric_difference(&sets[0]).next() {
            let (one, other) = (&names[0], &names[watch]);
            let what = format!("of those that began at {one} and {other} one lacks {revision}");
            return Err(Violation { property: "watches", what, ..Violation::default() });
        }
    }
    Ok(())
}

fn judge_one(names: &[String], known: &Known, lines: &[Line], last: u64) -> Result<(), String> {
    let name = |node: &usize| &names[*node];
    let mut due = known.made.keys().copied().peekable();
    let (mut before, mut promised) = (0, 0);
    for line in lines {
        match line {
            Line::Change { revision, node, key, value } => {
                let shown = value.as_deref().unwrap_or("deleted");
                let at = format!("revision {revision} ({key} {shown}), at {}", name(node));
                if *revision <= before {
                    return Err(format!("told {at}, after {before}: twice, or out of order"));
                }
                if *revision <= promised {
                    return Err(format!("told {at}, after the progress mark {promised}"));
                }
                if let Some(missed) = due.next_if(|due| due < revision) {
                    return Err(format!("left out revision {missed}, and told {at}"));
                }
                if !known.explains(*revision, key, value.as_ref()) {
                    return Err(format!("told {at}, which nobody has written"));
                }
                due.next_if_eq(revision);
                before = *revision;
            }
            Line::Progress { revision, node } => {
                if let Some(missed) = due.next_if(|due| due <= revision) {
                    let at = format!("progress mark {revision} at {}", name(node));
                    return Err(format!("was told the {at} before revision {missed}"));
                }
                promised = promised.max(*revision);
            }
        }
    }
    match due.next() {
        Some(missed) => Err(format!("never told revision {missed}, although {last} is the last")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::try_from("k").expect("a key")
    }

    fn change(revision: u64, value: &str) -> Line {
        Line::Change { revision, node: 0, key: key(), value: Some(value.to_owned()) }
    }

    fn mark(revision: u64) -> Line {
        Line::Progress { revision, node: 0 }
    }

    /// Three puts, and one between them of which nobody knows, as two watches tell them.
    fn judged(one: Vec<Line>, other: Vec<Line>) -> Result<(), String> {
        let write =
            |revision, value: &str| Write { revision, key: key(), value: Some(value.to_owned()) };
        let writes =
            [write(Some(1), "a"), write(Some(2), "b"), write(None, "x"), write(Some(4), "c")];
        let told = [one, other].map(|lines| Told { lines });
        let names = ["node1".to_owned(), "node2".to_owned()];
        judge(&names, &Known::of(writes.iter()), &told, 4).map_err(|violation| violation.what)
    }

    fn all() -> Vec<Line> {
        vec![change(1, "a"), mark(1), change(2, "b"), mark(2), change(4, "c"), mark(9)]
    }

    fn refused(lines: Vec<Line>, why: &str) {
        let told = judged(all(), lines).expect_err(why);
        assert!(told.contains(why), "{told}");
    }

    #[test]
    fn all_once_in_order_is_accepted() {
        assert_eq!(judged(all(), all()), Ok(()));
        let with_unknown = || vec![change(1, "a"), change(2, "b"), change(3, "x"), change(4, "c")];
        assert_eq!(judged(with_unknown(), with_unknown()), Ok(()));
        refused(with_unknown(), "one lacks 3");
    }

    #[test]
    fn gaps_repetitions_and_inventions_are_refused() {
        refused(vec![change(1, "a"), change(4, "c")], "left out revision 2");
        refused(vec![change(1, "a"), change(2, "b")], "never told revision 4");
        refused(vec![change(1, "a"), change(2, "b"), change(2, "b")], "twice");
        refused(vec![change(1, "a"), change(2, "b"), change(1, "a")], "out of order");
        refused(vec![change(1, "a"), change(2, "x")], "nobody has written");
        refused(vec![change(1, "a"), change(2, "b"), change(3, "y")], "nobody has written");
    }

    #[test]
    fn progress_is_never_ahead() {
        refused(vec![change(1, "a"), mark(2), change(2, "b")], "before revision 2");
        let late = vec![change(1, "a"), change(2, "b"), mark(3), change(3, "x")];
        refused(late, "after the progress mark 3");
    }
}

//! Convergence: nodes that have received the same writes hold the same state, entry by entry.
//!
//! Source: Lab 1; pitfalls S1, S7. TLA+: `QuiescentConverged`, `Convergence`. Unlike the other
//! properties it is one of a cluster at rest: whoever drives decides when that is.

use common::node::Node;

use common::check::Violation;

/// Judges whether all `nodes` hold the same.
///
/// # Errors
///
/// The first difference between two of them.
pub fn check<'a>(mut nodes: impl Iterator<Item = (&'a str, &'a Node)>) -> Result<(), Violation> {
    let Some((first_name, first)) = nodes.next() else {
        return Ok(());
    };
    for (name, node) in nodes {
        if let Some(what) = difference(first, node) {
            let what = format!("{first_name} and {name} differ: {what}");
            return Err(Violation { property: "convergence", what });
        }
    }
    Ok(())
}

fn difference(left: &Node, right: &Node) -> Option<String> {
    let (left, right) = (left.store(), right.store());
    let mut theirs = right.entries_after(None);
    for (key, entry) in left.entries_after(None) {
        let their = theirs.next();
        if their != Some((key, entry)) {
            return Some(format!("{key}={:?}, {their:?}", entry.version));
        }
    }
    if let Some((key, entry)) = theirs.next() {
        return Some(format!("{key} is only in the second, at {:?}", entry.version));
    }
    (left.hash() != right.hash()).then(|| "the same entries have another hash".to_owned())
}

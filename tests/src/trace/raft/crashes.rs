//! What a crash took with it.

use std::collections::BTreeSet;

use super::super::Line;

/// What was told before it was on the disk, and never got there: nobody can have heard of it but by
/// a leader's entries, which the specification lets be ahead of its disk.
pub(super) fn lost(lines: &[&Line]) -> Result<BTreeSet<usize>, String> {
    let mut lost = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        if line.ev == "Restart" {
            let mut own = (0..at).rev().filter(|other| lines[*other].id == line.id);
            let is_safe = |other: &usize| !matches!(lines[*other].ev.as_str(), "Sync" | "Restart");
            let mut tail: Vec<usize> = own.by_ref().take_while(is_safe).collect();
            tail.reverse();
            lost.extend(unsynced(lines, &tail)?);
        }
    }
    Ok(lost)
}

/// Of a node's lines without a sync those from the first on that needs one.
fn unsynced(lines: &[&Line], tail: &[usize]) -> Result<Vec<usize>, String> {
    for (nth, at) in tail.iter().enumerate() {
        let line = lines[*at];
        let needs = match line.ev.as_str() {
            "UpdateTerm" | "BecomeCandidate" | "InstallSnapshot" => true,
            "HandleRequestVote" => line.word("ballot")? != "Pre" && line.truth("granted")?,
            "HandleAppend" => {
                let has_entries = line.number("entries")? > 0 && line.taken()?.is_some();
                has_entries && !is_repetition(lines, *at)?
            }
            _ => false,
        };
        if needs {
            return Ok(tail[nth..].to_vec());
        }
    }
    Ok(Vec::new())
}

/// Whether the log ends as it did before, hence is the same.
fn is_repetition(lines: &[&Line], at: usize) -> Result<bool, String> {
    let line = lines[at];
    let own = |other: &&&Line| other.id == line.id && other.ev == "RaftState";
    let before = lines[..at].iter().rev().find(own);
    let after = lines[at..].iter().find(own).filter(|after| after.lc == line.lc);
    let (Some(before), Some(after)) = (before, after) else { return Ok(false) };
    Ok(before.place("last")? == after.place("last")?)
}

/// Whether the snapshot that is taken at `at` got to the disk.
pub(super) fn is_saved(lines: &[&Line], at: usize) -> Result<bool, String> {
    let line = lines[at];
    let index = line.number("index")?;
    let later = lines[at + 1..].iter().filter(|other| other.id == line.id);
    for other in later {
        match other.ev.as_str() {
            "SaveSnapshot" if other.number("index")? == index => return Ok(true),
            "Restart" => return Ok(other.place("base")?.index >= index),
            _ => {}
        }
    }
    Ok(false)
}

//! The lines of each machine, with answers where they leave.

use std::collections::{BTreeMap, VecDeque};

use super::super::Line;
use super::told::{Entry, Told};

/// The number that lines of causal mode have.
const LAB: u64 = 2;

/// What is yet to come of each machine, by its name.
pub(super) type Streams = BTreeMap<String, VecDeque<Entry>>;

pub(super) fn streams(lines: &[Line]) -> Result<Streams, String> {
    let mut streams = BTreeMap::<String, Vec<Entry>>::new();
    for line in lines.iter().filter(|line| line.lab == LAB) {
        let entry = Entry::of(line)?;
        if !matches!(entry.told, Told::Other) {
            streams.entry(line.node.clone()).or_default().push(entry);
        }
    }
    Ok(streams.into_iter().map(|(machine, entries)| (machine, in_commits(entries))).collect())
}

/// Of each commit the answers come last, and whom they go by as members; of one that was cut short
/// there are none.
fn in_commits(entries: Vec<Entry>) -> VecDeque<Entry> {
    let mut ordered = VecDeque::new();
    let mut behind = Vec::new();
    for entry in entries {
        match entry.told {
            Told::Answer { .. } | Told::CausalMembers { .. } => behind.push(entry),
            Told::CausalState(_) => {
                ordered.extend(std::mem::take(&mut behind));
                ordered.push_back(entry);
            }
            Told::Recover(_) => {
                behind.clear();
                ordered.push_back(entry);
            }
            Told::Originate { .. }
            | Told::ApplyWrite { .. }
            | Told::Hold { .. }
            | Told::SessionRead { .. }
            | Told::HandleAck { .. }
            | Told::Collect { .. }
            | Told::Trim { .. }
            | Told::GiveState { .. }
            | Told::StageState { .. }
            | Told::MergeStateChunk { .. }
            | Told::EndStateSync {}
            | Told::AbandonStateSync {}
            | Told::ServeWithoutDonor
            | Told::Sync { .. }
            | Told::Other => ordered.push_back(entry),
        }
    }
    ordered
}

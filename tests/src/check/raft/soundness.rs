//! No alarm: where disks and messages are sound, no node finds that it has diverged, nor that a
//! leader contradicts what is committed.
//!
//! Source: State Machine Safety, Raft Figure 3; pitfalls R20, R21.

use common::observe::{Event, Observed};

pub(super) fn judge(events: &[Observed]) -> Result<(), String> {
    let alarm = events
        .iter()
        .map(|observed| &observed.event)
        .find(|event| matches!(event, Event::Diverged { .. } | Event::Contradiction { .. }));
    alarm.map_or(Ok(()), |event| Err(format!("{event:?}")))
}

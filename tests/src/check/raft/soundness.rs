//! No alarm: where disks and messages are sound, no node finds that it has diverged, nor that a
//! leader contradicts what is committed.
//!
//! Source: State Machine Safety, Raft Figure 3; pitfalls R20, R21.

use common::observe::Event;

pub(super) fn judge(events: &[Event]) -> Result<(), String> {
    let is_alarm =
        |event: &&Event| matches!(event, Event::Diverged { .. } | Event::Contradiction { .. });
    events.iter().find(is_alarm).map_or(Ok(()), |event| Err(format!("{event:?}")))
}

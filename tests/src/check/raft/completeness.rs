//! Leader completeness: "if a log entry is committed in a given term, then that entry will be
//! present in the logs of the leaders for all higher-numbered terms".
//!
//! Source: Raft §5.4, Figure 3. TLA+: `LeaderCompleteness`. Pitfalls R2, R5.

use common::observe::{Event, Observed};
use common::raft::Raft;
use common::raft::log::Index;

use super::ledger::Ledger;

pub(super) fn judge(ledger: &Ledger, raft: &Raft, events: &[Observed]) -> Result<(), String> {
    let is_office = |observed: &Observed| matches!(observed.event, Event::BecomeLeader { .. });
    let leads = events.iter().any(is_office);
    if !leads {
        return Ok(());
    }
    for index in raft.log().base().index.0 + 1..=ledger.last_before(raft.term()) {
        let (here, committed) = (raft.log().term_at(Index(index)), ledger.term_at(index));
        if here != Some(committed) {
            return Err(format!("entry {index} of {committed:?} is of {here:?} in its log"));
        }
    }
    Ok(())
}

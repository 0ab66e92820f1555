//! What a leader does for the state by itself: it tells the time while leases run, lets history be
//! forgotten that is old or long, and refuses what there is no room for. All of it goes through the
//! log, so that the members stay equal.

use std::time::Duration;

use bytes::Bytes;

use crate::config::Keeping;
use crate::control::failure::{ErrorCode, Failure};
use crate::kv::command::{Encoded, EncodedCommand, More, Proposal};
use crate::raft::log::Index;
use crate::raft::replication::Origin;
use crate::raft::{Effects, Raft, Role, Timer};
use crate::time::Time;

/// How often the time is told while leases run: they end so much too late at most.
const TICK: Duration = Duration::from_millis(250);

/// How often it is looked whether history is to be forgotten.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Changes that are let go of in a commit: it takes as long as some writes do.
const SWEEP_MAX: usize = 2_000;

/// When to go on with that.
const SWEEP_PAUSE: Duration = Duration::from_millis(2);

/// What a leader has proposed for the state's sake.
#[derive(Debug)]
pub(super) struct Upkeep {
    ticked: Time,
    looked: Time,
    /// The last entry of these: the next waits until it is applied.
    proposed: Index,
}

impl Upkeep {
    pub(super) fn new(now: Time) -> Self {
        Self { ticked: now, looked: now, proposed: Index(0) }
    }
}

impl Raft {
    /// Proposes what is due. While a proposal of these is not applied there is no other, so no
    /// leader without a majority fills its log with them.
    pub(super) fn look_after_state(&mut self, effects: &mut Effects) {
        let now = self.clock.now;
        let Role::Leader(leader) = &mut self.role else { return };
        let is_settled = self.last_applied >= leader.first.max(leader.upkeep.proposed);
        if !is_settled || leader.transfer.is_some() || self.disk_full {
            return;
        }
        // Any entry tells the time; and with few heartbeats a tick would be due at each.
        if now.since(leader.upkeep.looked) >= LOOK_INTERVAL {
            leader.upkeep.looked = now;
            if let Some(floor) = self.floor_due() {
                return self.propose_upkeep(More::Compact(floor), effects);
            }
        }
        let Role::Leader(leader) = &mut self.role else { return };
        if !self.state.leases.is_empty() && now.since(leader.upkeep.ticked) >= TICK {
            leader.upkeep.ticked = now;
            self.propose_upkeep(More::Tick, effects);
        }
    }

    fn propose_upkeep(&mut self, more: More, effects: &mut Effects) {
        let command = Proposal { tag: None, command: more.into() }.encode();
        self.propose(command, Origin::Upkeep, effects);
        let last = self.log.last().index;
        if let Role::Leader(leader) = &mut self.role {
            leader.upkeep.proposed = last;
        }
    }

    /// Where history is to begin, if not where it does.
    fn floor_due(&self) -> Option<u64> {
        let history = &self.state.history;
        let Keeping { age, events, bytes, quota_bytes } = &self.config.keeping;
        let (age, revision) = (age.as_millis(), self.state.revision);
        let since = self.clock.unix_ms().saturating_sub(u64::try_from(age).unwrap_or(u64::MAX));
        // What is as old as that is forgotten; of what is left the last so many are kept.
        let by_age = history.first_at(since).unwrap_or(revision);
        let by_count = history.nth_from_end(usize::try_from(*events).unwrap_or(usize::MAX));
        let is_long = history.bytes() > *bytes
            || quota_bytes.is_some_and(|quota| self.state.bytes() > quota / 10 * 9);
        let by_bytes = is_long.then(|| history.nth_from_end(history.len().div_ceil(2))).flatten();
        let floor = [Some(by_age), by_count, by_bytes].into_iter().flatten().max()?;
        // Not for a handful at a time.
        let forgets = history.len() as u64 / 64;
        let has_changes = history.since(history.floor()).next().is_some();
        let is_worth_it = floor > history.floor() + forgets && has_changes;
        (is_worth_it && !history.has_forgotten()).then_some(floor)
    }

    /// Lets go of forgotten history, some of it in each commit.
    pub(super) fn sweep(&mut self, now: Time) {
        if self.state.history.has_forgotten() && self.state.history.sweep(SWEEP_MAX) {
            self.timers.set_first(Timer::Sweep, now + SWEEP_PAUSE);
        }
    }

    /// Whether there is room for what is to be proposed. What makes room is always taken.
    pub(super) fn check_quota(&self, proposal: &Bytes) -> Result<(), Failure> {
        let Some(quota) = self.config.keeping.quota_bytes else { return Ok(()) };
        let needed = proposal.len() as u64;
        let taken = self.state.bytes() + self.proposed.bytes() as u64;
        if taken + needed <= quota || !grows(proposal) {
            return Ok(());
        }
        // History goes by itself; what is stored does not.
        let message = format!(
            "there is no room for {needed} bytes: keys and history take {taken} of {quota}"
        );
        let hint = "delete keys, or let history be forgotten: distdbctl compact --keep 10m; \
                    --quota SIZE of distdbd gives more room";
        let failure = Failure::new(ErrorCode::Quota, message).with_hint(hint);
        Err(failure.retry_after_ms(1_000))
    }
}

/// Whether a proposal stores something.
fn grows(proposal: &[u8]) -> bool {
    let of_more = |more: &More| match more {
        More::Put { .. } | More::Incr { .. } | More::Lock { .. } | More::Grant { .. } => true,
        More::Txn(txn) => {
            let ops = txn.then.iter().chain(&txn.otherwise);
            ops.into_iter().any(crate::control::kv::TxnOp::stores)
        }
        More::Delete { .. }
        | More::Compact(_)
        | More::CompactOlder(_)
        | More::Revoke(_)
        | More::KeepAlive(_)
        | More::Unlock { .. }
        | More::Withdraw { .. }
        | More::Tick => false,
    };
    let of_command = |command: &EncodedCommand<'_>| match command {
        EncodedCommand::Put { .. } => true,
        EncodedCommand::More(more) => of_more(more),
        EncodedCommand::Delete(_)
        | EncodedCommand::DeletePrefix(_)
        | EncodedCommand::SetMode { .. }
        | EncodedCommand::By { .. } => false,
    };
    match Encoded::read(proposal).map(|proposal| proposal.command) {
        Some(EncodedCommand::By { command, .. }) => {
            EncodedCommand::read(command).is_some_and(|command| of_command(&command))
        }
        Some(command) => of_command(&command),
        None => false,
    }
}

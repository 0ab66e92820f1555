//! Snapshots: when they are taken, sent and installed (Raft §7).

use std::collections::BTreeMap;

use crate::identity::NodeId;
use crate::observe::{Event, RaftEvent};
use crate::protocol::Task;
use crate::raft::configuration::Configurations;
use crate::raft::log::{Index, Payload};
use crate::raft::progress::Pace;
use crate::raft::snapshot::Snapshot;
use crate::raft::{Effects, Raft, Role};
use crate::storage::snapshot::{Kind, PASSED_MAX};
use crate::time::Time;

/// After so many heartbeats a snapshot that did not arrive is sent again.
const RETRY_HEARTBEATS: u32 = 5;

/// Rather than to take a snapshot, which may be large, so much of the log is saved anew.
const ANEW_BYTES_MAX: usize = 1024 * 1024;

/// A state that is no larger is written out whenever so many entries were applied. A larger one
/// waits until as much was applied as it has, or until so many times as many entries were: what is
/// written for snapshots is then no more than what is written for the log, about.
const SMALL_BYTES: u64 = 16 * 1024 * 1024;

/// See above: a restart has no more to apply.
const PATIENCE: u64 = 16;

/// The snapshots on disk, and on their way.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// The newest on disk goes up to here.
    pub(super) index: Index,
    /// Of the one that is being written.
    writing: Option<Index>,
    /// Whether one is wanted before it is due.
    is_wanted: bool,
    /// What was applied since the last was taken, in bytes of commands.
    pub(super) applied_bytes: u64,
    /// Those of causal mode that were written since.
    passed: u32,
    /// To whom one is sent; or when to try again.
    sending: BTreeMap<NodeId, Option<Time>>,
}

impl Snapshots {
    pub(super) fn of(index: Index) -> Self {
        let (writing, is_wanted, applied_bytes, passed, sending) = Default::default();
        Self { index, writing, is_wanted, applied_bytes, passed, sending }
    }

    /// A member is connected anew: what was on its way to it before is most likely lost.
    pub(super) fn forget(&mut self, to: NodeId) {
        self.sending.remove(&to);
    }

    /// What sends the one on disk to a member, unless that is under way, or has just failed.
    pub(super) fn begin_sending(&mut self, now: Time, to: NodeId) -> Option<Task> {
        match self.sending.get(&to) {
            Some(None) => return None,
            Some(Some(not_before)) if now < *not_before => return None,
            Some(Some(_)) | None => {}
        }
        self.sending.insert(to, None);
        Some(Task::SendSnapshot(to))
    }
}

impl Raft {
    /// Takes a snapshot if enough was applied since the last one. It is a clone that shares all
    /// with the state; writing it goes on beside the node.
    pub(super) fn take_snapshot(&mut self, effects: &mut Effects) {
        let index = self.last_applied;
        let every = self.config.snapshot_every;
        // Not all members at the same entry: they may share a disk, and a majority should not be
        // slow at once.
        let after = every - self.config.node.0 % (every / 4).max(1);
        let behind = index.0 - self.snapshots.index.0;
        let bytes = self.state.bytes();
        let is_worth_it = bytes <= SMALL_BYTES
            || self.snapshots.applied_bytes >= bytes
            || behind >= after.saturating_mul(PATIENCE);
        let is_due = behind >= after && is_worth_it || behind > 0 && self.snapshots.is_wanted;
        if !is_due || self.snapshots.writing.is_some() {
            return;
        }
        let last = self.log.id_at(index).expect("what is applied is in the log, or its base");
        let configuration = self.configurations.at(index).clone();
        let snapshot = Snapshot { last, configuration, state: self.state.clone() };
        (self.snapshots.writing, self.snapshots.is_wanted) = (Some(index), false);
        self.snapshots.applied_bytes = 0;
        effects.observe(Event::TakeSnapshot { index: index.0 });
        effects.task(Task::WriteSnapshot(Box::new(snapshot)));
    }

    pub(super) fn on_snapshot_written(&mut self, index: Index, effects: &mut Effects) {
        (self.snapshots.writing, self.snapshots.passed) = (None, 0);
        // A received one may have come meanwhile.
        if index > self.snapshots.index {
            self.snapshots.index = index;
            self.trace(effects, |_| RaftEvent::SaveSnapshot { index: index.0 });
            effects.task(Task::Release(Kind::Raft, index.0));
            self.log.release(index, self.config.log_kept_bytes);
            self.configurations.compact(self.log.base().index);
        }
    }

    /// A snapshot of causal mode is on the disk.
    pub(super) fn on_causal_written(&mut self) {
        self.snapshots.passed += 1;
    }

    /// Sees to it that Raft does not hold up the log on the disk, with what is behind its own
    /// snapshot, while causal mode goes on. Where that is little it is saved once more, at the
    /// log's end; also because it may not be committed for as long as there is no majority.
    pub(super) fn let_disk_log_go(&mut self) {
        if self.snapshots.passed < PASSED_MAX || self.disk_full {
            return;
        }
        self.snapshots.passed = 0;
        let (from, last) = (self.snapshots.index.next(), self.log.last().index);
        let saved = self.log.slice(from, ANEW_BYTES_MAX).len() as u64;
        let is_all = from.0 + saved > last.0;
        if !is_all {
            self.snapshots.is_wanted = true;
        } else if saved > 0 {
            self.unsaved.log_from(from);
        }
    }

    /// A snapshot has come, and is on the disk. "If existing log entry has same index and term as
    /// snapshot's last included entry, retain log entries following it. Otherwise discard the
    /// entire log" (Raft Figure 13).
    pub(super) fn on_snapshot_received(
        &mut self,
        now: Time,
        snapshot: Snapshot,
        effects: &mut Effects,
    ) {
        let Snapshot { last, configuration, state } = snapshot;
        if last.index <= self.commit_index {
            return; // This node has come further meanwhile (R18).
        }
        if last.term > self.term {
            // Its sender may be in a later term than the one in which it was a leader here.
            self.become_follower(now, last.term, None, effects);
        }
        self.log.restart(last);
        self.configurations = Configurations::behind(last.index, configuration);
        for index in last.index.0 + 1..=self.log.last().index.0 {
            if let Some(Payload::Configuration(later)) = self.payload_at(Index(index)) {
                self.configurations.append(Index(index), *later);
            }
        }
        // What came in this commit before the snapshot's end is in it, on the disk.
        self.unsaved.from = Some(last.index.next());
        self.durable = self.durable.min(last.index);
        self.state = state;
        self.checkpoints.clear();
        (self.commit_index, self.last_applied) = (last.index, last.index);
        self.snapshots.index = last.index;
        effects.observe(Event::InstallSnapshot { last });
        effects.task(Task::Release(Kind::Raft, last.index.0));
        self.forget_proposed(last.index, effects);
        self.serve_reached(super::Way::Late, effects);
        self.look_at_all_turns(super::Way::Late, effects);
    }

    /// What was to be sent has arrived, or has not.
    pub(super) fn on_snapshot_sent(&mut self, now: Time, to: NodeId, index: Option<Index>) {
        let pause = self.config.heartbeat_interval * RETRY_HEARTBEATS;
        match index {
            Some(_) => self.snapshots.sending.remove(&to),
            None => self.snapshots.sending.insert(to, Some(now + pause)),
        };
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&to) else { return };
        if progress.pace == Pace::Snapshot {
            let next = index.map_or(progress.next_index(), Index::next);
            progress.probe(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Keeping};
    use crate::kv::state::State;
    use crate::modes::Mode;
    use crate::protocol::{Effects, Input, Protocol};
    use crate::raft::configuration::Configuration;
    use crate::raft::log::{Entry, EntryId, Term};
    use crate::raft::message::{Append, Message};

    fn id(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: Index(index) }
    }

    fn follower() -> Raft {
        let config = Config {
            node: NodeId(2),
            name: "n2".parse().expect("a name"),
            address: "n2:1".to_owned(),
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
            mode: Mode::Raft,
            snapshot_every: 100,
            log_kept_bytes: 0,
            causal_log_bytes: 1_000_000,
            keeping: Keeping::default(),
            seed: 1,
            is_traced: false,
        };
        Raft::recover(config, false, None, Vec::new()).expect("nothing contradicts itself")
    }

    /// R18: a snapshot that comes in one commit with entries which it covers. Found by the
    /// simulator: what was unsaved of the log was looked for in what the snapshot had replaced.
    #[test]
    fn a_snapshot_takes_the_place_of_entries_that_are_not_saved() {
        let mut raft = follower();
        let mut effects = Effects::default();
        let entries = vec![Entry { term: Term(1), payload: Payload::Noop }; 3];
        let (term, prev) = (Term(1), id(0, 0));
        let append = Append { term, prev, entries, commit: Index(0), round: 1 };
        let input = Input::Message { from: NodeId(1), message: Message::Append(append) };
        raft.step(Time::default(), input, &mut effects);
        let configuration = Configuration::alone(NodeId(1), "n1".parse().expect("a name"));
        let snapshot = Snapshot { last: id(1, 5), configuration, state: State::new(Mode::Raft) };
        let input = Input::SnapshotReceived(Box::new(snapshot));
        raft.step(Time::default(), input, &mut effects);
        raft.flush(Time::default(), &mut effects);
        assert_eq!(
            (raft.log.base(), raft.last_applied, raft.durable),
            (id(1, 5), Index(5), Index(5))
        );
    }
}

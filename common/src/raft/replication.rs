//! A leader's side of replication (Raft §5.3, §5.4.2; thesis §10.2).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::identity::NodeId;
use crate::observe::Event;
use crate::protocol::{Recipients, RequestId};
use crate::raft::log::{Entry, EntryId, Index, Payload, Term};
use crate::raft::message::{Append, Appended, Match, Message};
use crate::raft::progress::{Pace, Progress};
use crate::raft::{Effects, Leader, Raft, Role, Timer, Way, trace};
use crate::time::Time;

/// Entries of a message, in bytes; the longest entry alone passes it.
const APPEND_BYTES_MAX: usize = 512 * 1024;

/// How long members may not know what is committed: under load the next entries tell them, and
/// spare a message for each of these.
const NOTICE_DELAY: Duration = Duration::from_millis(2);

/// What is proposed and not committed, in bytes: so much memory is given to hope (R15).
const UNCOMMITTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// For whom an entry was proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client of this node.
    Client(RequestId),
    /// Another node, which forwarded it.
    Peer { node: NodeId, ask: u64 },
    /// The leader itself: nobody waits for it.
    Upkeep,
}

/// The proposals that wait to be applied, by their places. One that was cut from this log may
/// still be in another's, and be committed: what stands at its place in the end decides.
///
/// Invariant: `bytes` is that of the entries.
#[derive(Debug, Default)]
pub(super) struct Proposed {
    waiting: BTreeMap<(Index, Term), (Origin, usize)>,
    bytes: usize,
}

impl Proposed {
    fn push(&mut self, id: EntryId, origin: Origin, bytes: usize) {
        self.waiting.insert((id.index, id.term), (origin, bytes));
        self.bytes += bytes;
    }

    /// What the proposals take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next one whose place is at `index` or before, and the term it was proposed in.
    pub(super) fn take_up_to(&mut self, index: Index) -> Option<(EntryId, Origin)> {
        let first = self.waiting.first_entry()?;
        let (index_of_it, term) = *first.key();
        if index_of_it > index {
            return None;
        }
        let (origin, bytes) = first.remove();
        self.bytes -= bytes;
        Some((EntryId { term, index: index_of_it }, origin))
    }
}

impl Raft {
    /// Whether the leader takes proposals.
    pub(super) fn has_room(&self) -> bool {
        self.proposed.bytes < UNCOMMITTED_BYTES_MAX
    }

    /// Appends a command. The caller has seen that this node leads.
    pub(super) fn propose(&mut self, command: Bytes, origin: Origin, effects: &mut Effects) {
        let payload = Payload::Written { stamp: self.stamp(), command };
        let entry = Entry { term: self.term, payload };
        let bytes = entry.bytes();
        let id = EntryId { term: self.term, index: self.append(entry) };
        effects.observe(Event::Propose { entry: id });
        self.proposed.push(id, origin, bytes);
    }

    /// What a leader does at regular times: sees whether a majority still follows (thesis §6.2),
    /// and lets all hear from it.
    pub(super) fn lead_on(&mut self, now: Time, effects: &mut Effects) {
        let patience = self.config.election_timeout;
        let node = self.config.node;
        let Role::Leader(leader) = &mut self.role else { return };
        let is_active = |voter: NodeId| {
            voter == node
                || now.since(leader.since) < patience
                || leader.progress.get(&voter).is_some_and(|p| p.is_active(now, patience))
        };
        if !self.configurations.latest().is_majority(is_active) {
            effects.observe(Event::LoseQuorum { term: self.term.0 });
            self.become_follower(now, self.term, None, effects);
            return;
        }
        leader.reads.begin();
        for progress in leader.progress.values_mut() {
            if progress.pace == (Pace::Probe { is_sent: true }) {
                progress.pace = Pace::Probe { is_sent: false };
            }
        }
        self.tend_transfer(now, effects);
    }

    /// Sends to each member what it lacks: entries, the commit index, the round of reads.
    pub(super) fn replicate(&mut self, now: Time, effects: &mut Effects) {
        if !self.leads() {
            return;
        }
        let members: Vec<NodeId> = match &self.role {
            Role::Leader(leader) => leader.progress.keys().copied().collect(),
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => return,
        };
        let mut lacks_notice = false;
        for member in members {
            if self.peers.contains(&member) {
                lacks_notice |= self.replicate_to(now, member, effects);
            }
        }
        if lacks_notice {
            self.timers.set_first(Timer::Notice, now + NOTICE_DELAY);
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.is_notice_due = false;
        }
    }

    /// Members are told what is committed: somebody waits for it, or nothing else has told them.
    pub(super) fn tell_commit(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.is_notice_due = true;
        }
    }

    /// Tells whether the member does not know yet how much is committed.
    fn replicate_to(&mut self, now: Time, to: NodeId, effects: &mut Effects) -> bool {
        // Entries of a term that this node might forget must not be anywhere before it can't.
        let is_early = !self.unsaved.vote;
        let Role::Leader(leader) = &mut self.role else { return false };
        let (round, is_notice_due) = (leader.reads.round(), leader.is_notice_due);
        let Some(progress) = leader.progress.get_mut(&to) else { return false };
        let (last, base, commit) =
            (self.log.last().index, self.log.base().index, self.commit_index);
        let (term, is_traced) = (self.term, self.config.is_traced);
        let send = |prev, entries, is_early, effects: &mut Effects| {
            let append = Append { term, prev, entries, commit, round };
            if is_traced {
                effects.observe(trace::sent(to, &append));
            }
            let message = Message::Append(append);
            if is_early {
                effects.send_early(Recipients::One(to), message);
            } else {
                effects.send(to, message);
            }
        };
        if progress.next_index().previous() < base
            && progress.pace != Pace::Snapshot
            && let Some(task) = self.snapshots.begin_sending(now, to)
        {
            progress.pace = Pace::Snapshot;
            effects.observe(Event::SendSnapshot { to });
            effects.task(task);
        }
        while progress.has_room() && progress.next_index() <= last {
            let from = progress.next_index();
            let Some(prev) = self.log.id_at(from.previous()) else { break };
            let entries = self.log.slice(from, APPEND_BYTES_MAX);
            let bytes = entries.iter().map(Entry::bytes).sum();
            progress.on_sent(Index(prev.index.0 + entries.len() as u64), bytes);
            (progress.round_sent, progress.commit_sent) = (round, commit);
            send(prev, entries, is_early, effects);
        }
        let prev = progress.next_index().previous().min(last).max(base);
        let prev = self.log.id_at(prev).expect("it is between the log's ends");
        let (is_begun, is_news) = (progress.round_sent < round, progress.commit_sent < commit);
        if is_begun {
            (progress.round_sent, progress.commit_sent) = (round, commit);
            send(prev, Vec::new(), is_early, effects);
        } else if is_news && is_notice_due {
            progress.commit_sent = commit;
            // Nobody waits for it as clients wait for their answers.
            send(prev, Vec::new(), false, effects);
        }
        progress.commit_sent < commit
    }

    pub(super) fn on_appended(
        &mut self,
        now: Time,
        from: NodeId,
        appended: Appended,
        effects: &mut Effects,
    ) {
        if appended.term > self.term {
            self.become_follower(now, appended.term, None, effects);
            return;
        }
        let last = self.log.last().index;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        if appended.term < self.term {
            return; // An answer to a leader of before, be it this node (R8).
        }
        progress.heard = Some(now);
        if appended.round <= leader.reads.round() {
            progress.round = progress.round.max(appended.round);
        }
        match appended.outcome {
            Match::Up(index) if index <= last => {
                let is_news = progress.on_match(index);
                effects.observe(handled(from, &appended, true, index));
                if is_news {
                    self.advance_commit(now, effects, Way::Early);
                }
            }
            Match::Up(_) => {}
            Match::Conflict { prev, hint } => {
                if progress.concerns(prev) {
                    // With the hint a term that conflicts takes one round (§5.3).
                    let index = hint.index.min(prev.previous());
                    let common = self.log.last_up_to_term(index, hint.term);
                    progress.probe(common.next());
                }
                if self.config.is_traced {
                    effects.observe(handled(from, &appended, false, prev));
                }
            }
        }
        self.confirm_reads(effects, Way::Early);
        self.compare_checkpoint(now, from, appended.checkpoint, effects);
        self.consider_promotion(now, from, effects);
        self.hand_over_if_ready(effects);
    }

    /// Commits what a majority has durably. "Only log entries from the leader's current term are
    /// committed by counting replicas" (Raft §5.4.2, Figure 8; R2); older ones follow by Log
    /// Matching. Spec: AdvanceCommit.
    pub(super) fn advance_commit(&mut self, now: Time, effects: &mut Effects, way: Way) {
        let Role::Leader(leader) = &self.role else { return };
        let (node, durable) = (self.config.node, self.durable);
        let stored = |voter: NodeId| {
            if voter == node {
                return durable;
            }
            leader.progress.get(&voter).map_or(Index(0), Progress::match_index)
        };
        let index = self.configurations.latest().stored_by_majority(stored);
        if index > self.commit_index && self.term_of(index) == self.term {
            self.commit_up_to(index, effects);
            self.apply(now, effects, way);
        }
    }

    /// A leader's office ends. What it has proposed may still be committed by another.
    pub(super) fn resign(&mut self, former: Leader, effects: &mut Effects) {
        for reader in former.reads.into_readers() {
            self.read_again(reader, effects);
        }
        self.forget_changes(former.joins, effects);
        if let Some(transfer) = former.transfer {
            self.await_successor(transfer);
        }
    }

    /// Sends to a node, if it is connected.
    pub(super) fn tell(&self, to: NodeId, message: Message, way: Way, effects: &mut Effects) {
        match way {
            _ if !self.peers.contains(&to) => {}
            Way::Early => effects.send_early(Recipients::One(to), message),
            Way::Late => effects.send(to, message),
        }
    }
}

fn handled(from: NodeId, appended: &Appended, ok: bool, Index(index): Index) -> Event {
    let (term, round) = (appended.term.0, appended.round);
    Event::HandleAppended { from, term, round, ok, index }
}

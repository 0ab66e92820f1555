//! Lab 3: Raft (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm",
//! extended version, cited as "Raft"; Ongaro's dissertation, cited as "thesis").
//!
//! The members agree upon one log of commands, and each applies it to its own copy of the state.
//! A majority suffices: the others may be slow, cut off or dead, and nothing that was acknowledged
//! is lost while a majority of the disks is whole. Reads are linearizable from any node.
//!
//! # The rules
//!
//! 1. **Terms.** Time is divided into terms, each with one leader at most. Who hears of a later
//!    term is in it, as a follower (§5.1). Term and vote are durable before anybody hears of them.
//! 2. **Election** (`election`). A follower that does not hear of a leader for an election timeout,
//!    drawn anew each time, asks first whether it could win (thesis §9.6: pre-vote), then begins a
//!    term and asks for votes. A vote goes to a log that is at least as up to date as the voter's
//!    (§5.4.1), one a term. Who hears of a living leader takes no part (thesis §4.2.3). A leader
//!    that does not hear of a majority for an election timeout steps down.
//! 3. **Replication** (`replication`, `append`). A leader begins its term with an entry of its own
//!    (§8), appends what clients propose, and sends it beside its own sync (thesis §10.2.1), many
//!    messages ahead. A follower takes entries behind one that both have (§5.3), and cuts only
//!    what contradicts.
//! 4. **Commit.** An entry of the leader's own term is committed once a majority has it durably;
//!    what stands before it is committed with it (§5.4.2). Committed entries are applied in order.
//! 5. **Reads** (`read`). A leader notes its commit index, and answers once a majority has
//!    acknowledged a round that began later (thesis §6.4). Followers ask the leader for that index.
//! 6. **Requests** (`request`, `forward`). Any node takes a request. A follower has the leader do
//!    it, and answers itself. A write with a `request` tag is executed once, however often it is
//!    tried (§8).
//! 7. **Membership** (`membership`). One voter at a time comes or goes (thesis §4.1), and none
//!    before the leader has committed an entry of its term (erratum of 2015). Who joins learns
//!    first (§4.2.1). A configuration counts from the moment it is in the log.
//! 8. **Snapshots** (`compaction`). The state stands for the log's beginning (§7). Who needs
//!    entries that are gone is sent a snapshot on a connection of its own.
//! 9. **Transfer** (`transfer`). A leader brings another up to date, and asks it to begin an
//!    election at once (thesis §3.10).
//!
//! ```text
//!  client      leader                       follower
//!    │── put ───▶│ append to the log            │
//!    │           │── Append (early) ───────────▶│ append to the log
//!    │           │ sync                         │ sync
//!    │           │◀──────────────── Appended ───│
//!    │           │ commit, apply                │
//!    │◀── ok ────│── Append (commit index) ────▶│ commit, apply
//! ```
//!
//! # Invariants
//!
//! - Term, commit index and applied index only grow; a vote is cast once a term.
//! - A committed entry is never cut. Asserted in `append`.
//! - What [`Effects::send_early`] and [`Effects::answer_early`] let out promises nothing about this
//!   node's disk: entries of a term that is durable, pre-votes, what a majority has.
//! - `durable` is the last entry that was in a frame which is synced: a leader counts itself for
//!   no more than that.
//!
//! # Not done
//!
//! - Leases: a read costs a round. (Thesis §6.4.1; it would trust clocks.)
//! - Joint consensus (§6): one voter at a time is enough for a handful of machines.

mod answer;
mod append;
mod apply;
mod clock;
mod compaction;
pub mod configuration;
mod election;
mod forward;
pub mod log;
mod look_up;
mod membership;
pub mod message;
mod outcome;
mod progress;
mod query;
mod read;
pub mod record;
mod recovery;
mod replication;
mod report;
mod request;
mod saving;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod trace;
mod transfer;
mod turns;
mod upkeep;
mod work;

pub use answer::has_keys;
pub(crate) use look_up::compacted;
pub use recovery::RecoverError;

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;

use crate::config::Config;
use crate::identity::NodeId;
use crate::kv::state::State;
use crate::peer::hello::Hello;
use crate::protocol::{Input, Protocol};
use crate::raft::apply::{Checkpoints, Compared};
use crate::raft::clock::Clock;
use crate::raft::compaction::Snapshots;
use crate::raft::configuration::Configurations;
use crate::raft::log::{Index, Log, Term};
use crate::raft::membership::Joins;
use crate::raft::message::{Appended, Message};
use crate::raft::progress::Progress;
use crate::raft::read::Reads;
use crate::raft::record::Record;
use crate::raft::replication::{Origin, Proposed};
use crate::raft::request::Requests;
use crate::raft::saving::Unsaved;
use crate::raft::transfer::Transfer;
use crate::raft::upkeep::Upkeep;
use crate::time::{Time, Timers};

type Effects = crate::protocol::Effects<Raft>;

/// One member of the cluster.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    dice: ChaCha8Rng,
    // Persistent state (Raft Figure 2).
    term: Term,
    voted_for: Option<NodeId>,
    log: Log,
    // Volatile state.
    commit_index: Index,
    last_applied: Index,
    state: State,
    configurations: Configurations,
    role: Role,
    unsaved: Unsaved,
    /// The last entry that is synced.
    durable: Index,
    /// Who is connected.
    peers: BTreeSet<NodeId>,
    /// The number of the last question of each of them: one that comes twice is not executed twice
    /// (R26). On one connection they come in order.
    asked: BTreeMap<NodeId, u64>,
    /// What the leader is told once this commit is durable.
    acknowledgement: Option<(NodeId, Appended)>,
    /// The highest round of this term that was acknowledged.
    round: u64,
    timers: Timers<Timer>,
    requests: Requests,
    proposed: Proposed,
    snapshots: Snapshots,
    checkpoints: Checkpoints,
    standing: Standing,
    disk_full: bool,
    /// A sign that the node is about to end: it takes no office.
    is_retiring: bool,
    /// When the leader was heard of.
    leader_heard: Time,
    /// Who wants to hear who leads next.
    successor_awaited: Vec<Origin>,
    /// Why the leader does not take this node in.
    refusal: Option<String>,
    clock: Clock,
    /// How many removed members whoever drives this was told of.
    removed_told: usize,
}

/// What a node is in its term (Raft Figure 4, with pre-vote).
#[derive(Debug)]
enum Role {
    Follower { leader: Option<NodeId> },
    PreCandidate { votes: BTreeSet<NodeId> },
    Candidate { votes: BTreeSet<NodeId>, refusals: BTreeSet<NodeId> },
    Leader(Box<Leader>),
}

/// What a leader knows besides.
#[derive(Debug)]
struct Leader {
    /// Its first entry; nothing is read before it is committed.
    first: Index,
    /// Of all members but itself.
    progress: BTreeMap<NodeId, Progress>,
    reads: Reads,
    joins: Joins,
    transfer: Option<Transfer>,
    /// Whether members are told what is committed, even if nothing else goes to them.
    is_notice_due: bool,
    /// Whether members' states are the same as this node's, as last compared.
    agreement: BTreeMap<NodeId, Compared>,
    since: Time,
    upkeep: Upkeep,
}

/// Whether the node may still speak for the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    /// Its state is not that of the others: it serves nothing.
    Diverged,
    /// It is no longer a member: it is about to end.
    Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Nothing was heard of a leader.
    Election,
    /// Members want to hear from their leader.
    Heartbeat,
    /// A node that is no member asks again to become one.
    Join,
    /// A request may be late.
    Request,
    /// Members want to know what is committed, and nothing else goes to them.
    Notice,
    /// There is forgotten history to let go of.
    Sweep,
}

impl Protocol for Raft {
    type Message = Message;
    type Record = Record;

    fn step(&mut self, now: Time, input: Input<Message>, effects: &mut Effects) {
        self.clock.now = now;
        let before = effects.observed();
        match input {
            Input::Start => self.on_start(now, effects),
            Input::Tick => self.on_tick(now, effects),
            Input::PeerUp(hello) => self.on_peer_up(now, *hello, effects),
            Input::PeerDown(peer) => self.on_peer_down(now, peer, effects),
            Input::Message { from, message } => self.on_message(now, from, message, effects),
            Input::Request { id, call } => self.on_request(now, id, call, effects),
            Input::Abandoned(request) => self.requests.forget(request),
            Input::Closed { connection } => self.requests.forget_connection(connection),
            Input::DiskFull(is_full) => self.on_disk_full(now, is_full, effects),
            Input::SnapshotWritten(index) => self.on_snapshot_written(Index(index), effects),
            Input::CausalWritten(_) => self.on_causal_written(),
            Input::Wall(unix_ms) => self.clock.tell(now, unix_ms),
            Input::SnapshotReceived(snapshot) => {
                self.on_snapshot_received(now, *snapshot, effects);
            }
            Input::SnapshotSent { to, index } => self.on_snapshot_sent(now, to, index.map(Index)),
            Input::Room { .. } => {} // The node has the watches.
            Input::Verified { node, outcome } => self.on_verified(now, node, outcome, effects),
            Input::Retire => self.on_retire(now, effects),
            Input::Stop => self.on_stop(effects),
        }
        self.trace_state(before, effects);
    }

    fn flush(&mut self, now: Time, effects: &mut Effects) {
        let before = effects.observed();
        self.begin_round(effects);
        self.ask_leader(effects);
        self.sweep(now);
        self.let_disk_log_go();
        self.take_snapshot(effects);
        self.replicate(now, effects);
        self.save(effects);
        if let Some((leader, appended)) = self.acknowledgement.take() {
            self.trace_appended(leader, &appended, effects);
            effects.send(leader, Message::Appended(appended));
        }
        // A leader that is its own majority: all leaves behind this frame.
        self.advance_commit(now, effects, Way::Late);
        self.confirm_reads(effects, Way::Late);
        self.trace_state(before, effects);
    }

    fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }
}

/// Whether an answer may leave before the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Early,
    Late,
}

impl Raft {
    fn on_start(&mut self, now: Time, effects: &mut Effects) {
        self.timers.set(Timer::Heartbeat, now + self.config.heartbeat_interval);
        self.timers.set(Timer::Join, now);
        self.leader_heard = now;
        self.trace_restart(effects);
        if self.is_sole_voter() {
            self.campaign(now, effects);
        } else {
            self.await_leader(now);
        }
    }

    fn on_tick(&mut self, now: Time, effects: &mut Effects) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Election => self.on_election_timeout(now, effects),
                Timer::Heartbeat => self.on_heartbeat_due(now, effects),
                Timer::Join => self.ask_to_join(now, effects),
                Timer::Request => self.end_late_requests(now, effects),
                Timer::Notice => self.tell_commit(),
                Timer::Sweep => {} // It is done before each commit.
            }
        }
    }

    fn on_heartbeat_due(&mut self, now: Time, effects: &mut Effects) {
        self.timers.set(Timer::Heartbeat, now + self.config.heartbeat_interval);
        self.lead_on(now, effects);
        self.look_after_state(effects);
        self.dispatch(now, effects);
        // What is known to be committed is found again after a restart, even if nothing follows.
        if self.unsaved.commit_index < self.commit_index {
            self.unsaved.vote = true;
        }
    }

    fn on_peer_up(&mut self, now: Time, hello: Hello, effects: &mut Effects) {
        let node = hello.node;
        self.peers.insert(node);
        self.snapshots.forget(node);
        self.asked.remove(&node);
        if let Role::Leader(leader) = &mut self.role
            && let Some(progress) = leader.progress.get_mut(&node)
        {
            progress.reconnect();
        }
        if self.wants_to_join() {
            self.timers.set(Timer::Join, now);
        }
        self.tell_if_removed(node, effects);
    }

    fn on_peer_down(&mut self, now: Time, peer: NodeId, effects: &mut Effects) {
        if !self.peers.remove(&peer) {
            return;
        }
        let lost = self.requests.on_unreachable(peer);
        self.on_lost(lost, effects);
        if matches!(self.role, Role::Follower { leader: Some(leader) } if leader == peer) {
            self.role = Role::Follower { leader: None };
            // Its process has most likely ended. Whoever still hears of it refuses a pre-vote.
            let soon = self.draw(self.config.heartbeat_interval);
            self.timers.set(Timer::Election, now + soon);
        }
        self.dispatch(now, effects);
    }

    fn on_message(&mut self, now: Time, from: NodeId, message: Message, effects: &mut Effects) {
        if self.standing == Standing::Removed || self.tell_if_removed(from, effects) {
            return;
        }
        match message {
            Message::RequestVote { term, last, ballot } => {
                self.on_request_vote(now, from, term, last, ballot, effects);
            }
            Message::Vote { term, ballot, granted } => {
                self.on_vote(now, from, term, ballot, granted, effects);
            }
            Message::Append(append) => self.on_append(now, from, append, effects),
            Message::Appended(appended) => self.on_appended(now, from, appended, effects),
            Message::TimeoutNow { term } => self.on_timeout_now(now, from, term, effects),
            Message::Join { name, address } => self.on_join(from, name, address, effects),
            Message::JoinRefused { reason } => self.on_join_refused(reason, effects),
            Message::Ask { ask, what } => self.on_ask(now, from, ask, what, effects),
            Message::Answer { ask, outcome } => self.on_answer(ask, outcome, effects),
            Message::Removed => self.on_removed(effects),
            Message::Diverged { index } => self.on_diverged(now, index, effects),
        }
    }
}

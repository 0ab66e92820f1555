//! What the core did, for logs, traces and checkers. One variant for each action of the
//! specification (`spec/DistributedDb.tla`), under the same name; the rest tell operators more.

mod broadcast;
mod causal;
mod line;
mod news;
mod raft;
mod readiness;

pub use broadcast::BroadcastEvent;
pub use causal::{Basis, CausalEvent, KeyDots, Made, Redone, Way};
pub use line::{Line, Observed};
pub use raft::{Held, RaftEvent};
pub use readiness::Readiness;

use serde::Serialize;

use crate::broadcast::version::Version;
use crate::identity::{Incarnation, NodeId, NodeName};
use crate::kv::key::Key;
use crate::raft::log::EntryId;
use crate::raft::message::{Ballot, Match};

/// Something that a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ev")]
pub enum Event {
    /// The node has started; it serves nothing yet.
    Start {
        /// This start's.
        incarnation: Incarnation,
    },
    /// A peer is connected.
    Link {
        /// Which.
        peer: NodeId,
        /// Its name.
        name: NodeName,
        /// Its start.
        incarnation: Incarnation,
    },
    /// A peer is no longer connected.
    Unlink {
        /// Which.
        peer: NodeId,
        /// Why.
        reason: &'static str,
    },
    /// A client's write took effect here.
    Write {
        /// The count of this node's writes.
        number: u64,
        /// What was written.
        key: Key,
        /// When, in logical time.
        version: Version,
        /// Whether it is a deletion.
        deleted: bool,
    },
    /// A peer's write arrived.
    Deliver {
        /// Whose.
        from: NodeId,
        /// Its count.
        number: u64,
        /// What was written.
        key: Key,
        /// When, in logical time.
        version: Version,
        /// Whether it is now what the key holds.
        won: bool,
    },
    /// Writes of a peer will not arrive: a gap in its count.
    Miss {
        /// Whose.
        from: NodeId,
        /// How many.
        writes: u64,
    },
    /// The next chunk of a donor's state is asked for.
    RequestSync {
        /// Whom.
        donor: NodeId,
        /// In which session.
        session: u64,
        /// Which chunk of it.
        chunk: u64,
    },
    /// A chunk of this node's state was sent.
    ServeSync {
        /// To whom.
        to: NodeId,
        /// In which session.
        session: u64,
        /// Which chunk of it.
        chunk: u64,
        /// How many keys.
        entries: usize,
        /// Whether it is the last.
        done: bool,
    },
    /// A donor's chunk was merged.
    MergeChunk {
        /// Whose.
        donor: NodeId,
        /// In which session.
        session: u64,
        /// How many keys.
        entries: usize,
        /// How many of them were news.
        won: usize,
        /// Whether it was the last.
        done: bool,
    },
    /// A donor has not yet got what was sent before this node was connected: it is asked again.
    DonorBehind {
        /// Whose state would have had a gap.
        donor: NodeId,
    },
    /// The node serves from here on.
    BecomeReady {
        /// Why it may.
        how: Readiness,
        /// How many keys it holds.
        keys: u64,
    },
    /// The state of all connected peers was merged once more.
    Repair {
        /// How many keys changed.
        changed: u64,
    },
    /// A member has come, or has another address.
    Member {
        /// Which.
        id: NodeId,
        /// Its name.
        name: NodeName,
        /// Where it is reached.
        address: String,
    },
    /// Raft: it is asked whether an election could be won.
    BecomePreCandidate {
        /// The node's.
        term: u64,
    },
    /// Raft: an election begins.
    BecomeCandidate {
        /// The new one.
        term: u64,
        /// The candidate's last entry.
        last: EntryId,
    },
    /// Raft: a vote was asked for.
    HandleRequestVote {
        /// By whom.
        from: NodeId,
        /// The voter's term.
        term: u64,
        /// The candidate's.
        asked: u64,
        /// What kind of vote.
        ballot: Ballot,
        /// Whether it was granted.
        granted: bool,
    },
    /// Raft: an election was won.
    BecomeLeader {
        /// In which term.
        term: u64,
    },
    /// Raft: an office or a candidacy has ended.
    StepDown {
        /// The term that the node is in.
        term: u64,
    },
    /// Raft: a majority was not heard of in an election timeout.
    LoseQuorum {
        /// The leader's term.
        term: u64,
    },
    /// Raft: another node leads.
    Follow {
        /// In which term.
        term: u64,
        /// Who.
        leader: NodeId,
    },
    /// Raft: a command is in the leader's log.
    Propose {
        /// Where.
        entry: EntryId,
    },
    /// Raft: a configuration is in the leader's log.
    ProposeConfiguration {
        /// Where.
        index: u64,
        /// Who votes.
        voters: Vec<NodeId>,
        /// Who belongs to the cluster.
        members: Vec<NodeId>,
        /// Who never will again; it need not have been a member.
        removed: Option<NodeId>,
    },
    /// Raft: a leader's entries have come.
    HandleAppend {
        /// Whose.
        from: NodeId,
        /// In which term.
        term: u64,
        /// The entry before them.
        prev: EntryId,
        /// How many.
        entries: usize,
        /// How far the leader has committed.
        commit: u64,
        /// Of reads.
        round: u64,
        /// What became of them.
        outcome: Match,
    },
    /// Raft: a leader contradicts what is committed. Nothing was changed.
    Contradiction {
        /// Who.
        from: NodeId,
        /// Behind which entry.
        index: u64,
    },
    /// Raft: a member has told how much of the log it has.
    HandleAppended {
        /// Who.
        from: NodeId,
        /// In which term.
        term: u64,
        /// Of reads.
        round: u64,
        /// Whether it has what was sent. Only traces are told that it has not.
        ok: bool,
        /// Up to where; or behind which entry it has not.
        index: u64,
    },
    /// Raft: more is committed.
    AdvanceCommit {
        /// Up to where.
        index: u64,
    },
    /// Raft: more is applied.
    Apply {
        /// Up to where.
        index: u64,
        /// The state's then.
        hash: u64,
    },
    /// Raft: a round of reads begins.
    BeginRead {
        /// Its number, in its term.
        round: u64,
        /// What the reads must see.
        index: u64,
    },
    /// Raft: a round of reads was acknowledged by a majority.
    ServeRead {
        /// Its number, in its term.
        round: u64,
        /// What the reads see at least.
        index: u64,
    },
    /// Raft: a snapshot is about to be written.
    TakeSnapshot {
        /// Up to where.
        index: u64,
    },
    /// Raft: a snapshot is about to be sent.
    SendSnapshot {
        /// To whom.
        to: NodeId,
    },
    /// Raft: a snapshot has taken the place of log and state.
    InstallSnapshot {
        /// Its last entry.
        last: EntryId,
    },
    /// Raft: a configuration is committed.
    Members {
        /// Where it stands in the log.
        index: u64,
        /// How many vote.
        voters: usize,
    },
    /// Raft: the leader does not take this node into the cluster.
    JoinRefused {
        /// Why.
        reason: String,
    },
    /// Raft: this node is no longer a member.
    Removed,
    /// Raft: leadership is handed over.
    Transfer {
        /// To whom.
        to: NodeId,
    },
    /// Raft: this node's state is not that of the others.
    Diverged {
        /// Where that was seen.
        index: u64,
    },
    /// The disk is full, or has room again.
    DiskFull {
        /// Which of the two.
        is_full: bool,
    },
    /// A node that calls itself as a connected member does was refused.
    NameTaken {
        /// The one refused.
        id: NodeId,
        /// The name.
        name: NodeName,
    },
    /// Lab 1's, for traces alone.
    #[serde(untagged)]
    Broadcast(BroadcastEvent),
    /// Lab 2's.
    #[serde(untagged)]
    Causal(CausalEvent),
    /// Lab 3's, for traces alone.
    #[serde(untagged)]
    Raft(RaftEvent),
}

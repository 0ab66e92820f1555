//! What members of a cluster say to each other in raft mode.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::control::cluster::MemberChanged;
use crate::control::failure::{Applied, ErrorCode};
use crate::control::request::MemberChange;
use crate::identity::NodeName;
use crate::kv::outcome::Outcome;
use crate::raft::log::{Entry, EntryId, Index, Term};

/// No cluster comes this far: a number above it is a broken peer's (R25).
pub const NUMBER_MAX: u64 = 1 << 53;

/// The longest reason that is told.
const REASON_BYTES_MAX: usize = 1_024;

/// A message. A variant is only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// RequestVote (§5.2), or the question whether one would be granted (thesis §9.6).
    RequestVote {
        /// The candidate's; in a pre-vote the one it would have.
        term: Term,
        /// The candidate's last entry.
        last: EntryId,
        /// Why it is asked.
        ballot: Ballot,
    },
    /// The answer.
    Vote {
        /// The voter's; in a granted pre-vote that of the question.
        term: Term,
        /// To which question.
        ballot: Ballot,
        /// Whether it is granted.
        granted: bool,
    },
    /// AppendEntries (§5.3); without entries a heartbeat.
    Append(Append),
    /// The answer.
    Appended(Appended),
    /// The leader wants this node to lead (thesis §3.10).
    TimeoutNow {
        /// The leader's.
        term: Term,
    },
    /// A node that is connected wants to be a member.
    Join {
        /// Its name.
        name: NodeName,
        /// Where it is reached.
        address: String,
    },
    /// A member's client asks for what only the leader does.
    Ask {
        /// Of this node, for the answer.
        ask: u64,
        /// What.
        what: Ask,
    },
    /// What became of it.
    Answer {
        /// Of the node that asked.
        ask: u64,
        /// What.
        outcome: Answered,
    },
    /// The receiver is not taken into the cluster as long as that is so.
    JoinRefused {
        /// Why.
        reason: String,
    },
    /// The receiver is no longer a member.
    Removed,
    /// The receiver's state at `index` is not that of the others.
    Diverged {
        /// Where that was seen.
        index: Index,
    },
}

/// Why a vote is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ballot {
    /// To learn whether an election could be won (thesis §9.6).
    Pre,
    /// To win one.
    Real,
    /// To win one that the leader asked for; it need not be dead for that.
    Transfer,
}

/// Entries, and what goes with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The leader's.
    pub term: Term,
    /// The entry before.
    pub prev: EntryId,
    /// In order.
    pub entries: Vec<Entry>,
    /// How far the leader has committed.
    pub commit: Index,
    /// Of reads: the highest that was begun (thesis §6.4). Never used again in a term.
    pub round: u64,
}

/// What became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The follower's.
    pub term: Term,
    /// Echoed.
    pub round: u64,
    /// Whether they are in its log, durably.
    pub outcome: Match,
    /// How far it has applied, and the hash of its state at the last checkpoint.
    pub checkpoint: Option<(Index, u64)>,
}

/// Whether the entry before was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Match {
    /// The follower's log is the leader's up to here.
    Up(Index),
    /// It is not.
    Conflict {
        /// The entry before, which was refused.
        prev: Index,
        /// The last entry that may be common: with it a conflicting term takes one round (§5.3).
        hint: EntryId,
    },
}

/// What only the leader does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Appends a [`crate::kv::command::Proposal`].
    Propose(Bytes),
    /// Tells how far the cluster has committed by now (thesis §6.4).
    Read,
    /// Changes who belongs to the cluster.
    Member {
        /// How.
        change: MemberChange,
        /// Whom, by name or id.
        member: String,
        /// Tells what would be, and changes nothing.
        dry_run: bool,
    },
    /// Hands over to a voter, by name or id, or to the best.
    Transfer(Option<String>),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answered {
    /// The command was applied.
    Applied {
        /// What it did.
        outcome: Outcome,
        /// Whether it had been executed before.
        duplicate: bool,
    },
    /// All up to here was committed when it was asked.
    ReadAt(Index),
    /// The members changed, or would.
    Member(MemberChanged),
    /// Another leads.
    Transferred(NodeName),
    /// It was not done, and may be asked of another leader.
    NotLeader,
    /// It will not be done.
    Refused {
        /// Why, in the words of the control protocol.
        code: ErrorCode,
        /// Whether it took effect.
        applied: Applied,
        /// Why, for people.
        message: String,
        /// What to do about it.
        hint: Option<Box<str>>,
    },
}

/// No election lasts so long that terms are so far apart: a peer that says so is broken, and would
/// use up all terms there are (R25).
const TERM_JUMP_MAX: u64 = 1 << 32;

impl Message {
    /// Whether a node in `term` need believe it.
    pub fn is_believable(&self, term: Term) -> bool {
        let theirs = match self {
            Self::RequestVote { term, .. } | Self::Vote { term, .. } => *term,
            Self::Append(append) => append.term,
            Self::Appended(appended) => appended.term,
            Self::TimeoutNow { term } => *term,
            Self::Join { .. }
            | Self::JoinRefused { .. }
            | Self::Ask { .. }
            | Self::Answer { .. }
            | Self::Removed
            | Self::Diverged { .. } => term,
        };
        theirs.0 <= term.0 + TERM_JUMP_MAX
    }

    /// Whether a sound node could have sent it: numbers within bounds, entries in order.
    pub fn is_plausible(&self) -> bool {
        let id_is_plausible = |id: &EntryId| id.term.0 < NUMBER_MAX && id.index.0 < NUMBER_MAX;
        match self {
            Self::RequestVote { term, last, .. } => {
                term.0 < NUMBER_MAX && id_is_plausible(last) && last.term <= *term
            }
            Self::Vote { term, .. } | Self::TimeoutNow { term } => term.0 < NUMBER_MAX,
            Self::Append(append) => {
                let terms = append.entries.iter().map(|entry| entry.term);
                let last = terms.clone().next_back().unwrap_or(append.prev.term);
                append.term.0 < NUMBER_MAX
                    && append.commit.0 < NUMBER_MAX
                    && id_is_plausible(&append.prev)
                    && std::iter::once(append.prev.term).chain(terms).is_sorted()
                    && last <= append.term
            }
            Self::Appended(appended) => {
                let outcome = match &appended.outcome {
                    Match::Up(index) => index.0 < NUMBER_MAX,
                    Match::Conflict { prev, hint } => prev.0 < NUMBER_MAX && id_is_plausible(hint),
                };
                appended.term.0 < NUMBER_MAX && outcome
            }
            Self::Answer { outcome: Answered::ReadAt(index), .. } | Self::Diverged { index } => {
                index.0 < NUMBER_MAX
            }
            Self::Join { address, .. } => crate::peer::hello::is_address(address),
            Self::JoinRefused { reason } => reason.len() <= REASON_BYTES_MAX,
            Self::Ask { .. } | Self::Answer { .. } | Self::Removed => true,
        }
    }
}

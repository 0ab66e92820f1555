//! What members of a cluster in raft mode say and do, in words. An entry is `term.index`.

use common::observe::Event;
use common::raft::log::{Entry, EntryId, Payload};
use common::raft::message::{Answered, Append, Appended, Ask, Ballot, Match, Message};

use super::Names;

/// An entry's id.
pub(super) fn id(id: EntryId) -> String {
    format!("{}.{}", id.term.0, id.index.0)
}

impl Names {
    pub(super) fn raft_message(&self, message: &Message) -> String {
        match message {
            Message::RequestVote { term, last, ballot } => {
                format!("RequestVote term {}, last {}, {}", term.0, id(*last), name(*ballot))
            }
            Message::Vote { term, ballot, granted } => {
                let granted = if *granted { "granted" } else { "refused" };
                format!("Vote term {}, {}, {granted}", term.0, name(*ballot))
            }
            Message::Append(append) => told(append),
            Message::Appended(appended) => answered(appended),
            Message::TimeoutNow { term } => format!("TimeoutNow term {}", term.0),
            Message::Join { name, .. } => format!("Join {name}"),
            Message::Ask { ask, what } => format!("Ask #{} {}", ask % 1_000_000, asked(what)),
            Message::Answer { ask, outcome } => {
                format!("Answer #{} {}", ask % 1_000_000, outcome_of(outcome))
            }
            Message::JoinRefused { reason } => format!("JoinRefused: {reason}"),
            Message::Removed => "Removed".to_owned(),
            Message::Diverged { index } => format!("Diverged at {}", index.0),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told by the caller")]
    pub(super) fn raft_event(&self, event: &Event) -> String {
        match event {
            Event::BecomePreCandidate { term } => format!("BecomePreCandidate in term {term}"),
            Event::BecomeCandidate { term, last } => {
                format!("BecomeCandidate in term {term}, last {}", id(*last))
            }
            Event::HandleRequestVote { from, term, ballot, granted, .. } => {
                let (from, ballot) = (self.of(*from), name(*ballot));
                let granted = if *granted { "granted" } else { "refused" };
                format!("HandleRequestVote of {from}, {ballot}, {granted} in term {term}")
            }
            Event::BecomeLeader { term } => format!("BecomeLeader in term {term}"),
            Event::StepDown { term } => format!("StepDown, term {term}"),
            Event::LoseQuorum { term } => format!("LoseQuorum in term {term}"),
            Event::Follow { term, leader } => format!("Follow {} in term {term}", self.of(*leader)),
            Event::Propose { entry } => format!("Propose {}", id(*entry)),
            Event::ProposeConfiguration { index, voters, members, .. } => {
                let of = |all: &[_]| all.iter().map(|n| self.of(*n)).collect::<Vec<_>>().join(" ");
                format!("ProposeConfiguration {index}: {}, voters {}", of(members), of(voters))
            }
            Event::HandleAppend { from, term, prev, entries, outcome, .. } => {
                let (from, prev) = (self.of(*from), id(*prev));
                let outcome = matched(outcome);
                format!("HandleAppend of {from}, term {term}, {prev} + {entries}: {outcome}")
            }
            Event::Contradiction { from, index } => {
                format!("Contradiction of {} behind {index}", self.of(*from))
            }
            Event::HandleAppended { from, index, ok, .. } => {
                let refused = if *ok { "" } else { "refused behind " };
                format!("HandleAppended of {}, {refused}{index}", self.of(*from))
            }
            Event::AdvanceCommit { index } => format!("AdvanceCommit {index}"),
            Event::Apply { index, .. } => format!("Apply {index}"),
            Event::BeginRead { round, index } => format!("BeginRead {round} at {index}"),
            Event::ServeRead { round, index } => format!("ServeRead {round} at {index}"),
            Event::TakeSnapshot { index } => format!("TakeSnapshot {index}"),
            Event::SendSnapshot { to } => format!("SendSnapshot to {}", self.of(*to)),
            Event::InstallSnapshot { last } => format!("InstallSnapshot {}", id(*last)),
            Event::Members { index, voters } => format!("Members at {index}: {voters} vote"),
            Event::JoinRefused { reason } => format!("JoinRefused: {reason}"),
            Event::Removed => "Removed".to_owned(),
            Event::Transfer { to } => format!("Transfer to {}", self.of(*to)),
            Event::Diverged { index } => format!("Diverged at {index}"),
            Event::DiskFull { is_full } => format!("DiskFull {is_full}"),
            other => format!("{other:?}"),
        }
    }
}

fn name(ballot: Ballot) -> &'static str {
    match ballot {
        Ballot::Pre => "pre",
        Ballot::Real => "real",
        Ballot::Transfer => "transfer",
    }
}

fn told(append: &Append) -> String {
    let Append { term, prev, entries, commit, round } = append;
    let mut text = format!("Append term {}, {}", term.0, id(*prev));
    for entry in entries {
        text = format!("{text} +{}", held(entry));
    }
    format!("{text}, commit {}, round {round}", commit.0)
}

fn held(entry: &Entry) -> String {
    let what = match &entry.payload {
        Payload::Noop => "noop",
        Payload::Configuration(_) => "members",
        Payload::Command(_) | Payload::Written { .. } => "command",
    };
    format!("{}:{what}", entry.term.0)
}

fn answered(appended: &Appended) -> String {
    let Appended { term, round, outcome, .. } = appended;
    format!("Appended term {}, {}, round {round}", term.0, matched(outcome))
}

fn matched(outcome: &Match) -> String {
    match outcome {
        Match::Up(index) => format!("up to {}", index.0),
        Match::Conflict { prev, hint } => format!("conflict at {}, try {}", prev.0, id(*hint)),
    }
}

fn asked(what: &Ask) -> String {
    match what {
        Ask::Propose(_) => "propose".to_owned(),
        Ask::Read => "read".to_owned(),
        Ask::Member { change, member, .. } => format!("{change:?} {member}"),
        Ask::Transfer(Some(member)) => format!("transfer to {member}"),
        Ask::Transfer(None) => "transfer".to_owned(),
    }
}

fn outcome_of(outcome: &Answered) -> String {
    match outcome {
        Answered::Applied { duplicate: false, .. } => "applied".to_owned(),
        Answered::Applied { duplicate: true, .. } => "applied before".to_owned(),
        Answered::ReadAt(index) => format!("read at {}", index.0),
        Answered::Member(_) => "members changed".to_owned(),
        Answered::Transferred(leader) => format!("{leader} leads"),
        Answered::NotLeader => "not leader".to_owned(),
        Answered::Refused { code, .. } => format!("refused: {code}"),
    }
}

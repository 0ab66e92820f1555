//! Whose action an event is, and who has to know.

use crate::observe::Event;

impl Event {
    /// Whose action it is: the number of the lab.
    pub fn lab(&self) -> u32 {
        let is_of_broadcast = matches!(
            self,
            Self::Start { .. }
                | Self::Link { .. }
                | Self::Unlink { .. }
                | Self::Write { .. }
                | Self::Deliver { .. }
                | Self::Miss { .. }
                | Self::RequestSync { .. }
                | Self::ServeSync { .. }
                | Self::MergeChunk { .. }
                | Self::DonorBehind { .. }
                | Self::BecomeReady { .. }
                | Self::Repair { .. }
                | Self::Member { .. }
                | Self::NameTaken { .. }
                | Self::Broadcast(_)
        );
        match (self, is_of_broadcast) {
            (Self::Causal(_), _) => 2,
            (_, true) => 1,
            (_, false) => 3,
        }
    }

    /// Whether whoever is around the node may have to know: a member, a link, an office or the
    /// node's fitness to serve has changed.
    pub fn is_news(&self) -> bool {
        match self {
            Self::Causal(event) => event.is_news(),
            Self::Start { .. }
            | Self::Link { .. }
            | Self::Unlink { .. }
            | Self::Member { .. }
            | Self::BecomeReady { .. }
            | Self::BecomeLeader { .. }
            | Self::StepDown { .. }
            | Self::Follow { .. }
            | Self::Members { .. }
            | Self::InstallSnapshot { .. }
            | Self::JoinRefused { .. }
            | Self::Removed
            | Self::Diverged { .. }
            | Self::DiskFull { .. } => true,
            Self::Write { .. }
            | Self::Deliver { .. }
            | Self::Miss { .. }
            | Self::RequestSync { .. }
            | Self::ServeSync { .. }
            | Self::MergeChunk { .. }
            | Self::DonorBehind { .. }
            | Self::Repair { .. }
            | Self::NameTaken { .. }
            | Self::Broadcast(_) => false,
            Self::BecomePreCandidate { .. }
            | Self::BecomeCandidate { .. }
            | Self::HandleRequestVote { .. }
            | Self::LoseQuorum { .. }
            | Self::Propose { .. }
            | Self::ProposeConfiguration { .. }
            | Self::HandleAppend { .. }
            | Self::Contradiction { .. }
            | Self::HandleAppended { .. }
            | Self::AdvanceCommit { .. }
            | Self::Apply { .. }
            | Self::BeginRead { .. }
            | Self::ServeRead { .. }
            | Self::TakeSnapshot { .. }
            | Self::SendSnapshot { .. }
            | Self::Transfer { .. }
            | Self::Raft(_) => false,
        }
    }
}

//! One leader a term, and one vote: "at most one leader can be elected in a given term", and
//! "each server will vote for at most one candidate in a given term", restarts or not.
//!
//! Source: Raft §5.2, Election Safety of Figure 3. TLA+: `ElectionSafety`. Pitfall R1.

use std::collections::BTreeMap;

use common::identity::NodeId;
use common::observe::{Event, Observed};
use common::raft::message::Ballot;

/// Who led, and who voted for whom.
#[derive(Debug, Default)]
pub(super) struct Elections {
    leaders: BTreeMap<u64, NodeId>,
    /// By voter and term.
    votes: BTreeMap<(NodeId, u64), NodeId>,
}

impl Elections {
    pub(super) fn on_commit(&mut self, node: NodeId, events: &[Observed]) -> Result<(), String> {
        for Observed { event, .. } in events {
            if let Event::BecomeLeader { term } = event {
                let leader = *self.leaders.entry(*term).or_insert(node);
                if leader != node {
                    return Err(format!("{leader} and {node} led in term {term}"));
                }
            } else if let Event::BecomeCandidate { term, .. } = event {
                self.vote(node, *term, node)?;
            } else if let Event::HandleRequestVote { from, term, ballot, granted: true, .. } = event
                && *ballot != Ballot::Pre
            {
                self.vote(node, *term, *from)?;
            }
        }
        Ok(())
    }

    fn vote(&mut self, voter: NodeId, term: u64, candidate: NodeId) -> Result<(), String> {
        let first = *self.votes.entry((voter, term)).or_insert(candidate);
        if first == candidate {
            return Ok(());
        }
        Err(format!("{voter} votes for {first} and {candidate} in term {term}"))
    }
}

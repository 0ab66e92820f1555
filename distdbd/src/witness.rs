//! What the core did, told to logs, to the flight recorder and to the trace file.

use std::io;
use std::path::Path;
use std::time::Duration;

use common::control;
use common::control::trace::Recent;
use common::identity::{NodeId, NodeName};
use common::observe::{CausalEvent, Event, Observed};

use crate::recorder::Recorder;
use crate::trace::Trace;

/// Whom events are told to.
#[derive(Debug)]
pub(crate) struct Witness {
    node: NodeName,
    id: NodeId,
    recorder: Recorder,
    trace: Option<Trace>,
}

impl Witness {
    pub(crate) fn new(node: NodeName, id: NodeId, trace: Option<&Path>) -> io::Result<Self> {
        let trace = trace.map(Trace::open).transpose()?;
        Ok(Self { node, id, recorder: Recorder::default(), trace })
    }

    /// What the node's Lamport clock said in the last line of the trace: it goes on from there.
    pub(crate) fn clock(&self) -> u64 {
        self.trace.as_ref().map_or(0, |trace| trace.clock)
    }

    /// Takes the events of one commit. Tells whether whoever is around the node may have to know.
    ///
    /// # Errors
    ///
    /// The trace can't be written.
    pub(crate) fn observe(&mut self, at: Duration, events: Vec<Observed>) -> io::Result<bool> {
        if let Some(trace) = &mut self.trace {
            trace.write((&self.node, self.id), at, &events)?;
        }
        let mut has_news = false;
        for observed in events {
            log(&observed.event);
            has_news |= observed.event.is_news();
            self.recorder.take(at, observed);
        }
        Ok(has_news)
    }

    /// What was observed of late.
    pub(crate) fn recent(&self, now: Duration, recent: Recent) -> control::trace::Trace {
        self.recorder.tell((&self.node, self.id), now, recent)
    }
}

/// Changes of state are told; what happens with each write is not, but at level trace. It is
/// longer than a screen because each event has its arm.
fn log(event: &Event) {
    match event {
        Event::Start { incarnation } => tracing::info!(incarnation = incarnation.0, "started"),
        Event::Link { peer, name, incarnation } => {
            tracing::info!(%name, id = %peer, incarnation = incarnation.0, "peer connected");
        }
        Event::Unlink { peer, reason } => {
            tracing::warn!(id = %peer, reason, "peer no longer connected");
        }
        Event::Miss { from, writes } => {
            tracing::warn!(id = %from, writes, "writes of a peer are lost; `distdbctl sync` gets them");
        }
        Event::BecomeReady { how, keys } => tracing::info!(?how, keys, "serves"),
        Event::DonorBehind { donor } => tracing::info!(id = %donor, "the donor is behind"),
        Event::Repair { changed } => tracing::info!(changed, "merged the states of all peers"),
        Event::Member { id, name, address } => tracing::info!(%name, %id, address, "member"),
        Event::NameTaken { id, name } => tracing::warn!(%name, %id, "refused: its name is taken"),
        Event::RequestSync { donor, session, chunk } => {
            tracing::debug!(id = %donor, session, chunk, "asks for a chunk");
        }
        Event::ServeSync { to, session, chunk, entries, done } => {
            tracing::debug!(id = %to, session, chunk, entries, done, "gives a chunk");
        }
        Event::MergeChunk { donor, session, entries, won, done } => {
            tracing::debug!(id = %donor, session, entries, won, done, "merged a chunk");
        }
        Event::BecomePreCandidate { term } => tracing::info!(term, "hears of no leader"),
        Event::BecomeCandidate { term, .. } => tracing::info!(term, "asks for votes"),
        Event::HandleRequestVote { from, term, ballot, granted, .. } => {
            tracing::debug!(id = %from, term, ?ballot, granted, "was asked for a vote");
        }
        Event::BecomeLeader { term } => tracing::info!(term, "leads"),
        Event::StepDown { term } => tracing::info!(term, "leads no longer, nor wants to"),
        Event::LoseQuorum { term } => tracing::warn!(term, "hears of no majority"),
        Event::Follow { term, leader } => tracing::info!(term, id = %leader, "follows"),
        Event::ProposeConfiguration { index, .. } => {
            tracing::info!(index, "the members are to change");
        }
        Event::Members { index, voters } => tracing::info!(index, voters, "the members changed"),
        Event::Contradiction { from, index } => {
            tracing::error!(id = %from, index, "a leader contradicts what is committed");
        }
        Event::TakeSnapshot { index } => tracing::info!(index, "writes a snapshot"),
        Event::SendSnapshot { to } => tracing::info!(id = %to, "sends a snapshot"),
        Event::InstallSnapshot { last } => {
            tracing::info!(index = last.index.0, "took a snapshot for its state");
        }
        Event::JoinRefused { reason } => tracing::warn!(reason, "not taken into the cluster"),
        Event::Removed => tracing::warn!("is no longer a member of the cluster"),
        Event::Transfer { to } => tracing::info!(id = %to, "hands leadership over"),
        Event::Diverged { index } => {
            tracing::error!(index, "its state is not that of the others; it serves no more");
        }
        Event::DiskFull { is_full: true } => tracing::error!("the disk is full; takes no writes"),
        Event::DiskFull { is_full: false } => tracing::info!("the disk has room again"),
        Event::Causal(event) => log_causal(event),
        Event::Broadcast(_)
        | Event::Write { .. }
        | Event::Deliver { .. }
        | Event::Propose { .. }
        | Event::HandleAppend { .. }
        | Event::HandleAppended { .. }
        | Event::AdvanceCommit { .. }
        | Event::Apply { .. }
        | Event::BeginRead { .. }
        | Event::ServeRead { .. }
        | Event::Raft(_) => tracing::trace!(?event),
    }
}

fn log_causal(event: &CausalEvent) {
    match event {
        CausalEvent::Suspect { peer } => {
            tracing::warn!(id = %peer, "suspects a peer to have failed");
        }
        CausalEvent::Trust { peer } => tracing::info!(id = %peer, "trusts a peer again"),
        CausalEvent::BeginStateSync { donor } => {
            tracing::info!(id = %donor, "takes over the causal keys that it lacks");
        }
        CausalEvent::EndStateSync { donor, keys } => {
            tracing::info!(id = %donor, keys, "has taken over the causal keys that it lacked");
        }
        CausalEvent::AbandonStateSync { donor, reason } => {
            tracing::warn!(id = %donor, reason, "did not get the causal keys that it lacks");
        }
        CausalEvent::ServeWithoutDonor => {
            tracing::warn!("no member serves causal keys; this one does, with what it has");
        }
        CausalEvent::GiveState { to, .. } => tracing::info!(id = %to, "gives its causal keys"),
        CausalEvent::StatesDiffer { peer } => {
            tracing::error!(
                id = %peer,
                "a peer has seen the same writes, and holds other keys: one of the two has lost \
                 some; what either has is kept"
            );
        }
        CausalEvent::TakeCausalSnapshot { position } => {
            tracing::info!(position, "writes a snapshot of the causal keys");
        }
        CausalEvent::Originate { .. }
        | CausalEvent::ApplyWrite { .. }
        | CausalEvent::Hold { .. }
        | CausalEvent::Recover { .. }
        | CausalEvent::CausalMembers { .. }
        | CausalEvent::SessionRead { .. }
        | CausalEvent::HandleAck { .. }
        | CausalEvent::Answer { .. }
        | CausalEvent::Collect { .. }
        | CausalEvent::Trim { .. }
        | CausalEvent::StageState { .. }
        | CausalEvent::MergeStateChunk { .. }
        | CausalEvent::Sync { .. }
        | CausalEvent::CausalState { .. } => {
            tracing::trace!(?event);
        }
    }
}

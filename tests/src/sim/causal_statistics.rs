//! What happened in causal mode, counted: a simulation in which it does not happen shows nothing.

use common::causal::message::Message as Causal;
use common::identity::NodeId;
use common::node::{Message, Node};
use common::observe::{CausalEvent, Event};
use common::protocol::Outbox;

use super::world::World;

impl World {
    pub(super) fn count_causal(&mut self, node: NodeId, outbox: &Outbox<Node>) {
        let statistics = &mut self.statistics;
        for event in outbox.events() {
            let Event::Causal(event) = event else { continue };
            match event {
                CausalEvent::Hold { .. } => statistics.held += 1,
                CausalEvent::EndStateSync { .. } => statistics.transfers += 1,
                CausalEvent::AbandonStateSync { .. } => statistics.abandoned += 1,
                CausalEvent::Suspect { .. } => statistics.suspicions += 1,
                CausalEvent::Originate { .. } => statistics.writes += 1,
                CausalEvent::ApplyWrite { .. }
                | CausalEvent::BeginStateSync { .. }
                | CausalEvent::GiveState { .. }
                | CausalEvent::ServeWithoutDonor
                | CausalEvent::StatesDiffer { .. }
                | CausalEvent::Trust { .. }
                | CausalEvent::TakeCausalSnapshot { .. }
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
                | CausalEvent::CausalState { .. } => {}
            }
        }
        for envelope in &outbox.messages {
            match &envelope.message {
                Message::Causal(Causal::Writes { writes, .. }) => {
                    let relayed = writes.iter().filter(|write| write.dot.node != node);
                    statistics.relayed += relayed.count() as u64;
                }
                Message::Causal(Causal::Behind) => statistics.overflows += 1,
                Message::Causal(_) | Message::Broadcast(_) | Message::Raft(_) => {}
            }
        }
    }
}

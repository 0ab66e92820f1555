//! What a traced node tells beside its actions.

use crate::broadcast::message::Heartbeat;
use crate::broadcast::{Broadcast, Effects};
use crate::identity::NodeId;
use crate::observe::BroadcastEvent;

impl Broadcast {
    pub(super) fn observe_heartbeat(&self, from: NodeId, beat: &Heartbeat, effects: &mut Effects) {
        let Heartbeat { number, clock, ready, mesh, .. } = *beat;
        effects.observe(BroadcastEvent::Hear { from, number, clock, ready, mesh });
    }

    pub(super) fn observe_state(&self, effects: &mut Effects) {
        let seen = self.links.heard().iter();
        effects.observe(BroadcastEvent::BroadcastState {
            clock: self.clock,
            number: self.number,
            ready: self.ready,
            keys: self.store.keys(),
            tombstones: self.store.tombstones(),
            donor: self.sync.donor(),
            members: self.other_members().map(|member| member.id).collect(),
            linked: self.links.all().to_vec(),
            seen: seen.map(|(peer, heard)| (*peer, heard.incarnation, heard.number)).collect(),
        });
    }
}

//! How nodes tell each other that they live, and how they are.

use std::collections::BTreeMap;

use crate::broadcast::message::{Heartbeat, Message};
use crate::broadcast::{Broadcast, Effects, Timer};
use crate::identity::{Incarnation, NodeId};
use crate::time::Time;

impl Broadcast {
    pub(super) fn on_heartbeat_due(&mut self, now: Time, effects: &mut Effects) {
        // A node that was stopped itself has yet to read what its peers have sent meanwhile.
        let was_stopped = now.since(self.looked_at) > self.config.election_timeout / 2;
        self.looked_at = now;
        let silent = |peer: &NodeId| {
            let silence = self.links.silence(now, *peer);
            !was_stopped && silence.is_some_and(|s| s > self.config.election_timeout)
        };
        let dead: Vec<_> = self.links.all().iter().copied().filter(silent).collect();
        for peer in dead {
            effects.disconnect(peer);
            self.on_peer_down(now, peer, "nothing heard for an election timeout", effects);
        }
        self.send_heartbeat(effects);
        self.timers.set(Timer::Heartbeat, now + self.config.heartbeat_interval);
    }

    /// Tells all connected peers how this node is: at regular times, and when that changes.
    pub(super) fn send_heartbeat(&self, effects: &mut Effects) {
        let (number, clock, ready) = (self.number, self.clock, self.ready);
        let (members, mesh) = (self.members.hash(), self.mesh());
        let beat = Heartbeat { number, clock, ready, members, mesh };
        effects.send_each(self.links.all(), Message::Heartbeat(beat));
    }

    pub(super) fn mesh(&self) -> u64 {
        let mut mesh = self.links.connected();
        mesh.insert(self.config.node, self.incarnation);
        mesh_of(&mesh)
    }

    pub(super) fn on_heartbeat(
        &mut self,
        now: Time,
        from: NodeId,
        beat: &Heartbeat,
        effects: &mut Effects,
    ) {
        let mut is_told = self.clock < beat.clock;
        self.see_clock(beat.clock);
        let missed = self.links.hear_all_up_to(from, beat.number);
        self.observe_missed(from, missed, effects);
        is_told |= missed > 0;
        let same_members = beat.members == self.members.hash();
        if !same_members {
            effects.send(from, Message::Members(self.members.iter().cloned().collect()));
        }
        let link = self.links.get_mut(from).expect("on_message looked it up");
        let news = link.subscribed_at.is_none()
            || link.ready != beat.ready
            || link.same_members != same_members
            || link.mesh != beat.mesh;
        link.subscribed_at.get_or_insert(beat.number);
        link.ready = beat.ready;
        link.same_members = same_members;
        link.mesh = beat.mesh;
        if self.config.is_traced && (news || is_told) {
            self.observe_heartbeat(from, beat, effects);
        }
        if news {
            self.consider_sync(now, effects);
        }
    }
}

/// A hash of a node and the peers it is connected with: the `mesh` of its heartbeats.
pub fn mesh_of(connected: &BTreeMap<NodeId, Incarnation>) -> u64 {
    let bytes = postcard::to_stdvec(connected).expect("a map of numbers has no unsized part");
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

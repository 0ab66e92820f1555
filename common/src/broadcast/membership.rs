//! How members come, go, and hear of each other.

use crate::broadcast::link::Link;
use crate::broadcast::members::Member;
use crate::broadcast::message::Message;
use crate::broadcast::{Broadcast, Effects, Record};
use crate::identity::{ClusterId, NodeId};
use crate::observe::Event;
use crate::peer::hello::{self, Hello};
use crate::time::Time;

impl Broadcast {
    /// What this node says of itself to a peer.
    pub fn hello(&self) -> Hello {
        Hello {
            protocol_min: hello::PROTOCOL,
            protocol_max: hello::PROTOCOL,
            cluster: self.cluster,
            node: self.config.node,
            name: self.config.name.clone(),
            address: self.config.address.clone(),
            incarnation: self.incarnation,
            epoch: self.members.named(&self.config.name).map_or(0, |member| member.epoch),
        }
    }

    /// The cluster, once there is one.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// Whether `peer` is connected.
    pub fn is_connected(&self, peer: NodeId) -> bool {
        self.links.get(peer).is_some()
    }

    /// All members but this node.
    pub fn other_members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.id != self.config.node)
    }

    /// Puts this start and this address on record.
    pub(super) fn announce_self(&mut self, effects: &mut Effects) {
        let name = self.config.name.clone();
        let epoch = self.members.named(&name).map_or(1, |known| known.epoch + 1);
        let address = self.config.address.clone();
        self.members.merge(Member { id: self.config.node, name, address, epoch });
        self.persist(effects);
    }

    fn persist(&self, effects: &mut Effects) {
        let Some(cluster) = self.cluster else { return };
        effects.persist(Record {
            node: self.config.node,
            name: self.config.name.clone(),
            cluster,
            incarnation: self.incarnation,
            members: self.members.clone(),
        });
    }

    /// A peer is connected. It is told the members before anything else, so that one which joins
    /// knows whom else to connect to before it syncs. Spec: Link.
    pub(super) fn on_peer_up(&mut self, now: Time, hello: Hello, effects: &mut Effects) {
        let peer = hello.node;
        let holder = self.members.named(&hello.name).map(|known| known.id);
        if holder.is_some_and(|id| id != peer && self.links.get(id).is_some()) {
            effects.observe(Event::NameTaken { id: peer, name: hello.name });
            effects.disconnect(peer);
            return;
        }
        if self.cluster.is_none() {
            self.cluster = hello.cluster;
            self.announce_self(effects);
            self.begin_gathering(now);
        }
        let (name, incarnation) = (hello.name.clone(), hello.incarnation);
        effects.observe(Event::Link { peer, name: name.clone(), incarnation });
        let link = Link {
            name,
            incarnation,
            ready: false,
            subscribed_at: None,
            same_members: false,
            mesh: 0,
        };
        self.links.connect(now, peer, link);
        self.admit(hello, effects);
        effects.send(peer, Message::Members(self.members.iter().cloned().collect()));
        self.send_heartbeat(effects);
        self.consider_sync(now, effects);
    }

    /// Takes a connected peer as a member. One that has the name of a member with another id,
    /// which is not connected, takes its place: its data directory was lost.
    fn admit(&mut self, hello: Hello, effects: &mut Effects) {
        let after_holder = match self.members.named(&hello.name) {
            Some(known) if known.id != hello.node => known.epoch + 1,
            Some(_) | None => 1,
        };
        let Hello { node: id, name, address, epoch, .. } = hello;
        let member = Member { id, name, address, epoch: epoch.max(after_holder) };
        self.learn(vec![member], effects);
    }

    pub(super) fn on_members(&mut self, now: Time, members: Vec<Member>, effects: &mut Effects) {
        if self.learn(members, effects) {
            self.consider_sync(now, effects);
        }
    }

    /// Merges members and gossips on what is new. Tells whether anything is.
    fn learn(&mut self, members: Vec<Member>, effects: &mut Effects) -> bool {
        let mut is_news = false;
        for member in members {
            let (id, name) = (member.id, member.name.clone());
            let address = member.address.clone();
            if self.members.merge(member) {
                is_news = true;
                effects.observe(Event::Member { id, name, address });
            }
        }
        if is_news {
            let members = &self.members;
            self.links.forget_all_but(|id| members.iter().any(|member| member.id == id));
            self.persist(effects);
            let all = self.members.iter().cloned().collect();
            effects.send_each(self.links.all(), Message::Members(all));
        }
        is_news
    }

    /// A peer is gone. Spec: Unlink.
    pub(super) fn on_peer_down(
        &mut self,
        now: Time,
        peer: NodeId,
        reason: &'static str,
        effects: &mut Effects,
    ) {
        if self.links.disconnect(peer) {
            effects.observe(Event::Unlink { peer, reason });
            self.send_heartbeat(effects);
            self.on_donor_gone(now, peer, effects);
            self.consider_sync(now, effects);
        }
    }
}

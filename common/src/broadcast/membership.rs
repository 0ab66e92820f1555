//! How members come, go, and hear of each other.

use std::collections::BTreeSet;

use crate::broadcast::link::Link;
use crate::broadcast::members::Member;
use crate::broadcast::message::Message;
use crate::broadcast::{Broadcast, Effects, Record};
use crate::identity::{ClusterId, NodeId};
use crate::observe::Event;
use crate::peer::hello::{self, Hello, Purpose};
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
            mode: self.config.mode,
            purpose: Purpose::default(),
            clock: 0,
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
    pub(super) fn announce_self(&mut self) {
        let name = self.config.name.clone();
        let epoch = self.members.named(&name).map_or(1, |known| known.epoch + 1);
        let address = self.config.address.clone();
        self.members.merge(Member { id: self.config.node, name, address, epoch });
        self.is_unsaved = true;
    }

    /// Puts on record what is new, once for each commit: a record without the members that came
    /// with it would be that of a node which is alone.
    pub(super) fn save(&mut self, effects: &mut Effects) {
        let Some(cluster) = self.cluster else { return };
        if std::mem::take(&mut self.is_unsaved) {
            effects.persist(Record {
                node: self.config.node,
                name: self.config.name.clone(),
                cluster,
                incarnation: self.incarnation,
                members: self.members.clone(),
            });
        }
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
            self.announce_self();
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

    /// These are members no longer, and never will be again.
    pub fn retire(&mut self, removed: &BTreeSet<NodeId>) {
        self.retired.clone_from(removed);
        if self.members.remove_all(removed) {
            let members = &self.members;
            self.links.forget_all_but(|id| members.iter().any(|member| member.id == id));
            self.is_unsaved = true;
        }
    }

    pub(super) fn on_members(&mut self, now: Time, members: Vec<Member>, effects: &mut Effects) {
        if self.learn(members, effects) {
            self.consider_sync(now, effects);
        }
    }

    /// Merges members and gossips on what is new. Tells whether anything is.
    fn learn(&mut self, members: Vec<Member>, effects: &mut Effects) -> bool {
        let mut is_news = false;
        for member in members.into_iter().filter(|m| !self.retired.contains(&m.id)) {
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
            self.is_unsaved = true;
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Keeping};
    use crate::identity::{ClusterId, Incarnation};
    use crate::modes::Mode;
    use crate::peer::hello::{PROTOCOL, Purpose};
    use crate::protocol::{Input, Protocol};
    use crate::storage::Save;

    #[derive(Default)]
    struct Saved(Vec<Record>);

    impl Save<Record> for Saved {
        fn save(&mut self, records: &[Record]) -> io::Result<()> {
            self.0.extend_from_slice(records);
            Ok(())
        }
    }

    fn hello(node: u64, name: &str, cluster: Option<ClusterId>) -> Hello {
        Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            cluster,
            node: NodeId(node),
            name: name.parse().expect("a name"),
            address: format!("{name}:7101"),
            incarnation: Incarnation(1),
            epoch: 1,
            mode: Mode::Broadcast,
            purpose: Purpose::Messages,
            clock: 0,
        }
    }

    /// A crash between a record of the cluster and one of its members would leave a node that
    /// takes itself for the only one (S2, M9).
    #[test]
    fn a_node_joins_and_knows_whom_in_one_record() {
        let second = Duration::from_secs(1);
        let config = Config {
            node: NodeId(2),
            name: "b".parse().expect("a name"),
            address: "b:7101".to_owned(),
            heartbeat_interval: second,
            election_timeout: second * 5,
            mode: Mode::Broadcast,
            snapshot_every: 1,
            log_kept_bytes: 0,
            causal_log_bytes: 1_000_000,
            keeping: Keeping::default(),
            seed: 1,
            is_traced: false,
        };
        let mut joiner = Broadcast::recover(config, None);
        let (now, mut effects) = (Time::default(), Effects::default());
        joiner.step(now, Input::Start, &mut effects);
        let peer = Box::new(hello(1, "a", Some(ClusterId(7))));
        joiner.step(now, Input::PeerUp(peer), &mut effects);
        joiner.flush(now, &mut effects);
        let mut saved = Saved::default();
        effects.commit(&mut saved).expect("in memory");
        let [record] = saved.0.as_slice() else { panic!("{:?}", saved.0) };
        assert_eq!((record.cluster, record.members.len()), (ClusterId(7), 2));
    }
}

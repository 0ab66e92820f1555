//! Which peers are connected, and how far each has been heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::broadcast::message::Heard;
use crate::identity::{Incarnation, NodeId, NodeName};
use crate::time::Time;

/// A connected peer.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) name: NodeName,
    pub(super) incarnation: Incarnation,
    /// Whether it serves, as its last heartbeat told.
    pub(super) ready: bool,
    /// The number of its latest write when this connection began: all later ones come on it.
    pub(super) subscribed_at: Option<u64>,
    /// Whether it knows the same members, as its last heartbeat told.
    pub(super) same_members: bool,
    /// With whom it is connected, as its last heartbeat told.
    pub(super) mesh: u64,
}

/// The connected peers, and what is remembered of those that were.
///
/// Invariant: `all` are the keys of `links`.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: BTreeMap<NodeId, Link>,
    all: Arc<[NodeId]>,
    heard: BTreeMap<NodeId, Heard>,
    contact: BTreeMap<NodeId, Time>,
}

impl Links {
    pub(super) fn connect(&mut self, now: Time, peer: NodeId, link: Link) {
        self.links.insert(peer, link);
        self.contact.insert(peer, now);
        self.all = self.links.keys().copied().collect();
    }

    /// Tells whether it was connected.
    pub(super) fn disconnect(&mut self, peer: NodeId) -> bool {
        let was_connected = self.links.remove(&peer).is_some();
        self.all = self.links.keys().copied().collect();
        was_connected
    }

    pub(super) fn get(&self, peer: NodeId) -> Option<&Link> {
        self.links.get(&peer)
    }

    pub(super) fn get_mut(&mut self, peer: NodeId) -> Option<&mut Link> {
        self.links.get_mut(&peer)
    }

    /// All connected peers: whoever is to hear of a write.
    pub(super) fn all(&self) -> &Arc<[NodeId]> {
        &self.all
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Link)> {
        self.links.iter().map(|(peer, link)| (*peer, link))
    }

    pub(super) fn ready(&self) -> impl Iterator<Item = NodeId> {
        self.iter().filter(|(_, link)| link.ready).map(|(peer, _)| peer)
    }

    /// Notes that `peer` lives.
    pub(super) fn touch(&mut self, now: Time, peer: NodeId) {
        self.contact.insert(peer, now);
    }

    /// Since when nothing was heard of `peer`.
    pub(super) fn silence(&self, now: Time, peer: NodeId) -> Option<Duration> {
        self.contact.get(&peer).map(|last| now.since(*last))
    }

    pub(super) fn heard(&self) -> &BTreeMap<NodeId, Heard> {
        &self.heard
    }

    /// Writes of `peer` that did not come from it.
    pub(super) fn missed(&self, peer: NodeId) -> u64 {
        self.heard.get(&peer).map_or(0, |heard| heard.missed)
    }

    /// Notes that `peer` has sent the write `number`. `None` if it came before: a duplicate, or
    /// one that a later one has overtaken. Else how many before it will not come any more.
    pub(super) fn hear(&mut self, peer: NodeId, number: u64) -> Option<u64> {
        let heard = self.heard_of(peer)?;
        if number <= heard.number {
            return None;
        }
        let missed = number - heard.number - 1;
        heard.missed += missed;
        heard.number = number;
        Some(missed)
    }

    /// Notes that `peer` has made `number` writes, and sent all it would send of them. Tells how
    /// many will not come any more.
    pub(super) fn hear_all_up_to(&mut self, peer: NodeId, number: u64) -> u64 {
        let Some(heard) = self.heard_of(peer) else { return 0 };
        let missed = number.saturating_sub(heard.number);
        heard.missed += missed;
        heard.number += missed;
        missed
    }

    /// What is known of the connected peer's present incarnation, from nothing on.
    fn heard_of(&mut self, peer: NodeId) -> Option<&mut Heard> {
        let incarnation = self.links.get(&peer)?.incarnation;
        let fresh = Heard { incarnation, number: 0, missed: 0 };
        let heard = self.heard.entry(peer).or_insert(fresh);
        if heard.incarnation != incarnation {
            *heard = fresh;
        }
        Some(heard)
    }

    /// Notes that a donor's state was merged: who had heard `theirs` of everybody, when this node
    /// had heard `before`. What of that the donor has not missed, this node has not either. If it
    /// had `forgotten` its own state, it has of absent peers just what the donor has.
    pub(super) fn forgive(
        &mut self,
        before: &BTreeMap<NodeId, Heard>,
        theirs: &BTreeMap<NodeId, Heard>,
        forgotten: bool,
    ) {
        for (peer, theirs) in theirs {
            let is_connected = self.links.contains_key(peer);
            let ours = self.heard.entry(*peer).or_insert(*theirs);
            let is_news = (ours.incarnation, ours.number) < (theirs.incarnation, theirs.number)
                || forgotten && ours.incarnation == theirs.incarnation;
            if !is_connected && is_news {
                *ours = *theirs;
                continue;
            }
            let Some(before) = before.get(peer) else { continue };
            if [theirs.incarnation, before.incarnation] == [ours.incarnation; 2] {
                let still = theirs.missed + before.number.saturating_sub(theirs.number);
                // Another donor may have had some of them meanwhile.
                let since = ours.missed.saturating_sub(before.missed);
                ours.missed = since + (ours.missed - since).min(still);
            }
        }
    }

    /// Forgets peers that are neither connected nor `known`, so that what is remembered is bounded.
    pub(super) fn forget_all_but(&mut self, known: impl Fn(NodeId) -> bool) {
        let links = &self.links;
        let is_kept = |peer: &NodeId| links.contains_key(peer) || known(*peer);
        self.heard.retain(|peer, _| is_kept(peer));
        self.contact.retain(|peer, _| is_kept(peer));
    }

    /// Whom this node hears, from behind which number on.
    pub(super) fn subscribed(&self) -> BTreeMap<NodeId, Heard> {
        let heard = |(peer, link): (NodeId, &Link)| {
            let (incarnation, number) = (link.incarnation, link.subscribed_at?);
            Some((peer, Heard { incarnation, number, missed: 0 }))
        };
        self.iter().filter_map(heard).collect()
    }

    /// With whom this node is connected.
    pub(super) fn connected(&self) -> BTreeMap<NodeId, Incarnation> {
        self.iter().map(|(peer, link)| (peer, link.incarnation)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(incarnation: u64) -> (Links, NodeId) {
        let peer = NodeId(7);
        let mut links = Links::default();
        links.connect(Time::default(), peer, link(incarnation));
        (links, peer)
    }

    fn link(incarnation: u64) -> Link {
        Link {
            name: "b".parse().expect("a name"),
            incarnation: Incarnation(incarnation),
            ready: true,
            subscribed_at: None,
            same_members: true,
            mesh: 0,
        }
    }

    /// S9: a reconnect neither repeats nor reorders what is applied.
    #[test]
    fn a_number_counts_once_and_a_gap_is_noted() {
        let (mut links, peer) = connected(1);
        assert_eq!(links.hear(peer, 1), Some(0));
        assert_eq!(links.hear(peer, 1), None);
        assert_eq!(links.hear(peer, 4), Some(2));
        assert!(links.disconnect(peer));
        links.connect(Time::default(), peer, link(1));
        assert_eq!(links.hear(peer, 3), None);
        assert_eq!(links.hear_all_up_to(peer, 6), 2);
        assert_eq!(links.missed(peer), 4);
    }

    /// A donor that has heard less of an absent peer does not set this node back.
    #[test]
    fn a_repair_never_forgets_what_was_heard() {
        let (mut links, peer) = connected(1);
        links.hear(peer, 5);
        links.disconnect(peer);
        let theirs = Heard { incarnation: Incarnation(1), number: 3, missed: 0 };
        let before = links.heard().clone();
        links.forgive(&before, &BTreeMap::from([(peer, theirs)]), false);
        assert_eq!(
            links.heard()[&peer],
            Heard { incarnation: Incarnation(1), number: 5, missed: 2 }
        );
        links.forgive(&before, &BTreeMap::from([(peer, theirs)]), true);
        assert_eq!(links.heard()[&peer], theirs);
    }

    /// What was missed when a session began may be less by its end: then it counts no further down.
    #[test]
    fn what_two_donors_make_good_is_forgiven_once() {
        let (mut links, peer) = connected(1);
        links.hear(peer, 5);
        let before = links.heard().clone();
        let theirs = Heard { incarnation: Incarnation(1), number: 5, missed: 0 };
        links.forgive(&before, &BTreeMap::from([(peer, theirs)]), false);
        links.hear(peer, 7);
        links.forgive(&before, &BTreeMap::from([(peer, theirs)]), false);
        assert!(links.missed(peer) <= 1, "{}", links.missed(peer));
    }

    #[test]
    fn a_restarted_peer_counts_from_one_again() {
        let (mut links, peer) = connected(1);
        links.hear(peer, 9);
        links.connect(Time::default(), peer, link(2));
        assert_eq!(links.hear(peer, 1), Some(0));
        assert_eq!(links.missed(peer), 0);
    }
}

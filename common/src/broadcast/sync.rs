//! How a node gets the state of others: at its start, and on request.

use std::collections::{BTreeMap, BTreeSet};

use crate::broadcast::message::{Heard, Message, SyncChunk};
use crate::broadcast::repair::Repair;
use crate::broadcast::{Broadcast, Effects, FOUND_PATIENCE, Timer};
use crate::identity::{Incarnation, NodeId};
use crate::kv::key::Key;
use crate::observe::{BroadcastEvent, Event, Readiness};
use crate::protocol::RequestId;
use crate::time::Time;

/// How often a silent donor is asked for a chunk before another donor is.
const TRIES_MAX: u32 = 5;

/// How often a donor that is behind is asked again, a heartbeat apart. It was connected to the
/// writer and has not got the write for so long: it will not get it any more.
const BEHIND_MAX: u32 = 10;

/// How far this node is with others' state.
#[derive(Debug, Default)]
pub(super) struct Sync {
    /// Counts sessions, so that an answer to an old one is known as such.
    sessions: u64,
    session: Option<Session>,
    /// Donors that have failed since the last one that did not.
    failed: BTreeSet<NodeId>,
    /// Until when members that are not connected are waited for.
    gather_until: Time,
    /// The node serves although nobody could tell it the state.
    in_doubt: bool,
    pub(super) repair: Option<Repair>,
}

/// The state of one donor, chunk by chunk.
#[derive(Debug)]
struct Session {
    donor: NodeId,
    number: u64,
    chunk: u64,
    after: Option<Key>,
    tries: u32,
    behind: u32,
    /// How far this node had heard of everybody when the session began.
    before: BTreeMap<NodeId, Heard>,
    /// Whom this node heard when it asked for the first chunk, from behind which number on.
    subscribed: BTreeMap<NodeId, Heard>,
    /// How far the donor had.
    theirs: BTreeMap<NodeId, Heard>,
    won: u64,
}

impl Sync {
    /// Whose state is about to be merged.
    pub(super) fn donor(&self) -> Option<NodeId> {
        self.session.as_ref().map(|session| session.donor)
    }
}

impl Session {
    /// Whether the donor had all that this node will not get from who wrote it: what was written
    /// before this node was connected to the writer, and what it has dropped since.
    fn is_covered_by(&self, first: &SyncChunk) -> bool {
        let covers = |(peer, subscribed): (&NodeId, &Heard)| {
            let dropped = self.before.get(peer);
            let dropped = dropped.filter(|heard| heard.incarnation == subscribed.incarnation);
            let needed = dropped.map_or(0, |heard| heard.number).max(subscribed.number);
            match first.heard.get(peer) {
                Some(heard) => {
                    heard.incarnation == subscribed.incarnation && heard.number >= needed
                }
                None => needed == 0,
            }
        };
        let is_heard = |(peer, incarnation): (&NodeId, &Incarnation)| {
            self.subscribed.get(peer).is_some_and(|heard| heard.incarnation == *incarnation)
        };
        self.subscribed.iter().all(covers) && first.connected.iter().all(is_heard)
    }
}

impl Sync {
    pub(super) fn take_request(&mut self) -> Option<RequestId> {
        self.repair.take().and_then(|repair| repair.request)
    }
}

impl Broadcast {
    pub(super) fn begin_gathering(&mut self, now: Time) {
        self.sync.gather_until = now + self.gather_time();
        self.timers.set(Timer::Gather, self.sync.gather_until);
        self.timers.set(Timer::Patience, now + self.config.election_timeout * FOUND_PATIENCE);
    }

    /// Looks whether the node can go on towards serving; called whenever something has changed
    /// that this depends on.
    pub(super) fn consider_sync(&mut self, now: Time, effects: &mut Effects) {
        if self.cluster.is_none() || self.sync.session.is_some() {
            return;
        }
        if self.ready {
            if self.sync.in_doubt && self.links.ready().next().is_some() {
                self.sync.in_doubt = false;
                self.begin_repair(now, None, effects);
            }
            return;
        }
        let ours = self.config.node;
        let others: Vec<_> = self.other_members().map(|member| member.id).collect();
        if others.is_empty() {
            self.become_ready(Readiness::Alone, effects);
            return;
        }
        let gathered = others.iter().all(|peer| {
            self.links
                .get(*peer)
                .is_some_and(|link| link.subscribed_at.is_some() && link.same_members)
        });
        let mesh = self.mesh();
        if let Some(donor) = self.choose_donor() {
            if gathered || now >= self.sync.gather_until {
                self.begin_session(now, donor, effects);
            }
        } else if gathered
            && self.links.iter().all(|(_, link)| link.mesh == mesh)
            && others.iter().all(|peer| ours < *peer)
        {
            self.become_ready(Readiness::Founded, effects);
        } else if self.is_patience_over(now) && self.links.all().iter().all(|peer| ours < *peer) {
            self.sync.in_doubt = true;
            self.become_ready(Readiness::FoundedInDoubt, effects);
        }
    }

    fn is_patience_over(&self, now: Time) -> bool {
        let gathering_began = self.sync.gather_until;
        now.since(gathering_began) + self.gather_time()
            >= self.config.election_timeout * FOUND_PATIENCE
    }

    /// A ready peer, another one for each node, and none that has just failed.
    fn choose_donor(&mut self) -> Option<NodeId> {
        let ready: Vec<_> = self.links.ready().collect();
        if ready.iter().all(|peer| self.sync.failed.contains(peer)) {
            self.sync.failed.clear();
        }
        let mut sound = ready.iter().filter(|peer| !self.sync.failed.contains(peer));
        sound.clone().find(|peer| **peer > self.config.node).or(sound.next()).copied()
    }

    fn become_ready(&mut self, how: Readiness, effects: &mut Effects) {
        self.ready = true;
        self.timers.cancel(Timer::Gather);
        self.timers.cancel(Timer::Patience);
        effects.observe(Event::BecomeReady { how, keys: self.store.keys() });
        self.send_heartbeat(effects);
    }

    pub(super) fn begin_session(&mut self, now: Time, donor: NodeId, effects: &mut Effects) {
        if !self.ready {
            // What peers have sent until now comes from the donor: it must have heard `before`.
            self.store.clear();
        }
        self.sync.session = Some(Session {
            donor,
            number: 0,
            chunk: 0,
            after: None,
            tries: 0,
            behind: 0,
            before: self.links.heard().clone(),
            subscribed: BTreeMap::new(),
            theirs: BTreeMap::new(),
            won: 0,
        });
        self.request_chunk(now, effects);
    }

    /// Asks for the chunk that comes next, or again. Spec: RequestSync.
    fn request_chunk(&mut self, now: Time, effects: &mut Effects) {
        let Some(session) = &mut self.sync.session else { return };
        if session.chunk == 0 {
            // An answer to an earlier question would not count for whom we hear since then.
            self.sync.sessions += 1;
            session.number = self.sync.sessions;
            session.subscribed = self.links.subscribed();
        }
        let (donor, number, chunk) = (session.donor, session.number, session.chunk);
        let after = session.after.clone();
        effects.observe(Event::RequestSync { donor, session: number, chunk });
        effects.send(donor, Message::SyncRequest { session: number, chunk, after });
        self.timers.set(Timer::Retry, now + self.config.election_timeout / 2);
    }

    /// Merges a chunk and asks for the next. Spec: MergeChunk.
    pub(super) fn on_sync_chunk(
        &mut self,
        now: Time,
        from: NodeId,
        chunk: SyncChunk,
        effects: &mut Effects,
    ) {
        let Some(session) = &mut self.sync.session else { return };
        let expected = (session.donor, session.number, session.chunk);
        if (from, chunk.session, chunk.chunk) != expected {
            return; // An answer to a question that was asked twice.
        }
        if chunk.chunk == 0 {
            if !session.is_covered_by(&chunk) && session.behind < BEHIND_MAX {
                session.behind += 1;
                session.tries = 0;
                effects.observe(Event::DonorBehind { donor: from });
                self.timers.set(Timer::Retry, now + self.config.heartbeat_interval);
                return;
            }
            session.theirs = chunk.heard;
        }
        session.tries = 0;
        session.chunk += 1;
        session.after = chunk.entries.last().map(|write| write.key.clone());
        let (number, is_stuck) = (session.number, session.after.is_none() && !chunk.done);
        let entries = chunk.entries.len();
        self.see_clock(chunk.clock);
        let done = chunk.done;
        let mut won = 0;
        for write in chunk.entries {
            won += usize::from(self.merge(write, effects));
        }
        effects.observe(Event::MergeChunk { donor: from, session: number, entries, won, done });
        if let Some(session) = &mut self.sync.session {
            session.won += won as u64;
        }
        if is_stuck {
            self.on_donor_failed(now, effects);
        } else if done {
            self.finish_session(now, effects);
        } else {
            self.request_chunk(now, effects);
        }
    }

    fn finish_session(&mut self, now: Time, effects: &mut Effects) {
        let session = self.sync.session.take().expect("a chunk of it has just come");
        self.timers.cancel(Timer::Retry);
        self.sync.failed.clear();
        self.links.forgive(&session.before, &session.theirs, !self.ready);
        if !self.ready {
            self.become_ready(Readiness::Synced, effects);
        }
        if let Some(repair) = &mut self.sync.repair {
            repair.changed += session.won;
            repair.from.extend(self.links.get(session.donor).map(|link| link.name.clone()));
            self.continue_repair(now, effects);
        }
    }

    pub(super) fn on_donor_silent(&mut self, now: Time, effects: &mut Effects) {
        let Some(session) = &mut self.sync.session else { return };
        session.tries += 1;
        if session.tries > TRIES_MAX {
            self.on_donor_failed(now, effects);
        } else {
            self.request_chunk(now, effects);
        }
    }

    pub(super) fn on_sync_refused(
        &mut self,
        now: Time,
        from: NodeId,
        session: u64,
        effects: &mut Effects,
    ) {
        let current = self.sync.session.as_ref().map(|s| (s.donor, s.number));
        if current == Some((from, session)) {
            if let Some(link) = self.links.get_mut(from) {
                link.ready = false;
            }
            self.on_donor_failed(now, effects);
        }
    }

    /// Goes on with another donor, if `peer` was the one.
    pub(super) fn on_donor_gone(&mut self, now: Time, peer: NodeId, effects: &mut Effects) {
        if self.sync.session.as_ref().is_some_and(|session| session.donor == peer) {
            self.on_donor_failed(now, effects);
        }
    }

    /// Half a state is dropped: it may hold what no other node does, and would make this node
    /// differ from them for good.
    fn on_donor_failed(&mut self, now: Time, effects: &mut Effects) {
        let Some(session) = self.sync.session.take() else { return };
        self.timers.cancel(Timer::Retry);
        if self.config.is_traced {
            let (donor, session) = (session.donor, session.number);
            effects.observe(BroadcastEvent::AbandonSync { donor, session });
        }
        if !self.ready {
            self.store.clear();
        }
        self.sync.failed.insert(session.donor);
        if self.sync.repair.is_some() {
            self.continue_repair(now, effects);
        } else {
            self.consider_sync(now, effects);
        }
    }

    /// Why the node does not serve yet.
    pub(super) fn sync_reason(&self) -> String {
        if self.cluster.is_none() {
            return "it has not reached a member of a cluster to join".to_owned();
        }
        if let Some(session) = &self.sync.session {
            let donor = self.links.get(session.donor).map_or("?", |link| link.name.as_str());
            let keys = self.store.keys();
            return format!("it syncs from {donor}, {keys} keys so far");
        }
        let missing: Vec<_> = self
            .other_members()
            .filter(|member| self.links.get(member.id).is_none())
            .map(|member| member.name.to_string())
            .collect();
        if missing.is_empty() {
            "it has found no ready member to sync from".to_owned()
        } else {
            format!(
                "it has found no ready member to sync from; not connected: {}",
                missing.join(", ")
            )
        }
    }
}

//! Who belongs to the cluster (thesis §4: one server at a time).
//!
//! A node that is no member asks all it is connected with to become one, again and again; the
//! leader answers. It sees first whether the node answers at the address that it tells, then takes
//! it as a learner, and makes it a voter once it has caught up. A member of the same name that is
//! not heard of, whose data directory was lost, goes first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::control::cluster::MemberChanged;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::request::MemberChange;
use crate::identity::{NodeId, NodeName};
use crate::observe::Event;
use crate::protocol::Task;
use crate::raft::configuration::{Change, Configuration};
use crate::raft::forward::refused;
use crate::raft::log::{self, Index, Payload};
use crate::raft::message::{Answered, Ask, Message};
use crate::raft::progress::Progress;
use crate::raft::replication::Origin;
use crate::raft::{Effects, Raft, Role, Standing, Timer, Way};
use crate::time::Time;

/// A learner that lacks more entries than this is not made a voter, even by hand: until it has
/// them it would be a voter that can't vote for anything (M6).
const PROMOTE_LAG_MAX: u64 = 1_000;

/// An id as people write it.
const ID_DIGITS: usize = 16;

/// What a leader remembers of those that come and go.
#[derive(Debug, Default)]
pub(super) struct Joins {
    /// Whose addresses are being looked at.
    verifying: BTreeMap<NodeId, NodeName>,
    /// Who asked for a change that is in the log and not committed.
    asked: Vec<(Index, Origin, MemberChanged)>,
}

impl Raft {
    /// A node that is no member says so to everybody: it does not know who leads.
    pub(super) fn ask_to_join(&mut self, now: Time, effects: &mut Effects) {
        if !self.wants_to_join() {
            return;
        }
        self.timers.set(Timer::Join, now + self.config.heartbeat_interval);
        let (name, address) = (self.config.name.clone(), self.config.address.clone());
        for peer in &self.peers {
            let (name, address) = (name.clone(), address.clone());
            effects.send(*peer, Message::Join { name, address });
        }
    }

    /// Whether it may be no member. What took it in as a learner may be dropped from the log, and
    /// then no leader would ever tell it so: a learner that hears of none asks as well.
    pub fn wants_to_join(&self) -> bool {
        let is_forgotten =
            !self.configuration().is_voter(self.config.node) && self.leader().is_none();
        (is_forgotten || !self.is_member()) && self.standing != Standing::Removed
    }

    pub(super) fn on_join(
        &mut self,
        from: NodeId,
        name: NodeName,
        address: String,
        effects: &mut Effects,
    ) {
        if self.configuration().get(from).is_some() || self.check_change().is_err() {
            return; // It is one already, or asks again.
        }
        let Role::Leader(leader) = &mut self.role else { return };
        if let Entry::Vacant(place) = leader.joins.verifying.entry(from) {
            place.insert(name);
            effects.task(Task::Verify(from, address));
        }
    }

    /// Whether the node that wants to join answers where it says.
    pub(super) fn on_verified(
        &mut self,
        now: Time,
        node: NodeId,
        outcome: Result<(), String>,
        effects: &mut Effects,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(name) = leader.joins.verifying.remove(&node) else { return };
        let admitted = match outcome {
            Ok(()) => self.admit(now, node, &name, effects),
            Err(reason) => {
                Err(format!("{} can't reach it at its address: {reason}", self.config.name))
            }
        };
        if let Err(reason) = admitted {
            self.tell(node, Message::JoinRefused { reason }, Way::Early, effects);
        }
    }

    fn admit(
        &mut self,
        now: Time,
        node: NodeId,
        name: &NodeName,
        effects: &mut Effects,
    ) -> Result<(), String> {
        if self.check_change().is_err() {
            return Ok(()); // It asks again.
        }
        if let Some(holder) = self.configuration().named(name).filter(|holder| *holder != node) {
            if self.is_heard(now, holder) || self.peers.contains(&holder) {
                return Err(format!("another member that is up is called {name}"));
            }
            let change = Change::Remove(holder);
            let after = self.configuration().after(&change).ok_or("it can't be replaced")?;
            if !self.has_quorum(now, &after) {
                return Err(format!("{name} is a voter, and without it there is no majority"));
            }
            self.propose_configuration(now, after, effects);
            return Ok(()); // It asks again when its name is free.
        }
        let change = Change::Add { node, name: name.clone() };
        let after = self.configuration().after(&change);
        let after = after.ok_or("there are as many members as a cluster takes")?;
        self.propose_configuration(now, after, effects);
        Ok(())
    }

    pub(super) fn on_join_refused(&mut self, reason: String, effects: &mut Effects) {
        if self.refusal.as_ref() != Some(&reason) {
            self.refusal = Some(reason.clone());
            effects.observe(Event::JoinRefused { reason });
        }
    }

    /// Whether the members may change: one change at a time (thesis §4.1; M2), and none before the
    /// leader has committed an entry of its own term (Ongaro's erratum of 2015).
    fn check_change(&self) -> Result<(), Failure> {
        let Role::Leader(leader) = &self.role else {
            return Err(Failure::new(ErrorCode::NoLeader, "this node does not lead"));
        };
        if self.commit_index < leader.first {
            let message = "the leader has not committed anything yet";
            return Err(Failure::new(ErrorCode::NotReady, message).retry_after_ms(100));
        }
        if self.configurations.latest_index() > self.commit_index {
            let message = "another change of the members is not committed yet";
            return Err(Failure::new(ErrorCode::Busy, message).retry_after_ms(100));
        }
        Ok(())
    }

    fn propose_configuration(
        &mut self,
        now: Time,
        next: Configuration,
        effects: &mut Effects,
    ) -> Index {
        assert!(self.check_change().is_ok(), "one change at a time");
        let before = self.configuration();
        let removed = next.removed().iter().find(|node| !before.is_removed(**node)).copied();
        let payload = Payload::Configuration(Box::new(next.clone()));
        let index = self.append(log::Entry { term: self.term, payload });
        self.configurations.append(index, next.clone());
        effects.observe(Event::ProposeConfiguration {
            index: index.0,
            voters: next.voters().collect(),
            members: next.members().map(|(node, _)| node).collect(),
            removed,
        });
        let (node, last) = (self.config.node, self.log.last().index);
        let Role::Leader(leader) = &mut self.role else { return index };
        leader.progress.retain(|member, _| next.get(*member).is_some());
        leader.agreement.retain(|member, _| next.get(*member).is_some());
        for (member, _) in next.members().filter(|(member, _)| *member != node) {
            leader.progress.entry(member).or_insert_with(|| Progress::new(now, last));
        }
        index
    }

    /// Whether a member is connected, and was heard of in an election timeout.
    pub(super) fn is_heard(&self, now: Time, member: NodeId) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let patience = self.config.election_timeout;
        member == self.config.node
            || self.peers.contains(&member)
                && leader.progress.get(&member).is_some_and(|p| p.is_active(now, patience))
    }

    fn has_quorum(&self, now: Time, configuration: &Configuration) -> bool {
        configuration.voters().next().is_some()
            && configuration.is_majority(|voter| self.is_heard(now, voter))
    }

    /// A learner has answered: it becomes a voter once it has caught up (thesis §4.2.1).
    pub(super) fn consider_promotion(&mut self, now: Time, node: NodeId, effects: &mut Effects) {
        if self.configuration().is_voter(node) || self.check_change().is_err() {
            return;
        }
        let (last, within) = (self.log.last().index, self.config.election_timeout);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&node) else { return };
        let matched = progress.match_index();
        if matched > Index(0)
            && progress.catch_up.is_over(now, matched, last, within)
            && let Some(after) = self.configuration().after(&Change::Promote(node))
        {
            self.propose_configuration(now, after, effects);
        }
    }

    /// What only the leader does, for a client of any node.
    pub(super) fn do_lead(&mut self, now: Time, origin: Origin, ask: Ask, effects: &mut Effects) {
        let outcome = match ask {
            Ask::Member { change, member, dry_run } => {
                self.change_member(now, origin, change, &member, dry_run, effects)
            }
            Ask::Transfer(member) => self.transfer(now, origin, member.as_deref(), effects),
            Ask::Propose(_) | Ask::Read => Ok(None),
        };
        match outcome {
            Ok(Some(answered)) => self.respond(origin, answered, Way::Late, effects),
            Ok(None) => {} // It is answered when it is done.
            Err(failure) => self.respond(origin, refused(failure), Way::Early, effects),
        }
    }

    fn change_member(
        &mut self,
        now: Time,
        origin: Origin,
        change: MemberChange,
        member: &str,
        dry_run: bool,
        effects: &mut Effects,
    ) -> Result<Option<Answered>, Failure> {
        let node = self.member_called(member)?;
        let change = match change {
            MemberChange::Remove => Change::Remove(node),
            MemberChange::Promote => Change::Promote(node),
        };
        let Some(next) = self.configuration().after(&change) else {
            return Err(Failure::bad_request(format!("{member} is a voter already")));
        };
        let told = self.consequences(now, node, &next);
        if dry_run {
            return Ok(Some(Answered::Member(told)));
        }
        self.check_change()?;
        if !told.safe {
            return Err(Failure::new(ErrorCode::NoQuorum, format!("refused: {}", told.summary)));
        }
        if matches!(change, Change::Promote(_)) {
            self.check_lag(node, member)?;
        }
        if node == self.config.node {
            // "... a leader that is removed": another leads first, and is asked (M5).
            self.begin_transfer(now, None, None, effects)?;
            return Ok(Some(Answered::NotLeader));
        }
        let index = self.propose_configuration(now, next, effects);
        let Role::Leader(leader) = &mut self.role else { return Ok(None) };
        leader.joins.asked.push((index, origin, MemberChanged { changed: true, ..told }));
        Ok(None)
    }

    pub(super) fn member_called(&self, member: &str) -> Result<NodeId, Failure> {
        let is_it = |(node, known): &(NodeId, &crate::raft::configuration::Member)| {
            known.name.as_str() == member || node.to_string() == member
        };
        let found = self.configuration().members().find(is_it).map(|(node, _)| node);
        // A node that has knocked and was not taken in is named by its id.
        let is_id = member.len() == ID_DIGITS;
        let stranger = || u64::from_str_radix(member, 16).ok().filter(|_| is_id).map(NodeId);
        found.or_else(stranger).ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("no member is called {member:?}"))
                .with_hint("distdbctl member list")
        })
    }

    fn check_lag(&self, node: NodeId, member: &str) -> Result<(), Failure> {
        let Role::Leader(leader) = &self.role else { return Ok(()) };
        let matched = leader.progress.get(&node).map_or(Index(0), Progress::match_index);
        let lag = self.log.last().index.0 - matched.0;
        if lag <= PROMOTE_LAG_MAX {
            return Ok(());
        }
        let message = format!("{member} lacks {lag} entries; it is made a voter when it has them");
        Err(Failure::new(ErrorCode::NotReady, message).retry_after_ms(1_000))
    }

    /// What a change makes of the quorum.
    fn consequences(&self, now: Time, node: NodeId, next: &Configuration) -> MemberChanged {
        let voters_before = self.configuration().voters().count();
        let (voters_after, quorum_after) = (next.voters().count(), next.majority());
        let reachable_after = next.voters().filter(|voter| self.is_heard(now, *voter)).count();
        let safe = voters_after > 0 && reachable_after >= quorum_after;
        let known = self.configuration().get(node).map(|member| member.name.clone());
        let by_id = || node.to_string().parse().expect("an id reads as a name");
        let member: NodeName = known.unwrap_or_else(by_id);
        let quorum_before = self.configuration().majority();
        let then = if safe { "writes go on" } else { "writes would stop" };
        let summary = format!(
            "{member}: voters {voters_before} -> {voters_after}, quorum {quorum_before} -> \
             {quorum_after}, {reachable_after} of the {voters_after} reachable; {then}"
        );
        MemberChanged {
            member,
            changed: false,
            voters_before,
            voters_after,
            quorum_after,
            reachable_after,
            safe,
            summary,
        }
    }

    pub(super) fn on_configuration_committed(
        &mut self,
        now: Time,
        index: Index,
        configuration: &Configuration,
        way: Way,
        effects: &mut Effects,
    ) {
        effects.observe(Event::Members { index: index.0, voters: configuration.voters().count() });
        let removed: Vec<_> = self.peers.iter().copied().collect();
        // Whoever hears it ends for good: where this node alone is a majority, its disk comes first.
        for node in removed.into_iter().filter(|node| configuration.is_removed(*node)) {
            self.tell(node, Message::Removed, way, effects);
        }
        if let Role::Leader(leader) = &mut self.role {
            let done = leader.joins.asked.extract_if(.., |(at, ..)| *at <= index);
            for (_, origin, changed) in done.collect::<Vec<_>>() {
                self.respond(origin, Answered::Member(changed), Way::Late, effects);
            }
        }
        if configuration.is_removed(self.config.node) {
            // "... steps down once it has committed the Cnew" (thesis §4.2.2).
            if self.leads() {
                self.become_follower(now, self.term, None, effects);
            }
            self.on_removed(effects);
        }
    }

    /// Those whose office ends with the leader's don't learn what became of their change.
    pub(super) fn forget_changes(&mut self, joins: Joins, effects: &mut Effects) {
        for (_, origin, _) in joins.asked {
            let outcome = refused(crate::raft::answer::lost());
            self.respond(origin, outcome, Way::Early, effects);
        }
    }

    /// This node is no longer a member: it disturbs nobody, and ends (R14).
    pub(super) fn on_removed(&mut self, effects: &mut Effects) {
        if self.standing != Standing::Removed {
            self.standing = Standing::Removed;
            self.role = Role::Follower { leader: None };
            self.timers.cancel(Timer::Election);
            effects.observe(Event::Removed);
            effects.task(Task::Retire);
        }
    }

    /// Whether `node` was a member, and is told that it is none.
    pub(super) fn tell_if_removed(&self, node: NodeId, effects: &mut Effects) -> bool {
        let is_removed = self.configurations.at(self.commit_index).is_removed(node);
        if is_removed {
            self.tell(node, Message::Removed, Way::Early, effects);
        }
        is_removed
    }
}

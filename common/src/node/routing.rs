//! Which of the protocols a request is for, and what the node answers itself.

use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::Reply;
use crate::control::request::{Call, Request};
use crate::kv::watch::Watch;
use crate::modes::{Mode, Rule};
use crate::node::Node;
use crate::node::mismatch::check_once;
use crate::protocol::{Answer, Effects, Input, RequestId};
use crate::raft::{self, Raft};
use crate::time::Time;

impl Node {
    pub(super) fn on_request(
        &mut self,
        now: Time,
        id: RequestId,
        mut call: Call,
        effects: &mut Effects<Self>,
    ) {
        if let Request::Member { member, .. } = &mut call.request {
            self.name_stranger(member);
        }
        let target = match &call.request {
            Request::Put { key, acks, .. } => self.mode_to_put(key, *acks),
            Request::Get { key, .. } => self.mode_of(key.as_str()),
            Request::Delete { selection, acks, .. } => self.mode_to_delete(selection, *acks),
            Request::Incr { key, acks, .. } => self.mode_to_count(key, *acks),
            Request::Add { key, .. } => self.mode_to_merge("add", key),
            Request::Remove { key, .. } => self.mode_to_merge("remove", key),
            Request::Resolve { key, .. } => self.mode_to_merge("resolve", key),
            Request::Conflicts { prefix, .. } => self.mode_to_merge_all("conflicts", prefix),
            Request::Kv(kv) => self.check_consensus(kv).map(|()| Mode::Raft),
            Request::List(range) => match self.mode_of_all(&range.prefix) {
                Err(failure) if failure.code == ErrorCode::ModeMismatch => {
                    self.mixed.expect(id, range.clone());
                    Ok(Mode::Raft)
                }
                mode => mode,
            },
            Request::Sync { prefix, dry_run } => self.mode_to_sync(prefix.as_deref(), *dry_run),
            Request::ModeSet { prefix, rule, .. } => {
                self.check_mode_set(prefix, *rule).map(|()| Mode::Raft)
            }
            Request::Member { .. } | Request::TransferLeader { .. } | Request::Modes => {
                self.check_raft().map(|()| Mode::Raft)
            }
            Request::Hello
            | Request::Watch { .. }
            | Request::Cancel { .. }
            | Request::Status
            | Request::Members
            | Request::Wait(_)
            | Request::Live
            | Request::Ready
            | Request::Health
            | Request::Fault(_)
            | Request::Trace(_)
            | Request::Explain { .. } => {
                let outcome = self.answer_itself(now, id, call, effects);
                if let Some(outcome) = outcome {
                    effects.answer(id, Answer::Reply(self.header(), outcome));
                }
                return;
            }
        };
        let target = target.and_then(|mode| check_once(mode, call.once.is_some()));
        match target {
            Ok(Mode::Broadcast) => self.step_broadcast(now, Input::Request { id, call }, effects),
            Ok(Mode::Raft) => self.step_raft(now, Input::Request { id, call }, effects),
            Ok(Mode::Causal) => self.step_causal(now, Input::Request { id, call }, effects),
            Err(failure) => effects.answer(id, Answer::Reply(self.header(), Err(failure))),
        }
    }

    /// Who has knocked and was never taken in is known here by its name, to the leader by its id.
    fn name_stranger(&self, member: &mut String) {
        let Some(raft) = &self.raft else { return };
        let is_known =
            raft.configuration().members().any(|(_, known)| known.name.as_str() == member);
        let mut others = self.broadcast.other_members();
        if !is_known && let Some(stranger) = others.find(|other| other.name.as_str() == member) {
            *member = stranger.id.to_string();
        }
    }

    /// The mode of a key, once it is known.
    pub(super) fn mode_of(&self, key: &str) -> Result<Mode, Failure> {
        match &self.raft {
            None => Ok(Mode::Broadcast),
            Some(raft) if raft.knows_modes() => Ok(raft.mode_of(key)),
            Some(raft) => Err(raft.no_state()),
        }
    }

    /// The one mode of all keys of a prefix.
    pub(super) fn mode_of_all(&self, prefix: &str) -> Result<Mode, Failure> {
        let mode = self.mode_of(prefix)?;
        let is_uniform = |raft: &Raft| raft.state().modes.is_uniform(prefix);
        if self.raft.as_ref().is_none_or(is_uniform) {
            return Ok(mode);
        }
        let message = format!("keys that begin with {prefix:?} belong to several modes");
        Err(Failure::new(ErrorCode::ModeMismatch, message)
            .with_hint("distdbctl mode list shows the prefixes; name one of them"))
    }

    /// The operations of Raft need one.
    pub(super) fn check_raft(&self) -> Result<(), Failure> {
        if self.raft.is_some() {
            return Ok(());
        }
        self.check_joined()?;
        let message = "this cluster was founded in broadcast mode: it has no log and no leader";
        Err(Failure::new(ErrorCode::ModeMismatch, message).with_hint(
            "found one with --mode raft, the default, and give prefixes to broadcast mode",
        ))
    }

    /// Before it has a cluster, a node does not know its modes.
    pub(super) fn check_joined(&self) -> Result<(), Failure> {
        if self.cluster().is_some() {
            return Ok(());
        }
        let message = format!("{} has not joined a cluster yet", self.config.name);
        Err(Failure::new(ErrorCode::NotReady, message).retry_after_ms(100))
    }

    /// Keys in broadcast mode are on each node; those of this one must not be hidden by a row of
    /// the table. Raft sees to its own.
    fn check_mode_set(&self, prefix: &str, rule: Rule) -> Result<(), Failure> {
        self.check_raft()?;
        let before = self.raft.as_ref().map(|raft| raft.state().modes.rule_of(prefix));
        let is_new_view = before.is_some_and(|before| before.may_become(rule));
        if prefix.is_empty() {
            let message = "the empty prefix keeps the mode that the cluster was founded in";
            return Err(Failure::bad_request(message));
        }
        let has_keys = match self.mode_of(prefix)? {
            Mode::Broadcast => self.broadcast.store().range(prefix, None).next().is_some(),
            Mode::Causal => !is_new_view && self.require_causal()?.has_any(prefix),
            Mode::Raft => false,
        };
        if has_keys { Err(raft::has_keys()) } else { Ok(()) }
    }

    /// What the node knows by itself; none if it is answered later.
    fn answer_itself(
        &mut self,
        now: Time,
        id: RequestId,
        call: Call,
        effects: &mut Effects<Self>,
    ) -> Option<Result<Reply, Failure>> {
        Some(match call.request {
            Request::Hello => Ok(self.greet()),
            Request::Live => Ok(self.live()),
            Request::Cancel { target } => Ok(self.cancel(id.connection, &target, effects)),
            Request::Watch { selection, from, previous, only, progress } => {
                self.mode_watched(&selection).and_then(|mode| {
                    let watch = Watch { id: call.id, selection, mode, previous, only, progress };
                    self.watch(now, id, watch, from)
                })
            }
            Request::Wait(condition) => {
                return self.wait(now, id, call.id, condition, call.timeout);
            }
            Request::Status => Ok(Reply::Status(Box::new(self.status(now)))),
            Request::Members => Ok(Reply::Members(self.members())),
            Request::Ready => Ok(Reply::Check(self.readiness())),
            Request::Health => Ok(Reply::Check(self.health())),
            Request::Explain { key, purpose } => self.explain(now, key.as_ref(), purpose),
            Request::Fault(_) | Request::Trace(_) => {
                unreachable!("the driver has the links, their faults, and what was observed")
            }
            Request::Put { .. }
            | Request::Get { .. }
            | Request::Delete { .. }
            | Request::List(_)
            | Request::Incr { .. }
            | Request::Add { .. }
            | Request::Remove { .. }
            | Request::Conflicts { .. }
            | Request::Resolve { .. }
            | Request::Kv(_)
            | Request::Sync { .. }
            | Request::Member { .. }
            | Request::TransferLeader { .. }
            | Request::ModeSet { .. }
            | Request::Modes => unreachable!("these are a protocol's"),
        })
    }
}

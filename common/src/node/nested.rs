//! Steps of the protocols that a node is made of, and what one of them has to hear of another.

use crate::broadcast::{self, Broadcast};
use crate::causal::{self, Causal};
use crate::identity::NodeId;
use crate::kv::watch::Change;
use crate::modes::Mode;
use crate::node::{Identity, Message, Node, Record};
use crate::protocol::{Effects, Input, Protocol};
use crate::raft::log::Term;
use crate::raft::{self, Raft};
use crate::time::Time;

impl Node {
    pub(super) fn on_message(
        &mut self,
        now: Time,
        from: NodeId,
        message: Message,
        effects: &mut Effects<Self>,
    ) {
        if !self.is_connected(from) {
            return; // It crossed our own disconnect.
        }
        self.broadcast.touch(now, from);
        match message {
            Message::Broadcast(message) => {
                self.step_broadcast(now, Input::Message { from, message }, effects);
            }
            Message::Raft(message)
                if message.is_plausible() && message.is_believable(self.raft_term()) =>
            {
                self.step_raft(now, Input::Message { from, message }, effects);
            }
            Message::Causal(message) if message.is_plausible() => {
                self.step_causal(now, Input::Message { from, message }, effects);
            }
            Message::Raft(_) | Message::Causal(_) => {
                effects.disconnect(from);
                self.step_broadcast(now, Input::PeerDown(from), effects);
            }
        }
    }

    fn raft_term(&self) -> Term {
        self.raft.as_ref().map_or(Term(0), |raft| Term(raft.term()))
    }

    pub(super) fn step_broadcast(
        &mut self,
        now: Time,
        input: Input<broadcast::message::Message>,
        effects: &mut Effects<Self>,
    ) {
        self.with_broadcast(effects, |broadcast, inner| broadcast.step(now, input, inner));
        // Of whom broadcast hears no more, the others hear no more.
        let gone = self.raft.as_ref().map_or(Vec::new(), |raft| {
            raft.peers().filter(|peer| !self.broadcast.is_connected(*peer)).collect()
        });
        for peer in gone {
            self.step_raft(now, Input::PeerDown(peer), effects);
            self.step_causal(now, Input::PeerDown(peer), effects);
        }
    }

    pub(super) fn with_broadcast(
        &mut self,
        effects: &mut Effects<Self>,
        step: impl FnOnce(&mut Broadcast, &mut Effects<Broadcast>),
    ) {
        let (mode, founder) = (self.config.mode, self.founder);
        let record = |broadcast| Record::Identity(Box::new(Identity { broadcast, mode, founder }));
        let changes =
            effects.nested(Message::Broadcast, record, |inner| step(&mut self.broadcast, inner));
        self.publish(Mode::Broadcast, &changes, effects);
    }

    pub(super) fn step_raft(
        &mut self,
        now: Time,
        input: Input<raft::message::Message>,
        effects: &mut Effects<Self>,
    ) {
        self.with_raft(effects, |raft, inner| raft.step(now, input, inner));
    }

    pub(super) fn with_raft(
        &mut self,
        effects: &mut Effects<Self>,
        step: impl FnOnce(&mut Raft, &mut Effects<Raft>),
    ) {
        let Some(raft) = &mut self.raft else { return };
        effects.nested(Message::Raft, Record::Raft, |inner| step(raft, inner));
        let removed = raft.take_removed();
        if let Some(causal) = &mut self.causal
            && raft.knows_modes()
        {
            causal.set_modes(&raft.state().modes);
        }
        let state = raft.state();
        self.watches.advance(state.revision, &state.history, |to, told| effects.answer(to, told));
        self.end_other_modes(effects);
        self.complete_lists(effects);
        if let Some(removed) = removed {
            self.broadcast.retire(&removed);
        }
    }

    pub(super) fn step_causal(
        &mut self,
        now: Time,
        input: Input<causal::message::Message>,
        effects: &mut Effects<Self>,
    ) {
        self.with_causal(effects, |causal, inner| causal.step(now, input, inner));
    }

    pub(super) fn with_causal(
        &mut self,
        effects: &mut Effects<Self>,
        step: impl FnOnce(&mut Causal, &mut Effects<Causal>),
    ) {
        let Some(causal) = &mut self.causal else { return };
        causal.set_watched(!self.watches.is_empty());
        let changes = effects.nested(Message::Causal, Record::Causal, |inner| step(causal, inner));
        let has_jumped = causal.take_jump();
        self.publish(Mode::Causal, &changes, effects);
        if has_jumped {
            self.end_passed_over(Mode::Causal, effects);
        }
    }

    /// Who is a member is Raft's matter, and who waits for members hears of it.
    pub(super) fn tell_members(&mut self) {
        let (Some(raft), Some(causal)) = (&self.raft, &mut self.causal) else { return };
        let members = raft.configuration().members();
        causal.set_members(members.map(|(id, member)| (id, &member.name)));
    }

    fn publish(&self, mode: Mode, changes: &[Change], effects: &mut Effects<Self>) {
        for of_one_revision in changes.chunk_by(|one, next| one.revision == next.revision) {
            self.watches.publish(mode, of_one_revision, |to, told| effects.answer(to, told));
        }
    }
}

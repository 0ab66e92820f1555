//! State transfer: a node takes over what another has and it lacks, and nothing else (anti-entropy
//! by hash trees: DeCandia et al. 2007, §4.7).
//!
//! ```text
//!  puller                       donor
//!    │── SyncAsk ────────────────▶│ pins its state
//!    │◀── SyncTree (clock, hashes)│
//!    │── SyncBranches ───────────▶│   where the hashes differ from those of what is staged
//!    │◀── SyncLeaves ─────────────│
//!    │── SyncFetch (buckets) ────▶│
//!    │◀── SyncChunk ──────────────│   until done
//!    │  what was staged is the state; the clocks are merged
//! ```
//!
//! The donor's state is one that has been, whole: with its clock it is closed under causality. What
//! the two states make together is staged beside the live one, and takes its place in one step. So
//! nobody sees a write without its past. All that is compared and joined is of the moment when the
//! staged state was begun; what is written meanwhile, and the donor has not seen, is applied to it
//! at the very end. Spec: CompareLive, JoinByLiveClock and MeanwhileAtOnce are the bugs.

use std::sync::Arc;
use std::time::Duration;

use crate::causal::clock::VectorClock;
use crate::causal::message::{Message, SyncChunk};
use crate::causal::record::Step;
use crate::causal::staging::{Staged, Taken};
use crate::causal::traced::held_of;
use crate::causal::tree::BucketSet;
use crate::causal::version::Version;
use crate::causal::write::Write;
use crate::causal::{Causal, Effects};
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Reply, Synced};
use crate::identity::NodeId;
use crate::kv::key::Key;
use crate::observe::CausalEvent;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// Writes that a puller remembers for the time when the donor's state is here.
const MEANWHILE_MAX: usize = 65_536;

/// A question is asked again after so many heartbeats, where answers take no longer.
const ASK_HEARTBEATS: u32 = 5;

/// A donor of which nothing comes for so many election timeouts is given up.
const PATIENCE: u32 = 60;

/// Differing keys that are named by a dry run; the others are counted.
const DIFFERING_MAX: usize = 1_000;

/// The state of a donor on its way here.
#[derive(Debug)]
pub(super) struct Pull {
    donor: NodeId,
    session: u64,
    /// When the transfer last got on.
    heard: Time,
    /// What the donor was asked last, and when.
    question: Message,
    asked: Time,
    /// When to ask the same again, and whether it was.
    again: Time,
    is_repeated: bool,
    /// How long an answer is waited for.
    pace: Duration,
    /// What is staged; none before the donor has answered.
    staged: Option<Box<Staged>>,
    /// Who has asked for it by hand, and whether nothing is to be changed.
    by_hand: Option<ByHand>,
}

#[derive(Debug)]
struct ByHand {
    request: RequestId,
    prefix: String,
    dry_run: bool,
    changed: u64,
    /// The first of them.
    differing: Vec<Key>,
}

impl Causal {
    /// Takes over what `donor` has, unless a transfer is under way.
    pub(super) fn begin_sync(&mut self, now: Time, donor: NodeId, effects: &mut Effects) {
        if self.pull.is_none() && self.peers.contains_key(&donor) && !self.disk_full {
            self.ask_state(now, donor, None, effects);
        }
    }

    /// The same by hand: of the connected member that this node lacks most of, or that answers.
    pub(super) fn begin_repair(
        &mut self,
        now: Time,
        request: RequestId,
        prefix: Option<String>,
        dry_run: bool,
        effects: &mut Effects,
    ) {
        let ahead = |id: &NodeId| {
            let known = self.known.get(id);
            known.map_or(0, |known| known.iter().filter(|dot| !self.clock.contains(*dot)).count())
        };
        let ready = self.peers.iter().filter(|(_, peer)| peer.ready).map(|(id, _)| *id);
        let is_busy = self.pull.is_some() || self.disk_full;
        let outcome = match (is_busy, ready.max_by_key(ahead)) {
            (true, _) if self.disk_full => {
                Err(Failure::new(ErrorCode::Quota, "the disk of this node is full"))
            }
            (true, _) => Err(Failure::new(ErrorCode::Busy, "a transfer of states is under way")),
            (false, None) => {
                Err(Failure::new(ErrorCode::NotReady, "no connected peer can give its state"))
            }
            (false, Some(donor)) => {
                let prefix = prefix.unwrap_or_default();
                let (changed, differing) = (0, Vec::new());
                let by_hand = ByHand { request, prefix, dry_run, changed, differing };
                self.ask_state(now, donor, Some(by_hand), effects);
                return;
            }
        };
        effects.answer(request, Answer::Reply(self.header(None), outcome));
    }

    fn ask_state(
        &mut self,
        now: Time,
        donor: NodeId,
        by_hand: Option<ByHand>,
        effects: &mut Effects,
    ) {
        self.sessions_begun = self.sessions_begun.wrapping_add(1);
        let session = self.sessions_begun;
        let question = Message::SyncAsk { session };
        let (heard, asked, is_repeated, staged) = (now, now, false, None);
        let pace = self.config.heartbeat_interval * ASK_HEARTBEATS;
        let again = now + pace;
        effects.observe(CausalEvent::BeginStateSync { donor });
        effects.send(donor, question.clone());
        self.pull = Some(Pull {
            donor,
            session,
            heard,
            question,
            asked,
            again,
            is_repeated,
            pace,
            staged,
            by_hand,
        });
    }

    /// The transfer has got on: the donor is asked the next. How long an answer takes is told by one
    /// to a question that was asked once; until there is such, the back-off stays (Karn, Partridge
    /// 1987).
    fn ask_donor(&mut self, now: Time, question: Message, effects: &mut Effects) {
        let Some(pull) = &mut self.pull else { return };
        if !pull.is_repeated {
            let least = self.config.heartbeat_interval * ASK_HEARTBEATS;
            pull.pace = least.max(now.since(pull.asked) * 2);
        }
        (pull.heard, pull.asked, pull.again) = (now, now, now + pull.pace);
        pull.is_repeated = false;
        effects.send(pull.donor, question.clone());
        pull.question = question;
    }

    /// The donor tells what its state is: the joint one is begun.
    pub(super) fn on_sync_tree(
        &mut self,
        now: Time,
        from: NodeId,
        session: u64,
        (theirs, lamport): (VectorClock, u64),
        tops: &[u64],
        effects: &mut Effects,
    ) {
        if !self.believes(&theirs) {
            return;
        }
        let pull = self.pull_of(from, session).filter(|pull| pull.staged.is_none());
        let Some(pull) = pull else { return };
        let is_dry = pull.by_hand.as_ref().is_some_and(|by_hand| by_hand.dry_run);
        let staged = Staged {
            ours: self.clock.clone(),
            theirs: theirs.clone(),
            lamport,
            buckets: BucketSet::default(),
            store: self.store.clone(),
            cursor: None,
            begun: None,
            meanwhile: Vec::new(),
            keys: 0,
        };
        self.pull.as_mut().expect("it was just seen").staged = Some(Box::new(staged));
        if !is_dry {
            let clock = theirs.clone();
            self.steps.push(Step::BeginSync { theirs, lamport });
            self.trace(effects, |_| CausalEvent::StageState {
                donor: from,
                session,
                clock,
                lamport,
            });
        }
        let branches = self.store.tree().differing_tops(tops);
        if branches.is_empty() {
            self.end_sync(now, effects);
        } else {
            self.ask_donor(now, Message::SyncBranches { session, branches }, effects);
        }
    }

    /// The donor tells in which parts of the branches the two states may differ.
    pub(super) fn on_sync_leaves(
        &mut self,
        now: Time,
        from: NodeId,
        session: u64,
        leaves: &[(u8, Vec<u64>)],
        effects: &mut Effects,
    ) {
        let Some(pull) = self.pull_of(from, session) else { return };
        let Some(staged) = pull.staged.as_mut().filter(|staged| staged.buckets.is_empty()) else {
            return;
        };
        let tree = staged.store.tree();
        let differing = leaves.iter().flat_map(|(branch, of)| tree.differing_leaves(*branch, of));
        differing.collect::<Vec<_>>().into_iter().for_each(|bucket| staged.buckets.insert(bucket));
        let buckets = Some(staged.buckets.clone());
        let question = Message::SyncFetch { session, buckets, after: None, skip: 0 };
        self.ask_donor(now, question, effects);
    }

    /// The transfer that is under way, if that is the one.
    fn pull_of(&mut self, from: NodeId, session: u64) -> Option<&mut Pull> {
        self.pull.as_mut().filter(|pull| pull.donor == from && pull.session == session)
    }

    /// Joins the next part of the donor's state with what is staged.
    pub(super) fn on_sync_chunk(
        &mut self,
        now: Time,
        from: NodeId,
        chunk: SyncChunk,
        effects: &mut Effects,
    ) {
        let session = chunk.session;
        let Some(pull) = self.pull_of(from, session) else { return };
        let Some(staged) = pull.staged.as_mut().filter(|staged| staged.is_next(&chunk)) else {
            return; // It has come before.
        };
        let taken = staged.take(chunk);
        let (after, skip) = (staged.cursor.clone(), staged.begun_versions());
        let Some(Taken { changed, done }) = taken else {
            self.give_up(effects, "the donor sent what no sound node sends");
            return;
        };
        let pull = self.pull.as_mut().expect("it was just seen");
        if let Some(by_hand) = &mut pull.by_hand {
            by_hand.count(&changed);
        }
        let is_dry = pull.by_hand.as_ref().is_some_and(|by_hand| by_hand.dry_run);
        if !is_dry && !changed.is_empty() {
            self.trace(effects, |_| CausalEvent::MergeStateChunk { changed: held_of(&changed) });
            self.steps.push(Step::Stage(changed));
        }
        if done {
            self.end_sync(now, effects);
        } else {
            let buckets = None; // The donor has them since the first question.
            self.ask_donor(now, Message::SyncFetch { session, buckets, after, skip }, effects);
        }
    }

    /// What is staged takes the place of the live state. Spec: EndSync.
    fn end_sync(&mut self, now: Time, effects: &mut Effects) {
        let pull = self.pull.take().expect("a transfer ends once");
        let staged = *pull.staged.expect("the donor has answered");
        let keys = staged.keys;
        let is_dry = pull.by_hand.as_ref().is_some_and(|by_hand| by_hand.dry_run);
        if let Some(by_hand) = pull.by_hand {
            let from = self.members.get(&pull.donor).cloned().into_iter().collect();
            let differing = is_dry.then_some(by_hand.differing);
            let outcome = Ok(Reply::Sync(Synced { from, changed: by_hand.changed, differing }));
            effects.answer(by_hand.request, Answer::Reply(self.header(None), outcome));
        }
        if is_dry {
            return;
        }
        self.steps.push(Step::EndSync);
        self.see_lamport(staged.lamport);
        self.adopt(staged.store, &staged.theirs, &staged.meanwhile);
        if !self.ready {
            self.ready = true;
            self.steps.push(Step::Ready);
        }
        effects.observe(CausalEvent::EndStateSync { donor: pull.donor, keys });
        if let Some(traced) = &mut self.traced {
            traced.touch_all();
        }
        self.note_traced();
        self.has_jumped |= keys > 0;
        self.deliver_waiting(now, effects);
    }

    /// A write was applied to the live state: it will be to the staged one, unless that has it.
    pub(super) fn note_meanwhile(&mut self, write: &Arc<Write>) {
        let staged = self.pull.as_mut().and_then(|pull| pull.staged.as_mut());
        if let Some(staged) = staged.filter(|staged| !staged.theirs.contains(write.dot)) {
            staged.meanwhile.push(Arc::clone(write));
        }
    }

    /// Whether as much was written meanwhile as is remembered: no more is taken of others, who send
    /// it again; this node's own clients have as much room once more.
    pub(super) fn is_puller_full(&self, is_own: bool) -> bool {
        let staged = self.pull.as_ref().and_then(|pull| pull.staged.as_ref());
        let bound = if is_own { 2 * MEANWHILE_MAX } else { MEANWHILE_MAX };
        staged.is_some_and(|staged| staged.meanwhile.len() >= bound)
    }

    pub(super) fn on_sync_refused(&mut self, from: NodeId, session: u64, effects: &mut Effects) {
        let pull = self.pull.as_ref();
        if pull.is_some_and(|pull| pull.donor == from && pull.session == session) {
            self.give_up(effects, "the donor is not ready to give its state");
        }
    }

    /// What was lost on the way is asked once more; a donor that is silent, or gone, is not waited
    /// for, nor is room on the disk.
    pub(super) fn look_at_donor(&mut self, now: Time, effects: &mut Effects) {
        let Some(pull) = &mut self.pull else { return };
        if !self.peers.contains_key(&pull.donor) {
            self.give_up(effects, "the donor is not connected any more");
        } else if self.disk_full {
            self.give_up(effects, "the disk is full");
        } else if now.since(pull.heard) > self.config.election_timeout * PATIENCE {
            self.give_up(effects, "the donor is silent");
        } else if now >= pull.again {
            // Twice as long each time: it may be but slow.
            pull.pace *= 2;
            (pull.is_repeated, pull.again) = (true, now + pull.pace);
            effects.send(pull.donor, pull.question.clone());
        }
    }

    /// What was staged is dropped; the next beats begin anew.
    pub(super) fn give_up(&mut self, effects: &mut Effects, why: &'static str) {
        let Some(pull) = self.pull.take() else { return };
        effects.observe(CausalEvent::AbandonStateSync { donor: pull.donor, reason: why });
        self.note_traced();
        if let Some(by_hand) = pull.by_hand {
            let failure = Failure::new(ErrorCode::NotReady, why);
            effects.answer(by_hand.request, Answer::Reply(self.header(None), Err(failure)));
        }
    }

    /// Where all members are connected, and none serves, there is nobody to take a state from: who had
    /// one has lost its disk. The one with the lowest id serves with what it has.
    pub(super) fn consider_founding(&mut self, effects: &mut Effects) {
        let own = self.config.node;
        let is_unready =
            |id: &NodeId| self.peers.get(id).is_some_and(|peer| peer.greeted && !peer.ready);
        let mut others = self.members.keys().filter(|id| **id != own);
        let may = !self.ready && self.is_member && self.members.keys().min() == Some(&own);
        if may && others.all(is_unready) {
            self.ready = true;
            self.steps.push(Step::Ready);
            effects.observe(CausalEvent::ServeWithoutDonor);
            self.note_traced();
        }
    }

    /// Whose state is taken over.
    pub(super) fn donor(&self) -> Option<NodeId> {
        self.pull.as_ref().map(|pull| pull.donor)
    }
}

impl ByHand {
    fn count(&mut self, changed: &[(Key, Vec<Version>)]) {
        let keys = changed.iter().map(|(key, _)| key);
        for key in keys.filter(|key| key.as_str().starts_with(&self.prefix)) {
            self.changed += 1;
            if self.differing.len() < DIFFERING_MAX {
                self.differing.push(key.clone());
            }
        }
    }
}

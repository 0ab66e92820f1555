//! Watches, as far as the node knows more than their list.

use crate::control::Id;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::reply::{Cancelled, Reply};
use crate::control::request::Selection;
use crate::control::watching::WatchBegun;
use crate::kv::watch::Watch;
use crate::modes::Mode;
use crate::node::Node;
use crate::protocol::{Answer, Effects, RequestId};
use crate::raft::compacted;
use crate::time::Time;

impl Node {
    /// Begins a watch of keys of one mode. In raft mode it may begin in the past, as far back as
    /// history is kept, or in the future.
    pub(super) fn watch(
        &mut self,
        now: Time,
        request: RequestId,
        watch: Watch,
        from: Option<u64>,
    ) -> Result<Reply, Failure> {
        let name = watch.id.as_ref();
        if name.is_some_and(|id| self.watches.find(request.connection, id).is_some()) {
            let message = "this connection has a watch with that id already";
            return Err(Failure::bad_request(message));
        }
        match (watch.mode, &self.raft) {
            (Mode::Causal, _) => self.require_causal()?.check_ready()?,
            (Mode::Raft, Some(raft)) => {
                raft.check_standing()?;
                let floor = raft.state().history.floor();
                let from = from.unwrap_or(self.watches.position() + 1);
                if from < floor {
                    return Err(compacted(floor));
                }
                self.watches.begin_at(now, request, watch, from);
                return Ok(Reply::Watch(WatchBegun { from }));
            }
            (Mode::Raft, None) | (Mode::Broadcast, _) => self.broadcast.check_ready()?,
        }
        let next = self.revision_of(watch.mode) + 1;
        if from.is_some_and(|from| from < next) {
            let message = format!("no history is kept in this mode; a watch begins at {next}");
            let hint = "leave out `from`, and read the keys once the watch has begun";
            return Err(Failure::new(ErrorCode::Compacted, message).with_hint(hint));
        }
        self.watches.begin(now, request, watch);
        Ok(Reply::Watch(WatchBegun { from: next }))
    }

    /// The mode of the keys of a watch; of a prefix that of most of them.
    pub(super) fn mode_watched(&self, selection: &Selection) -> Result<Mode, Failure> {
        match selection {
            Selection::Key(key) => self.mode_of(key.as_str()),
            Selection::Prefix(prefix) => self.mode_of(prefix),
        }
    }

    /// What was applied before the first watch is no news.
    pub(super) fn note_position(&mut self) {
        if let Some(raft) = &self.raft {
            let state = raft.state();
            self.watches.advance(state.revision, &state.history, |_, _| {});
        }
    }

    /// How far the live watches of a mode were told.
    fn revision_of(&self, mode: Mode) -> u64 {
        match (mode, &self.causal) {
            (Mode::Raft, _) => self.watches.position(),
            (Mode::Causal, Some(causal)) => causal.revision(),
            (Mode::Causal, None) | (Mode::Broadcast, _) => self.broadcast.revision(),
        }
    }

    /// A quiet watch hears how far it is. One in raft mode does not, as long as the node may be cut
    /// off: there may be more that it has not heard of (W8).
    pub(super) fn tell_progress(&mut self, now: Time, effects: &mut Effects<Self>) {
        let is_fresh = self.raft.as_ref().is_none_or(|raft| raft.is_fresh(now));
        for request in self.watches.take_quiet(now) {
            let Some(mode) = self.watches.get(request).map(|watch| watch.mode) else { continue };
            let revision = self.revision_of(mode);
            let may = mode != Mode::Raft || is_fresh;
            if may && let Some(line) = self.watches.progress(request, revision) {
                effects.answer(request, line);
            }
        }
    }

    /// The connections of watches that have more to be told than was told.
    pub fn catching_up(&self) -> impl Iterator<Item = u64> + use<> {
        self.watches.catching_up().into_iter()
    }

    /// A client has read enough to be told more.
    pub(super) fn on_room(&mut self, connection: u64, effects: &mut Effects<Self>) {
        let Some(raft) = &self.raft else { return };
        let history = &raft.state().history;
        let floor = history.floor();
        let lost = self.watches.catch_up(connection, history, |to, told| effects.answer(to, told));
        for request in lost {
            self.end_watch(request, Some(compacted(floor)), effects);
        }
    }

    /// Keys have got another mode: who follows them would not hear of them again.
    pub(super) fn end_other_modes(&mut self, effects: &mut Effects<Self>) {
        let Some(raft) = &self.raft else { return };
        let digest = raft.state().modes.digest();
        if std::mem::replace(&mut self.modes_watched, digest) == digest {
            return;
        }
        let is_other = |watch: &Watch| self.mode_watched(&watch.selection) != Ok(watch.mode);
        let others = self.watches.iter().filter(|(_, watch)| is_other(watch));
        for request in others.map(|(request, _)| request).collect::<Vec<_>>() {
            let message = "the keys belong to another mode from here on";
            let failure = Failure::new(ErrorCode::ModeMismatch, message);
            self.end_watch(request, Some(failure.with_hint("watch them anew")), effects);
        }
    }

    /// A state transfer has taken the place of many changes: who follows keys would miss some.
    pub(super) fn end_passed_over(&mut self, mode: Mode, effects: &mut Effects<Self>) {
        let of_it = self.watches.iter().filter(|(_, watch)| watch.mode == mode);
        for request in of_it.map(|(request, _)| request).collect::<Vec<_>>() {
            let message = "this node was brought up to date at once; the changes between are not \
                           known here";
            let failure = Failure::new(ErrorCode::Compacted, message);
            let hint = "read the keys anew, and watch from there on";
            self.end_watch(request, Some(failure.with_hint(hint)), effects);
        }
    }

    pub(super) fn end_watch(
        &mut self,
        request: RequestId,
        error: Option<Failure>,
        effects: &mut Effects<Self>,
    ) {
        let Some(mode) = self.watches.get(request).map(|watch| watch.mode) else { return };
        let revision = self.revision_of(mode);
        if let Some(end) = self.watches.end(request, revision, error) {
            effects.answer(request, end);
        }
    }

    pub(super) fn cancel(
        &mut self,
        connection: u64,
        target: &Id,
        effects: &mut Effects<Self>,
    ) -> Reply {
        if let Some(watch) = self.watches.find(connection, target) {
            self.end_watch(watch, None, effects);
            return Reply::Cancel(Cancelled { cancelled: true });
        }
        let found = self.waits.cancel(connection, target);
        if let Some(request) = found {
            let failure = Failure::new(ErrorCode::Timeout, "the wait was cancelled");
            effects.answer(request, Answer::Reply(self.header(), Err(failure)));
        }
        Reply::Cancel(Cancelled { cancelled: found.is_some() })
    }
}

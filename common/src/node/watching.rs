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
use crate::time::Time;

impl Node {
    pub(super) fn watch(
        &mut self,
        now: Time,
        request: RequestId,
        watch: Watch,
        from: Option<u64>,
    ) -> Result<Reply, Failure> {
        match (self.mode_watched(&watch.selection)?, &self.raft) {
            (Mode::Causal, _) => self.require_causal()?.check_ready()?,
            (Mode::Raft, Some(raft)) => raft.check_standing()?,
            (Mode::Raft, None) | (Mode::Broadcast, _) => self.broadcast.check_ready()?,
        }
        let name = watch.id.as_ref();
        if name.is_some_and(|id| self.watches.find(request.connection, id).is_some()) {
            let message = "this connection has a watch with that id already";
            return Err(Failure::bad_request(message));
        }
        let next = self.revision_watched(&watch.selection) + 1;
        if from.is_some_and(|from| from < next) {
            let message = format!("no history is kept; a watch begins at {next}");
            let hint = "leave out `from`, and read the keys once the watch has begun";
            return Err(Failure::new(ErrorCode::Compacted, message).with_hint(hint));
        }
        self.watches.begin(now, request, watch);
        Ok(Reply::Watch(WatchBegun { from: next }))
    }

    fn mode_watched(&self, selection: &Selection) -> Result<Mode, Failure> {
        match selection {
            Selection::Key(key) => self.mode_of(key.as_str()),
            Selection::Prefix(prefix) => self.mode_of(prefix),
        }
    }

    /// How far the keys of a watch are.
    fn revision_watched(&self, selection: &Selection) -> u64 {
        match (self.mode_watched(selection), &self.raft, &self.causal) {
            (Ok(Mode::Raft), Some(raft), _) => raft.state().revision,
            (Ok(Mode::Causal), _, Some(causal)) => causal.revision(),
            (Ok(_) | Err(_), ..) => self.broadcast.revision(),
        }
    }

    pub(super) fn tell_progress(&mut self, now: Time, effects: &mut Effects<Self>) {
        for (request, selection) in self.watches.take_quiet(now) {
            let revision = self.revision_watched(&selection);
            if let Some(line) = self.watches.progress(request, revision) {
                effects.answer(request, line);
            }
        }
    }

    /// A snapshot has taken the place of many changes: who follows keys would miss some.
    pub(super) fn end_passed_over(&mut self, mode: Mode, effects: &mut Effects<Self>) {
        for (request, selection) in self.watches.selections() {
            if self.mode_watched(&selection) == Ok(mode) {
                let message = "this node was brought up to date at once; the changes between are \
                               not known here";
                let failure = Failure::new(ErrorCode::Compacted, message);
                let hint = "read the keys anew, and watch from there on";
                self.end_watch(request, Some(failure.with_hint(hint)), effects);
            }
        }
    }

    pub(super) fn end_watch(
        &mut self,
        request: RequestId,
        error: Option<Failure>,
        effects: &mut Effects<Self>,
    ) {
        let Some(selection) = self.watches.selection(request) else { return };
        let revision = self.revision_watched(&selection);
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

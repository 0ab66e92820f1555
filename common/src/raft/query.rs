//! Reads of the state.

use crate::control::cluster::Modes;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::kv::Kv;
use crate::control::reply::{Get, Item, Reply, Served};
use crate::control::request::Range;
use crate::kv::key::Key;
use crate::kv::page::{Row, page};
use crate::kv::store;
use crate::modes::{ModeRow, Rule};
use crate::protocol::{Answer, RequestId};
use crate::raft::outcome::refused;
use crate::raft::work::Work;
use crate::raft::{Effects, Raft, Way};

/// A question about the state.
#[derive(Debug)]
pub(super) enum Query {
    Get(Key),
    List(Range),
    /// What the mode table would be.
    AfterModeSet {
        prefix: String,
        rule: Rule,
    },
    Modes,
    /// What it is once a row was set.
    ModesSet,
    /// What raft mode alone can do.
    Kv(Kv),
}

impl Raft {
    /// A row was set: the answer waits until this node has it, too, so that the client's next
    /// request here goes by it.
    pub(super) fn show_modes(&mut self, id: RequestId, way: Way, effects: &mut Effects) {
        let Some(pending) = self.requests.pending.get_mut(&id) else { return };
        pending.work = Work::Read(Query::ModesSet);
        pending.is_uncertain = true; // If that fails, nobody must hear that nothing was done.
        if self.leads() {
            self.read_now(id, way, effects);
        } else {
            self.requests.unasked.push(id);
        }
    }

    /// Answers a read whose time has come.
    pub(super) fn read_now(&mut self, id: RequestId, way: Way, effects: &mut Effects) {
        let Some(pending) = self.requests.take(id) else { return };
        let Work::Read(query) = &pending.work else { return };
        if self.awaits_holder(query) {
            return self.await_holder(id, pending);
        }
        let outcome = self.check_standing().and_then(|()| self.query(query));
        let served = if pending.session.is_some() { Served::Session } else { Served::Linearizable };
        let answer = Answer::Reply(self.header(Some(served)), outcome);
        Self::answer(way, id, answer, effects);
    }

    /// Answers from what this node holds. It was committed, so it may leave at once.
    pub(super) fn read_local(
        &mut self,
        id: RequestId,
        work: &Work,
        served: Served,
        effects: &mut Effects,
    ) {
        let Work::Read(query) = work else { return };
        let outcome = if self.knows_modes() { self.query(query) } else { Err(self.no_state()) };
        let answer = Answer::Reply(self.header(Some(served)), outcome);
        effects.answer_early(id, answer);
    }

    /// Why there is nothing to read yet.
    pub fn no_state(&self) -> Failure {
        let message = format!("{} has not got the state of the cluster yet", self.config.name);
        Failure::new(ErrorCode::NotReady, message)
            .retry_after_ms(100)
            .with_hint("distdbctl wait synced")
    }

    fn query(&self, query: &Query) -> Result<Reply, Failure> {
        let store = &self.state.store;
        match query {
            Query::Get(key) => {
                let found = store.get(key).map(|item| row(key, item));
                Ok(Reply::Get(Box::new(Get::of(found.map(Item::from)))))
            }
            Query::List(range) => {
                let found = store.range(&range.prefix, range.start.as_deref());
                Ok(Reply::List(page(range, found.map(|(key, item)| row(key, item)))))
            }
            Query::AfterModeSet { prefix, rule } => {
                self.state.check_mode(prefix, *rule).map_err(refused)?;
                let mut modes = self.state.modes.clone();
                modes.set(prefix.clone(), *rule);
                Ok(Reply::Modes(Modes { modes: modes.to_rows(), changed: Some(false) }))
            }
            Query::Modes => Ok(Reply::Modes(Modes { modes: self.mode_rows(), changed: None })),
            Query::ModesSet => {
                Ok(Reply::Modes(Modes { modes: self.mode_rows(), changed: Some(true) }))
            }
            Query::Kv(kv) => self.look_up(kv),
        }
    }

    /// The mode table.
    pub fn mode_rows(&self) -> Vec<ModeRow> {
        self.state.modes.to_rows()
    }
}

pub(super) fn row<'a>(key: &'a Key, item: &'a store::Item) -> Row<'a> {
    Row {
        key,
        value: item.value(),
        create_revision: item.create_revision,
        mod_revision: item.mod_revision,
        version: item.version,
        lease: item.lease,
    }
}

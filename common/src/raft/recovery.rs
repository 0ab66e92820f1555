//! How a member goes on from what its disk has kept.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::Config;
use crate::kv::state::State;
use crate::raft::apply::Checkpoints;
use crate::raft::clock::Clock;
use crate::raft::compaction::Snapshots;
use crate::raft::configuration::{Configuration, Configurations};
use crate::raft::log::{Entry, EntryId, Index, Log, Payload, Term};
use crate::raft::record::Record;
use crate::raft::replication::Proposed;
use crate::raft::request::Requests;
use crate::raft::saving::Unsaved;
use crate::raft::snapshot::Snapshot;
use crate::raft::{Raft, Role, Standing};
use crate::time::{Time, Timers};

/// What a node can't go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Entries between the snapshot and the log are gone.
    #[error("the log begins behind entry {log}, and the newest snapshot ends at {snapshot}")]
    Gap {
        /// The first entry's predecessor.
        log: u64,
        /// The snapshot's last.
        snapshot: u64,
    },
}

impl Raft {
    /// The member that `snapshot` and `records` tell of. Where there are none it is that of a new
    /// cluster, which it `founds`, or one that has yet to join.
    ///
    /// # Errors
    ///
    /// What was found does not belong together.
    pub fn recover(
        config: Config,
        founds: bool,
        snapshot: Option<Snapshot>,
        records: Vec<Record>,
    ) -> Result<Self, RecoverError> {
        let is_new = snapshot.is_none() && records.is_empty();
        let mut raft = Self::blank(config, snapshot);
        let base = raft.log.base();
        let mut log = Log::default();
        for record in records {
            (raft.term, raft.voted_for) = (record.term, record.voted_for);
            raft.commit_index = raft.commit_index.max(record.commit_index);
            if let Some(tail) = record.tail {
                tail.replay(&mut log);
            }
        }
        if log.base().index > base.index {
            let (log, snapshot) = (log.base().index.0, base.index.0);
            return Err(RecoverError::Gap { log, snapshot });
        }
        log.restart(base);
        raft.log = log;
        for index in base.index.0 + 1..=raft.log.last().index.0 {
            if let Some(Payload::Configuration(c)) = raft.payload_at(Index(index)) {
                raft.configurations.append(Index(index), *c);
            }
        }
        if is_new && founds {
            raft.found();
        }
        raft.term = raft.term.max(raft.log.last().term);
        raft.commit_index = raft.commit_index.min(raft.log.last().index).max(base.index);
        raft.durable = raft.unsaved.from.map_or(raft.log.last().index, |_| Index(0));
        raft.unsaved.commit_index = raft.commit_index;
        raft.apply_silently();
        Ok(raft)
    }

    fn blank(config: Config, snapshot: Option<Snapshot>) -> Self {
        let (last, configuration, state) = match snapshot {
            Some(Snapshot { last, configuration, state }) => (last, configuration, state),
            None => (EntryId::default(), Configuration::default(), State::new(config.mode)),
        };
        let mut dice = ChaCha8Rng::seed_from_u64(config.seed);
        let requests = Requests::new(dice.next_u64());
        Self {
            dice,
            config,
            term: last.term,
            voted_for: None,
            log: Log::behind(last),
            commit_index: last.index,
            last_applied: last.index,
            state,
            configurations: Configurations::behind(last.index, configuration),
            role: Role::Follower { leader: None },
            unsaved: Unsaved::default(),
            durable: last.index,
            peers: BTreeSet::new(),
            asked: BTreeMap::new(),
            acknowledgement: None,
            round: 0,
            timers: Timers::default(),
            requests,
            proposed: Proposed::default(),
            snapshots: Snapshots::of(last.index),
            checkpoints: Checkpoints::default(),
            standing: Standing::Good,
            disk_full: false,
            is_retiring: false,
            leader_heard: Time::default(),
            successor_awaited: Vec::new(),
            refusal: None,
            clock: Clock::default(),
            removed_told: 0,
        }
    }

    /// A new cluster's log begins with its first configuration, which needs nobody's vote.
    fn found(&mut self) {
        let configuration = Configuration::alone(self.config.node, self.config.name.clone());
        self.term = Term(1);
        let payload = Payload::Configuration(Box::new(configuration.clone()));
        let index = self.log.append(Entry { term: self.term, payload });
        self.configurations.append(index, configuration);
        self.commit_index = index;
        self.unsaved.vote = true;
        self.unsaved.log_from(index);
    }

    pub(super) fn payload_at(&self, index: Index) -> Option<Payload> {
        self.log.get(index).map(|entry| entry.payload.clone())
    }
}

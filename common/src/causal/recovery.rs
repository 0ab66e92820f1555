//! How a node goes on from what its disk has kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::causal::Causal;
use crate::causal::clock::VectorClock;
use crate::causal::hybrid::HybridClock;
use crate::causal::log::Log;
use crate::causal::record::{Record, Step};
use crate::causal::saving::Snapshots;
use crate::causal::snapshot::Snapshot;
use crate::causal::store::Store;
use crate::causal::version::Version;
use crate::causal::write::Write;
use crate::config::Config;
use crate::kv::key::Key;
use crate::kv::session::Sessions;
use crate::modes::ModeTable;
use crate::time::{Time, Timers};

/// What a node can't go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Records between the snapshot and the log are gone.
    #[error("the log goes on behind step {found} of causal mode, and {expected} was the last")]
    Gap {
        /// The position before the record.
        found: u64,
        /// The position that was reached.
        expected: u64,
    },
    /// The records contradict each other.
    #[error("step {position} of causal mode does not follow from those before it")]
    Contradiction {
        /// Up to which step they do.
        position: u64,
    },
}

/// A state transfer that a crash may have cut short.
struct Transfer {
    theirs: VectorClock,
    lamport: u64,
    base: Store,
    staged: Vec<(Key, Vec<Version>)>,
    meanwhile: Vec<Arc<Write>>,
}

impl Causal {
    /// The node that `snapshot` and `records` tell of. Where there are none it is one that has
    /// seen nothing, and serves at once if it `founds` the cluster.
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
        let mut causal = Self::blank(config, snapshot);
        let mut transfer = None;
        for record in records {
            if record.position <= causal.position {
                continue; // The snapshot stands for it.
            }
            if let Some(traced) = &mut causal.traced {
                traced.note_record(&record);
            }
            let found = record.position - record.steps.len() as u64;
            if found != causal.position {
                return Err(RecoverError::Gap { found, expected: causal.position });
            }
            for step in record.steps {
                let position = causal.position;
                causal
                    .replay(step, &mut transfer)
                    .ok_or(RecoverError::Contradiction { position })?;
                causal.position += 1;
            }
        }
        causal.ready |= founds && causal.position == 0;
        Ok(causal)
    }

    fn blank(config: Config, snapshot: Option<Snapshot>) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(config.seed);
        let sessions_begun = dice.next_u64();
        let mut causal = Self {
            members: BTreeMap::from([(config.node, config.name.clone())]),
            is_member: false,
            modes: ModeTable::new(config.mode),
            log: Log::new(config.causal_log_bytes),
            traced: config.is_traced.then(Box::default),
            config,
            clock: VectorClock::default(),
            lamport: 0,
            hybrid: HybridClock::default(),
            dice,
            told: VectorClock::default(),
            store: Store::default(),
            sessions: Sessions::default(),
            position: 0,
            ready: false,
            steps: Vec::new(),
            incoming: super::delivery::Incoming::default(),
            peers: BTreeMap::new(),
            known: BTreeMap::new(),
            detectors: BTreeMap::new(),
            deaf: BTreeSet::new(),
            acks: super::acks::Awaited::default(),
            parked: super::parked::Parked::default(),
            deletions: super::deletion::Deletions::default(),
            pull: None,
            gifts: BTreeMap::new(),
            pinned: BTreeMap::new(),
            sessions_begun,
            owed: 0,
            snapshots: Snapshots::default(),
            timers: Timers::default(),
            disk_full: false,
            beats: 0,
            pumped: Time::default(),
            is_pump_due: false,
            are_acks_due: false,
            has_advanced: false,
            has_jumped: false,
            is_watched: false,
        };
        if let Some(snapshot) = snapshot {
            let Snapshot { position, clock, lamport, time, ready, log, sessions, store } = snapshot;
            causal.log = Log::of(&clock, log, causal.config.causal_log_bytes);
            (causal.position, causal.snapshots.position) = (position, position);
            (causal.clock, causal.lamport, causal.ready) = (clock, lamport, ready);
            (causal.sessions, causal.store) = (sessions, store);
            causal.hybrid.restore(time);
        }
        causal
    }

    /// Does what was done then. None if that is not possible.
    fn replay(&mut self, step: Step, transfer: &mut Option<Transfer>) -> Option<()> {
        match step {
            Step::Apply(write) => {
                let is_next = self.clock.get(write.dot.node) + 1 == write.dot.counter;
                if !is_next {
                    return None;
                }
                if let Some(transfer) = transfer.as_mut()
                    && !transfer.theirs.contains(write.dot)
                {
                    transfer.meanwhile.push(Arc::clone(&write));
                }
                self.replay_write(write);
            }
            Step::BeginSync { theirs, lamport } => {
                let (base, staged, meanwhile) = (self.store.clone(), Vec::new(), Vec::new());
                *transfer = Some(Transfer { theirs, lamport, base, staged, meanwhile });
            }
            Step::Stage(part) => transfer.as_mut()?.staged.extend(part),
            Step::EndSync => {
                let Transfer { theirs, lamport, mut base, staged, meanwhile } = transfer.take()?;
                for (key, versions) in staged {
                    base.load(key, versions);
                }
                self.see_lamport(lamport);
                self.adopt(base, &theirs, &meanwhile);
            }
            Step::Ready => self.ready = true,
        }
        Some(())
    }

    fn replay_write(&mut self, write: Arc<Write>) {
        self.clock.advance(write.dot);
        self.see_lamport(write.lamport);
        if write.dot.node == self.config.node {
            self.hybrid.restore(write.time);
        }
        self.store.apply(&write);
        if let Some(request) = &write.request {
            let position = self.position + 1;
            self.sessions.remember(position, request.tag, request.hash, request.outcome.clone());
        }
        self.log.push(write);
    }
}

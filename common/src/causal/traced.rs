//! What a trace has of causal mode beside what logs are told: that which `spec/TraceCausal.tla`
//! compares with its own state, at the end of each commit.

use std::collections::BTreeSet;

use crate::causal::clock::Dot;
use crate::causal::context::Context;
use crate::causal::record::{Record, Step};
use crate::causal::store::Store;
use crate::causal::version::Version;
use crate::causal::write::Write;
use crate::causal::{Causal, Effects};
use crate::kv::key::Key;
use crate::observe::{Basis, CausalEvent, KeyDots, Made, Redone};

/// What is to be told at the end of a commit.
#[derive(Debug, Default)]
pub(super) struct Traced {
    /// Whether anything is.
    is_due: bool,
    /// Whether others belong to the cluster than before.
    has_members: bool,
    /// The keys that may have changed.
    touched: BTreeSet<Key>,
    /// Whether any key may have.
    is_all_touched: bool,
    /// The last record that was found on the disk.
    last: Vec<Step>,
}

impl Traced {
    /// A record was found.
    pub(super) fn note_record(&mut self, record: &Record) {
        self.last.clone_from(&record.steps);
    }

    pub(super) fn note_members(&mut self) {
        self.has_members = true;
    }

    pub(super) fn touch(&mut self, key: &Key) {
        self.touched.insert(key.clone());
    }

    pub(super) fn touch_all(&mut self) {
        self.is_all_touched = true;
    }
}

impl Causal {
    /// Observes what only a trace has a use for.
    pub(super) fn trace(
        &mut self,
        effects: &mut Effects,
        event: impl FnOnce(&Self) -> CausalEvent,
    ) {
        if self.traced.is_some() {
            effects.observe(event(self));
            self.note_traced();
        }
    }

    /// Something has happened that a trace is to tell the end of.
    pub(super) fn note_traced(&mut self) {
        if let Some(traced) = &mut self.traced {
            traced.is_due = true;
        }
    }

    /// A write is about to be applied where it was made.
    pub(super) fn observe_write(
        &mut self,
        write: &Write,
        basis: Basis,
        seen: Option<&Context>,
        effects: &mut Effects,
    ) {
        let made = self.traced.is_some().then(|| {
            Box::new(Made {
                past: write.past.clone(),
                lamport: write.lamport,
                deleted: write.value.is_none(),
                basis,
                context: seen.cloned(),
                tag: tag_of(write),
            })
        });
        let (dot, key, replaces) = (write.dot, write.key.clone(), write.replaces.clone());
        effects.observe(CausalEvent::Originate { dot, key, replaces, made });
    }

    /// What was found on the disk.
    pub(super) fn trace_start(&mut self, effects: &mut Effects) {
        let Some(traced) = &mut self.traced else { return };
        let last = std::mem::take(&mut traced.last);
        self.trace(effects, |causal| CausalEvent::Recover {
            position: causal.position,
            clock: causal.clock.clone(),
            lamport: causal.lamport,
            ready: causal.ready,
            behind: causal.log.bases(),
            held: held(&causal.store),
            last: last.iter().map(redone).collect(),
        });
    }

    /// Who the members are, if others than before.
    pub(super) fn trace_members(&mut self, effects: &mut Effects) {
        let is_due = |traced: &mut Traced| std::mem::take(&mut traced.has_members);
        if self.traced.as_deref_mut().is_some_and(is_due) {
            let members = |causal: &Self| causal.members.keys().copied().collect();
            self.trace(effects, |causal| CausalEvent::CausalMembers { members: members(causal) });
        }
    }

    /// The log keeps less than it did behind `before`.
    pub(super) fn trace_log(
        &mut self,
        before: Option<Vec<Dot>>,
        event: fn(Vec<Dot>) -> CausalEvent,
        effects: &mut Effects,
    ) {
        let behind = self.log.bases();
        if before.is_some_and(|before| before != behind) {
            self.trace(effects, |_| event(behind));
        }
    }

    /// What the log has forgotten, to be compared with later.
    pub(super) fn traced_bases(&self) -> Option<Vec<Dot>> {
        self.traced.as_ref().map(|_| self.log.bases())
    }

    /// The end of a commit.
    pub(super) fn trace_state(&mut self, effects: &mut Effects) {
        let Some(traced) = self.traced.as_deref_mut().filter(|traced| traced.is_due) else {
            return;
        };
        let Traced { touched, is_all_touched, .. } = std::mem::take(traced);
        let one = |key: Key| {
            let dots = dots(self.store.get(&key));
            (key, dots)
        };
        let held = match is_all_touched {
            true => held(&self.store),
            false => touched.into_iter().map(one).collect(),
        };
        effects.observe(CausalEvent::CausalState {
            position: self.position,
            clock: self.clock.clone(),
            lamport: self.lamport,
            ready: self.ready,
            behind: self.log.bases(),
            waiting: self.incoming.dots().collect(),
            keys: self.store.keys(),
            held,
        });
    }
}

fn held(store: &Store) -> KeyDots {
    store.iter().map(|(key, versions)| (key.clone(), dots(versions))).collect()
}

/// The dots of keys that have changed.
pub(super) fn held_of(changed: &[(Key, Vec<Version>)]) -> KeyDots {
    changed.iter().map(|(key, versions)| (key.clone(), dots(versions))).collect()
}

pub(super) fn dots(versions: &[Version]) -> Vec<Dot> {
    versions.iter().map(|version| version.dot).collect()
}

fn redone(step: &Step) -> Redone {
    match step {
        Step::Apply(write) => redone_write(write),
        Step::BeginSync { theirs, lamport } => {
            Redone::BeginSync { clock: theirs.clone(), lamport: *lamport }
        }
        Step::Stage(changed) => Redone::Stage(held_of(changed)),
        Step::EndSync => Redone::EndSync,
        Step::Ready => Redone::Ready,
    }
}

fn redone_write(write: &Write) -> Redone {
    Redone::Apply {
        dot: write.dot,
        key: write.key.clone(),
        replaces: write.replaces.clone(),
        past: write.past.clone(),
        lamport: write.lamport,
        deleted: write.value.is_none(),
        tag: tag_of(write),
    }
}

/// A text: not all readers of JSON know numbers of 128 bits.
fn tag_of(write: &Write) -> Option<String> {
    let tag = write.request.as_ref().map(|request| request.tag);
    tag.map(|tag| format!("{:032x}:{}", tag.client, tag.seq))
}

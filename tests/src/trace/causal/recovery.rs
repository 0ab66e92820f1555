//! Starts of processes: the first of a node, and those behind a crash.

use serde_json::json;

use super::replay::{Clock, Pin, Replay, clock_of, has};
use super::told::{Dot, Made, Redone, Shown};

impl Replay {
    /// Whether all is there that the last commit of a node was due to.
    pub(super) fn is_recovery_due(&self, id: &str, shown: &Shown) -> bool {
        let replica = self.replicas.get(id);
        if replica.is_some_and(|replica| replica.position >= shown.position) {
            return true;
        }
        let is_there = |dot: &Dot| self.replicas.values().any(|replica| has(&replica.synced, dot));
        shown.last.iter().all(|redone| match redone {
            Redone::Apply { dot, .. } => dot.node == id || is_there(dot),
            Redone::BeginSync { clock, .. } => self.pin_of(id, clock) > 0,
            Redone::Stage(_) | Redone::EndSync | Redone::Ready => true,
        })
    }

    /// The last state with this clock that was pinned for a node.
    fn pin_of(&self, to: &str, clock: &[Dot]) -> usize {
        let clock: Clock = clock_of(clock);
        let is_it = |pin: &Pin| pin.to == to && pin.clock == clock;
        self.pins.iter().rposition(is_it).map_or(0, |place| place + 1)
    }

    pub(super) fn recover(&mut self, machine: &str, id: &str, shown: &Shown) -> Result<(), String> {
        let is_first = !self.replicas.contains_key(id);
        if is_first {
            self.begin(machine, id);
        }
        let is_behind = self.of(id).position < shown.position;
        if is_behind {
            for redone in &shown.last {
                self.redo(id, redone);
            }
            self.sync(id, shown.position);
        }
        if is_first && !is_behind {
            return Ok(());
        }
        let held = shown.held.iter().flat_map(|(_, dots)| dots);
        let versions: Vec<usize> = held.map(|dot| self.place(dot)).collect();
        let clock = self.names.clock(&shown.clock);
        let step = json!({
            "clock": clock, "lamport": shown.lamport, "ready": shown.ready,
            "log": self.log(&shown.clock, &shown.behind), "versions": versions,
        });
        self.step(id, "Crash", step);
        let replica = self.of(id);
        replica.clock = clock_of(&shown.clock);
        replica.bases = clock_of(&shown.behind);
        replica.ready = shown.ready;
        replica.pull = None;
        // What it has made of its disk is on its disk.
        self.sync(id, shown.position);
        Ok(())
    }

    /// A node that was never seen: the founder, one in the place of another, or one more.
    fn begin(&mut self, machine: &str, id: &str) {
        let name = self.names.node(id);
        let former = self.machines.insert(machine.to_owned(), id.to_owned());
        let is_founder = name == "n1";
        self.of(id).ready = is_founder;
        if let Some(former) = former {
            self.step(&former, "Wipe", json!({"to": name}));
        } else if !is_founder {
            self.step(id, "Join", json!({}));
        }
    }

    /// A step of the last commit, unless the lines have it.
    fn redo(&mut self, id: &str, redone: &Redone) {
        match redone {
            Redone::Apply { dot, .. } if has(&self.of(id).clock, dot) => {}
            Redone::Apply { dot, key, replaces, past, lamport, deleted, tag } if dot.node == id => {
                let made = Made {
                    past: past.clone(),
                    lamport: *lamport,
                    deleted: *deleted,
                    basis: "some".to_owned(),
                    context: None,
                    tag: tag.clone(),
                };
                self.write(id, dot, key, replaces, &made);
            }
            Redone::Apply { dot, .. } => self.redeliver(id, dot),
            Redone::BeginSync { clock, lamport } => self.stage_again(id, clock, *lamport),
            Redone::Stage(changed) => {
                let Some(pull) = &self.of(id).pull else { return };
                let is_new = |key: &String| !pull.merged.contains(key);
                let changed = changed.iter().filter(|(key, _)| is_new(key)).cloned().collect();
                self.merge(id, &changed);
            }
            Redone::EndSync => self.end_sync(id),
            Redone::Ready => {
                if !std::mem::replace(&mut self.of(id).ready, true) {
                    self.step(id, "Found", json!({}));
                }
            }
        }
    }

    fn redeliver(&mut self, id: &str, dot: &Dot) {
        let i = self.place(dot);
        let (key, deleted, tag) = match i.checked_sub(1).map(|place| &self.writes[place]) {
            Some(write) => (write.key.clone(), write.deleted, write.tag),
            None => ("k1".to_owned(), false, 0),
        };
        self.of(id).clock.insert(dot.node.clone(), dot.counter);
        self.step(id, "Redeliver", json!({"i": i, "k": key, "deletes": deleted, "tag": tag}));
    }

    fn stage_again(&mut self, id: &str, clock: &[Dot], lamport: u64) {
        match &self.of(id).pull {
            Some(pull) if pull.clock == clock => return,
            Some(_) => self.step(id, "Abandon", json!({})),
            None => {}
        }
        let pin = self.pin_of(id, clock);
        let donor = pin.checked_sub(1).map(|place| self.pins[place].donor.clone());
        self.begin_sync(id, &donor.unwrap_or_default(), pin, (clock, lamport));
    }
}

//! The nodes as far as their lines tell, and the steps that come of these.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::super::Behaviour;
use super::names::Names;
use super::order::Streams;
use super::told::{Dot, Entry, Held, Made, Shown, Told, Way};

/// A clock, by the ids of nodes.
pub(super) type Clock = BTreeMap<String, u64>;

/// A node.
#[derive(Debug, Default)]
pub(super) struct Replica {
    pub(super) clock: Clock,
    /// What its disk has for sure.
    pub(super) synced: Clock,
    pub(super) position: u64,
    pub(super) ready: bool,
    /// Of each writer, the last that its log does not keep.
    pub(super) bases: Clock,
    pub(super) pull: Option<Pull>,
}

/// A state that is taken over.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) clock: Vec<Dot>,
    /// The keys that have changed.
    pub(super) merged: Vec<String>,
}

/// What a write is, beside its dot.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) key: String,
    pub(super) deleted: bool,
    pub(super) tag: usize,
}

/// A state that a donor has pinned.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) donor: String,
    pub(super) to: String,
    session: u64,
    pub(super) clock: Clock,
}

#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) names: Names,
    pub(super) replicas: BTreeMap<String, Replica>,
    /// The node that each machine had last.
    pub(super) machines: BTreeMap<String, String>,
    pub(super) writes: Vec<Written>,
    /// The place of each, from 1 on.
    pub(super) places: BTreeMap<Dot, usize>,
    pub(super) pins: Vec<Pin>,
    /// The least that any client has waited for.
    copies: BTreeMap<Dot, u64>,
    pub(super) steps: Vec<Value>,
    lc: u64,
}

/// The steps of all streams.
pub(super) fn replay(mut streams: Streams) -> Result<Behaviour, String> {
    let mut replay = Replay::default();
    replay.look_ahead(&streams)?;
    while let Some(machine) = replay.next(&streams) {
        let entry = streams.get_mut(&machine).and_then(VecDeque::pop_front);
        let entry = entry.ok_or("a stream that is next has something")?;
        replay.lc = entry.lc;
        replay.take(&machine, &entry)?;
    }
    let mut header = Map::new();
    header.insert("nodes".to_owned(), replay.names.nodes());
    header.insert("keys".to_owned(), replay.names.keys());
    Ok(Behaviour { header, steps: replay.steps })
}

pub(super) fn clock_of(dots: &[Dot]) -> Clock {
    dots.iter().map(|dot| (dot.node.clone(), dot.counter)).collect()
}

pub(super) fn has(clock: &Clock, dot: &Dot) -> bool {
    clock.get(&dot.node).is_some_and(|counter| dot.counter <= *counter)
}

fn advance(clock: &mut Clock, dot: &Dot) {
    let entry = clock.entry(dot.node.clone()).or_default();
    *entry = (*entry).max(dot.counter);
}

impl Replay {
    /// Who has founded the cluster, and for how many copies clients wait.
    fn look_ahead(&mut self, streams: &Streams) -> Result<(), String> {
        let mut entries: Vec<&Entry> = streams.values().flatten().collect();
        entries.sort_by_key(|entry| entry.lc);
        let is_founder =
            |entry: &&&Entry| matches!(&entry.told, Told::Recover(shown) if shown.ready);
        let founder = entries.iter().find(is_founder).ok_or("nobody has founded a cluster")?;
        self.names.node(&founder.id);
        for entry in entries {
            if let Told::Answer { dot, needed, .. } = &entry.told {
                let least = self.copies.entry(dot.clone()).or_insert(*needed);
                *least = (*needed).min(*least);
            }
        }
        Ok(())
    }

    /// The machine whose step comes next: the earliest whose cause is there.
    fn next(&self, streams: &Streams) -> Option<String> {
        let heads = streams.iter().filter_map(|(machine, all)| Some((machine, all.front()?)));
        let next = heads
            .min_by_key(|(machine, entry)| (!self.is_due(entry), entry.lc, (*machine).clone()));
        next.map(|(machine, _)| machine.clone())
    }

    fn is_synced(&self, node: &str, dots: &[Dot]) -> bool {
        let replica = self.replicas.get(node);
        replica.is_some_and(|replica| dots.iter().all(|dot| has(&replica.synced, dot)))
    }

    /// Whether all that an event is due to is there.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are due to nobody else")]
    fn is_due(&self, entry: &Entry) -> bool {
        match &entry.told {
            Told::ApplyWrite { dot, way: Way::From(from), .. } | Told::Hold { dot, from } => {
                self.is_synced(from, std::slice::from_ref(dot))
            }
            Told::HandleAck { peer, clock } => self.is_synced(peer, clock),
            Told::StageState { donor, session, clock, .. } => {
                self.pin(donor, &entry.id, *session) > 0 && self.is_synced(donor, clock)
            }
            Told::Recover(shown) => self.is_recovery_due(&entry.id, shown),
            _ => true,
        }
    }

    fn pin(&self, donor: &str, to: &str, session: u64) -> usize {
        let is_it = |pin: &Pin| (&*pin.donor, &*pin.to, pin.session) == (donor, to, session);
        self.pins.iter().position(is_it).map_or(0, |place| place + 1)
    }

    fn take(&mut self, machine: &str, entry: &Entry) -> Result<(), String> {
        let id = entry.id.as_str();
        if let Told::Recover(shown) = &entry.told {
            return self.recover(machine, id, shown);
        }
        if !self.replicas.contains_key(id) {
            return Err(format!("{id} has not begun: {entry:?}"));
        }
        match &entry.told {
            Told::Originate { dot, key, replaces, made } => {
                self.write(id, dot, key, replaces, made);
            }
            Told::ApplyWrite { dot, key, deleted, way } => {
                self.apply(id, dot, (key, *deleted), way);
            }
            Told::Hold { dot, from } => {
                let (from, i) = (self.names.node(from), self.place(dot));
                self.step(id, "Hold", json!({"from": from, "i": i}));
            }
            Told::HandleAck { peer, clock } => {
                let (peer, clock) = (self.names.node(peer), self.names.clock(clock));
                self.step(id, "HandleAck", json!({"peer": peer, "clock": clock}));
            }
            Told::Collect { behind } => self.forget(id, "Collect", behind),
            Told::Trim { behind } => self.forget(id, "Trim", behind),
            Told::Sync { position } => self.sync(id, *position),
            Told::CausalState(shown) => self.show(id, shown),
            Told::ServeWithoutDonor => {
                self.of(id).ready = true;
                self.step(id, "Found", json!({}));
            }
            Told::GiveState { .. }
            | Told::StageState { .. }
            | Told::MergeStateChunk { .. }
            | Told::EndStateSync {}
            | Told::AbandonStateSync {} => self.take_transfer(id, &entry.told),
            Told::SessionRead { .. } | Told::Answer { .. } | Told::CausalMembers { .. } => {
                return self.take_of_clients(id, &entry.told);
            }
            Told::Recover(_) | Told::Other => {}
        }
        Ok(())
    }

    /// What clients are told, and who counts for that.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are no clients' matter")]
    fn take_of_clients(&mut self, id: &str, told: &Told) -> Result<(), String> {
        match told {
            Told::SessionRead { key, context, dots } => {
                let (k, versions) = (self.names.key(key), self.places_of(dots));
                let context = self.names.context(context.as_deref())?;
                let read = json!({"k": k, "context": context, "versions": versions});
                self.step(id, "SessionRead", read);
            }
            Told::Answer { dot, needed, holders } => {
                let holders: Vec<_> = holders.iter().map(|id| self.names.node(id)).collect();
                let i = self.place(dot);
                let answer = json!({"i": i, "needed": needed, "holders": holders});
                self.step(id, "Answer", answer);
            }
            Told::CausalMembers { members } => {
                let members: Vec<_> = members.iter().map(|id| self.names.node(id)).collect();
                self.step(id, "Members", json!({"members": members}));
            }
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are of no transfer")]
    fn take_transfer(&mut self, id: &str, told: &Told) {
        match told {
            Told::GiveState { to, session } => {
                let clock = self.of(id).clock.clone();
                let (donor, to) = (id.to_owned(), to.clone());
                let name = self.names.node(&to);
                self.pins.push(Pin { donor, to, session: *session, clock });
                self.step(id, "Pin", json!({"to": name}));
            }
            Told::StageState { donor, session, clock, lamport } => {
                let pin = self.pin(donor, id, *session);
                self.begin_sync(id, donor, pin, (clock, *lamport));
            }
            Told::MergeStateChunk { changed } => self.merge(id, changed),
            Told::EndStateSync {} => self.end_sync(id),
            Told::AbandonStateSync {} if self.of(id).pull.take().is_some() => {
                self.step(id, "Abandon", json!({}));
            }
            _ => {}
        }
    }

    pub(super) fn of(&mut self, id: &str) -> &mut Replica {
        self.replicas.entry(id.to_owned()).or_default()
    }

    /// Adds a step of a node.
    pub(super) fn step(&mut self, id: &str, ev: &str, fields: Value) {
        let mut step = Map::new();
        step.insert("ev".to_owned(), ev.into());
        step.insert("n".to_owned(), self.names.node(id).into());
        step.insert("lc".to_owned(), self.lc.into());
        if let Value::Object(fields) = fields {
            step.extend(fields);
        }
        self.steps.push(Value::Object(step));
    }

    /// The place of a write among all.
    pub(super) fn place(&self, dot: &Dot) -> usize {
        self.places.get(dot).copied().unwrap_or(0)
    }

    pub(super) fn places_of(&self, dots: &[Dot]) -> Vec<usize> {
        dots.iter().map(|dot| self.place(dot)).collect()
    }

    pub(super) fn write(&mut self, id: &str, dot: &Dot, key: &str, replaces: &[Dot], made: &Made) {
        let Made { past, lamport, deleted, basis, context, tag } = made;
        let replaces = self.places_of(replaces);
        let (key, tag) = (self.names.key(key), self.names.tag(tag.as_deref()));
        self.writes.push(Written { key: key.clone(), deleted: *deleted, tag });
        self.places.insert(dot.clone(), self.writes.len());
        let copies = self.copies.get(dot).copied().unwrap_or(1);
        let context = self.names.context(context.as_deref()).unwrap_or_default();
        let past = self.names.clock(past);
        advance(&mut self.of(id).clock, dot);
        let step = json!({
            "k": key, "deletes": deleted, "copies": copies, "replaces": replaces, "by": basis,
            "context": context, "past": past, "counter": dot.counter, "lamport": lamport,
            "tag": tag,
        });
        self.step(id, "Write", step);
    }

    fn apply(&mut self, id: &str, dot: &Dot, (key, deleted): (&str, bool), way: &Way) {
        let (ev, from) = match way {
            Way::Own => return, // That is part of the Write.
            Way::From(from) => ("Deliver", Some(self.names.node(from))),
            Way::Waited => ("DeliverWaiting", None),
        };
        let (k, i) = (self.names.key(key), self.place(dot));
        let tag = i.checked_sub(1).map_or(0, |place| self.writes[place].tag);
        advance(&mut self.of(id).clock, dot);
        let mut step = json!({"i": i, "k": k, "deletes": deleted, "tag": tag});
        if let Some(from) = from {
            step["from"] = from.into();
        }
        self.step(id, ev, step);
    }

    /// The log keeps what is behind these.
    fn forget(&mut self, id: &str, ev: &str, behind: &[Dot]) {
        let before = self.of(id).bases.clone();
        let after = clock_of(behind);
        let is_gone = |dot: &&Dot| has(&after, dot) && !has(&before, dot);
        let done: Vec<usize> =
            self.places.iter().filter(|(dot, _)| is_gone(dot)).map(place).collect();
        self.of(id).bases = after;
        self.step(id, ev, json!({"done": done}));
    }

    pub(super) fn sync(&mut self, id: &str, position: u64) {
        let replica = self.of(id);
        replica.synced = replica.clock.clone();
        replica.position = position;
        self.step(id, "Sync", json!({}));
    }

    /// What a log with these bases has of a clock.
    pub(super) fn log(&self, clock: &[Dot], behind: &[Dot]) -> Vec<usize> {
        let (clock, behind) = (clock_of(clock), clock_of(behind));
        let is_kept = |dot: &&Dot| has(&clock, dot) && !has(&behind, dot);
        self.places.iter().filter(|(dot, _)| is_kept(dot)).map(place).collect()
    }

    fn show(&mut self, id: &str, shown: &Shown) {
        let clock = self.names.clock(&shown.clock);
        let held: Vec<Value> = shown
            .held
            .iter()
            .map(|(key, dots)| json!([self.names.key(key), self.places_of(dots)]))
            .collect();
        let step = json!({
            "clock": clock, "lamport": shown.lamport, "ready": shown.ready,
            "log": self.log(&shown.clock, &shown.behind),
            "waiting": self.places_of(&shown.waiting), "keys": shown.keys, "held": held,
        });
        self.step(id, "State", step);
    }

    pub(super) fn begin_sync(
        &mut self,
        id: &str,
        donor: &str,
        pin: usize,
        (clock, lamport): (&[Dot], u64),
    ) {
        self.of(id).pull = Some(Pull { clock: clock.to_vec(), merged: Vec::new() });
        let (donor, clock) = (self.names.node(donor), self.names.clock(clock));
        let step = json!({"donor": donor, "pin": pin, "clock": clock, "lamport": lamport});
        self.step(id, "BeginSync", step);
    }

    pub(super) fn merge(&mut self, id: &str, changed: &Held) {
        for (key, dots) in changed {
            if let Some(pull) = &mut self.of(id).pull {
                pull.merged.push(key.clone());
            }
            let (k, versions) = (self.names.key(key), self.places_of(dots));
            self.step(id, "MergeChunk", json!({"k": k, "versions": versions}));
        }
    }

    pub(super) fn end_sync(&mut self, id: &str) {
        let replica = self.of(id);
        let Some(pull) = replica.pull.take() else { return };
        replica.ready = true;
        let news: Vec<Dot> =
            pull.clock.into_iter().filter(|dot| !has(&replica.clock, dot)).collect();
        for dot in &news {
            advance(&mut replica.clock, dot);
            replica.bases.insert(dot.node.clone(), dot.counter);
        }
        let writers: Vec<_> = news.iter().map(|dot| self.names.node(&dot.node)).collect();
        self.step(id, "MergeRest", json!({}));
        self.step(id, "EndSync", json!({}));
        self.step(id, "Restart", json!({"writers": writers}));
    }
}

fn place((_, place): (&Dot, &usize)) -> usize {
    *place
}

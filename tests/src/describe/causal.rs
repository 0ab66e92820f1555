//! What happened in causal mode, in words.

use common::causal::clock::{Dot, VectorClock};
use common::causal::message::{Ack, Beat, Message, SyncChunk};
use common::causal::write::Write;

use super::{Names, value};

impl Names {
    /// `5.n1`: the fifth write of n1.
    pub fn dot(&self, dot: Dot) -> String {
        format!("{}.{}", dot.counter, self.of(dot.node))
    }

    fn dots(&self, dots: impl IntoIterator<Item = Dot>) -> String {
        let dots: Vec<_> = dots.into_iter().map(|dot| self.dot(dot)).collect();
        format!("[{}]", dots.join(" "))
    }

    /// `[5.n1 7.n2]`.
    pub fn clock(&self, clock: &VectorClock) -> String {
        self.dots(clock.iter())
    }

    fn causal_write(&self, write: &Write) -> String {
        let Write { dot, past, key, replaces, value: held, .. } = write;
        let held = held.as_ref().map_or("deleted".to_owned(), value);
        let (past, replaces) = (self.dots(past.clone()), self.dots(replaces.clone()));
        format!("{} {key}={held} past {past} replaces {replaces}", self.dot(*dot))
    }

    fn ack(&self, ack: &Ack) -> String {
        let beyond = self.dots(ack.beyond.clone());
        format!("{} beyond {beyond}", self.clock(&ack.clock))
    }

    pub(super) fn causal_message(&self, message: &Message) -> String {
        match message {
            Message::Writes { writes, is_urgent } => {
                let writes: Vec<_> = writes.iter().map(|write| self.causal_write(write)).collect();
                format!("Writes {}{}", writes.join("; "), if *is_urgent { ", urgent" } else { "" })
            }
            Message::Ack(ack) => format!("Ack {}", self.ack(ack)),
            Message::Beat(Beat { ack, ready, hears, .. }) => {
                let ready = if *ready { "ready" } else { "not ready" };
                let hears: Vec<_> = hears.iter().map(|(id, _)| self.of(*id)).collect();
                format!("Beat {}, {ready}, hears {}", self.ack(ack), hears.join(" "))
            }
            Message::Want(ack) => format!("Want {}", self.ack(ack)),
            Message::Behind => "Behind".to_owned(),
            Message::SyncAsk { session } => format!("SyncAsk {session}"),
            Message::SyncTree { session, clock, .. } => {
                format!("SyncTree {session} {}", self.clock(clock))
            }
            Message::SyncBranches { session, branches } => {
                format!("SyncBranches {session} of {}", branches.len())
            }
            Message::SyncLeaves { session, leaves } => {
                format!("SyncLeaves {session} of {}", leaves.len())
            }
            Message::SyncFetch { session, after, skip, .. } => {
                format!("SyncFetch {session} behind {after:?} and {skip}")
            }
            Message::SyncChunk(SyncChunk { session, entries, done, .. }) => {
                let done = if *done { ", done" } else { "" };
                format!("SyncChunk {session} of {} keys{done}", entries.len())
            }
            Message::SyncRefused { session } => format!("SyncRefused {session}"),
        }
    }
}

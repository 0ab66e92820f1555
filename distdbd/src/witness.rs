//! What the core did, told to logs and to the trace file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use common::identity::NodeName;
use common::observe::Event;
use serde::Serialize;

/// Whom events are told to.
#[derive(Debug)]
pub(crate) struct Witness {
    node: NodeName,
    trace: Option<Trace>,
}

#[derive(Debug)]
struct Trace {
    file: BufWriter<File>,
    seq: u64,
}

/// A line of a trace.
#[derive(Serialize)]
struct Line<'a> {
    /// Of this format.
    v: u32,
    /// The protocol's.
    lab: u32,
    /// Counts the node's events.
    seq: u64,
    node: &'a NodeName,
    /// Since the daemon's start; two nodes' can't be compared.
    at_us: u64,
    #[serde(flatten)]
    event: &'a Event,
}

impl Witness {
    pub(crate) fn new(node: NodeName, trace: Option<&Path>) -> io::Result<Self> {
        let trace = match trace {
            Some(path) => Some(Trace { file: BufWriter::new(File::create(path)?), seq: 0 }),
            None => None,
        };
        Ok(Self { node, trace })
    }

    /// Takes the events of one commit.
    ///
    /// # Errors
    ///
    /// The trace can't be written.
    pub(crate) fn observe(&mut self, at: Duration, events: &[Event]) -> io::Result<()> {
        for event in events {
            log(event);
        }
        let Some(trace) = &mut self.trace else { return Ok(()) };
        for event in events {
            trace.seq += 1;
            let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
            let line = Line { v: 1, lab: 1, seq: trace.seq, node: &self.node, at_us, event };
            serde_json::to_writer(&mut trace.file, &line)?;
            trace.file.write_all(b"\n")?;
        }
        if events.is_empty() { Ok(()) } else { trace.file.flush() }
    }
}

/// Changes of state are told; what happens with each write is not, but at level trace.
fn log(event: &Event) {
    match event {
        Event::Start { incarnation } => {
            tracing::info!(incarnation = incarnation.0, "started");
        }
        Event::Link { peer, name, incarnation } => {
            tracing::info!(%name, id = %peer, incarnation = incarnation.0, "peer connected");
        }
        Event::Unlink { peer, reason } => {
            tracing::warn!(id = %peer, reason, "peer no longer connected");
        }
        Event::Miss { from, writes } => {
            tracing::warn!(id = %from, writes, "writes of a peer are lost; `distdbctl sync` gets them");
        }
        Event::BecomeReady { how, keys } => {
            tracing::info!(?how, keys, "serves");
        }
        Event::DonorBehind { donor } => {
            tracing::info!(id = %donor, "donor has not got all that was sent before; asking again");
        }
        Event::Repair { changed } => tracing::info!(changed, "merged the states of all peers"),
        Event::Member { id, name, address } => tracing::info!(%name, %id, address, "member"),
        Event::NameTaken { id, name } => {
            tracing::warn!(%name, %id, "refused: a connected member has this name");
        }
        Event::RequestSync { donor, session, chunk } => {
            tracing::debug!(id = %donor, session, chunk, "asks for a chunk");
        }
        Event::ServeSync { to, session, entries, done } => {
            tracing::debug!(id = %to, session, entries, done, "gives a chunk");
        }
        Event::MergeChunk { donor, session, entries, won, done } => {
            tracing::debug!(id = %donor, session, entries, won, done, "merged a chunk");
        }
        Event::Write { .. } | Event::Deliver { .. } => tracing::trace!(?event),
    }
}

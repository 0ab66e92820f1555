//! The deterministic simulator: whole clusters in virtual time, out of one seed.
//!
//! Real nodes, the very code that `distdbd` runs, on machines that are not there. A run is one
//! loop over an agenda: something happens at a time, and puts more onto the agenda. Nothing else
//! moves time, and one stream of randomness decides all that is left open; so a seed is a run, to
//! the byte, on every machine. A run has three parts.
//!
//! 1. **Chaos.** Machines start, one after another or at once; the first has bootstrapped the
//!    cluster, the others join. Clients put, delete, read, watch, wait and sync at any of them.
//!    Faults happen as the seed's [`profile::Profile`] has them: messages get lost, come twice or
//!    late or out of order; connections break; machines are cut off from each other, one way or
//!    both ways, crash with or without a word, come back with or without their disk, stand still.
//! 2. **Healing.** Faults and clients stop. Every node must become ready, and see all others so,
//!    within a bound.
//! 3. **Judgement.** Where nothing was lost, all stores are equal. Where something was, they are
//!    once every node has synced, and nobody lacks anything then.
//!
//! All the while [`crate::check`] looks at every commit of every node.
//!
//! ```text
//!  clients.rs ──┐                             ┌── mischief.rs   crash, partition, ...
//!               ▼                             ▼
//!  agenda.rs ─▶ world.rs: inbox ─▶ Node::step ─▶ commit ─▶ outbox ─▶ check
//!               ▲                                            │
//!               └── connect.rs ◀── network.rs: delay, loss ◀─┘
//! ```
//!
//! A machine's daemon is modelled as the real one works: what has come while the node was at work
//! goes into one commit; only what was committed leaves; one connection between two nodes, dialled
//! by the smaller id; a `PeerDown` for each connection that ends, whoever ended it.
//!
//! # Not done
//!
//! - Bytes: nodes exchange messages, not frames. `tests/wire.rs` has those.
//! - Damaged or hostile messages: peers are trusted, once they have passed the handshake.

mod agenda;
mod callers;
mod causal_healing;
mod causal_statistics;
mod clients;
mod commit;
mod connect;
mod data;
pub mod dice;
mod followers;
mod healing;
mod judge;
pub mod lab;
mod machine;
mod mischief;
mod network;
pub mod profile;
mod questions;
mod raft_healing;
mod raft_mischief;
pub mod recorder;
pub mod report;
mod sessions;
pub mod statistics;
mod tasks;
mod world;

use common::check::Violation;

use crate::trace::Line;
use lab::Lab;
use profile::Profile;

use recorder::Recording;
use statistics::Statistics;
use world::World;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What the seed brought.
    pub profile: Profile,
    /// What happened.
    pub statistics: Statistics,
    /// What should not have.
    pub violation: Option<Violation>,
    /// A hash of all that happened, if it was recorded.
    pub hash: Option<u64>,
    /// All that happened in words, if it was recorded.
    pub lines: Vec<String>,
    /// What the nodes observed, if that was.
    pub trace: Vec<Line>,
}

/// Runs a seed.
pub fn run(lab: Lab, seed: u64, recording: Recording) -> Outcome {
    let mut world = World::new(lab, seed, recording);
    let profile = world.profile.clone();
    let end_of_chaos = world.now + profile.chaos;
    let verdict = match world.run(end_of_chaos, |_| false) {
        Ok(_) => match lab {
            Lab::Broadcast => world.heal_and_judge(),
            Lab::Causal => world.heal_and_judge_causal(),
            Lab::Raft => world.heal_and_judge_raft(),
        },
        Err(violation) => Err(violation),
    };
    let (hash, lines, trace) = world.recorder.finish();
    let (statistics, violation) = (world.statistics, verdict.err());
    Outcome { profile, statistics, violation, hash, lines, trace }
}

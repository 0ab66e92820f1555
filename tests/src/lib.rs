//! The test kit of distdb.
//!
//! Four ways to try the same core, from the widest net to the finest needle, and the real thing last:
//!
//! - [`sim`] runs whole clusters in virtual time, thousands of them, with faults drawn from a
//!   seed. What it finds can be run again from the seed.
//! - [`script`] steps nodes by hand: one scenario a file, in `tests/scripts`, that reads as a story
//!   and pins what the nodes say.
//! - `tests/wire.rs` pins the bytes of peers.
//! - [`cluster`] starts real daemons on this machine, and kills, pauses and partitions them; [`soak`]
//!   does so with all of it, for as long as one likes.
//!
//! What is right is not known to those who drive: [`check`] judges, from what went into a node and
//! what came out, and judges simulations and scripts alike; and from a [`common::history`] of what
//! clients were answered, [`common::check`] judges real clusters as well. [`host`] is what both drive, a node with its [`disk`];
//! [`describe`] puts into words what happened.

pub mod check;
pub mod cluster;
pub mod describe;
pub mod disk;
pub mod host;
pub mod script;
pub mod sim;
pub mod soak;
pub mod trace;

//! The wire types and the deterministic core of distdb, a distributed key-value store.
//!
//! Nothing here does IO. There is no clock, no ambient randomness, no thread, no `async` and no
//! logging: time is an argument, maps are ordered, and what is to be done comes back as
//! [`protocol::Effects`]. The same records and inputs give the same effects, byte for byte; so
//! the simulator in `tests` replays any run from its seed, and runs the code that `distdbd` runs.
//!
//! # Invariants of the architecture
//!
//! - State changes only in [`protocol::Protocol::step`].
//! - Nothing that promises durability leaves a node before it is durable: effects lie locked until
//!   [`protocol::Effects::commit`].
//! - The core owns its stores and applies to them; whoever drives it never does.
//! - The protocols don't import one another. [`node::Node`] alone knows them all.
//! - JSON is known in [`control`] and in the [`peer::hello`]; frames and disk are postcard.
//! - Everything has a bound, named beside its user.
//!
//! # Where things are
//!
//! [`protocol`] is the shape of all protocols, [`broadcast`] the first of them, [`node`] routes
//! requests to them. [`control`] is what clients say, [`peer`] what nodes say, [`storage`] what is
//! kept. [`kv`] has keys, values and watches, [`observe`] what traces and logs are made of. A
//! [`history`] is what clients saw, and [`check`] judges it.

pub mod broadcast;
pub mod causal;
pub mod check;
pub mod config;
pub mod control;
pub mod history;
pub mod identity;
pub mod kv;
pub mod modes;
pub mod node;
pub mod observe;
pub mod peer;
pub mod protocol;
pub mod raft;
pub mod storage;
pub mod time;

//! What nodes say to each other over TCP: a [`hello`] each way, then [`frame`]s.
//!
//! There is one connection between two nodes. The one with the smaller id dials it; a node with
//! the larger id that has something to say (it has just started, or joins) dials as well, and is
//! dialled back at the address that its hello tells. So two nodes that dial each other at the
//! same time need no tie-break, and an address that does not lead back to its node shows at once.

pub mod frame;
pub mod hello;

//! What fuzzers hand to distdb, and what must be true whatever it is.
//!
//! Each module is one target: a function of any bytes, that panics where distdb does, or where what
//! it promises does not hold. The programs in `fuzz_targets` join them to libFuzzer; `make fuzz` runs
//! them, and `tests/fuzz/corpus` has some inputs of each to begin with.
//!
//! | target | bytes are | beside that nothing panics |
//! |---|---|---|
//! | [`control_line`] | a line of a client | a call that was read is written and read again, the same |
//! | [`peer_frame`] | what comes from a peer | so is a message; what is read takes no more memory than a multiple of its bytes |
//! | [`node_step`] | what befalls a node: messages of peers, lines of clients, crashes | what a node sends is plausible and has room in a frame; it starts again from what it wrote |
//! | [`wal`] | what is written to a log, and how its files are damaged | what is before the damage is found, or nothing is touched; a second start finds the same |
//! | [`snapshot`] | the frames of a snapshot | one that was read is written and read again, the same; a node takes it |
//! | [`txn`] | the text of a transaction | one that was read can be said again, in text and in JSON, and is the same |

mod allocation;
pub mod control_line;
/// The kit's, without the rest of it, which takes longer to build.
#[path = "../../src/disk.rs"]
pub mod disk;
#[path = "../../src/host/mod.rs"]
pub mod host;
pub mod node_step;
pub mod peer_frame;
mod sealed;
pub mod snapshot;
mod source;
pub mod txn;
pub mod wal;

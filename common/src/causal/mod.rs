//! Lab 2: causal replication.

pub mod clock;
pub mod context;
pub mod detector;
pub mod hybrid;
pub mod record;
pub mod resolver;
pub mod snapshot;
pub mod store;
pub mod tree;
pub mod version;
pub mod write;

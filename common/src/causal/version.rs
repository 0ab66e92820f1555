//! Versions: what stands side by side under a key.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causal::clock::{COUNTER_MAX, Dot};
use crate::causal::hybrid::Timestamp;
use crate::causal::write::{LAMPORT_MAX, Write};
use crate::kv::bytes_shared;
use crate::kv::value::{VALUE_BYTES_MAX, Value};

/// A value of a key that no write has taken the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The write that it is of.
    pub dot: Dot,
    /// That write's Lamport clock.
    pub lamport: u64,
    /// When it was written.
    pub time: Timestamp,
    /// The Lamport clock of the write that made the key.
    pub created: u64,
    /// How many writes there were since.
    pub writes: u64,
    /// The value, in as little memory as can be: there may be millions.
    #[serde(with = "bytes_shared")]
    pub value: Arc<[u8]>,
}

impl Version {
    /// The version that a write adds; a deletion adds none.
    pub fn of(write: &Write) -> Option<Self> {
        let value = write.value.as_ref()?;
        Some(Self {
            dot: write.dot,
            lamport: write.lamport,
            time: write.time,
            created: write.created,
            writes: write.writes,
            value: Arc::from(value.as_bytes()),
        })
    }

    /// Whether it is within bounds. A sound node sends nothing else.
    pub fn is_plausible(&self) -> bool {
        let numbers = [self.lamport, self.created, self.writes];
        (1..COUNTER_MAX).contains(&self.dot.counter)
            && numbers.iter().all(|number| *number <= LAMPORT_MAX)
            && self.time.is_plausible()
            && self.value.len() <= VALUE_BYTES_MAX
    }

    /// The value, which shares the bytes.
    pub fn value(&self) -> Value {
        let bytes = Bytes::from_owner(Arc::clone(&self.value));
        Value::try_from(bytes).expect("what is stored was a value")
    }

    /// Later versions are greater, on all nodes alike: by the hybrid clock, ties by the dot.
    pub fn rank(&self) -> (Timestamp, Dot) {
        (self.time, self.dot)
    }
}

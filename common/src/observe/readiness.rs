//! Why nodes of Lab 1 serve.

use serde::Serialize;

/// Why a node may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It is the only member.
    Alone,
    /// It has a ready peer's whole state.
    Synced,
    /// All members are connected, none is ready, and it has the lowest id.
    Founded,
    /// No ready member could be found in time. As soon as one is connected, its state is merged.
    FoundedInDoubt,
}

//! Bounded buffers: what a node keeps for others, and what waits, has a bound that no absence and
//! no disorder passes.
//!
//! Source: pitfall L3.

use common::causal::Causal;

/// See `causal/delivery.rs`.
const WAITING_MAX: u64 = 8_192;

pub(super) fn judge(state: &Causal, log_bytes_max: u64) -> Result<(), String> {
    let status = state.status();
    if status.log_bytes > log_bytes_max {
        return Err(format!("the log has {} bytes, and takes {log_bytes_max}", status.log_bytes));
    }
    if status.waiting > WAITING_MAX {
        return Err(format!("{} writes wait, and {WAITING_MAX} may", status.waiting));
    }
    Ok(())
}

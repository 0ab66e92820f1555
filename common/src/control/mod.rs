//! The control protocol: newline-delimited JSON over the node's Unix socket.
//!
//! One JSON object a line, each way, UTF-8, no greeting:
//!
//! ```text
//! {"id":7,"op":"put","key":"name","value":"alice","timeout_ms":5000}
//! {"id":7,"ok":true,"header":{"node":"node1","mode":"broadcast","revision":42},"result":{...}}
//! {"id":7,"ok":false,"header":{"node":"node1"},"error":{"code":"not_ready","applied":"no",...}}
//! ```
//!
//! - A line has at most [`line::LINE_BYTES_MAX`] bytes and nests at most [`line::NESTING_MAX`]
//!   deep. A longer or deeper one, or one that is no JSON object, is answered with `bad_request`
//!   and the connection is closed. An unknown operation, or an unknown or mistyped member, is
//!   answered and the connection lives on.
//! - `id` (a string or an integer) is echoed. Requests with an id may be pipelined, up to
//!   [`OUTSTANDING_MAX`]; writes take effect in the order sent; replies may come out of order. A
//!   request without an id is answered before the next line of its connection is read.
//! - Half-close means: finish what is outstanding, answer, close.
//!
//! [`request`] is what a client says; [`reply`], [`status`], [`conflict`] and [`watching`] are what a
//! node answers, [`failure`] is what goes wrong; [`mod@line`] holds the rules of parsing. `distdbd` and `distdbctl`
//! both use these types as they are; neither builds JSON by hand.

pub mod acks;
pub mod bytes;
pub mod cluster;
pub mod condition;
pub mod conflict;
pub mod failure;
pub mod fault;
pub mod kv;
pub mod line;
pub mod reply;
pub mod request;
pub mod status;
pub mod trace;
pub mod watching;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The version of this protocol, as `hello` tells it.
pub const PROTOCOL: u32 = 1;

/// Requests of one connection that wait for their replies. Further lines are not read before one
/// of these is answered, so a client that never reads is bounded as well.
pub const OUTSTANDING_MAX: usize = 1_024;

/// What a client calls a request, echoed in the reply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged, expecting = "a string or an integer below 2^64")]
pub enum Id {
    /// An integer from 0 on.
    Unsigned(u64),
    /// An integer below 0.
    Signed(i64),
    /// Any text.
    Text(Arc<str>),
}

//! `export`: keys and values as JSON, an object a line.

use common::control::bytes::{Base64Bytes, TextBytes};
use common::control::request::Range;
use common::kv::key::Key;
use serde::{Deserialize, Serialize};

use crate::args::command::data::Export;
use crate::client::Client;
use crate::cmd::{self, kv};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// A line: a key, and its value in one of two ways.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) key: Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<TextBytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value_b64: Option<Base64Bytes>,
}

/// Page by page, all as of one revision where the mode has such.
pub(crate) fn export(
    client: &Client,
    export: &Export,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let prefix = export.prefix.as_deref().map_or(Ok(String::new()), cmd::prefix)?;
    let mut range = Range { prefix, ..Range::default() };
    let (mut at, mut leased) = (None, 0_u64);
    loop {
        let page = kv::ask_page(client, &range, &mut at)?;
        for item in page.items {
            leased += u64::from(item.lease.is_some());
            output.json(&Line { key: item.key, value: item.value, value_b64: item.value_b64 })?;
        }
        match page.next {
            Some(next) if page.more => range.start = Some(next.as_str().to_owned()),
            Some(_) | None => break,
        }
    }
    if leased > 0 {
        output.note(&format!("{leased} keys end with leases, which are not exported"));
    }
    Ok(Exit::DONE)
}

//! From a line to a [`Call`] and back, and what is wrong with a line that is none.

mod fault;
mod keys;
mod kv;
mod mistake;
mod txn;
mod write;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::Id;
use crate::control::acks::Acks;
use crate::control::bytes::{Base64Bytes, TextBytes};
use crate::control::condition::Condition;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::fault::Direction;
use crate::control::line::txn::{ComparePart, OpPart};
use crate::control::request::{Call, MemberChange, Purpose, Read, Request, RequestTag};
use crate::control::trace::Recent;
use crate::control::watching::EventKind;
use crate::kv::key::{Key, KeyError, check_prefix};
use crate::modes::{Mode, Resolver, Rule};

/// The longest line: the longest value in base64, with room for its key and for escapes.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How deep a line's JSON nests.
pub const NESTING_MAX: usize = 16;

/// A line that is no call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Its id, where one could be read.
    pub id: Option<Id>,
    /// What is wrong.
    pub failure: Failure,
    /// Whether the connection ends here: what follows could be anything.
    pub close: bool,
}

/// The members of all operations side by side; which of them an operation takes is decided by
/// [`Line::into_request`]. One struct, because it is parsed without an intermediate tree.
macro_rules! members {
    ($($name:ident: $type:ty,)*) => {
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Line {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            id: Option<Id>,
            op: Arc<str>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            timeout_ms: Option<u64>,
            $(
                #[serde(default, skip_serializing_if = "Option::is_none")]
                $name: Option<$type>,
            )*
        }

        impl Line {
            /// A member that the operation did not take.
            fn left_over(&self) -> Option<&'static str> {
                $(if self.$name.is_some() { return Some(stringify!($name).trim_start_matches("r#")); })*
                None
            }
        }
    };
}

members! {
    request: RequestTag,
    key: Arc<str>,
    value: TextBytes,
    value_b64: Base64Bytes,
    read: Read,
    acks: Acks,
    context: Arc<str>,
    min_revision: u64,
    delta: i64,
    if_absent: bool,
    if_exists: bool,
    if_revision: u64,
    if_value: TextBytes,
    if_value_b64: Base64Bytes,
    r#if: Vec<ComparePart>,
    then: Vec<OpPart>,
    r#else: Vec<OpPart>,
    prefix: Arc<str>,
    start: Arc<str>,
    end: Arc<str>,
    limit: u64,
    keys_only: bool,
    count_only: bool,
    from: u64,
    previous: bool,
    progress_ms: u64,
    target: Id,
    r#for: Arc<str>,
    set: Arc<str>,
    peers: Vec<String>,
    direction: Direction,
    amount: f64,
    member: Arc<str>,
    mode: Mode,
    resolver: Resolver,
    dry_run: bool,
    once: Arc<str>,
    revision: u64,
    at_ms: u64,
    to: u64,
    keep_ms: u64,
    lease: Arc<str>,
    ttl_ms: u64,
    fence: u64,
    name: Arc<str>,
    token: u64,
    shared: bool,
    slots: u32,
    no_wait: bool,
    events: Vec<EventKind>,
    last_ms: u64,
}

/// The operations of this version.
const OPERATIONS: [&str; 41] = [
    "hello",
    "put",
    "get",
    "delete",
    "list",
    "incr",
    "add",
    "remove",
    "conflicts",
    "resolve",
    "watch",
    "cancel",
    "status",
    "members",
    "member_remove",
    "member_promote",
    "transfer_leader",
    "mode_set",
    "modes",
    "wait",
    "live",
    "ready",
    "health",
    "explain",
    "sync",
    "fault",
    "trace",
    "txn",
    "history",
    "diff",
    "compact",
    "lease_grant",
    "lease_revoke",
    "lease_keep_alive",
    "lease_show",
    "lease_list",
    "lock",
    "unlock",
    "elect",
    "resign",
    "leader",
];

impl Call {
    /// Parses one line, without its newline.
    ///
    /// # Errors
    ///
    /// [`LineError`]: nothing was done, and it says whether the connection may go on.
    pub fn parse(line: &[u8]) -> Result<Self, Box<LineError>> {
        let mut members: Line =
            serde_json::from_slice(line).map_err(|_| Box::new(mistake::explain(line)))?;
        let id = members.id.take();
        match members.into_call() {
            Ok(call) => Ok(Self { id, ..call }),
            Err(failure) => Err(Box::new(LineError { id, failure, close: false })),
        }
    }

    /// The line for this call, with its newline.
    pub fn to_line(&self) -> Vec<u8> {
        let mut members = Line::from_request(&self.request);
        members.id.clone_from(&self.id);
        members.timeout_ms = self.timeout.map(milliseconds);
        members.request.clone_from(&self.tag);
        members.once = self.once.as_ref().map(|once| once.as_str().into());
        let mut line = serde_json::to_vec(&members).expect("strings and numbers serialize");
        line.push(b'\n');
        line
    }
}

impl Line {
    fn into_call(mut self) -> Result<Call, Failure> {
        let op = Arc::clone(&self.op);
        let timeout = self.timeout_ms.map(Duration::from_millis);
        let request = self.take_request(&op)?;
        let takes_tag = request.is_write() || matches!(request, Request::ModeSet { .. });
        let tag = if takes_tag { self.request.take() } else { None };
        if let Some(tag) = &tag {
            check_tag(tag)?;
        }
        let once = if request.is_write() { self.take_once()? } else { None };
        match self.left_over() {
            Some(member) => Err(Failure::bad_request(format!("{op} takes no member `{member}`"))),
            None => Ok(Call { timeout, tag, once, ..Call::new(request) }),
        }
    }

    fn take_request(&mut self, op: &str) -> Result<Request, Failure> {
        Ok(match op {
            "put" => self.take_put()?,
            "get" => self.take_get()?,
            "delete" => self.take_delete()?,
            "list" => self.take_list()?,
            "incr" => self.take_incr()?,
            "add" => self.take_add()?,
            "remove" => self.take_remove()?,
            "conflicts" => self.take_conflicts()?,
            "resolve" => self.take_resolve()?,
            "watch" => Request::Watch {
                selection: self.take_selection()?,
                from: self.from.take(),
                previous: self.previous.take().unwrap_or(false),
                only: self.take_kinds(),
                progress: self.take_progress()?,
            },
            "cancel" => {
                Request::Cancel { target: self.target.take().ok_or_else(|| missing("target"))? }
            }
            "wait" => Request::Wait(self.take_condition()?),
            "member_remove" => self.take_member(MemberChange::Remove)?,
            "member_promote" => self.take_member(MemberChange::Promote)?,
            "transfer_leader" => {
                Request::TransferLeader { member: self.member.take().map(|name| name.to_string()) }
            }
            "mode_set" => Request::ModeSet {
                prefix: self.take_prefix()?.ok_or_else(|| missing("prefix"))?,
                rule: self.take_rule()?,
                dry_run: self.take_dry_run(),
            },
            "modes" => Request::Modes,
            "explain" => self.take_explain()?,
            "fault" => Request::Fault(self.take_fault()?),
            "trace" => Request::Trace(self.take_recent()),
            "hello" => Request::Hello,
            "status" => Request::Status,
            "members" => Request::Members,
            "live" => Request::Live,
            "ready" => Request::Ready,
            "health" => Request::Health,
            "sync" => Request::Sync { prefix: self.take_prefix()?, dry_run: self.take_dry_run() },
            _ if OPERATIONS.contains(&op) => self.take_kv(op)?,
            _ => return Err(unknown_operation(op)),
        })
    }

    fn take_key(&mut self) -> Result<Key, Failure> {
        let text = self.key.take().ok_or_else(|| missing("key"))?;
        Key::try_from(text).map_err(|error| key_failure("key", error))
    }

    fn take_prefix(&mut self) -> Result<Option<String>, Failure> {
        let Some(prefix) = self.prefix.take() else { return Ok(None) };
        check_prefix(&prefix).map_err(|error| key_failure("prefix", error))?;
        Ok(Some(prefix.to_string()))
    }

    fn take_progress(&mut self) -> Result<Option<Duration>, Failure> {
        match self.progress_ms.take() {
            Some(ms) if ms < PROGRESS_MS_MIN => Err(Failure::bad_request(format!(
                "member `progress_ms` is {ms}; it takes {PROGRESS_MS_MIN} or more"
            ))),
            progress_ms => Ok(progress_ms.map(Duration::from_millis)),
        }
    }

    fn take_member(&mut self, change: MemberChange) -> Result<Request, Failure> {
        let member = self.member.take().ok_or_else(|| missing("member"))?.to_string();
        Ok(Request::Member { change, member, dry_run: self.take_dry_run() })
    }

    fn take_recent(&mut self) -> Recent {
        let last = self.last_ms.take().map(Duration::from_millis);
        let limit = self.limit.take().map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Recent { last, limit }
    }

    fn take_dry_run(&mut self) -> bool {
        self.dry_run.take().unwrap_or(false)
    }

    fn take_rule(&mut self) -> Result<Rule, Failure> {
        let mode = self.mode.take().ok_or_else(|| missing("mode"))?;
        Rule::new(mode, self.resolver.take()).ok_or_else(|| {
            let mode = mode.as_str();
            Failure::bad_request(format!("member `resolver`: {mode} mode has none to choose"))
        })
    }

    fn take_explain(&mut self) -> Result<Request, Failure> {
        let key = if self.key.is_some() { Some(self.take_key()?) } else { None };
        let purpose = match self.r#for.take().as_deref() {
            None => None,
            Some("read") => Some(Purpose::Read),
            Some("write") => Some(Purpose::Write),
            Some(other) => {
                return Err(Failure::bad_request(format!(
                    "member `for` is {other:?}; explain takes read or write"
                )));
            }
        };
        Ok(Request::Explain { key, purpose })
    }

    fn take_condition(&mut self) -> Result<Condition, Failure> {
        let text = self.r#for.take().ok_or_else(|| missing("for"))?;
        if &*text == "key" {
            return self.take_key().map(Condition::Key);
        }
        text.parse().map_err(|error| Failure::bad_request(format!("member `for`: {error}")))
    }
}

/// Any faster, and a quiet watch would be a busy one.
const PROGRESS_MS_MIN: u64 = 10;

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn missing(member: &str) -> Failure {
    Failure::bad_request(format!("member `{member}` is missing"))
}

fn unknown_operation(op: &str) -> Failure {
    let op: String = op.chars().take(40).collect();
    Failure::new(ErrorCode::UnknownOp, format!("unknown operation {op:?}"))
        .with_hint(format!("this node knows: {}", OPERATIONS.join(", ")))
}

fn key_failure(member: &str, error: KeyError) -> Failure {
    let code = match error {
        KeyError::TooLong(_) => ErrorCode::TooLarge,
        KeyError::Empty | KeyError::Control(_) => ErrorCode::BadRequest,
    };
    Failure::new(code, format!("member `{member}`: {error}"))
}

fn check_tag(tag: &RequestTag) -> Result<(), Failure> {
    if tag.client.len() == 32 && tag.client.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(Failure::bad_request("member `request.client` takes 32 hexadecimal digits"))
}

#[cfg(test)]
mod tests;

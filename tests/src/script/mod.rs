//! Golden scripts: scenarios that step nodes by hand, one file each in `tests/scripts`.
//!
//! A script says in words what happens to whom, and below each `---` stands what the nodes did and
//! said. `n1`, `n2` and so on are hosts; a smaller number is a smaller node id. Nothing moves but
//! what the script moves: a message lies in flight until it is delivered or dropped, and time
//! stands until it is advanced. The checkers of [`crate::check`] look on.
//!
//! ```text
//! put n1 color blue
//! ---
//! n1: Write #1 put color@1.n1          what the node observed
//! n1 -> n2 n3: Write #1 color=blue@1.n1   what it sent, now in flight
//! n1 = ok, revision 1, sent to 2       what it answered
//! ```
//!
//! After a change that is meant to change what nodes say, write the scripts anew with
//! `UPDATE_GOLDENFILES=1 cargo test -p tests --test scripts`, and read the difference.

mod stage;

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;

use common::control::condition::Condition;
use common::control::request::{Range, Request, Selection};
use common::kv::key::Key;
use common::kv::value::Value;

use stage::Stage;

/// What a script can say.
#[derive(Debug, goldenscript::Command)]
pub enum Command {
    /// `cluster n1 n2 n3`: the first bootstraps, the others join; then all are ready and linked.
    Cluster(Vec<String>),
    /// `bootstrap n1`: starts the first node of a new cluster.
    Bootstrap(String),
    /// `start n2`: starts a process; without a record it has yet to join.
    Start(String),
    /// `crash n1`: ends the process. What it has sent is still on its way.
    Crash(String),
    /// `wipe n1`: loses the data directory of a node that is down.
    Wipe(String),
    /// `connect n1 n2`: shakes hands, and tells both.
    Connect(String, String),
    /// `disconnect n1 n2`: breaks the connection, with what is on its way, and tells both.
    Disconnect(String, String),
    /// `deliver n1 n2 3`: what n1 has sent first arrives at n2; `all` or a number for more.
    Deliver {
        /// Who sent it.
        from: String,
        /// Whom it reaches.
        to: String,
        /// How much of it.
        count: Option<String>,
    },
    /// `drop n1 n2`: what n1 has sent first is lost.
    Drop(String, String),
    /// `copy n1 n2`: of what n1 has sent first, a copy is made that will come late.
    Copy(String, String),
    /// `late n1 n2`: the copies arrive.
    Late(String, String),
    /// `settle`: all arrives, and what is sent upon it. Tells no messages.
    Settle,
    /// `advance 300`: milliseconds pass, and nodes are ticked when they want to be. Nothing arrives.
    Advance(u64),
    /// `live 300`: milliseconds pass, and all arrives at once.
    Live(u64),
    /// `put n1 key value`.
    Put(String, String, String),
    /// `delete n1 key`, or `delete n1 prefix=a/`.
    Delete {
        /// Where.
        node: String,
        /// What.
        key: Option<String>,
        /// Or all of these.
        #[arg(key)]
        prefix: Option<String>,
    },
    /// `get n1 key`.
    Get(String, String),
    /// `list n1`, or `list n1 a/`.
    List(String, Option<String>),
    /// `watch n1 prefix=a/`.
    Watch {
        /// Where.
        node: String,
        /// Which keys.
        #[arg(key)]
        prefix: Option<String>,
    },
    /// `wait n1 "key a"`.
    Wait(String, String),
    /// `sync n1`.
    Sync(String),
    /// `status n1`.
    Status(String),
    /// `members n1`: with their ids.
    Members(String),
    /// `fill n1 keys=30 bytes=20000`: puts many keys, and tells nothing but how many.
    Fill {
        /// Where.
        node: String,
        /// How many.
        #[arg(key)]
        keys: usize,
        /// How long each value is.
        #[arg(key)]
        bytes: usize,
    },
    /// `store n1`: all entries, deletions included.
    Store(String),
    /// `compare`: whether all stores are equal.
    Compare,
    /// `flight`: what is on its way.
    Flight,
}

/// Runs scripts. Each has its own stage.
#[derive(Debug, Default)]
pub struct Runner {
    stage: Stage,
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        _context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let stage = &mut self.stage;
        match command {
            Command::Cluster(nodes) => stage.cluster(nodes),
            Command::Bootstrap(node) => stage.bootstrap(node),
            Command::Start(node) => stage.start(node),
            Command::Crash(node) => stage.crash(node),
            Command::Wipe(node) => stage.wipe(node),
            Command::Connect(one, other) => stage.connect(one, other),
            Command::Disconnect(one, other) => stage.disconnect(one, other),
            Command::Deliver { from, to, count } => {
                let count = match count.as_deref() {
                    Some("all") => usize::MAX,
                    Some(digits) => digits.parse()?,
                    None => 1,
                };
                stage.deliver(from, to, count)
            }
            Command::Drop(from, to) => stage.drop_first(from, to),
            Command::Copy(from, to) => stage.copy_first(from, to),
            Command::Late(from, to) => stage.deliver_late(from, to),
            Command::Settle => stage.settle(),
            Command::Advance(millis) => stage.advance(Duration::from_millis(*millis)),
            Command::Live(millis) => stage.live(Duration::from_millis(*millis)),
            Command::Fill { node, keys, bytes } => stage.fill(node, *keys, *bytes),
            Command::Store(node) => stage.store(node),
            Command::Members(node) => stage.members(node),
            Command::Compare => stage.compare(),
            Command::Flight => Ok(stage.flight()),
            Command::Put(node, key, value) => {
                let (key, value) = (Key::try_from(key.as_str())?, Bytes::from(value.clone()));
                stage.ask(node, Request::put(key, Value::try_from(value)?))
            }
            Command::Delete { node, key, prefix } => {
                let selection = match key {
                    Some(key) => Selection::Key(Key::try_from(key.as_str())?),
                    None => all_with(prefix.as_ref()),
                };
                stage.ask(node, Request::delete(selection))
            }
            Command::Get(node, key) => {
                let key = Key::try_from(key.as_str())?;
                stage.ask(node, Request::get(key, None))
            }
            Command::List(node, prefix) => {
                let prefix = prefix.clone().unwrap_or_default();
                stage.ask(node, Request::List(Range { prefix, ..Range::default() }))
            }
            Command::Watch { node, prefix } => stage.ask(node, watch(prefix.as_ref())),
            Command::Wait(node, condition) => {
                stage.ask(node, Request::Wait(condition.parse::<Condition>()?))
            }
            Command::Sync(node) => stage.ask(node, Request::sync()),
            Command::Status(node) => stage.ask(node, Request::Status),
        }
    }
}

fn all_with(prefix: Option<&String>) -> Selection {
    Selection::Prefix(prefix.cloned().unwrap_or_default())
}

fn watch(prefix: Option<&String>) -> Request {
    let selection = all_with(prefix);
    Request::Watch { selection, from: None, previous: true, only: None, progress: None }
}

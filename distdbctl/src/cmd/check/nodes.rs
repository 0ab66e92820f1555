//! The nodes of the cluster that is checked, and how its clients ask them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::control::failure::{Applied, ErrorCode, Failure};
use common::control::reply::{Header, ReplyLine};
use common::control::request::{Call, Request};
use common::control::status::Hello;
use common::identity::NodeName;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

use crate::args::Globals;
use crate::client::Client;
use crate::connection::Connection;
use crate::output::Output;
use crate::place;
use crate::problem::{OwnCode, Problem};

/// A node that is asked.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) path: PathBuf,
    /// Whether it lets its links fail on request.
    pub(super) has_faults: bool,
}

/// Those that are named, or else all that answer in the runtime directory.
pub(super) fn find(globals: &Globals, output: &Output) -> Result<Vec<Node>, Problem> {
    let mut nodes = Vec::new();
    let mut clusters = Vec::new();
    let mut silent = None;
    for path in place::named_or_all(globals)? {
        let hello: Hello = match Client::at(&path, globals.timeout).ask(&Request::Hello) {
            Ok(hello) => hello,
            Err(problem) => {
                output.note(&format!("left out: {problem}"));
                silent = Some(problem);
                continue;
            }
        };
        let has_faults = hello.features.iter().any(|feature| feature == "faults");
        clusters.push(hello.cluster);
        nodes.push(Node { name: hello.node, path, has_faults });
    }
    clusters.dedup();
    match silent {
        Some(problem) if nodes.is_empty() => Err(problem),
        Some(_) | None if clusters.len() > 1 => {
            let hint = "name those of one: --node node1,node2";
            Err(Problem::usage("the nodes are of several clusters").with_hint(hint))
        }
        Some(_) | None => Ok(nodes),
    }
}

impl Node {
    /// The process that listens at the socket, as the kernel says; none unless it is a daemon.
    pub(super) fn pid(&self, timeout: Duration) -> Option<Pid> {
        let connection = Connection::open(&self.path, Instant::now() + timeout).ok()?;
        let credentials = getsockopt(&connection.as_fd(), sockopt::PeerCredentials).ok()?;
        let pid = credentials.pid();
        // A socket that systemd has opened is another process's.
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim_end() == "distdbd").then(|| Pid::from_raw(pid))
    }
}

/// What is known of a request.
#[derive(Debug)]
pub(super) enum Asked<R> {
    /// It was answered.
    Answered(Header, R),
    /// It surely took no effect.
    Refused(Problem),
    /// It may have taken effect, or may still do so.
    Unknown,
}

impl<R> Asked<R> {
    /// The same, of another answer.
    pub(super) fn map<S>(self, see: impl FnOnce(R) -> S) -> Asked<S> {
        match self {
            Self::Answered(header, result) => Asked::Answered(header, see(result)),
            Self::Refused(problem) => Asked::Refused(problem),
            Self::Unknown => Asked::Unknown,
        }
    }

    /// The answer, if there is one.
    pub(super) fn answered(self) -> Option<R> {
        match self {
            Self::Answered(_, result) => Some(result),
            Self::Refused(_) | Self::Unknown => None,
        }
    }
}

/// How much longer than the node a client waits.
const GRACE: Duration = Duration::from_millis(100);

/// Connections to all nodes, with one request outstanding at most. Nothing is asked twice.
#[derive(Debug)]
pub(super) struct Wire<'a> {
    nodes: &'a [Node],
    connections: Vec<Option<Connection>>,
    timeout: Duration,
}

impl<'a> Wire<'a> {
    pub(super) fn new(nodes: &'a [Node], timeout: Duration) -> Self {
        Self { nodes, connections: nodes.iter().map(|_| None).collect(), timeout }
    }

    /// Asks one node.
    pub(super) fn ask<R: DeserializeOwned>(&mut self, node: usize, request: Request) -> Asked<R> {
        let deadline = Instant::now() + self.timeout + GRACE;
        let is_write = request.is_write();
        let mut connection = match self.connections[node].take() {
            Some(connection) => connection,
            None => match Connection::open(&self.nodes[node].path, deadline) {
                Ok(connection) => connection,
                Err(problem) => return Asked::Refused(problem),
            },
        };
        let call = Call { timeout: Some(self.timeout), ..Call::new(request) };
        let applied = match connection.send(&call.to_line(), deadline) {
            Ok(()) => Applied::Unknown,
            Err((_, applied)) => applied,
        };
        // Where the connection is lost, a late answer must not be taken for the next one's.
        let line = match connection.receive(Some(deadline)) {
            Ok(line) => line,
            Err(_) if is_write && applied != Applied::No => return Asked::Unknown,
            Err(lost) => {
                return Asked::Refused(connection.problem(lost, Applied::No, self.timeout));
            }
        };
        self.connections[node] = Some(connection);
        understood(&line, is_write)
    }
}

fn understood<R: DeserializeOwned>(line: &[u8], is_write: bool) -> Asked<R> {
    let Ok(reply) = serde_json::from_slice::<ReplyLine<R>>(line) else {
        let told = String::from_utf8_lossy(line).into_owned();
        let problem = Problem::new(OwnCode::Protocol, format!("what is that: {told}"));
        return if is_write { Asked::Unknown } else { Asked::Refused(problem) };
    };
    match (reply.result, reply.error) {
        (Some(result), None) => Asked::Answered(reply.header, result),
        (_, Some(failure)) if !is_write || is_surely_not_applied(&failure) => {
            Asked::Refused(failure.into())
        }
        (_, Some(_) | None) => Asked::Unknown,
    }
}

/// A condition that failed says so without the word.
fn is_surely_not_applied(failure: &Failure) -> bool {
    match failure.applied {
        Some(Applied::No) => true,
        Some(Applied::Yes | Applied::Unknown) => false,
        None => failure.code == ErrorCode::ConditionFailed,
    }
}

#[cfg(test)]
mod tests {
    use common::control::reply::Put;

    use super::*;

    fn fate(error: &str, is_write: bool) -> &'static str {
        let line = format!(r#"{{"ok":false,"header":{{"node":"n"}},"error":{error}}}"#);
        match understood::<Put>(line.as_bytes(), is_write) {
            Asked::Answered(..) => "answered",
            Asked::Refused(_) => "refused",
            Asked::Unknown => "unknown",
        }
    }

    /// What nobody knows of must never count as what did not happen.
    #[test]
    fn a_write_has_failed_only_where_the_node_says_so() {
        let error = |rest: &str| format!(r#"{{"code":"timeout","message":"late"{rest}}}"#);
        assert_eq!(fate(&error(r#","applied":"no""#), true), "refused");
        assert_eq!(fate(&error(r#","applied":"unknown""#), true), "unknown");
        assert_eq!(fate(&error(r#","applied":"yes""#), true), "unknown");
        assert_eq!(fate(&error(""), true), "unknown");
        assert_eq!(fate(&error(""), false), "refused");
        assert_eq!(fate("7", true), "unknown");
    }
}

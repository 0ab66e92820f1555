//! What the daemon knows beside the core, in the core's answers.

use common::control::cluster::Explain;
use common::control::reply::Reply;
use common::control::status::{PeerState, Status};

/// What it knows.
pub(super) struct Additions<'a> {
    pub(super) wal_bytes: u64,
    pub(super) has_faults: bool,
    /// Why the member of that name is not connected.
    pub(super) trouble: &'a dyn Fn(&str) -> Option<String>,
}

impl Additions<'_> {
    /// Adds it to a reply that has room for it.
    pub(super) fn add_to(&self, reply: &mut Reply) {
        match reply {
            Reply::Hello(hello) if self.has_faults => hello.features.push("faults".to_owned()),
            Reply::Status(status) => self.add_to_status(status),
            Reply::Explain(explain) => self.add_to_explain(explain),
            Reply::Hello(_)
            | Reply::Put(_)
            | Reply::Get(_)
            | Reply::Delete(_)
            | Reply::List(_)
            | Reply::Count(_)
            | Reply::Conflicts(_)
            | Reply::Watch(_)
            | Reply::Cancel(_)
            | Reply::Members(_)
            | Reply::Wait(_)
            | Reply::Check(_)
            | Reply::Sync(_)
            | Reply::Fault(_)
            | Reply::Trace(_)
            | Reply::MemberChanged(_)
            | Reply::Transferred(_)
            | Reply::Modes(_)
            | Reply::Kv(_) => {}
        }
    }

    fn add_to_status(&self, status: &mut Status) {
        status.wal_bytes = self.wal_bytes;
        for peer in status.peers.iter_mut().filter(|peer| peer.state == PeerState::Down) {
            peer.reason = peer.reason.take().or_else(|| (self.trouble)(peer.name.as_str()));
        }
    }

    fn add_to_explain(&self, explain: &mut Explain) {
        for fact in explain.facts.iter_mut().filter(|fact| !fact.ok) {
            let name = fact.what.strip_prefix("peer ");
            if let Some(reason) = name.and_then(self.trouble) {
                fact.is = format!("{}: {reason}", fact.is);
            }
        }
    }
}

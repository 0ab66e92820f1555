//! Why reads and writes work, or don't: what an operator would look at, in that order.

use crate::causal::Causal;
use crate::control::cluster::{Explain, Fact};
use crate::control::failure::Failure;
use crate::control::request::Purpose;
use crate::control::status::{PeerState, PeerStatus, Status, Suspicion};
use crate::kv::key::Key;
use crate::modes::Mode;
use crate::node::Node;
use crate::raft::Raft;
use crate::time::Time;

impl Node {
    pub(super) fn explain(
        &self,
        now: Time,
        key: Option<&Key>,
        purpose: Option<Purpose>,
    ) -> Result<crate::control::reply::Reply, Failure> {
        let what = match purpose {
            None => "reads and writes",
            Some(Purpose::Read) => "linearizable reads",
            Some(Purpose::Write) => "writes",
        };
        let subject = key.map_or(what.to_owned(), |key| format!("{what} of {key}"));
        let mode = key.map_or(Ok(self.config.mode), |key| self.mode_of(key.as_str()));
        let status = self.status(now);
        let explained = match (mode, &self.raft) {
            (Ok(Mode::Raft), Some(raft)) => explain_raft(raft, &status, &subject, purpose),
            (Ok(Mode::Raft), None) | (Ok(Mode::Broadcast), _) => {
                let check = self.broadcast.readiness();
                let mut facts = vec![fact("mode", "broadcast: this node alone decides", true)];
                facts.push(fact("node", &check.reason, check.ok));
                facts.extend(status.peers.iter().map(about_peer));
                let verb = if check.ok { "work" } else { "don't work" };
                let next = (!check.ok).then(|| "distdbctl wait synced".to_owned());
                Explain { ok: check.ok, verdict: format!("{subject} {verb}"), facts, next }
            }
            (Ok(Mode::Causal), _) => self.explain_causal(&status, &subject),
            (Err(failure), _) => Explain {
                ok: false,
                verdict: format!("{subject} don't work"),
                facts: vec![fact("node", &failure.message, false)],
                next: failure.hint.map(String::from),
            },
        };
        Ok(crate::control::reply::Reply::Explain(Box::new(explained)))
    }
}

impl Node {
    fn explain_causal(&self, status: &Status, subject: &str) -> Explain {
        let ready = self.require_causal().and_then(Causal::check_ready);
        let ok = ready.is_ok() && !status.disk_full;
        let is = ready.as_ref().map_or_else(|failure| failure.message.as_str(), |()| "serves");
        let mode = "causal: this node alone decides, and tells all others";
        let mut facts = vec![fact("mode", mode, true), fact("node", is, ready.is_ok())];
        facts.extend(status.peers.iter().map(about_causal_peer));
        let disk = if status.disk_full { "full: this node takes no writes" } else { "has room" };
        facts.push(fact("disk", disk, !status.disk_full));
        let verb = if ok { "work" } else { "don't work" };
        let next = match (ok, status.disk_full) {
            (true, _) => None,
            (false, true) => Some("make room on the disk; writes go on by themselves".to_owned()),
            (false, false) => Some("distdbctl wait synced".to_owned()),
        };
        Explain { ok, verdict: format!("{subject} {verb}"), facts, next }
    }
}

fn about_causal_peer(peer: &PeerStatus) -> Fact {
    let Fact { what, mut is, mut ok } = about_peer(peer);
    if let Some(Suspicion { level, suspected: true, .. }) = peer.suspicion {
        is = format!("{is}; suspected to have failed (phi {level:.1})");
        ok = false;
    }
    if peer.suspicion.as_ref().is_some_and(|suspicion| suspicion.hears_us == Some(false)) {
        is = match peer.state {
            PeerState::Down => format!("{is}; the last it said is that it does not hear this node"),
            PeerState::Up | PeerState::Syncing => {
                format!("{is}; this node hears it, and it does not hear this node")
            }
        };
        ok = false;
    }
    if let Some(unacked @ 1..) = peer.unacked {
        is = format!("{is}; has yet to acknowledge {unacked} writes");
    }
    Fact { what, is, ok }
}

fn explain_raft(raft: &Raft, status: &Status, subject: &str, purpose: Option<Purpose>) -> Explain {
    let node = match raft.readiness() {
        Ok(_) => {
            fact("node", &format!("{}, {} in term {}", status.node, status.role, status.term), true)
        }
        Err(reason) => fact("node", &reason, status.leader.is_none() && status.role != "none"),
    };
    let leader = match (&status.leader, status.leader_contact_ms) {
        (None, _) => fact("leader", "none is known", false),
        (Some(leader), None) => fact("leader", &format!("{leader}, this node"), true),
        (Some(leader), Some(ms)) => fact("leader", &format!("{leader}, heard {ms} ms ago"), true),
    };
    let quorum = about_quorum(raft, status);
    let disk = match status.disk_full {
        true => fact("disk", "full: this node takes no writes", purpose == Some(Purpose::Read)),
        false => fact("disk", "has room", true),
    };
    let log = format!("committed {}, applied {}", status.commit_index, status.applied_index);
    let leads = status.role == "leader";
    let ok = node.ok && leader.ok && disk.ok && (quorum.ok || !leads) && raft.is_ready();
    let next = next_step(raft, status, &quorum, &disk);
    let mut facts = vec![fact("mode", "raft: a majority decides", true), node, leader, quorum];
    facts.extend(status.peers.iter().map(about_peer));
    facts.extend([disk, fact("log", &log, true)]);
    let verdict = if ok {
        format!("{subject} work")
    } else {
        let why =
            facts.iter().find(|fact| !fact.ok).map(|fact| format!(": {}: {}", fact.what, fact.is));
        format!("{subject} don't work{}", why.unwrap_or_default())
    };
    Explain { ok, verdict, facts, next: if ok { None } else { next } }
}

fn about_quorum(raft: &Raft, status: &Status) -> Fact {
    let configuration = raft.configuration();
    let is_reachable = |name: &str| {
        let mut peers = status.peers.iter();
        status.node.as_str() == name
            || peers.any(|peer| peer.name.as_str() == name && peer.state != PeerState::Down)
    };
    let voters = configuration.members().filter(|(_, member)| member.votes);
    let (reachable, missing): (Vec<_>, Vec<_>) =
        voters.map(|(_, member)| member.name.to_string()).partition(|name| is_reachable(name));
    let (all, needed) = (reachable.len() + missing.len(), configuration.majority());
    let mut is = format!("{needed} of {all} voters needed, {} reachable", reachable.len());
    if !missing.is_empty() {
        is = format!("{is}; not {}", missing.join(", "));
    }
    fact("quorum", &is, all > 0 && reachable.len() >= needed)
}

fn about_peer(peer: &PeerStatus) -> Fact {
    let contact = match peer.last_contact_ms {
        Some(ms) => format!("last contact {ms} ms ago"),
        None => "no contact since this node's start".to_owned(),
    };
    let is = format!("{} at {}, {contact}", peer.state.as_str(), peer.address);
    fact(&format!("peer {}", peer.name), &is, peer.state == PeerState::Up)
}

fn next_step(raft: &Raft, status: &Status, quorum: &Fact, disk: &Fact) -> Option<String> {
    let down = |peer: &&PeerStatus| peer.state == PeerState::Down;
    let down: Vec<_> = status.peers.iter().filter(down).map(|peer| peer.name.to_string()).collect();
    if !raft.is_in_good_standing() {
        return Some("stop this node, keep a copy of its data, and let it join anew".to_owned());
    }
    if status.role == "none" {
        return Some("look at the log of the leader; distdbctl wait synced".to_owned());
    }
    if !quorum.ok {
        return Some(format!("start {}, or look at the network to it", down.join(", ")));
    }
    if !disk.ok {
        return Some("make room on the disk; writes go on by themselves".to_owned());
    }
    Some("an election is under way: distdbctl wait leader".to_owned())
}

fn fact(what: &str, is: &str, ok: bool) -> Fact {
    Fact { what: what.to_owned(), is: is.to_owned(), ok }
}

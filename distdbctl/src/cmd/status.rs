//! `status`, `members` and `nodes`.

use std::path::Path;
use std::time::Duration;

use common::control::request::{Call, Request};
use common::control::status::{MemberStatus, Members, PeerState, PeerStatus, Status, Suspicion};
use common::identity::NodeName;

use crate::args::Globals;
use crate::args::command;
use crate::client::{self, Client, Deadline, Dialogue};
use crate::exit::Exit;
use crate::output::Output;
use crate::place;
use crate::problem::Problem;

/// A stage that adds a column adds it at the end: scripts may count on the places of these.
const STATUS_COLUMNS: [&str; 22] = [
    "node",
    "state",
    "role",
    "leader",
    "term",
    "revision",
    "keys",
    "state_hash",
    "peers_up",
    "address",
    "reason",
    "commit_index",
    "applied_index",
    "last_index",
    "snapshot_index",
    "leader_contact_ms",
    "disk",
    "peers_lag",
    "peers_down",
    "conflicts",
    "waiting",
    "unacked",
];

const NODE_COLUMNS: [&str; 9] = [
    "name",
    "state",
    "address",
    "last_contact_ms",
    "lag",
    "reason",
    "suspicion",
    "hears_us",
    "unacked",
];

pub(crate) fn status(
    globals: &Globals,
    status: &command::Status,
    output: &mut Output,
) -> Result<Exit, Problem> {
    if status.all {
        return status_of_all(globals, output);
    }
    let status: Status = Client::new(globals)?.ask(&Request::Status)?;
    print_status(std::slice::from_ref(&status), output)?;
    Ok(exit(is_whole(&status)))
}

/// All are asked before the first is heard, so that several silent ones cost one timeout.
fn status_of_all(globals: &Globals, output: &mut Output) -> Result<Exit, Problem> {
    let deadline = Deadline::after(globals.timeout);
    let asked: Vec<_> = place::all(globals)?
        .into_iter()
        .map(|(name, path)| (name, ask_status(globals, &path, deadline)))
        .collect();
    let mut found = Vec::new();
    let mut silent = 0;
    for (name, dialogue) in asked {
        let line = dialogue.and_then(|mut dialogue| dialogue.answer_line(deadline));
        match line.and_then(|line| client::result::<Status>(&line)) {
            Ok(status) => found.push(status),
            Err(problem) => {
                silent += 1;
                output.note(&format!("{name}: {problem}"));
            }
        }
    }
    print_status(&found, output)?;
    let difference = difference(&found);
    if let Some(difference) = &difference {
        output.note(difference);
    }
    Ok(exit(silent == 0 && difference.is_none() && found.iter().all(is_whole)))
}

/// What to say of nodes that hold different states. Nodes with logs are compared only where they
/// have applied just as much of them, and have seen the same writes in causal mode; those without
/// one, whose index is 0, always.
fn difference(found: &[Status]) -> Option<String> {
    let pairs = found
        .iter()
        .enumerate()
        .flat_map(|(at, one)| found[at + 1..].iter().map(move |other| (one, other)));
    let mut differing = pairs.filter(|(one, other)| {
        one.applied_index == other.applied_index
            && clock(one) == clock(other)
            && one.state_hash != other.state_hash
    });
    let (one, other) = differing.next()?;
    Some(if one.applied_index == 0 {
        "the nodes hold different states; distdbctl sync merges what was missed".to_owned()
    } else {
        let index = one.applied_index;
        format!("{} and {} hold different states at index {index}", one.node, other.node)
    })
}

/// What a node has seen in causal mode.
fn clock(status: &Status) -> Option<&str> {
    status.causal.as_ref().map(|causal| causal.clock.as_str())
}

fn ask_status(globals: &Globals, path: &Path, deadline: Deadline) -> Result<Dialogue, Problem> {
    let mut dialogue = Client::at(path, globals.timeout).dialogue()?;
    dialogue.send(&Call::new(Request::Status), deadline)?;
    Ok(dialogue)
}

fn exit(is_whole: bool) -> Exit {
    if is_whole { Exit::DONE } else { Exit::FOUND_SOMETHING }
}

fn is_whole(status: &Status) -> bool {
    status.ready && !status.disk_full && status.peers.iter().all(|peer| peer.state == PeerState::Up)
}

fn print_status(found: &[Status], output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        return found.iter().try_for_each(|status| output.json(status));
    }
    let rows: Vec<_> = found.iter().map(status_row).collect();
    output.table(&STATUS_COLUMNS, &rows)
}

fn status_row(status: &Status) -> Vec<String> {
    let up = status.peers.iter().filter(|peer| peer.state == PeerState::Up).count();
    let leader = status.leader.as_ref().map_or("-", NodeName::as_str);
    vec![
        status.node.to_string(),
        own_state(status).as_str().to_owned(),
        status.role.clone(),
        leader.to_owned(),
        status.term.to_string(),
        status.revision.to_string(),
        status.keys.to_string(),
        status.state_hash.clone(),
        format!("{up}/{}", status.peers.len()),
        status.address.clone(),
        status.reason.clone(),
        status.commit_index.to_string(),
        status.applied_index.to_string(),
        status.last_index.to_string(),
        status.snapshot_index.to_string(),
        or_dash(status.leader_contact_ms),
        if status.disk_full { "full" } else { "ok" }.to_owned(),
        each(status.peers.iter().map(|peer| format!("{}={}", peer.name, peer.lag))),
        each(status.peers.iter().filter(|peer| peer.state == PeerState::Down).map(down)),
        or_dash(status.causal.as_ref().map(|causal| causal.conflicts)),
        or_dash(status.causal.as_ref().map(|causal| causal.waiting)),
        each(status.peers.iter().filter_map(unacked)),
    ]
}

/// How many writes a peer has not acknowledged yet.
fn unacked(peer: &PeerStatus) -> Option<String> {
    peer.unacked.map(|unacked| format!("{}={unacked}", peer.name))
}

fn or_dash(number: Option<u64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

fn each(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<_> = texts.collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

fn down(peer: &PeerStatus) -> String {
    match &peer.reason {
        Some(reason) => format!("{} ({reason})", peer.name),
        None => peer.name.to_string(),
    }
}

fn own_state(status: &Status) -> PeerState {
    if status.ready { PeerState::Up } else { PeerState::Syncing }
}

pub(crate) fn members(client: &Client, output: &mut Output) -> Result<Exit, Problem> {
    let Members { members } = client.ask(&Request::Members)?;
    if output.is_json() {
        members.iter().try_for_each(|member| output.json(member))?;
    } else {
        let rows: Vec<_> = members.iter().map(member_row).collect();
        output.table(&["name", "id", "address", "role", "state"], &rows)?;
    }
    Ok(exit(members.iter().all(|member| member.state == PeerState::Up)))
}

fn member_row(member: &MemberStatus) -> Vec<String> {
    vec![
        member.name.to_string(),
        member.id.to_string(),
        member.address.clone(),
        member.role.clone(),
        member.state.as_str().to_owned(),
    ]
}

pub(crate) fn nodes(client: &Client, output: &mut Output) -> Result<Exit, Problem> {
    let status: Status = client.ask(&Request::Status)?;
    let is_whole = is_whole(&status);
    let own = PeerStatus {
        name: status.node.clone(),
        address: status.address.clone(),
        state: own_state(&status),
        last_contact_ms: Some(0),
        lag: 0,
        reason: None,
        suspicion: None,
        unacked: None,
    };
    let mut nodes = vec![own];
    nodes.extend(status.peers);
    if output.is_json() {
        nodes.iter().try_for_each(|node| output.json(node))?;
    } else {
        let rows: Vec<_> = nodes.iter().map(node_row).collect();
        output.table(&NODE_COLUMNS, &rows)?;
    }
    Ok(exit(is_whole))
}

fn node_row(node: &PeerStatus) -> Vec<String> {
    vec![
        node.name.to_string(),
        node.state.as_str().to_owned(),
        node.address.clone(),
        or_dash(node.last_contact_ms),
        node.lag.to_string(),
        node.reason.clone().unwrap_or("-".to_owned()),
        node.suspicion.as_ref().map_or("-".to_owned(), suspicion),
        node.suspicion.as_ref().map_or("-", hears_us).to_owned(),
        or_dash(node.unacked),
    ]
}

/// The level, and for how long the node has been suspected if it is.
fn suspicion(suspicion: &Suspicion) -> String {
    let level = format!("{:.1}", suspicion.level);
    match (suspicion.suspected, suspicion.since_ms) {
        (false, _) => level,
        (true, None) => format!("{level} suspected"),
        (true, Some(ms)) => {
            let since = humantime::format_duration(Duration::from_secs(ms / 1_000));
            format!("{level} suspected {since}")
        }
    }
}

fn hears_us(suspicion: &Suspicion) -> &'static str {
    match suspicion.hears_us {
        None => "-",
        Some(true) => "yes",
        Some(false) => "no",
    }
}

#[cfg(test)]
mod tests;

//! `status`, `members` and `nodes`.

use std::path::Path;

use common::control::request::Request;
use common::control::status::{MemberStatus, Members, PeerState, PeerStatus, Status};
use common::identity::NodeName;

use crate::args::Globals;
use crate::args::command;
use crate::client::{self, Client, Deadline, Session};
use crate::exit::Exit;
use crate::output::Output;
use crate::place;
use crate::problem::Problem;

/// A stage that adds a column adds it at the end: scripts may count on the places of these.
const STATUS_COLUMNS: [&str; 11] = [
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
    for (name, session) in asked {
        let line = session.and_then(|mut session| session.answer_line(deadline));
        match line.and_then(|line| client::result::<Status>(&line)) {
            Ok(status) => found.push(status),
            Err(problem) => {
                silent += 1;
                output.note(&format!("{name}: {problem}"));
            }
        }
    }
    print_status(&found, output)?;
    let is_same = found.windows(2).all(|pair| pair[0].state_hash == pair[1].state_hash);
    if !is_same {
        output.note("the nodes hold different states; distdbctl sync merges what was missed");
    }
    Ok(exit(silent == 0 && is_same && found.iter().all(is_whole)))
}

fn ask_status(globals: &Globals, path: &Path, deadline: Deadline) -> Result<Session, Problem> {
    let mut session = Client::at(path, globals.timeout).session()?;
    session.send(&Request::Status, deadline)?;
    Ok(session)
}

fn exit(is_whole: bool) -> Exit {
    if is_whole { Exit::DONE } else { Exit::FOUND_SOMETHING }
}

fn is_whole(status: &Status) -> bool {
    status.ready && status.peers.iter().all(|peer| peer.state == PeerState::Up)
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
    ]
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
    };
    let mut nodes = vec![own];
    nodes.extend(status.peers);
    if output.is_json() {
        nodes.iter().try_for_each(|node| output.json(node))?;
    } else {
        let rows: Vec<_> = nodes.iter().map(node_row).collect();
        output.table(&["name", "state", "address", "last_contact_ms", "lag"], &rows)?;
    }
    Ok(exit(is_whole))
}

fn node_row(node: &PeerStatus) -> Vec<String> {
    vec![
        node.name.to_string(),
        node.state.as_str().to_owned(),
        node.address.clone(),
        node.last_contact_ms.map_or("-".to_owned(), |ms| ms.to_string()),
        node.lag.to_string(),
    ]
}

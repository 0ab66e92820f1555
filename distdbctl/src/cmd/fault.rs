//! `fault`: lets links, disk and clock of the node addressed fail, as far as it allows that.

use common::control::fault::{self, Direction, FaultKind, Faults};
use common::control::request::Request;

use crate::args::command::fault::{Fault, Ways};
use crate::client::Client;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn fault(client: &Client, fault: Fault, output: &mut Output) -> Result<Exit, Problem> {
    let active: Faults = client.ask(&Request::Fault(requested(fault)?))?;
    if output.is_json() {
        active.faults.iter().try_for_each(|fault| output.json(fault))?;
        return Ok(Exit::DONE);
    }
    let rows = active.faults.iter().map(|fault| {
        let amount = fault.amount.map_or("-".to_owned(), |amount| amount.to_string());
        let direction = spelled(fault.direction).to_owned();
        vec![fault.fault.clone(), fault.peer.clone(), direction, amount]
    });
    output.table(&["fault", "peer", "direction", "amount"], &rows.collect::<Vec<_>>())?;
    Ok(Exit::DONE)
}

/// What to ask for; nothing just lists.
fn requested(fault: Fault) -> Result<Option<fault::Fault>, Problem> {
    let one = |kind, peer: String, ways| fault::Fault {
        kind,
        peers: if peer == ALL { Vec::new() } else { vec![peer] },
        direction: direction(ways),
    };
    Ok(Some(match fault {
        Fault::List => return Ok(None),
        Fault::Isolate(ways) => one(FaultKind::Isolate, ALL.to_owned(), ways),
        Fault::Partition { peers, ways } => {
            let direction = direction(ways);
            fault::Fault { kind: FaultKind::Partition, peers: named(peers), direction }
        }
        Fault::Drop { peer, probability, ways } => {
            one(FaultKind::Drop(checked(probability)?), peer, ways)
        }
        Fault::Delay { peer, duration, ways } => one(FaultKind::Delay(duration), peer, ways),
        Fault::Duplicate { peer, probability, ways } => {
            one(FaultKind::Duplicate(checked(probability)?), peer, ways)
        }
        Fault::Disk { duration } => fault::Fault {
            kind: FaultKind::Disk(duration),
            peers: Vec::new(),
            direction: Direction::Both,
        },
        Fault::Clock { ms } => fault::Fault {
            kind: FaultKind::Clock(ms),
            peers: Vec::new(),
            direction: Direction::Both,
        },
        Fault::Heal { peers } => {
            let direction = Direction::Both;
            fault::Fault { kind: FaultKind::Heal, peers: named(peers), direction }
        }
    }))
}

/// All peers; no node can be called that.
const ALL: &str = "*";

/// The protocol's empty list stands for all.
fn named(peers: Vec<String>) -> Vec<String> {
    if peers.iter().any(|peer| peer == ALL) { Vec::new() } else { peers }
}

fn checked(probability: f64) -> Result<f64, Problem> {
    // Infinity and NaN have no JSON.
    if (0.0..=1.0).contains(&probability) {
        return Ok(probability);
    }
    Err(Problem::usage(format!("probability is {probability}; it takes 0 to 1")))
}

fn direction(ways: Ways) -> Direction {
    match (ways.inward, ways.outward) {
        (true, false) => Direction::In,
        (false, true) => Direction::Out,
        (false, false) | (true, true) => Direction::Both,
    }
}

fn spelled(direction: Direction) -> &'static str {
    match direction {
        Direction::Both => "both",
        Direction::In => "in",
        Direction::Out => "out",
    }
}

//! `lease`: what ends together, unless somebody keeps it alive.

use std::time::Duration;

use common::control::failure::ErrorCode;
use common::control::kv::Kv;
use common::control::kv::reply::{self, Leases, Revoked};
use common::control::request::Request;
use common::identity::LeaseId;

use crate::args::command::data::Lease;
use crate::client::Client;
use crate::connection;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::{Code, OwnCode, Problem};

pub(crate) fn lease(client: Client, lease: Lease, output: &mut Output) -> Result<Exit, Problem> {
    match lease {
        Lease::Grant { ttl, id, once } => {
            let client = client.once(once.once);
            let reply = ask(&client, Kv::LeaseGrant { ttl, lease: id })?;
            print_id(&reply, output)
        }
        Lease::Show { id } => show(&ask(&client, Kv::LeaseShow(id))?, output),
        Lease::List => list(&client, output),
        Lease::Renew { id } => {
            let reply = ask(&client, Kv::LeaseKeepAlive(id))?;
            if output.is_json() {
                output.json(&reply)?;
            }
            Ok(Exit::DONE)
        }
        Lease::Keep { id } => keep(&client, id),
        Lease::Revoke { id, once } => {
            let client = client.once(once.once);
            let reply: Revoked = client.ask(&Request::Kv(Box::new(Kv::LeaseRevoke(id))))?;
            if output.is_json() {
                output.json(&reply)?;
            } else {
                output.line(reply.deleted.to_string().as_bytes())?;
            }
            Ok(Exit::DONE)
        }
    }
}

fn ask(client: &Client, kv: Kv) -> Result<reply::Lease, Problem> {
    client.ask(&Request::Kv(Box::new(kv)))
}

fn print_id(reply: &reply::Lease, output: &mut Output) -> Result<Exit, Problem> {
    if output.is_json() {
        output.json(reply)?;
    } else {
        output.line(reply.lease.to_string().as_bytes())?;
    }
    Ok(Exit::DONE)
}

/// How long it lasts, and the keys, a line each.
fn show(reply: &reply::Lease, output: &mut Output) -> Result<Exit, Problem> {
    if output.is_json() {
        output.json(reply)?;
        return Ok(Exit::DONE);
    }
    let cells = row(reply);
    output.cells(&cells.each_ref().map(String::as_bytes))?;
    for key in reply.keys.iter().flatten() {
        output.cells(&[key.as_str().as_bytes()])?;
    }
    Ok(Exit::DONE)
}

fn list(client: &Client, output: &mut Output) -> Result<Exit, Problem> {
    let reply: Leases = client.ask(&Request::Kv(Box::new(Kv::LeaseList)))?;
    if output.is_json() {
        reply.leases.iter().try_for_each(|lease| output.json(lease))?;
        return Ok(Exit::DONE);
    }
    let rows: Vec<_> = reply.leases.iter().map(|lease| row(lease).to_vec()).collect();
    output.table(&["lease", "ttl", "remaining", "keys"], &rows)?;
    Ok(Exit::DONE)
}

fn row(lease: &reply::Lease) -> [String; 4] {
    let duration = |ms| humantime::format_duration(Duration::from_millis(ms)).to_string();
    [
        lease.lease.to_string(),
        duration(lease.ttl_ms),
        duration(lease.remaining_ms),
        lease.keys_count.to_string(),
    ]
}

/// Renews it again and again, each time when a third of its time is over.
fn keep(client: &Client, id: LeaseId) -> Result<Exit, Problem> {
    loop {
        let kept = match ask(client, Kv::LeaseKeepAlive(id)) {
            Ok(kept) => kept,
            Err(problem) if problem.code == Code::Node(ErrorCode::LeaseLost) => {
                return Err(problem);
            }
            // Nobody has answered in time; the lease may be alive all the same.
            Err(problem) if problem.code == Code::Own(OwnCode::NoDaemon) => return Err(problem),
            Err(_) => ask(client, Kv::LeaseShow(id)).map_err(lost)?,
        };
        if connection::pause(Duration::from_millis(kept.ttl_ms / 3)).is_err() {
            return Ok(Exit::DONE); // Ctrl-C: it was asked to.
        }
    }
}

/// Who asks for a lease that is gone has lost it.
fn lost(problem: Problem) -> Problem {
    match problem.code {
        Code::Node(ErrorCode::NotFound) => {
            Problem { code: Code::Node(ErrorCode::LeaseLost), ..problem }
        }
        Code::Node(_) | Code::Own(_) => problem,
    }
}

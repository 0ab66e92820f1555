//! `lease`: what ends together, unless somebody keeps it alive.

use std::time::{Duration, Instant};

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
use crate::problem::{Code, Problem};

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
    let mut ttl = Duration::from_millis(ask(client, Kv::LeaseKeepAlive(id))?.ttl_ms);
    let mut kept = Instant::now();
    let mut pause = ttl / 3;
    loop {
        if connection::pause(pause).is_err() {
            return Ok(Exit::DONE); // Ctrl-C: it was asked to.
        }
        let asked = Instant::now();
        match ask(client, Kv::LeaseKeepAlive(id)) {
            Ok(reply) => {
                (kept, ttl) = (asked, Duration::from_millis(reply.ttl_ms));
                pause = ttl / 3;
            }
            Err(problem) if problem.code == Code::Node(ErrorCode::LeaseLost) => {
                return Err(problem);
            }
            // The node may be about to come back, or the lease to be kept by it all the same.
            Err(problem) if kept.elapsed() >= ttl => {
                let message = format!("the lease could not be kept alive in time: {problem}");
                return Err(Problem { code: Code::Node(ErrorCode::LeaseLost), message, ..problem });
            }
            Err(_) => pause = RETRY_PAUSE.min(ttl / 3),
        }
    }
}

/// When to try again where nobody has answered.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

//! `leader` and `elect --observe`: who leads, or holds a lock.

use std::time::Instant;

use common::control::kv::Kv;
use common::control::kv::reply::Holder;
use common::control::request::{Call, Request};
use common::kv::key::Key;

use crate::args::Globals;
use crate::args::command::hold::Leader;
use crate::cmd::{self, kv};
use crate::exit::Exit;
use crate::link::{self, Link};
use crate::output::Output;
use crate::problem::Problem;
use crate::waiting;

pub(crate) fn leader(
    globals: &Globals,
    leader: &Leader,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let name = cmd::key(&leader.name)?;
    let holder = link::result(Link::new(globals)?.ask::<Holder>(&request(&name, None))?);
    let is_found = holder.found;
    print(holder, output)?;
    Ok(if is_found { Exit::DONE } else { Exit::NO })
}

fn request(name: &Key, after: Option<u64>) -> Request {
    Request::Kv(Box::new(Kv::Leader { name: name.clone(), after, read: None }))
}

/// The value of a holder, if there is one.
fn print(holder: Holder, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        output.json(&holder)?;
    } else if holder.found {
        let value = kv::value_of(holder.value, holder.value_b64)?;
        output.cells(&[value.as_bytes()])?;
    }
    output.flush()
}

/// Prints each leader's value, until nobody reads it.
pub(crate) fn observe(globals: &Globals, name: &Key, output: &mut Output) -> Result<Exit, Problem> {
    let mut link = Link::new(globals)?;
    let first = link::result(link.ask::<Holder>(&request(name, None))?);
    // With no token, the next request is answered at once; zero was never anybody's.
    let mut token = first.token.unwrap_or(0);
    print(first, output)?;
    loop {
        let holder = match next(&mut link, name, token) {
            Ok(holder) => holder,
            Err(problem) if link.may_pass(&problem) => {
                link.leave();
                waiting::for_reader(&[], Some(Instant::now() + link.pause(&problem)))?;
                continue;
            }
            Err(problem) => return Err(problem),
        };
        let next = holder.token.unwrap_or(0);
        if next != token {
            token = next;
            print(holder, output)?;
        }
    }
}

/// The holder after the one of `token`.
fn next(link: &mut Link, name: &Key, token: u64) -> Result<Holder, Problem> {
    let deadline = Instant::now() + link.timeout();
    link.send(&Call::new(request(name, Some(token))), deadline)?;
    loop {
        if let Some(line) = link.receive_ready()? {
            return link::reply(&line).map(link::result);
        }
        waiting::for_reader(link.as_fd().as_slice(), None)?;
    }
}

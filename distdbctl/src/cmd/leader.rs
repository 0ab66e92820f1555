//! `leader` and `elect --observe`: who leads, or holds a lock.

use std::time::{Duration, Instant};

use common::control::failure::{ErrorCode, Failure};
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
use crate::problem::{Code, Problem};
use crate::waiting;

/// A node that is asked to wait may be cut off meanwhile, and not know of it: then it is asked again,
/// and if there is another, that one.
const POLL: Duration = Duration::from_secs(10);

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
    let mut is_lost = false;
    loop {
        match next(&mut link, name, token) {
            Ok(holder) => {
                is_lost = false;
                let next = holder.token.unwrap_or(0);
                if next != token {
                    token = next;
                    print(holder, output)?;
                }
            }
            Err(problem) if link.may_pass(&problem) => {
                let is_quiet = problem.code == Code::Node(ErrorCode::Timeout);
                if !is_quiet && !std::mem::replace(&mut is_lost, true) {
                    output.note(&format!("{problem}; waiting to go on"));
                }
                link.leave();
                let pause = if is_quiet { Duration::ZERO } else { link.pause(&problem) };
                waiting::for_reader(&[], Some(Instant::now() + pause))?;
            }
            Err(problem) => return Err(problem),
        }
    }
}

/// The holder after the one of `token`.
fn next(link: &mut Link, name: &Key, token: u64) -> Result<Holder, Problem> {
    let asked_at = Instant::now();
    let call = Call { timeout: Some(POLL), ..Call::new(request(name, Some(token))) };
    link.send(&call, asked_at + link.timeout())?;
    let give_up_at = asked_at + POLL + link.timeout();
    loop {
        if let Some(line) = link.receive_ready()? {
            return link::reply(&line).map(link::result);
        }
        if Instant::now() >= give_up_at {
            return Err(Failure::new(ErrorCode::NotReady, "the node does not answer").into());
        }
        waiting::for_reader(link.as_fd().as_slice(), Some(give_up_at))?;
    }
}

//! `lock` and `elect`: something that one at a time has, held by a lease, and a command that runs
//! while it is.

mod charge;
mod claim;
mod tenure;

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use common::control::failure::{ErrorCode, Failure};
use common::control::kv::reply::Claimed;
use common::control::kv::{Lock, Sharing};
use common::identity::LeaseId;
use common::kv::key::Key;
use common::kv::value::Value;
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::args::Globals;
use crate::args::command::hold::{self, Elect};
use crate::boottime::{Alarm, BootTime};
use crate::cmd::hold::charge::{Charge, Ending};
use crate::cmd::hold::claim::{Claim, Outcome};
use crate::cmd::hold::tenure::Tenure;
use crate::cmd::{self, child, kv, leader};
use crate::exit::Exit;
use crate::link::Link;
use crate::output::Output;
use crate::problem::{Code, OwnCode, Problem};
use crate::signals::{self, Signals};
use crate::waiting;

pub(crate) fn lock(
    globals: &Globals,
    lock: &hold::Lock,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let sharing = match lock.slots {
        Some(slots) => Sharing::Slots(slots),
        None if lock.shared => Sharing::Shared,
        None => Sharing::Exclusive,
    };
    let value = match &lock.value {
        Some(value) => value_of(value)?,
        None => value_of(OsStr::new(&whereabouts()))?,
    };
    let wanted = Wanted { name: cmd::key(&lock.name)?, sharing, value, is_election: false };
    hold(globals, wanted, &lock.claim, output)
}

pub(crate) fn elect(
    globals: &Globals,
    elect: &Elect,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let name = cmd::key(&elect.name)?;
    let Some(value) = elect.value.as_ref().filter(|_| !elect.observe) else {
        return leader::observe(globals, &name, output);
    };
    let (sharing, value) = (Sharing::Exclusive, value_of(value)?);
    hold(globals, Wanted { name, sharing, value, is_election: true }, &elect.claim, output)
}

fn value_of(text: &OsStr) -> Result<Value, Problem> {
    kv::checked(text.as_encoded_bytes().to_vec())
}

/// What tells others who it is that holds a lock, if nobody says it better.
fn whereabouts() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{}:{}", host.display(), std::process::id())
}

/// What is to be held.
struct Wanted {
    name: Key,
    sharing: Sharing,
    value: Value,
    is_election: bool,
}

impl Wanted {
    fn claim(&self, lease: LeaseId, no_wait: bool) -> Lock {
        let (name, value) = (self.name.clone(), self.value.clone());
        let (sharing, is_election) = (self.sharing, self.is_election);
        Lock { name, lease, sharing, value, no_wait, is_election }
    }
}

/// Something that is held.
struct Held {
    tenure: Tenure,
    token: u64,
    signals: Signals,
}

fn hold(
    globals: &Globals,
    wanted: Wanted,
    claim: &hold::Claim,
    output: &mut Output,
) -> Result<Exit, Problem> {
    child::close_inherited();
    let held = match get(globals, &wanted, claim, output)? {
        Ok(held) => held,
        Err(exit) => return Ok(exit),
    };
    let ending = if claim.command.is_empty() {
        stay(held, &wanted.name, output)?
    } else {
        run(held, &wanted.name, claim, output)?
    };
    match ending {
        Ending::Ended(exit) => Ok(exit),
        Ending::Lost(why) => Err(tenure::lost(&wanted.name, &why)),
        Ending::Unguarded => {
            let message = "the guard of the command was killed, so the command was, too";
            Err(Failure::new(ErrorCode::Internal, message).into())
        }
    }
}

/// Gets it, or the exit code for not getting it.
fn get(
    globals: &Globals,
    wanted: &Wanted,
    claim: &hold::Claim,
    output: &mut Output,
) -> Result<Result<Held, Exit>, Problem> {
    let wait = claim.nonblock.then_some(globals.timeout).or(claim.wait);
    let give_up_at = wait.map(|wait| BootTime::now() + wait);
    let mut tenure = Tenure::begin(Link::new(globals)?, claim.ttl)?;
    // From here on a signal has to wait until the claim is given back.
    let signals = Signals::catch().map_err(|errno| broken(errno, "signals"))?;
    loop {
        let no_wait = claim.nonblock || claim.wait.is_some_and(|wait| wait.is_zero());
        let lock = wanted.claim(tenure.lease, no_wait);
        let outcome = Claim::new(lock, give_up_at, &mut tenure, &signals).wait();
        match outcome {
            Ok(Outcome::Held(token)) => return Ok(Ok(Held { tenure, token, signals })),
            Ok(Outcome::Lapsed) => {
                output.note("the lease has ended while it waited; it queues up again");
                tenure = Tenure::begin(tenure.another_link(), claim.ttl)?;
            }
            Ok(Outcome::Interrupted(signal)) => {
                give_back(tenure, None, output);
                return Ok(Err(signals::die_of(signal)));
            }
            Err(problem) => {
                give_back(tenure, None, output);
                if problem.code != Code::Node(ErrorCode::Busy) {
                    return Err(problem);
                }
                let hint = "see with distdbctl leader who holds it";
                output.fail(&problem.with_hint(hint));
                return Ok(Err(Exit::of_code(Some(claim.conflict_exit_code.into()))));
            }
        }
    }
}

/// Runs the command while it is held.
fn run(
    held: Held,
    name: &Key,
    claim: &hold::Claim,
    output: &mut Output,
) -> Result<Ending, Problem> {
    let Held { mut tenure, token, signals } = held;
    let variables =
        [("DISTDB_TOKEN", token.to_string()), ("DISTDB_LEASE", tenure.lease.to_string())];
    let charge = Charge::begin(&claim.command, &variables, tenure.deadlines(), output.voice());
    let ending = charge.and_then(|charge| charge.attend(&mut tenure, &signals));
    if matches!(ending, Ok(Ending::Lost(_))) {
        tenure.abandon();
    } else {
        give_back(tenure, Some((name, token)), output);
    }
    ending
}

/// Holds it until stdin ends.
fn stay(held: Held, name: &Key, output: &mut Output) -> Result<Ending, Problem> {
    let Held { mut tenure, token, signals } = held;
    let outcome = tell(token, &tenure, output).and_then(|()| wait(&mut tenure, &signals));
    if matches!(outcome, Ok(Stay::Lost(_))) {
        tenure.abandon();
    } else {
        give_back(tenure, Some((name, token)), output);
    }
    Ok(match outcome? {
        Stay::Over => Ending::Ended(Exit::DONE),
        Stay::Interrupted(signal) => Ending::Ended(signals::die_of(signal)),
        Stay::Lost(why) => Ending::Lost(why),
    })
}

/// The token alone, or as JSON with its lease, for a script that goes on once it is there.
fn tell(token: u64, tenure: &Tenure, output: &mut Output) -> Result<(), Problem> {
    if output.is_json() {
        output.json(&Claimed { token, lease: tenure.lease })?;
    } else {
        output.line(token.to_string().as_bytes())?;
    }
    output.flush()
}

/// Why it is held no longer.
enum Stay {
    Over,
    Interrupted(Signal),
    Lost(String),
}

fn wait(tenure: &mut Tenure, signals: &Signals) -> Result<Stay, Problem> {
    let alarm = Alarm::new().map_err(|errno| broken(errno, "an alarm"))?;
    let stdin = io::stdin();
    loop {
        if let Err(problem) = tenure.turn() {
            return Ok(Stay::Lost(problem.message));
        }
        let kill_at = tenure.deadlines().kill_at;
        if BootTime::now() >= kill_at {
            return Ok(Stay::Lost("nobody has confirmed the lease in time".to_owned()));
        }
        if let Some(signal) = signals.next_ending() {
            return Ok(Stay::Interrupted(signal));
        }
        if charge::has_stdin_ended(stdin.as_fd()) {
            return Ok(Stay::Over);
        }
        let _ = alarm.set(kill_at.min(tenure.wake_at()));
        let ours = [alarm.as_fd(), signals.as_fd(), stdin.as_fd()];
        waiting::until_readable(ours.into_iter().chain(tenure.as_fd()));
    }
}

/// What can't be given back ends with its lease.
fn give_back(tenure: Tenure, claim: Option<(&Key, u64)>, output: &Output) {
    let Err(problem) = tenure.end(claim) else { return };
    if ![ErrorCode::LeaseLost, ErrorCode::NotFound].map(Code::Node).contains(&problem.code) {
        output.note(&format!("not given back ({problem}); it ends with its lease, soon"));
    }
}

fn broken(errno: Errno, what: &str) -> Problem {
    let message = format!("no more resources for {what}: {}", errno.desc());
    Problem::new(OwnCode::Configuration, message).with_hint("raise ulimit -n")
}

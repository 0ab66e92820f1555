//! `distdbctl`: the command line of distdb, a client of one node's control socket.
//!
//! A command is read by [`args`], finds its node by [`place`], asks it by [`client`] over a
//! [`connection`], with another [`retry`] where that is safe, notes what it has seen in a
//! [`session`], and prints by [`output`]. What goes wrong is a [`problem`], which has one [`exit`]
//! code. There is a file for each group of commands in [`cmd`].
//!
//! What lasts goes to one node after the other by a [`link`]; what runs a program has it started,
//! and guarded, by another process of ours, a [`stage`].

mod args;
mod boottime;
mod client;
mod cmd;
mod connection;
mod escape;
mod exit;
mod help;
mod link;
mod output;
mod place;
mod problem;
mod retry;
mod session;
mod signals;
mod stage;
mod waiting;

use std::process::ExitCode;

use crate::output::Output;
use crate::problem::{Code, OwnCode};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(exit) = stage::run(&words) {
        return exit.into();
    }
    let args = match args::parse(&words) {
        Ok(args) => args,
        Err(error) => return output::usage(&error, args::wants_json(&words)).into(),
    };
    let mut output = Output::new(&args.globals);
    let outcome = cmd::run(args, &mut output);
    let outcome = outcome.and_then(|exit| output.flush().map(|()| exit));
    match outcome {
        Ok(exit) => exit.into(),
        Err(problem) => {
            let exit = output.fail(&problem);
            if problem.code == Code::Own(OwnCode::Interrupted) {
                connection::die_of_interrupt();
            }
            exit.into()
        }
    }
}

//! `distdbctl`: the command line of distdb, a client of one node's control socket.
//!
//! A command is read by [`args`], finds its node by [`place`], asks it by [`client`] over a
//! [`connection`], with another [`retry`] where that is safe, notes what it has seen in a
//! [`session`], and prints by [`output`]. What goes wrong is a [`problem`], which has one [`exit`]
//! code. There is a file for each group of commands in [`cmd`].

mod args;
mod client;
mod cmd;
mod connection;
mod escape;
mod exit;
mod help;
mod output;
mod place;
mod problem;
mod retry;
mod session;

use std::process::ExitCode;

use crate::output::Output;
use crate::problem::{Code, OwnCode};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
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

//! `check`: a live cluster under load, and whether what its clients saw is what its modes promise.
//!
//! A [`run`] has clients that write down what they ask and are answered, while [`faults`] happen;
//! then the cluster is left to settle, all is judged, and a [`report`] is printed. The judges of
//! [`linearizable`] histories are those of `common`, which know nothing of where a history is from.
//!
//! # Not done
//!
//! - Operations on several keys: lists, prefix deletes, transactions. Leases and locks.

mod causal;
mod converge;
mod diagram;
mod faults;
mod linearizable;
mod nodes;
mod report;
mod run;
mod watch;

use crate::args::Globals;
use crate::args::command::check::Check;
use crate::cmd::check::report::Report;
use crate::cmd::check::run::Run;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;
use crate::signals;

pub(crate) fn check(
    globals: &Globals,
    check: &Check,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let (Check::Linearizable { load, .. }
    | Check::Causal { load }
    | Check::Converge { load }
    | Check::Watch { load }) = check;
    let run = Run::new(globals, load, nodes::find(globals, output)?)?;
    let (name, findings) = match check {
        Check::Linearizable { freshness, .. } => {
            ("linearizable", linearizable::check(&run, freshness.read())?)
        }
        Check::Causal { .. } => ("causal", causal::check(&run)?),
        Check::Converge { .. } => ("converge", converge::check(&run)),
        Check::Watch { .. } => ("watch", watch::check(&run)?),
    };
    if !run.clean_up() {
        output.note(&format!("keys are left behind: distdbctl delete --prefix {}", run.prefix));
    }
    if let Some(signal) = run.stop.signal() {
        output.note("interrupted; what was made to fail is healed, and nothing was judged");
        return Ok(signals::die_of(signal));
    }
    Report::new(name, &run, &findings).print(output)
}

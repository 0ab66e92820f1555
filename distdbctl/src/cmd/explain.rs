//! `explain`: why reads and writes work, or don't, on one screen.

use common::control::cluster;
use common::control::request::Request;

use crate::args::command::cluster::Explain;
use crate::client::Client;
use crate::cmd;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

pub(crate) fn explain(
    client: &Client,
    explain: &Explain,
    output: &mut Output,
) -> Result<Exit, Problem> {
    let key = explain.key.as_deref().map(cmd::key).transpose()?;
    let purpose = explain.purpose.map(Into::into);
    let reply: cluster::Explain = client.ask(&Request::Explain { key, purpose })?;
    if output.is_json() {
        output.json(&reply)?;
    } else {
        screen(&reply).iter().try_for_each(|line| output.line(line.as_bytes()))?;
    }
    Ok(if reply.ok { Exit::DONE } else { Exit::FOUND_SOMETHING })
}

/// The verdict, what it follows from, and what to do.
fn screen(reply: &cluster::Explain) -> Vec<String> {
    let width = reply.facts.iter().map(|fact| fact.what.chars().count()).max().unwrap_or(0);
    let mut lines = vec![reply.verdict.clone()];
    lines.extend(reply.facts.iter().map(|fact| {
        let mark = if fact.ok { "ok" } else { "!!" };
        format!("  {mark}  {:width$}  {}", fact.what, fact.is)
    }));
    lines.extend(reply.next.as_ref().map(|next| format!("next: {next}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_below_each_other() {
        let fact =
            |what: &str, is: &str, ok| cluster::Fact { what: what.into(), is: is.into(), ok };
        let lines = screen(&cluster::Explain {
            ok: false,
            verdict: "writes don't work: no quorum".into(),
            facts: vec![fact("leader", "none", false), fact("peer node2", "up", true)],
            next: Some("start node3".into()),
        });
        assert_eq!(
            lines,
            [
                "writes don't work: no quorum",
                "  !!  leader      none",
                "  ok  peer node2  up",
                "next: start node3",
            ]
        );
    }
}

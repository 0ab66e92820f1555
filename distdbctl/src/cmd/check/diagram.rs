//! Operations in space and time: a column for each client, a line for each moment.

use std::collections::BTreeSet;
use std::time::Duration;

use common::history::{Action, Observed, Operation, Outcome};
use serde::Serialize;

/// As much of a value as is printed.
const VALUE_CHARS: usize = 20;

/// An operation that is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shown {
    pub(super) client: usize,
    pub(super) node: String,
    pub(super) key: String,
    /// What was asked.
    pub(super) asked: String,
    pub(super) invoked_ms: f64,
    /// None where nothing was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) returned_ms: Option<f64>,
    /// What was answered.
    pub(super) result: String,
    /// Whether it is one of the answers that contradict each other.
    pub(super) contradicts: bool,
}

impl Shown {
    pub(super) fn new(operation: &Operation, node: &str, contradicts: bool) -> Self {
        let asked = match &operation.action {
            Action::Put(value) => format!("put {value:.VALUE_CHARS$}"),
            Action::Get => "get".to_owned(),
            Action::Delete => "delete".to_owned(),
            Action::Swap { from, to } => {
                format!("swap {from:.VALUE_CHARS$} for {to:.VALUE_CHARS$}")
            }
        };
        let result = match &operation.outcome {
            Outcome::Failed => "refused".to_owned(),
            Outcome::Unknown => "no answer".to_owned(),
            Outcome::Known(answer) => match &answer.observed {
                Observed::Stored => "stored".to_owned(),
                Observed::Got(None) | Observed::Deleted { existed: false } => "nothing".to_owned(),
                Observed::Got(Some(value)) => format!("{value:.VALUE_CHARS$}"),
                Observed::Deleted { existed: true } => "removed".to_owned(),
            },
        };
        Self {
            client: operation.client,
            node: node.to_owned(),
            key: operation.key.clone(),
            asked,
            invoked_ms: ms(operation.invoked),
            returned_ms: operation.answer().map(|answer| ms(answer.returned)),
            result,
            contradicts,
        }
    }
}

pub(super) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// A moment of an operation: its invocation, or its return.
struct Moment<'a> {
    at_ms: f64,
    is_return: bool,
    shown: &'a Shown,
}

/// Draws them.
pub(super) fn draw(operations: &[Shown]) -> String {
    let clients: BTreeSet<usize> = operations.iter().map(|shown| shown.client).collect();
    let clients: Vec<usize> = clients.into_iter().collect();
    let mut moments = Vec::new();
    for shown in operations {
        moments.push(Moment { at_ms: shown.invoked_ms, is_return: false, shown });
        let returned = shown.returned_ms;
        moments.extend(returned.map(|at_ms| Moment { at_ms, is_return: true, shown }));
    }
    // At one time, invocations first: what touches is concurrent.
    moments.sort_by(|one, other| {
        one.at_ms.total_cmp(&other.at_ms).then(one.is_return.cmp(&other.is_return))
    });
    let mut header = vec!["ms".to_owned()];
    header.extend(clients.iter().map(|client| format!("client {client}")));
    let mut lines = vec![header];
    let mut under_way = vec![""; clients.len()];
    for moment in moments {
        let shown = moment.shown;
        let at = clients.iter().position(|client| *client == shown.client);
        let at = at.expect("all that are shown have a column");
        let mut line = vec![format!("{:.3}", moment.at_ms)];
        line.extend(under_way.iter().map(|sign| (*sign).to_owned()));
        let mark = if shown.contradicts { "*" } else { " " };
        line[at + 1] = if moment.is_return {
            under_way[at] = "";
            format!("└{mark}{}", shown.result)
        } else {
            // What was never answered may take effect at any time.
            under_way[at] = if shown.returned_ms.is_some() { "│" } else { "┆ ?" };
            format!("┌ {} at {}", shown.asked, shown.node)
        };
        lines.push(line);
    }
    aligned(&lines)
}

/// In columns as wide as they need be.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if at == 0 { format!("{cell:>width$}  ") } else { format!("{cell:width$}  ") }
        });
        padded.collect::<String>().trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(client: usize, asked: &str, from: f64, to: Option<f64>, result: &str) -> Shown {
        Shown {
            client,
            node: format!("node{client}"),
            key: "k".to_owned(),
            asked: asked.to_owned(),
            invoked_ms: from,
            returned_ms: to,
            result: result.to_owned(),
            contradicts: result == "old",
        }
    }

    #[test]
    fn time_runs_down_and_clients_stand_side_by_side() {
        let drawn = draw(&[
            shown(1, "put old", 1.0, Some(2.0), "stored"),
            shown(1, "put new", 3.0, Some(5.0), "stored"),
            shown(2, "get", 9.5, Some(10.25), "old"),
            shown(4, "delete", 4.0, None, "no answer"),
        ]);
        assert_eq!(
            drawn,
            "    ms  client 1            client 2        client 4
 1.000  ┌ put old at node1
 2.000  └ stored
 3.000  ┌ put new at node1
 4.000  │                                   ┌ delete at node4
 5.000  └ stored                            ┆ ?
 9.500                      ┌ get at node2  ┆ ?
10.250                      └*old           ┆ ?
"
        );
    }
}

//! Operations in rows, for people who look for what went wrong.

use std::fmt::Write as _;
use std::time::Duration;

use crate::history::{Action, Observed, Operation, Outcome};

/// As much of a value as is printed; those of tests differ at their beginning.
const VALUE_CHARS: usize = 20;

/// A row: the operation, and whether it is marked.
pub(super) type Row<'a> = (&'a Operation, bool);

/// The operations by invocation, in columns. Times are in milliseconds.
pub(super) fn table(mut rows: Vec<Row<'_>>) -> String {
    rows.sort_by_key(|(operation, _)| (operation.invoked, operation.client));
    let head = ["", "client", "key", "operation", "from ms", "to ms", "result"].map(str::to_owned);
    let cells = rows.into_iter().map(|(operation, is_marked)| cells(operation, is_marked));
    let lines: Vec<[String; 7]> = std::iter::once(head).chain(cells).collect();
    let mut widths = [0; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut table = String::new();
    for line in &lines {
        let mut padded = String::new();
        for (cell, width) in line.iter().zip(widths) {
            write!(padded, "{cell:width$}  ").expect("a string takes all");
        }
        table.push_str(padded.trim_end());
        table.push('\n');
    }
    table
}

fn cells(operation: &Operation, is_marked: bool) -> [String; 7] {
    let asked = match &operation.action {
        Action::Put(value) => format!("put {value:.VALUE_CHARS$}"),
        Action::Get => "get".to_owned(),
        Action::Delete => "delete".to_owned(),
        Action::Swap { from, to } => format!("swap {from:.VALUE_CHARS$} for {to:.VALUE_CHARS$}"),
    };
    let (to, result) = match &operation.outcome {
        Outcome::Failed => ("-".to_owned(), "failed: no effect".to_owned()),
        Outcome::Unknown => ("?".to_owned(), "unknown".to_owned()),
        Outcome::Known(answer) => {
            let seen = match &answer.observed {
                Observed::Stored => "stored".to_owned(),
                Observed::Got(None) | Observed::Deleted { existed: false } => "nothing".to_owned(),
                Observed::Got(Some(value)) => format!("{value:.VALUE_CHARS$}"),
                Observed::Deleted { existed: true } => "removed".to_owned(),
            };
            let revision = answer.revision.map(|revision| format!(" @{revision}"));
            (ms(answer.returned), seen + &revision.unwrap_or_default())
        }
    };
    [
        if is_marked { "*" } else { "" }.to_owned(),
        operation.client.to_string(),
        operation.key.clone(),
        asked,
        ms(operation.invoked),
        to,
        result,
    ]
}

fn ms(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1_000.0)
}

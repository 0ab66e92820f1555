//! A space-time diagram: a column for each node, a row for each event, time runs down. What was
//! sent by another node has an arrow from there.
//!
//! ```text
//!              node1      node2      node3
//!   12 -1.204s ●          │          │          BecomeCandidate term=2
//!   13 -1.203s ├─────────▶●          │          HandleRequestVote from=node1 granted=true
//!   13 -1.203s ├──────────┼─────────▶●          HandleRequestVote from=node1 granted=true
//! ```

use super::event::{Event, Names};

/// The least width of a column.
const WIDTH_MIN: usize = 11;

/// An event, and how many follow that are like it.
struct Row<'a> {
    event: &'a Event,
    more: usize,
}

pub(super) fn draw(events: &[Event], names: &Names) -> Vec<String> {
    let mut nodes: Vec<&str> = events.iter().map(|event| event.node.as_str()).collect();
    nodes.extend(events.iter().filter_map(|event| Some(names.name(event.sender()?))));
    nodes.sort_unstable();
    nodes.dedup();
    let width = nodes.iter().map(|node| node.chars().count() + 2).max().unwrap_or(0).max(WIDTH_MIN);
    let rows = rows(events);
    let clock = rows.iter().map(|row| row.event.lc.to_string().len()).max().unwrap_or(0).max(4);
    let age = rows.iter().map(|row| row.event.age().len()).max().unwrap_or(0);
    let head: String = nodes.iter().map(|node| format!("{node:width$}")).collect();
    let mut lines = vec![format!("{:clock$} {:age$} {}", "", "", head.trim_end())];
    lines.extend(rows.iter().map(|Row { event, more }| {
        let picture = picture(event, &nodes, names, width);
        let times = if *more > 0 { format!(" ×{}", more + 1) } else { String::new() };
        let line = format!(
            "{:>clock$} {:>age$} {picture} {}{times} {}",
            event.lc,
            event.age(),
            event.name,
            names.members(event),
        );
        line.trim_end().to_owned()
    }));
    lines
}

/// Events that follow each other on a node, of the same kind and from the same node, are one row,
/// that of the last.
fn rows(events: &[Event]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for event in events {
        let kind = |event: &Event| {
            (event.node.clone(), event.name.clone(), event.sender().map(str::to_owned))
        };
        match rows.last_mut() {
            Some(row) if kind(row.event) == kind(event) => {
                *row = Row { event, more: row.more + 1 };
            }
            Some(_) | None => rows.push(Row { event, more: 0 }),
        }
    }
    rows
}

fn picture(event: &Event, nodes: &[&str], names: &Names, width: usize) -> String {
    let column = |name: &str| nodes.iter().position(|node| *node == name);
    let mut cells: Vec<char> = Vec::new();
    for _ in nodes {
        cells.push('│');
        cells.extend(std::iter::repeat_n(' ', width - 1));
    }
    let Some(here) = column(&event.node).map(|at| at * width) else { return String::new() };
    let sender = event.sender().and_then(|id| column(names.name(id))).map(|at| at * width);
    if let Some(there) = sender.filter(|there| *there != here) {
        for cell in &mut cells[there.min(here) + 1..there.max(here)] {
            *cell = if *cell == '│' { '┼' } else { '─' };
        }
        (cells[there], cells[if there < here { here - 1 } else { here + 1 }]) =
            if there < here { ('├', '▶') } else { ('┤', '◀') };
    }
    cells[here] = '●';
    cells.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(lc: u64, node: u64, ev: &str, from: Option<u64>) -> Event {
        let mut line = json!({"v": 2, "lab": 3, "lc": lc, "seq": lc, "node": format!("n{node}"),
            "node_id": format!("0{node}"), "at_us": lc * 1_000, "ev": ev});
        if let Some(from) = from {
            line["from"] = json!(format!("0{from}"));
            line["prev"] = json!({"term": 1, "index": lc});
        }
        Event::read(line, Some(1_500_000)).expect("an event")
    }

    #[test]
    fn messages_are_arrows_and_repetitions_are_counted() {
        let events = [
            event(1, 1, "BecomeCandidate", None),
            event(2, 3, "HandleRequestVote", Some(1)),
            event(3, 1, "Propose", None),
            event(4, 1, "Propose", None),
            event(5, 2, "HandleAppend", Some(3)),
        ];
        let names = Names::of(&[&events[..], &[event(0, 2, "Start", None)]].concat());
        assert_eq!(
            draw(&events, &names),
            [
                "             n1         n2         n3",
                "   1 -1.499s ●          │          │           BecomeCandidate",
                "   2 -1.498s ├──────────┼─────────▶●           HandleRequestVote from=n1 prev=1/2",
                "   4 -1.496s ●          │          │           Propose ×2",
                "   5 -1.495s │          ●◀─────────┤           HandleAppend from=n3 prev=1/5",
            ]
        );
    }
}

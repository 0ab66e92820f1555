//! An event, and how it is put into words.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One that a node has observed.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// By Lamport's clock.
    pub(super) lc: u64,
    pub(super) node: String,
    /// What happened.
    pub(super) name: String,
    /// As the node told it.
    pub(super) line: Value,
    id: String,
    /// How long ago, in microseconds.
    age_us: Option<u64>,
}

/// What each line has, and is told elsewhere.
const COMMON: [&str; 8] = ["v", "lab", "lc", "seq", "node", "node_id", "at_us", "ev"];

impl Event {
    /// None where the line is no event. `now_us` is the node's time when it told it.
    pub(super) fn read(line: Value, now_us: Option<u64>) -> Option<Self> {
        let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
        let (node, id, name) = (text("node")?, text("node_id")?, text("ev")?);
        let (lc, at_us) = (line.get("lc")?.as_u64()?, line.get("at_us")?.as_u64()?);
        let age_us = now_us.map(|now| now.saturating_sub(at_us));
        Some(Self { lc, node, name, line, id, age_us })
    }

    pub(super) fn age(&self) -> String {
        self.age_us.map_or_else(String::new, |us| {
            format!("-{}.{:03}s", us / 1_000_000, us / 1_000 % 1_000)
        })
    }

    /// Who has sent the message that made it happen, by id.
    pub(super) fn sender(&self) -> Option<&str> {
        let member = if self.name == "MergeChunk" { "donor" } else { "from" };
        self.line.get(member)?.as_str()
    }

    fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        let members = self.line.as_object().into_iter().flat_map(Map::iter);
        members.filter(|(name, _)| !COMMON.contains(&name.as_str()))
    }
}

/// Leaves out heartbeats, their answers, and what is only for checkers of traces.
pub(super) fn leave_out_routine(events: &mut Vec<Event>) {
    let mut appended = BTreeMap::new();
    events.retain(|event| {
        let number = |name: &str| event.line.get(name).and_then(Value::as_u64);
        match event.name.as_str() {
            "HandleAppend" => number("entries") != Some(0),
            "HandleAppended" => {
                let link = (event.node.clone(), event.sender().map(str::to_owned));
                appended.insert(link, number("index")) != Some(number("index"))
            }
            name => !name.ends_with("State"),
        }
    });
}

/// What the ids are called.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut names = BTreeMap::new();
        for event in events {
            names.insert(event.id.clone(), event.node.clone());
            // Of a peer that was not asked at least its peers tell the name.
            let text = |name: &str| event.line.get(name).and_then(Value::as_str);
            if let (Some(peer), Some(name)) = (text("peer"), text("name")) {
                names.entry(peer.to_owned()).or_insert_with(|| name.to_owned());
            }
        }
        Self(names)
    }

    /// The names of nodes that there are events of, or from.
    pub(super) fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, String::as_str)
    }

    /// What there is to say of an event beside its name.
    pub(super) fn members(&self, event: &Event) -> String {
        let told = event.members().map(|(name, value)| format!("{name}={}", self.value(value)));
        told.collect::<Vec<_>>().join(" ")
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::String(text) => self.name(text).to_owned(),
            Value::Array(items) => {
                items.iter().map(|item| self.value(item)).collect::<Vec<_>>().join(",")
            }
            // An entry of a log is called by its term and its index.
            Value::Object(members) => match (members.get("term"), members.get("index")) {
                (Some(term), Some(index)) if members.len() == 2 => format!("{term}/{index}"),
                (_, _) => value.to_string(),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        }
    }
}

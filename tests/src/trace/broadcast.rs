//! Steps of `spec/TraceDistributedDb.tla`.
//!
//! Versions compare node ids and sync walks the keys in their order, so both become numbers in the
//! order that they have. What no line tells is inferred: a crash from the next start of the name,
//! the links that a hash in a heartbeat stands for from all links that a node has had, and whom a
//! node took for members when it began to serve from what its step has left.

mod corrupt;

use std::collections::{BTreeMap, BTreeSet};

use common::broadcast::heartbeat::mesh_of;
use common::identity::{Incarnation, NodeId};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Behaviour, Line};

pub(super) use corrupt::corruptions;

/// The number of Lab 1 in lines.
const LAB: u64 = 1;

/// What a node was linked to at some time, itself among them.
type Mesh = BTreeMap<NodeId, Incarnation>;

pub(super) fn behaviour(lines: &[Line]) -> Result<Behaviour, String> {
    let lines: Vec<&Line> = lines.iter().filter(|line| line.lab == LAB).collect();
    let mut converter = Converter::of(&lines)?;
    let ends = ends(&lines)?;
    let mut steps = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        converter.left = left(&lines[place..]);
        let step = converter.step(line).map_err(|what| format!("{what}: {line:?}"))?;
        steps.extend(step);
        if ends.contains(&place) {
            steps.push(json!({"ev": "Crash", "n": converter.node(own_id(line)?)?}));
        }
    }
    let (nodes, keys) = (converter.nodes.len().max(1), converter.keys.len().max(1));
    let header = Map::from_iter(
        [("nodes", nodes), ("keys", keys)].map(|(name, count)| (name.to_owned(), json!(count))),
    );
    Ok(Behaviour { header, steps })
}

/// The last lines of processes that another of the same name has followed, be it under another id:
/// then the data directory was lost.
fn ends(lines: &[&Line]) -> Result<BTreeSet<usize>, String> {
    let mut last = BTreeMap::new();
    let mut ends = BTreeSet::new();
    for (place, line) in lines.iter().enumerate() {
        let before = last.insert(&line.node, place);
        if line.ev == "Start" {
            ends.extend(before);
        }
    }
    Ok(ends)
}

#[derive(Debug, Default)]
struct Converter {
    nodes: BTreeMap<NodeId, usize>,
    keys: BTreeMap<String, usize>,
    /// What the hashes of links stand for.
    meshes: BTreeMap<u64, Mesh>,
    /// With whom each node is linked, itself among them.
    linked: BTreeMap<NodeId, Mesh>,
    /// Whom the node has for members behind the step of the line.
    left: Vec<NodeId>,
}

impl Converter {
    fn of(lines: &[&Line]) -> Result<Self, String> {
        let mut nodes = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for line in lines {
            nodes.insert(own_id(line)?);
            for name in ["peer", "from", "to"] {
                nodes.extend(
                    line.fields.get(name).map(|_| member::<NodeId>(line, name)).transpose()?,
                );
            }
            nodes.extend(member::<Option<NodeId>>(line, "donor").ok().flatten());
            if line.fields.contains_key("seen") {
                let seen: Vec<(NodeId, u64, u64)> = member(line, "seen")?;
                nodes.extend(seen.into_iter().map(|(peer, ..)| peer));
            }
            if line.fields.contains_key("members") {
                nodes.extend(member::<Vec<NodeId>>(line, "members")?);
            }
            keys.extend(line.fields.get("key").and_then(Value::as_str).map(str::to_owned));
        }
        let nodes = nodes.into_iter().zip(1..).collect();
        let keys = keys.into_iter().zip(1..).collect();
        Ok(Self { nodes, keys, ..Self::default() })
    }

    fn node(&self, id: NodeId) -> Result<usize, String> {
        self.nodes.get(&id).copied().ok_or_else(|| format!("{id} is no node of the trace"))
    }

    fn named(&self, line: &Line, name: &str) -> Result<usize, String> {
        self.node(member(line, name)?)
    }

    /// The step of a line, if it is one.
    fn step(&mut self, line: &Line) -> Result<Option<Value>, String> {
        self.follow(line)?;
        let n = self.node(own_id(line)?)?;
        let ev = line.ev.as_str();
        let field = |name: &str| line.fields.get(name).cloned().unwrap_or(Value::Null);
        let mut step = match ev {
            "Start" => json!({"incarnation": field("incarnation")}),
            "Link" => json!({
                "peer": self.named(line, "peer")?, "incarnation": field("incarnation"),
            }),
            "Unlink" => json!({"peer": self.named(line, "peer")?}),
            "Write" => json!({
                "number": field("number"), "key": self.key(line)?,
                "version": self.version(line)?, "deleted": field("deleted"),
            }),
            "Deliver" => json!({
                "from": self.named(line, "from")?, "number": field("number"),
                "key": self.key(line)?, "version": self.version(line)?, "won": field("won"),
            }),
            "Miss" | "Skip" => json!({
                "from": self.named(line, "from")?, "writes": field("writes"),
            }),
            "Hear" => json!({
                "from": self.named(line, "from")?, "number": field("number"),
                "clock": field("clock"), "ready": field("ready"), "links": self.links(line)?,
            }),
            "RequestSync" => json!({
                "donor": self.named(line, "donor")?, "session": field("session"),
                "chunk": field("chunk"),
            }),
            "ServeSync" => json!({
                "to": self.named(line, "to")?, "session": field("session"),
                "chunk": field("chunk"), "entries": field("entries"), "done": field("done"),
            }),
            "RefuseSync" => json!({
                "to": self.named(line, "to")?, "session": field("session"),
            }),
            "MergeChunk" => json!({
                "donor": self.named(line, "donor")?, "session": field("session"),
                "entries": field("entries"), "won": field("won"), "done": field("done"),
            }),
            "DonorBehind" => json!({"donor": self.named(line, "donor")?}),
            "AbandonSync" => json!({
                "donor": self.named(line, "donor")?, "session": field("session"),
            }),
            "BecomeReady" => json!({
                "how": field("how"), "keys": field("keys"), "others": self.others()?,
            }),
            "Repair" => json!({"changed": field("changed")}),
            "BroadcastState" => self.state(line)?,
            "Member" | "NameTaken" => return Ok(None),
            other => return Err(format!("{other} is no event of this mode")),
        };
        // What serves and what does not counts lost writes alike.
        let name = match ev {
            "Skip" => "Miss",
            "BroadcastState" => "State",
            other => other,
        };
        step["ev"] = json!(name);
        step["n"] = json!(n);
        Ok(Some(step))
    }

    /// Notes what later lines only hint at.
    fn follow(&mut self, line: &Line) -> Result<(), String> {
        let id = own_id(line)?;
        match line.ev.as_str() {
            "Start" => {
                let mesh = Mesh::from([(id, member(line, "incarnation")?)]);
                self.linked.insert(id, mesh);
            }
            "Link" => {
                let (peer, incarnation) = (member(line, "peer")?, member(line, "incarnation")?);
                self.linked.entry(id).or_default().insert(peer, incarnation);
            }
            "Unlink" => {
                let peer: NodeId = member(line, "peer")?;
                self.linked.entry(id).or_default().remove(&peer);
            }
            _ => return Ok(()),
        }
        let mesh = self.linked.entry(id).or_default().clone();
        self.meshes.insert(mesh_of(&mesh), mesh);
        Ok(())
    }

    fn key(&self, line: &Line) -> Result<usize, String> {
        let key: String = member(line, "key")?;
        self.keys.get(&key).copied().ok_or_else(|| format!("{key} is no key of the trace"))
    }

    fn version(&self, line: &Line) -> Result<Value, String> {
        let common::broadcast::version::Version { clock, node, incarnation } =
            member(line, "version")?;
        Ok(json!([clock, self.node(node)?, incarnation.0]))
    }

    /// Nobody was ever linked as an unknown hash says: there is no such state.
    fn links(&self, line: &Line) -> Result<Value, String> {
        let hash: u64 = member(line, "mesh")?;
        let links = self.meshes.get(&hash).into_iter().flatten();
        let links = links.map(|(peer, incarnation)| Ok(json!([self.node(*peer)?, incarnation.0])));
        links.collect::<Result<Vec<Value>, String>>().map(Value::Array)
    }

    fn others(&self) -> Result<Value, String> {
        let others = self.left.iter().map(|other| self.node(*other));
        others.collect::<Result<Vec<usize>, String>>().map(|others| json!(others))
    }

    fn state(&self, line: &Line) -> Result<Value, String> {
        let field = |name: &str| line.fields.get(name).cloned().unwrap_or(Value::Null);
        let donor = member::<Option<NodeId>>(line, "donor")?;
        let donor = donor.map_or(Ok(0), |donor| self.node(donor))?;
        let linked = member::<Vec<NodeId>>(line, "linked")?.into_iter().map(|peer| self.node(peer));
        let linked: Vec<usize> = linked.collect::<Result<_, _>>()?;
        let seen = member::<Vec<(NodeId, u64, u64)>>(line, "seen")?;
        let seen = seen
            .into_iter()
            .map(|(peer, start, number)| Ok(json!([self.node(peer)?, start, number])));
        let seen: Vec<Value> = seen.collect::<Result<_, String>>()?;
        Ok(json!({
            "clock": field("clock"), "number": field("number"), "ready": field("ready"),
            "keys": field("keys"), "tombstones": field("tombstones"),
            "donor": donor, "linked": linked, "seen": seen,
        }))
    }
}

fn own_id(line: &Line) -> Result<NodeId, String> {
    serde_json::from_value(line.id.clone()).map_err(|error| error.to_string())
}

/// The members that the first of these lines' step has left, as its last line tells.
fn left(lines: &[&Line]) -> Vec<NodeId> {
    let id = lines.first().map(|line| &line.id);
    let state = lines.iter().find(|line| line.ev == "BroadcastState" && Some(&line.id) == id);
    state.and_then(|state| member(state, "members").ok()).unwrap_or_default()
}

fn member<T: DeserializeOwned>(line: &Line, name: &str) -> Result<T, String> {
    let value = line.fields.get(name).cloned().ok_or_else(|| format!("it has no {name}"))?;
    serde_json::from_value(value).map_err(|error| format!("{name}: {error}"))
}

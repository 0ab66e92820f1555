//! What lines say.

use serde::Deserialize;
use serde_json::Value;

use super::super::Line;

/// A write, by the writer's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Dot {
    pub(super) node: String,
    pub(super) counter: u64,
}

/// Keys with the dots of versions.
pub(super) type Held = Vec<(String, Vec<Dot>)>;

/// Where a write came from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    Own,
    From(String),
    Waited,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Made {
    pub(super) past: Vec<Dot>,
    pub(super) lamport: u64,
    pub(super) deleted: bool,
    pub(super) basis: String,
    pub(super) context: Option<String>,
    pub(super) tag: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Shown {
    pub(super) position: u64,
    pub(super) clock: Vec<Dot>,
    pub(super) lamport: u64,
    pub(super) ready: bool,
    pub(super) behind: Vec<Dot>,
    #[serde(default)]
    pub(super) waiting: Vec<Dot>,
    #[serde(default)]
    pub(super) keys: u64,
    pub(super) held: Held,
    #[serde(default)]
    pub(super) last: Vec<Redone>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Redone {
    Apply {
        dot: Dot,
        key: String,
        replaces: Vec<Dot>,
        past: Vec<Dot>,
        lamport: u64,
        deleted: bool,
        tag: Option<String>,
    },
    BeginSync {
        clock: Vec<Dot>,
        lamport: u64,
    },
    Stage(Held),
    EndSync,
    Ready,
}

/// An event of `common::observe::CausalEvent` that is a step, or more than one.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "ev")]
pub(super) enum Told {
    Recover(Box<Shown>),
    CausalMembers {
        members: Vec<String>,
    },
    Originate {
        dot: Dot,
        key: String,
        replaces: Vec<Dot>,
        made: Made,
    },
    ApplyWrite {
        dot: Dot,
        key: String,
        deleted: bool,
        way: Way,
    },
    Hold {
        dot: Dot,
        from: String,
    },
    SessionRead {
        key: String,
        context: Option<String>,
        dots: Vec<Dot>,
    },
    HandleAck {
        peer: String,
        clock: Vec<Dot>,
    },
    Answer {
        dot: Dot,
        needed: u64,
        holders: Vec<String>,
    },
    Collect {
        behind: Vec<Dot>,
    },
    Trim {
        behind: Vec<Dot>,
    },
    GiveState {
        to: String,
        session: u64,
    },
    StageState {
        donor: String,
        session: u64,
        clock: Vec<Dot>,
        lamport: u64,
    },
    MergeStateChunk {
        changed: Held,
    },
    EndStateSync {},
    AbandonStateSync {},
    ServeWithoutDonor,
    Sync {
        position: u64,
    },
    CausalState(Box<Shown>),
    #[serde(other)]
    Other,
}

/// An event, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) lc: u64,
    pub(super) id: String,
    pub(super) told: Told,
}

impl Entry {
    pub(super) fn of(line: &Line) -> Result<Self, String> {
        let Value::String(id) = &line.id else {
            return Err(format!("{} is no id of a node", line.id));
        };
        let mut members = line.fields.clone();
        members.insert("ev".to_owned(), Value::String(line.ev.clone()));
        let told = serde_json::from_value(Value::Object(members));
        let told = told.map_err(|error| format!("{error}: {line:?}"))?;
        Ok(Self { lc: line.lc, id: id.clone(), told })
    }
}

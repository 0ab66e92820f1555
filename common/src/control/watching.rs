//! What a node says to who follows changes.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::control::Id;
use crate::control::bytes::{Base64Bytes, TextBytes};
use crate::control::failure::Failure;
use crate::kv::key::Key;

/// A watch has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchBegun {
    /// All from this revision on comes.
    pub from: u64,
}

/// A line of a watch after its first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WatchLine {
    /// All changes of one revision.
    Events {
        /// The watch's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// In the order they were done; of each key at most one.
        events: Events,
        /// Theirs.
        revision: u64,
    },
    /// All up to this revision has been delivered.
    Progress {
        /// The watch's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// The revision.
        progress: u64,
    },
    /// Nothing more comes.
    End {
        /// The watch's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// Always true.
        end: bool,
        /// The `from` of a watch that misses nothing, where history is kept.
        resume: u64,
        /// Why; nothing where the client wanted it so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
    },
}

/// The changes of one revision. Many watches have the same: a clone shares them, and their JSON.
#[derive(Debug, Clone)]
pub struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    list: Vec<WatchEvent>,
    json: OnceLock<Vec<u8>>,
}

impl Events {
    /// These.
    pub fn new(list: Vec<WatchEvent>) -> Self {
        Self(Arc::new(Shared { list, json: OnceLock::new() }))
    }

    /// Their JSON, made once for all that share them.
    fn json(&self) -> &[u8] {
        let encode = || serde_json::to_vec(&self.0.list).expect("strings and numbers serialize");
        self.0.json.get_or_init(encode)
    }
}

impl Deref for Events {
    type Target = [WatchEvent];

    fn deref(&self) -> &[WatchEvent] {
        &self.0.list
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self.0.list == other.0.list
    }
}

impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}

impl WatchLine {
    /// Appends the line's JSON, without its newline.
    pub fn append_to(&self, line: &mut Vec<u8>) {
        let Self::Events { id, events, revision } = self else {
            serde_json::to_writer(line, self).expect("strings and numbers serialize");
            return;
        };
        line.extend(b"{");
        if let Some(id) = id {
            line.extend(b"\"id\":");
            serde_json::to_writer(&mut *line, id).expect("a string or a number");
            line.extend(b",");
        }
        line.extend(b"\"events\":");
        line.extend(events.json());
        line.extend(b",\"revision\":");
        serde_json::to_writer(&mut *line, revision).expect("a number");
        line.extend(b"}");
    }
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// To which key.
    pub key: Key,
    /// The new value of a put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_b64: Option<Base64Bytes>,
    /// The value before, where the watch asked for it and there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_b64: Option<Base64Bytes>,
    /// Of the change.
    pub revision: u64,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was stored.
    Put,
    /// It was removed.
    Delete,
    /// It ended with its lease.
    Expire,
}

impl EventKind {
    /// What has happened to a key that holds this.
    pub fn of<T>(after: Option<&T>) -> Self {
        if after.is_some() { Self::Put } else { Self::Delete }
    }

    /// The kind as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Expire => "expire",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of a shared list is that of a list of one's own.
    #[test]
    fn a_line_is_what_its_type_says() {
        let event = |key: &str| WatchEvent {
            kind: EventKind::Put,
            key: Key::try_from(key).expect("a key"),
            value: Some(TextBytes::from("v".to_owned())),
            value_b64: None,
            previous: None,
            previous_b64: None,
            revision: 7,
        };
        let events = Events::new(vec![event("a"), event("b")]);
        for id in [None, Some(Id::Unsigned(3)), Some(Id::Text("x\"y".into()))] {
            let line = WatchLine::Events { id, events: events.clone(), revision: 7 };
            let mut written = Vec::new();
            line.append_to(&mut written);
            assert_eq!(written, serde_json::to_vec(&line).expect("serializes"));
        }
    }
}

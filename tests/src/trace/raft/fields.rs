//! What the lines of Raft have.

use serde_json::Value;

use super::super::Line;

/// An entry's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) term: u64,
    pub(super) index: u64,
}

/// An entry of a log, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) term: u64,
    pub(super) command: bool,
    pub(super) digest: u64,
}

impl Line {
    /// The node's id.
    pub(super) fn id(&self) -> &str {
        self.id.as_str().unwrap_or_default()
    }

    fn member(&self, name: &str) -> Result<&Value, String> {
        self.fields.get(name).ok_or_else(|| format!("{} has no {name}", self.ev))
    }

    pub(super) fn number(&self, name: &str) -> Result<u64, String> {
        self.member(name)?.as_u64().ok_or_else(|| self.strange(name))
    }

    pub(super) fn truth(&self, name: &str) -> Result<bool, String> {
        self.member(name)?.as_bool().ok_or_else(|| self.strange(name))
    }

    pub(super) fn word(&self, name: &str) -> Result<&str, String> {
        self.member(name)?.as_str().ok_or_else(|| self.strange(name))
    }

    /// The id of a node, if one is told.
    pub(super) fn node(&self, name: &str) -> Result<Option<&str>, String> {
        let member = self.member(name)?;
        if member.is_null() { Ok(None) } else { self.word(name).map(Some) }
    }

    pub(super) fn nodes(&self, name: &str) -> Result<Vec<&str>, String> {
        let all = self.member(name)?.as_array().ok_or_else(|| self.strange(name))?;
        all.iter().map(|node| node.as_str().ok_or_else(|| self.strange(name))).collect()
    }

    pub(super) fn place(&self, name: &str) -> Result<Id, String> {
        let member = self.member(name)?;
        let part = |part: &str| member.get(part).and_then(Value::as_u64);
        match (part("term"), part("index")) {
            (Some(term), Some(index)) => Ok(Id { term, index }),
            (None, _) | (_, None) => Err(self.strange(name)),
        }
    }

    pub(super) fn entries(&self) -> Result<Vec<Held>, String> {
        let all = self.member("entries")?.as_array().ok_or_else(|| self.strange("entries"))?;
        all.iter().map(|entry| held(entry).ok_or_else(|| self.strange("entries"))).collect()
    }

    /// The last entry, if it is told what that is.
    pub(super) fn holds(&self) -> Result<Option<Held>, String> {
        let member = self.member("holds")?;
        if member.is_null() {
            return Ok(None);
        }
        held(member).map(Some).ok_or_else(|| self.strange("holds"))
    }

    /// Up to where a leader's entries were taken, if they fit.
    pub(super) fn taken(&self) -> Result<Option<u64>, String> {
        Ok(self.member("outcome")?.get("Up").and_then(Value::as_u64))
    }

    fn strange(&self, name: &str) -> String {
        format!("{} of {} has a strange {name}", self.ev, self.node)
    }
}

fn held(entry: &Value) -> Option<Held> {
    Some(Held {
        term: entry.get("term")?.as_u64()?,
        command: entry.get("command")?.as_bool()?,
        digest: entry.get("digest")?.as_u64()?,
    })
}

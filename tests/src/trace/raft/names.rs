//! Small names for nodes.

use std::collections::BTreeMap;

use super::super::Line;

/// `n1` has founded the cluster; the others are counted as they come.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: BTreeMap<String, String>,
}

impl Names {
    pub(super) fn of(lines: &[&Line]) -> Result<Self, String> {
        let mut found = Self::default();
        for line in lines.iter().filter(|line| line.ev == "Restart") {
            // Its log begins with itself; all others begin with nothing.
            if !line.entries()?.is_empty() {
                found.add(line.id());
                break;
            }
        }
        if found.names.is_empty() {
            return Err("it does not begin where the cluster was founded".to_owned());
        }
        for line in lines {
            found.add(line.id());
            if line.ev == "ProposeConfiguration" {
                // Who knocked and was never taken in has told nothing.
                line.node("removed")?.into_iter().for_each(|node| found.add(node));
            }
        }
        Ok(found)
    }

    fn add(&mut self, id: &str) {
        let name = format!("n{}", self.names.len() + 1);
        self.names.entry(id.to_owned()).or_insert(name);
    }

    pub(super) fn name(&self, id: &str) -> Result<&str, String> {
        self.names.get(id).map(String::as_str).ok_or_else(|| format!("nobody is {id}"))
    }

    pub(super) fn all_of(&self, ids: &[&str]) -> Result<Vec<&str>, String> {
        ids.iter().map(|id| self.name(id)).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<&str> {
        self.names.values().map(String::as_str).collect()
    }
}

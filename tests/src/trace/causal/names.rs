//! Small names for what has long ones.

use serde_json::{Value, json};

use super::told::Dot;

/// All that was named, in the order of its names.
#[derive(Debug, Default)]
pub(super) struct Names {
    nodes: Vec<String>,
    keys: Vec<String>,
    tags: Vec<String>,
}

fn number(all: &mut Vec<String>, long: &str) -> usize {
    let found = all.iter().position(|other| other == long);
    1 + found.unwrap_or_else(|| {
        all.push(long.to_owned());
        all.len() - 1
    })
}

fn all(prefix: &str, count: usize) -> Value {
    (1..=count).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>().into()
}

impl Names {
    pub(super) fn node(&mut self, id: &str) -> String {
        format!("n{}", number(&mut self.nodes, id))
    }

    pub(super) fn key(&mut self, key: &str) -> String {
        format!("k{}", number(&mut self.keys, key))
    }

    /// 0 is none.
    pub(super) fn tag(&mut self, tag: Option<&str>) -> usize {
        tag.map_or(0, |tag| number(&mut self.tags, tag))
    }

    pub(super) fn nodes(&self) -> Value {
        all("n", self.nodes.len())
    }

    pub(super) fn keys(&self) -> Value {
        all("k", self.keys.len())
    }

    pub(super) fn clock(&mut self, dots: &[Dot]) -> Value {
        dots.iter().map(|dot| json!([self.node(&dot.node), dot.counter])).collect()
    }

    /// What a client has seen, out of the text that it carries; none is as good as nothing.
    pub(super) fn context(&mut self, text: Option<&str>) -> Result<Value, String> {
        let (mut clock, mut dots) = (Vec::new(), Vec::new());
        for part in text.unwrap_or_default().split(',').filter(|part| !part.is_empty()) {
            let place = part.find([':', '=']).ok_or_else(|| format!("{part} is in a context"))?;
            let counter: u64 = part[place + 1..].parse().map_err(|_| format!("{part}: no dot"))?;
            let dot = json!([self.node(&part[..place]), counter]);
            if part[place..].starts_with(':') { clock.push(dot) } else { dots.push(dot) }
        }
        Ok(json!({"clock": clock, "dots": dots}))
    }
}

//! Values as TLA+ has them.

use std::fmt::Write as _;

use serde_json::Value;

use super::Behaviour;

/// The module that `TraceX.tla` extends.
pub(super) fn module(behaviours: &[Behaviour]) -> Result<String, String> {
    let mut text = String::from("---- MODULE TraceData ----\n\\* Made by `make trace-check`.\n");
    let mut headers = Vec::new();
    let mut traces = Vec::new();
    for behaviour in behaviours {
        headers.push(value(&Value::Object(behaviour.header.clone()))?);
        let steps: Vec<String> = behaviour.steps.iter().map(value).collect::<Result<_, _>>()?;
        traces.push(format!("<<\n{}\n>>", steps.join(",\n")));
    }
    for (name, items) in [("Header", headers), ("Traces", traces)] {
        writeln!(text, "{name} == <<\n{}\n>>", items.join(",\n")).expect("a string takes all");
    }
    text += "====\n";
    Ok(text)
}

/// An object is a record, an array a sequence; null is the string `nil`.
fn value(json: &Value) -> Result<String, String> {
    Ok(match json {
        Value::Null => "\"nil\"".to_owned(),
        Value::Bool(true) => "TRUE".to_owned(),
        Value::Bool(false) => "FALSE".to_owned(),
        // TLC's integers have 32 bits.
        Value::Number(number) => match number.as_i64().map(i32::try_from) {
            Some(Ok(small)) => small.to_string(),
            Some(Err(_)) | None => return Err(format!("{number} is too large for TLC")),
        },
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(value).collect::<Result<_, _>>()?;
            format!("<<{}>>", items.join(", "))
        }
        Value::Object(members) if members.is_empty() => {
            return Err("a record without members".into());
        }
        Value::Object(members) => {
            let member =
                |(name, item): (&String, &Value)| Ok(format!("{name} |-> {}", value(item)?));
            let members: Vec<String> = members.iter().map(member).collect::<Result<_, String>>()?;
            format!("[{}]", members.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_becomes_a_record() {
        let line = json!({"ev": "Start", "n": ["n1", 2], "ok": true, "of": {"x": null}});
        let record = "[ev |-> \"Start\", n |-> <<\"n1\", 2>>, of |-> [x |-> \"nil\"], ok |-> TRUE]";
        assert_eq!(value(&line), Ok(record.to_owned()));
        assert!(value(&json!(u64::MAX)).is_err());
        assert!(value(&json!({})).is_err());
    }
}

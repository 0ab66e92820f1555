//! What is wrong with a line that is no call.

use serde::Deserialize;

use crate::control::Id;
use crate::control::failure::Failure;
use crate::control::line::{Line, LineError, NESTING_MAX, OPERATIONS, missing, unknown_operation};

/// Why `line`, which is no [`Line`], is none. Only bad lines come here, so it may take its time.
pub(super) fn explain(line: &[u8]) -> LineError {
    let closing =
        |message: &str| LineError { id: None, failure: Failure::bad_request(message), close: true };
    if nesting(line) > NESTING_MAX {
        return closing("line nests more than 16 deep");
    }
    let Ok(outline) = serde_json::from_slice::<serde_json::Map<_, _>>(line) else {
        return closing("line is no JSON object");
    };
    let id = outline.get("id").and_then(|id| Id::deserialize(id).ok());
    let failure = match outline.get("op").map(|op| op.as_str()) {
        None => missing("op"),
        Some(Some(op)) if !OPERATIONS.contains(&op) => unknown_operation(op),
        Some(_) => mistyped(line),
    };
    LineError { id, failure, close: false }
}

/// Names the member that is unknown or mistyped.
fn mistyped(line: &[u8]) -> Failure {
    let parsed: Result<Line, _> =
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(line));
    match parsed {
        Ok(_) => Failure::bad_request("line is no request"),
        Err(error) if error.path().iter().len() == 0 => {
            Failure::bad_request(error.inner().to_string())
        }
        Err(error) => Failure::bad_request(format!("member `{}`: {}", error.path(), error.inner())),
    }
}

/// How deep brackets nest, those in strings aside.
fn nesting(line: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

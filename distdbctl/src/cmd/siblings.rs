//! What stands side by side under a key in causal mode, for people.

use std::time::{Duration, SystemTime};

use common::control::conflict::Sibling;
use common::control::reply;
use common::kv::value::Value;

use crate::cmd::kv::value_of;
use crate::output::Output;
use crate::problem::Problem;

/// In a set all siblings belong to the value.
pub(super) fn is_set(conflict: bool, siblings: &[Sibling]) -> bool {
    !conflict && !siblings.is_empty()
}

/// The elements of a set, each once, in the order of their bytes.
pub(super) fn elements(siblings: Vec<Sibling>) -> Result<Vec<Value>, Problem> {
    let values = siblings.into_iter().map(|sibling| value_of(sibling.value, sibling.value_b64));
    let mut values = values.collect::<Result<Vec<_>, _>>()?;
    values.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    values.dedup();
    Ok(values)
}

/// A line for each sibling: its value, the write that it is of, and when that was. A key that has
/// one value has a line as well, without what the node does not tell of it.
pub(super) fn print(reply: reply::Get, output: &mut Output) -> Result<(), Problem> {
    if let (Some(item), true) = (reply.item, reply.siblings.is_empty()) {
        let value = value_of(item.value, item.value_b64)?;
        return output.cells(&[value.as_bytes(), b"-", b"-"]);
    }
    for sibling in reply.siblings {
        let (dot, time) = (sibling.dot().to_string(), spelled(sibling.time_ms));
        let value = value_of(sibling.value, sibling.value_b64)?;
        output.cells(&[value.as_bytes(), dot.as_bytes(), time.as_bytes()])?;
    }
    Ok(())
}

/// The last millisecond of the year 9999: later ones can't be spelled.
const TIME_MS_MAX: u64 = 253_402_300_799_999;

/// A time as RFC 3339 spells it.
fn spelled(unix_ms: u64) -> String {
    let since = Duration::from_millis(unix_ms.min(TIME_MS_MAX));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[&str]) -> Vec<Sibling> {
        let sibling = |(counter, value): (usize, &&str)| {
            let json = serde_json::json!({
                "value": value, "node": "000000000000001a", "counter": counter, "time_ms": 0
            });
            serde_json::from_value(json).unwrap()
        };
        values.iter().enumerate().map(sibling).collect()
    }

    #[test]
    fn an_element_that_was_added_twice_is_in_the_set_once() {
        let elements = elements(set(&["b", "a", "b"])).unwrap();
        assert_eq!(elements.iter().map(Value::as_bytes).collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn a_time_is_spelled_whatever_it_is() {
        assert_eq!(spelled(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(spelled(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}

//! Lines of clients.

use common::control::line::NESTING_MAX;
use common::control::reply::{Header, Reply, ReplyLine};
use common::control::request::Call;

use crate::allocation;

/// What the members of a line may take, for each of its bytes, and beside them: a vector of
/// operations is made for a few before it is known how many there are.
const BYTES_PER_BYTE: usize = 128;
const BYTES_BESIDE: usize = 2 * 1024 * 1024;

/// Reads `line`, and what was read once more.
pub fn run(line: &[u8]) {
    let bytes_max = BYTES_BESIDE + BYTES_PER_BYTE * line.len();
    match allocation::within(bytes_max, || Call::parse(line)) {
        Ok(call) => {
            assert!(nesting(line) <= NESTING_MAX, "it nests too deep, and was read");
            let written = call.to_line();
            let body = written.strip_suffix(b"\n").expect("a line ends");
            assert!(!body.contains(&b'\n'), "a line is one line");
            let again = Call::parse(body).expect("what was written is a line");
            assert_eq!(again, call);
            assert_eq!(again.to_line(), written);
        }
        Err(error) => {
            let header = Header::of("node1".parse().expect("a name"));
            let reply = ReplyLine::<Reply>::new(error.id, header, Err(error.failure));
            let written = serde_json::to_string(&reply).expect("a failure serializes");
            assert!(!written.contains('\n'), "a line is one line");
        }
    }
}

/// How deep the brackets of a line nest that stand in no string.
fn nesting(line: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

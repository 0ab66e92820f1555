use proptest::prelude::*;

use super::*;
use crate::kv::value::Value;

fn parse(line: &str) -> Call {
    Call::parse(line.as_bytes()).expect(line)
}

fn fail(line: &[u8]) -> LineError {
    *Call::parse(line).expect_err("not a call")
}

#[test]
fn a_put_may_carry_text_or_base64() {
    let text = parse(r#"{"op":"put","key":"k","value":"aä"}"#);
    let base64 = parse(r#"{"op":"put","key":"k","value_b64":"YcOk"}"#);
    assert_eq!(text, base64);
    let both = fail(br#"{"op":"put","key":"k","value":"a","value_b64":"YQ=="}"#);
    assert_eq!((both.failure.code, both.close), (ErrorCode::BadRequest, false));
}

/// P11: an operation of tomorrow is told apart from a mistake of today, its members unseen.
#[test]
fn an_unknown_operation_is_called_so_and_the_connection_lives() {
    let error = fail(br#"{"id":"x","op":"txn","if":[],"then":[{"op":"put"}]}"#);
    assert_eq!(error.failure.code, ErrorCode::UnknownOp);
    assert_eq!((error.id, error.close), (Some(Id::Text("x".into())), false));
}

#[test]
fn an_unknown_or_mistyped_member_is_named() {
    for (line, named) in [
        (r#"{"op":"get","key":"k","keu":1}"#, "keu"),
        (r#"{"op":"get","key":7}"#, "`key`"),
        (r#"{"op":"get","key":"k","value":"v"}"#, "`value`"),
        (r#"{"op":"status","request":{"client":"x","seq":1}}"#, "`request`"),
        (r#"{"op":"get"}"#, "`key`"),
        (r#"{"op":"list","limit":-1}"#, "`limit`"),
        (r#"{"op":"list","limit":1e400}"#, "no JSON"),
        (r#"{"op":"get","key":""}"#, "`key`"),
        (r#"{"op":"wait","for":"rain"}"#, "`for`"),
        (r#"{"op":"put","key":"k","value":"v","request":{"client":"x","seq":1}}"#, "client"),
        (r#"{"op":"fault","set":"drop","amount":1.5}"#, "`amount`"),
        (r#"{"key":"k"}"#, "`op`"),
        (r#"{"op":5}"#, "`op`"),
    ] {
        let error = fail(line.as_bytes());
        assert_eq!(error.failure.code, ErrorCode::BadRequest, "{line}");
        assert!(error.failure.message.contains(named), "{line}: {}", error.failure.message);
    }
}

/// P6: what is no JSON object ends the connection; what follows could be anything.
#[test]
fn a_line_that_is_no_object_ends_the_connection() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let hidden = format!(r#"{{"op":"get","key":{}}}"#, "[".repeat(17) + &"]".repeat(17));
    for line in [
        b"".as_slice(),
        b"null",
        b"[]",
        b"7",
        b"{",
        b"get name",
        b"\xef\xbb\xbf{\"op\":\"live\"}",
        b"{\"op\":\"get\",\"key\":\"\xff\"}",
        br#"{"op":"get","key":"\ud800"}"#,
        br#"{"op":"get","key":NaN}"#,
        b"{\"op\":\"live\"}\0",
        br#"{"op":"live"}{"op":"live"}"#,
        nested.as_bytes(),
        hidden.as_bytes(),
    ] {
        let error = fail(line);
        let shown = String::from_utf8_lossy(&line[..line.len().min(60)]);
        assert_eq!(error.failure.code, ErrorCode::BadRequest, "{shown}");
        assert!(error.close, "{shown}: {}", error.failure.message);
    }
}

#[test]
fn the_same_member_twice_is_a_mistake() {
    let error = fail(br#"{"op":"get","key":"a","key":"b"}"#);
    assert_eq!((error.failure.code, error.close), (ErrorCode::BadRequest, false));
}

#[test]
fn a_carriage_return_is_white_space() {
    assert_eq!(parse("{\"op\":\"live\"}\r").request, Request::Live);
}

#[test]
fn what_is_past_its_bound_is_too_large() {
    let key = format!(r#"{{"op":"get","key":"{}"}}"#, "k".repeat(1_025));
    assert_eq!(fail(key.as_bytes()).failure.code, ErrorCode::TooLarge);
    let value = format!(r#"{{"op":"put","key":"k","value":"{}"}}"#, "v".repeat(1024 * 1024 + 1));
    assert_eq!(fail(value.as_bytes()).failure.code, ErrorCode::TooLarge);
}

fn any_key() -> impl Strategy<Value = Key> {
    "[^\\p{Cc}]{1,20}".prop_map(|text| Key::try_from(text.as_str()).expect("no controls"))
}

fn any_request() -> impl Strategy<Value = Request> {
    let value = prop::collection::vec(any::<u8>(), 0..50)
        .prop_map(|bytes| Value::try_from(bytes).expect("short"));
    let text = prop::option::of("[a-z]{0,4}");
    prop_oneof![
        (any_key(), value).prop_map(|(key, value)| Request::Put { key, value }),
        any_key().prop_map(|key| Request::Get { key, read: Some(Read::Stale) }),
        any_key().prop_map(|key| Request::Delete(Selection::Key(key))),
        "[a-z]{0,3}".prop_map(|prefix| Request::Delete(Selection::Prefix(prefix))),
        any_key().prop_map(|key| Request::Wait(Condition::Key(key))),
        (text.clone(), text, any::<Option<u64>>(), any::<bool>()).prop_map(
            |(start, end, limit, keys_only)| {
                Request::List(Range { start, end, limit, keys_only, ..Range::default() })
            }
        ),
        (any_key(), any::<Option<u64>>(), any::<bool>()).prop_map(|(key, from, previous)| {
            let progress = Some(Duration::from_millis(50));
            Request::Watch { selection: Selection::Key(key), from, previous, progress }
        }),
        any::<i64>().prop_map(|n| Request::Cancel { target: Id::Signed(n.min(-1)) }),
        (0_u8..=4).prop_map(|quarters| {
            let kind = FaultKind::Drop(f64::from(quarters) / 4.0);
            let direction = Direction::In;
            Request::Fault(Some(Fault { kind, peers: vec!["node2".to_owned()], direction }))
        }),
        Just(Request::Status),
        Just(Request::Sync),
    ]
}

proptest! {
    #[test]
    fn a_call_reads_as_it_was_written(request in any_request(), id: u64, ms: u32) {
        let tag = RequestTag { client: "0123456789abcdef0123456789abcdef".to_owned(), seq: id };
        let call = Call {
            id: Some(Id::Unsigned(id)),
            timeout: Some(Duration::from_millis(u64::from(ms))),
            tag: request.is_write().then_some(tag),
            request,
        };
        let line = call.to_line();
        prop_assert_eq!(line.last(), Some(&b'\n'));
        prop_assert_eq!(Call::parse(&line[..line.len() - 1]), Ok(call));
    }

    #[test]
    fn any_bytes_are_survived(line: Vec<u8>) {
        let _ = Call::parse(&line);
    }

    #[test]
    fn almost_a_line_is_survived(cut: prop::sample::Index, byte: u8) {
        let mut line = br#"{"id":1,"op":"put","key":"k","value":"v\u00e4","timeout_ms":5}"#.to_vec();
        let at = cut.index(line.len());
        line[at] = byte;
        let _ = Call::parse(&line);
    }
}

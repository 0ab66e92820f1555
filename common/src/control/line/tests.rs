mod kv;

use proptest::prelude::*;

use super::*;
use crate::causal::clock::Dot;
use crate::causal::context::Context;
use crate::control::fault::{Fault, FaultKind};
use crate::control::request::{Range, Selection};
use crate::control::trace::Recent;
use crate::identity::NodeId;
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
    for line in [
        r#"{"id":"x","op":"teleport","ttl_ms":5}"#,
        r#"{"id":"x","op":"teleport","then":7}"#,
        r#"{"id":"x","op":"teleport","then":[],"as":{"of":"tomorrow"}}"#,
    ] {
        let error = fail(line.as_bytes());
        assert_eq!(error.failure.code, ErrorCode::UnknownOp, "{line}");
        assert_eq!((error.id, error.close), (Some(Id::Text("x".into())), false));
    }
}

#[test]
fn what_causal_mode_takes_may_be_left_out() {
    let context = Context::of(vec![Dot { node: NodeId(26), counter: 5 }].into());
    let key = Key::try_from("k").expect("a key");
    let incr = parse(r#"{"op":"incr","key":"k","context":"000000000000001a:5","acks":"all"}"#);
    let (delta, acks, context) = (1, Acks::All, Some(context));
    assert_eq!(incr.request, Request::Incr { key: key.clone(), delta, acks, context });
    let get = parse(r#"{"op":"get","key":"k","read":"session","context":""}"#);
    let (read, context) = (Some(Read::Session), Some(Context::default()));
    assert_eq!(get.request, Request::Get { key, read, context, min_revision: None });
    let set = parse(r#"{"op":"mode_set","prefix":"a/","mode":"causal"}"#);
    let rule = Rule::Causal(Resolver::Siblings);
    assert_eq!(set.request, Request::ModeSet { prefix: "a/".into(), rule, dry_run: false });
    assert_eq!(parse(r#"{"op":"sync"}"#).request, Request::sync());
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
        (r#"{"op":"fault","set":"disk","amount":9,"peers":["node2"]}"#, "`peers`"),
        (r#"{"op":"fault","set":"disk"}"#, "`amount`"),
        (r#"{"op":"fault","set":"fire"}"#, "disk"),
        (r#"{"op":"member_remove"}"#, "`member`"),
        (r#"{"op":"member_promote","member":7}"#, "`member`"),
        (r#"{"op":"transfer_leader","member":"n","dry_run":true}"#, "`dry_run`"),
        (r#"{"op":"mode_set","mode":"raft"}"#, "`prefix`"),
        (r#"{"op":"mode_set","prefix":"a/"}"#, "`mode`"),
        (r#"{"op":"mode_set","prefix":"a/","mode":"paxos"}"#, "`mode`"),
        (r#"{"op":"mode_set","prefix":"a/","mode":"raft","resolver":"lww"}"#, "`resolver`"),
        (r#"{"op":"mode_set","prefix":"a/","mode":"causal","resolver":"best"}"#, "`resolver`"),
        (r#"{"op":"put","key":"k","value":"v","acks":0}"#, "majority or all"),
        (r#"{"op":"put","key":"k","value":"v","acks":"most"}"#, "`acks`"),
        (r#"{"op":"get","key":"k","acks":1}"#, "`acks`"),
        (r#"{"op":"delete","key":"k","context":"node1:7"}"#, "`context`"),
        (r#"{"op":"incr","key":"k","delta":1.5}"#, "`delta`"),
        (r#"{"op":"incr","key":"k","value":"v"}"#, "`value`"),
        (r#"{"op":"add","key":"k"}"#, "`value`"),
        (r#"{"op":"resolve","key":"k"}"#, "`value`"),
        (r#"{"op":"conflicts","key":"k"}"#, "`key`"),
        (r#"{"op":"put","key":"k","value":"v","min_revision":7}"#, "`min_revision`"),
        (r#"{"op":"fault","set":"clock","amount":1e300}"#, "`amount`"),
        (r#"{"op":"fault","set":"clock","amount":1,"direction":"in"}"#, "clock"),
        (r#"{"op":"modes","prefix":"a/"}"#, "`prefix`"),
        (r#"{"op":"explain","for":"leader"}"#, "read or write"),
        (r#"{"op":"explain","key":""}"#, "`key`"),
        (r#"{"op":"get","key":"k","read":"fresh"}"#, "`read`"),
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
fn what_changes_the_mode_table_takes_a_tag() {
    let tag = r#""request":{"client":"0123456789abcdef0123456789abcdef","seq":7}"#;
    for dry_run in [false, true] {
        let call = parse(&format!(
            r#"{{"op":"mode_set","prefix":"","mode":"raft","dry_run":{dry_run},{tag}}}"#
        ));
        assert_eq!(call.request, Request::ModeSet { prefix: "".into(), rule: Rule::Raft, dry_run });
        assert_eq!(call.tag.map(|tag| tag.seq), Some(7));
    }
    let error = fail(format!(r#"{{"op":"member_remove","member":"n",{tag}}}"#).as_bytes());
    assert!(error.failure.message.contains("`request`"), "{}", error.failure.message);
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

fn any_value() -> impl Strategy<Value = Value> {
    prop::collection::vec(any::<u8>(), 0..50)
        .prop_map(|bytes| Value::try_from(bytes).expect("short"))
}

fn any_acks() -> impl Strategy<Value = Acks> {
    prop_oneof![(1..=u32::MAX).prop_map(Acks::Nodes), Just(Acks::Majority), Just(Acks::All)]
}

fn any_context() -> impl Strategy<Value = Option<Context>> {
    let dot = (any::<u64>(), 0_u64..9);
    let dot = dot.prop_map(|(node, counter)| Dot { node: NodeId(node), counter });
    prop::option::of(prop::collection::vec(dot, 0..3).prop_map(|dots| Context::of(dots.into())))
}

/// What says who must have it, and what was seen.
fn any_causal() -> impl Strategy<Value = Request> {
    let (key, value) = (any_key, any_value);
    let (acks, context) = (any_acks, any_context);
    prop_oneof![
        (key(), value(), acks(), context()).prop_map(|(key, value, acks, context)| Request::Put {
            key,
            value,
            acks,
            context
        }),
        (key(), any_read(), context(), any::<Option<u64>>()).prop_map(
            |(key, read, context, min_revision)| {
                Request::Get { key, read, context, min_revision }
            }
        ),
        (key(), acks(), context()).prop_map(|(key, acks, context)| {
            Request::Delete { selection: Selection::Key(key), acks, context }
        }),
        (key(), any::<i64>(), acks(), context())
            .prop_map(|(key, delta, acks, context)| Request::Incr { key, delta, acks, context }),
        (key(), value(), acks(), context()).prop_map(|(key, value, acks, context)| Request::Add {
            key,
            value,
            acks,
            context
        }),
        (key(), value(), acks(), context())
            .prop_map(|(key, value, acks, context)| Request::Remove { key, value, acks, context }),
        ("[a-z]{0,3}", prop::option::of("[a-z]{1,4}"), any::<Option<u64>>(), context()).prop_map(
            |(prefix, start, limit, context)| Request::Conflicts { prefix, start, limit, context }
        ),
        (key(), value(), context()).prop_map(|(key, value, context)| Request::Resolve {
            key,
            value,
            context
        }),
        (prop::option::of("[a-z]{0,3}"), any::<bool>())
            .prop_map(|(prefix, dry_run)| Request::Sync { prefix, dry_run }),
    ]
}

fn any_request() -> impl Strategy<Value = Request> {
    let text = prop::option::of("[a-z]{0,4}");
    prop_oneof![
        any_causal(),
        "[a-z]{0,3}".prop_map(|prefix| Request::delete(Selection::Prefix(prefix))),
        any_key().prop_map(|key| Request::Wait(Condition::Key(key))),
        (text.clone(), text, any::<Option<u64>>(), any::<bool>(), any_read(), any_context())
            .prop_map(|(start, end, min_revision, keys_only, read, context)| {
                let range = Range { start, end, keys_only, read, ..Range::default() };
                Request::List(Range { context, min_revision, limit: min_revision, ..range })
            }),
        (any_key(), any::<Option<u64>>(), any::<bool>()).prop_map(|(key, from, previous)| {
            let progress = Some(Duration::from_millis(50));
            let only = previous.then(|| vec![EventKind::Delete, EventKind::Expire]);
            Request::Watch { selection: Selection::Key(key), from, previous, only, progress }
        }),
        any::<i64>().prop_map(|n| Request::Cancel { target: Id::Signed(n.min(-1)) }),
        (0_u8..=4).prop_map(|quarters| {
            let kind = FaultKind::Drop(f64::from(quarters) / 4.0);
            let direction = Direction::In;
            Request::Fault(Some(Fault { kind, peers: vec!["node2".to_owned()], direction }))
        }),
        (0_u16..).prop_map(|ms| {
            let kind = FaultKind::Disk(Duration::from_millis(u64::from(ms).min(60_000)));
            Request::Fault(Some(Fault { kind, peers: Vec::new(), direction: Direction::Both }))
        }),
        any::<i32>().prop_map(|ms| {
            let kind = FaultKind::Clock(i64::from(ms));
            Request::Fault(Some(Fault { kind, peers: Vec::new(), direction: Direction::Both }))
        }),
        any_administration(),
        Just(Request::Status),
    ]
}

fn any_read() -> impl Strategy<Value = Option<Read>> {
    prop::option::of(prop::sample::select(vec![Read::Linearizable, Read::Session, Read::Stale]))
}

fn any_administration() -> impl Strategy<Value = Request> {
    let change = prop::sample::select(vec![MemberChange::Remove, MemberChange::Promote]);
    let causal = [Resolver::Siblings, Resolver::Lww, Resolver::Max, Resolver::Min];
    let causal = causal.into_iter().chain([Resolver::Counter, Resolver::Set]).map(Rule::Causal);
    let rules = causal.chain([Rule::Broadcast, Rule::Raft]).collect::<Vec<_>>();
    let rule = prop::sample::select(rules);
    let purpose = prop::sample::select(vec![Purpose::Read, Purpose::Write]);
    let name = "[a-z0-9]{1,5}";
    prop_oneof![
        (change, name, any::<bool>()).prop_map(|(change, member, dry_run)| Request::Member {
            change,
            member,
            dry_run
        }),
        prop::option::of(name).prop_map(|member| Request::TransferLeader { member }),
        ("[a-z]{0,3}", rule, any::<bool>()).prop_map(|(prefix, rule, dry_run)| Request::ModeSet {
            prefix,
            rule,
            dry_run
        }),
        Just(Request::Modes),
        (prop::option::of(0..u32::MAX), prop::option::of(0..usize::MAX)).prop_map(|(ms, limit)| {
            let last = ms.map(|ms| Duration::from_millis(ms.into()));
            Request::Trace(Recent { last, limit })
        }),
        (prop::option::of(any_key()), prop::option::of(purpose))
            .prop_map(|(key, purpose)| Request::Explain { key, purpose }),
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
            once: None,
            uid: None,
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

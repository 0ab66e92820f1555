use proptest::prelude::*;

use super::*;
use crate::control::kv::{
    Claimant, Keep, Kv, Lock, Moment, OnceId, PutOptions, Sharing, Txn, TxnOp,
};
use crate::identity::LeaseId;
use crate::kv::condition::{Compare, Conditions, Relation, Target};

#[test]
fn a_put_under_a_condition_is_another_one() {
    for condition in [
        r#""if_absent":true"#,
        r#""if_exists":true"#,
        r#""if_revision":0"#,
        r#""if_value":"a""#,
        r#""if_value_b64":"/w==""#,
        r#""fence":7"#,
        r#""lease":"1f""#,
        r#""ttl_ms":1000"#,
        r#""previous":true"#,
    ] {
        let put = parse(&format!(r#"{{"op":"put","key":"k","value":"v",{condition}}}"#));
        assert!(matches!(put.request, Request::Kv(_)), "{condition}");
    }
    let put = parse(r#"{"op":"put","key":"k","value":"v","if_absent":false}"#);
    assert!(matches!(put.request, Request::Put { .. }));
}

#[test]
fn a_mistake_in_what_takes_a_consensus_is_named() {
    for (line, named) in [
        (r#"{"op":"put","key":"k","value":"v","if_absent":true,"if_exists":true}"#, "if_exists"),
        (r#"{"op":"put","key":"k","value":"v","lease":"xyz"}"#, "`lease`"),
        (r#"{"op":"put","key":"k","value":"v","lease":"1","ttl_ms":1000}"#, "`ttl_ms`"),
        (r#"{"op":"put","key":"k","value":"v","ttl_ms":1}"#, "`ttl_ms`"),
        (r#"{"op":"put","key":"k","value":"v","if_exists":true,"acks":"all"}"#, "`acks`"),
        (r#"{"op":"put","key":"k","value":"v","once":""}"#, "`once`"),
        (r#"{"op":"get","key":"k","once":"a"}"#, "`once`"),
        (r#"{"op":"get","key":"k","revision":1,"at_ms":1}"#, "`at_ms`"),
        (r#"{"op":"delete","prefix":"k","if_revision":1}"#, "prefix"),
        (r#"{"op":"delete","prefix":"k","previous":true}"#, "previous"),
        (r#"{"op":"diff"}"#, "`from`"),
        (r#"{"op":"compact"}"#, "`revision`"),
        (r#"{"op":"lease_grant"}"#, "`ttl_ms`"),
        (r#"{"op":"lease_show"}"#, "`lease`"),
        (r#"{"op":"lock","name":"l"}"#, "`lease`"),
        (r#"{"op":"lock","lease":"1"}"#, "`name`"),
        (r#"{"op":"lock","name":"l","lease":"1","slots":0}"#, "`slots`"),
        (r#"{"op":"elect","name":"l","lease":"1","shared":true}"#, "elected"),
        (r#"{"op":"unlock","name":"l"}"#, "`token`"),
        (r#"{"op":"txn","then":[{"op":"put","key":"k"}]}"#, "`value`"),
        (r#"{"op":"txn","then":[{"op":"jump"}]}"#, "jump"),
        (r#"{"op":"txn","then":[{"op":"get","key":"k","value":"v"}]}"#, "`value`"),
        (r#"{"op":"txn","then":[{"op":"get","keu":"k"}]}"#, "keu"),
        (r#"{"op":"txn","if":[{"key":"k","target":"age","is":"=","to":1}]}"#, "age"),
        (r#"{"op":"txn","if":[{"key":"k","target":"mod","is":"~","to":1}]}"#, "~"),
        (r#"{"op":"txn","if":[{"key":"k","target":"mod","is":"=","to":"1"}]}"#, "`to`"),
        (r#"{"op":"txn","if":[{"key":"k","target":"value","is":"=","to":1}]}"#, "`to`"),
        (r#"{"op":"txn","if":[{"key":"k","target":"mod","is":"="}]}"#, "`to`"),
    ] {
        let error = fail(line.as_bytes());
        assert_eq!(error.failure.code, ErrorCode::BadRequest, "{line}");
        assert!(error.failure.message.contains(named), "{line}: {}", error.failure.message);
    }
}

/// "The same key not put twice", on either way by itself; and a bound on what is done at once.
#[test]
fn a_txn_stores_a_key_once() {
    let put = r#"{"op":"put","key":"k","value":"v"}"#;
    let twice = format!(r#"{{"op":"txn","then":[{put},{put}]}}"#);
    assert_eq!(fail(twice.as_bytes()).failure.code, ErrorCode::BadRequest);
    let either = format!(r#"{{"op":"txn","then":[{put}],"else":[{put}]}}"#);
    assert!(Call::parse(either.as_bytes()).is_ok());
    let gets = vec![r#"{"op":"get","key":"k"}"#; TXN_OPS + 1].join(",");
    let many = format!(r#"{{"op":"txn","then":[{gets}]}}"#);
    assert_eq!(fail(many.as_bytes()).failure.code, ErrorCode::TooLarge);
}

const TXN_OPS: usize = crate::control::kv::TXN_OPS_MAX;

fn any_lease() -> impl Strategy<Value = LeaseId> {
    any::<u64>().prop_map(LeaseId)
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let value = prop::option::of(any_value());
    (0_u8..3, any::<Option<u64>>(), value, any::<Option<u64>>()).prop_map(
        |(existence, if_revision, if_value, fence)| Conditions {
            if_absent: existence == 1,
            if_exists: existence == 2,
            if_revision,
            if_value,
            fence,
        },
    )
}

fn any_compare() -> impl Strategy<Value = Compare> {
    let relations = vec![Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater];
    let target = prop_oneof![
        any_value().prop_map(Target::Value),
        any::<u64>().prop_map(Target::Version),
        any::<u64>().prop_map(Target::Create),
        any::<u64>().prop_map(Target::Mod),
        prop::option::of(any_lease()).prop_map(Target::Lease),
    ];
    (any_key(), prop::sample::select(relations), target)
        .prop_map(|(key, relation, target)| Compare { key, relation, target })
}

fn any_op() -> impl Strategy<Value = TxnOp> {
    prop_oneof![
        (any_key(), any_value(), prop::option::of(any_lease()), any::<bool>())
            .prop_map(|(key, value, lease, previous)| TxnOp::Put { key, value, lease, previous }),
        (any_key(), any::<bool>())
            .prop_map(|(key, previous)| TxnOp::Delete { selection: Selection::Key(key), previous }),
        "[a-z]{0,3}".prop_map(|prefix| TxnOp::Delete {
            selection: Selection::Prefix(prefix),
            previous: false
        }),
        any_key().prop_map(TxnOp::Get),
        ("[a-z]{0,3}", any::<Option<u64>>())
            .prop_map(|(prefix, limit)| TxnOp::List { prefix, limit }),
        (any_key(), any::<i64>()).prop_map(|(key, delta)| TxnOp::Incr { key, delta }),
    ]
}

fn any_txn() -> impl Strategy<Value = Kv> {
    let ops = || prop::collection::vec(any_op(), 0..4);
    (prop::collection::vec(any_compare(), 0..4), ops(), ops())
        .prop_map(|(compares, then, otherwise)| Txn { compares, then, otherwise })
        .prop_filter("stores a key once", |txn| txn.check().is_ok())
        .prop_map(Kv::Txn)
}

fn any_moment() -> impl Strategy<Value = Moment> {
    prop_oneof![any::<u64>().prop_map(Moment::Revision), any::<u64>().prop_map(Moment::UnixMs)]
}

fn any_lock() -> impl Strategy<Value = Kv> {
    let sharing = prop_oneof![
        Just(Sharing::Exclusive),
        Just(Sharing::Shared),
        (1..9_u32).prop_map(Sharing::Slots)
    ];
    (any_key(), any_lease(), sharing, any_value(), any::<bool>(), any::<bool>()).prop_map(
        |(name, lease, sharing, value, no_wait, elects)| {
            let is_election = elects && sharing == Sharing::Exclusive;
            Kv::Lock(Lock { name, lease, sharing, value, no_wait, is_election })
        },
    )
}

fn any_kv() -> impl Strategy<Value = Kv> {
    let number = any::<Option<u64>>;
    let some = |conditions: &Conditions| !conditions.is_empty();
    prop_oneof![
        (any_key(), any_value(), any_conditions().prop_filter("some", some)).prop_map(
            |(key, value, conditions)| {
                let options = PutOptions { conditions, previous: true, ..PutOptions::default() };
                Kv::Put { key, value, options }
            }
        ),
        (any_key(), any_value(), any_lease()).prop_map(|(key, value, lease)| {
            let options = PutOptions { lease: Some(lease), ..PutOptions::default() };
            Kv::Put { key, value, options }
        }),
        (any_key(), any_conditions().prop_filter("some", some), any::<bool>()).prop_map(
            |(key, conditions, previous)| {
                Kv::Delete { selection: Selection::Key(key), conditions, previous }
            }
        ),
        (any_key(), any_moment(), any_read()).prop_map(|(key, at, read)| Kv::Get { key, at, read }),
        ("[a-z]{0,3}", any_moment()).prop_map(|(prefix, at)| {
            Kv::List { range: Range { prefix, ..Range::default() }, at }
        }),
        (any_key(), number(), number(), any_read())
            .prop_map(|(key, from, limit, read)| Kv::History { key, from, limit, read }),
        ("[a-z]{0,3}", any::<u64>(), number(), prop::option::of("[a-z]{1,3}"), any_read())
            .prop_map(|(prefix, from, to, start, read)| {
                Kv::Diff { prefix, from, to, start, limit: to, read }
            }),
        any::<u64>().prop_map(|revision| Kv::Compact(Keep::From(revision))),
        any::<u32>().prop_map(|ms| Kv::Compact(Keep::Age(Duration::from_millis(u64::from(ms))))),
        any_txn(),
        any_lease()
            .prop_map(|lease| Kv::LeaseGrant { ttl: Duration::from_secs(5), lease: Some(lease) }),
        any_lease().prop_map(Kv::LeaseRevoke),
        any_lease().prop_map(Kv::LeaseKeepAlive),
        any_lease().prop_map(Kv::LeaseShow),
        Just(Kv::LeaseList),
        any_lock(),
        (any_key(), any::<u64>())
            .prop_map(|(name, token)| Kv::Unlock { name, by: Claimant::Token(token) }),
        (any_key(), any_lease())
            .prop_map(|(name, lease)| Kv::Unlock { name, by: Claimant::Lease(lease) }),
        (any_key(), number(), any_read()).prop_map(|(name, after, read)| Kv::Leader {
            name,
            after,
            read
        }),
    ]
}

proptest! {
    #[test]
    fn what_takes_a_consensus_reads_as_it_was_written(kv in any_kv(), id: u64) {
        let once = kv.is_write().then(|| OnceId::new("job 7".into()).expect("short"));
        let request = Request::Kv(Box::new(kv));
        let call = Call { id: Some(Id::Unsigned(id)), once, ..Call::new(request) };
        let line = call.to_line();
        prop_assert_eq!(Call::parse(&line[..line.len() - 1]), Ok(call));
    }
}

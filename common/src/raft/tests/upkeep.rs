//! What a leader does for the state by itself.

use super::*;
use crate::control::failure::ErrorCode;
use crate::control::kv::{Keep, Kv, Lock, Moment};
use crate::control::request::Selection;
use crate::identity::LeaseId;

fn cluster(keeping: Keeping) -> Cluster {
    let mut cluster = Cluster::of(1);
    cluster.keeping = keeping;
    cluster.restart(1);
    cluster.pass(HEARTBEAT);
    cluster
}

fn put(cluster: &mut Cluster) -> bool {
    let id = cluster.put(1, &"v".repeat(500), None);
    matches!(cluster.answer(id), Some(Answer::Reply(_, Ok(_))))
}

fn has_succeeded(cluster: &Cluster, id: RequestId) -> bool {
    matches!(cluster.answer(id), Some(Answer::Reply(_, Ok(_))))
}

#[test]
fn a_full_store_takes_what_makes_room_and_nothing_else() {
    let mut cluster = cluster(Keeping { quota_bytes: Some(10_000), ..Keeping::default() });
    let lease = LeaseId(7);
    cluster.ask_kv(1, Kv::LeaseGrant { ttl: ELECTION * 100, lease: Some(lease) }, None);
    while put(&mut cluster) {}
    let refused = cluster.put(1, "v", None);
    let refused = if has_succeeded(&cluster, refused) {
        cluster.put(1, &"v".repeat(500), None)
    } else {
        refused
    };
    assert_eq!(cluster.failure(refused).code, ErrorCode::Quota);
    let revision = cluster.node(1).state().revision;
    let all =
        [Kv::LeaseKeepAlive(lease), Kv::LeaseRevoke(lease), Kv::Compact(Keep::From(revision))];
    for kv in all {
        let id = cluster.ask_kv(1, kv.clone(), None);
        assert!(has_succeeded(&cluster, id), "{kv:?}");
    }
    let delete = cluster.ask(1, Request::delete(Selection::Key(key())), None);
    assert!(has_succeeded(&cluster, delete));
}

/// History that fills the store goes by itself.
#[test]
fn a_store_full_of_history_takes_writes_again() {
    let mut cluster = cluster(Keeping { quota_bytes: Some(10_000), ..Keeping::default() });
    while put(&mut cluster) {}
    cluster.pass(Duration::from_secs(3));
    assert!(put(&mut cluster));
}

#[test]
fn history_is_forgotten_by_count() {
    let mut cluster = cluster(Keeping { events: 100, ..Keeping::default() });
    (0..300).for_each(|_| assert!(put(&mut cluster)));
    cluster.pass(Duration::from_secs(3));
    let history = &cluster.node(1).state().history;
    assert_eq!((history.floor(), history.len()), (201, 100));
}

/// What was written long ago is there, and what was there before is not.
#[test]
fn history_is_forgotten_by_age() {
    let age = Duration::from_secs(10);
    let mut cluster = cluster(Keeping { age, ..Keeping::default() });
    (0..3).for_each(|_| assert!(put(&mut cluster)));
    cluster.pass(Duration::from_secs(8));
    (0..3).for_each(|_| assert!(put(&mut cluster)));
    cluster.pass(Duration::from_secs(4));
    assert_eq!(cluster.node(1).state().history.floor(), 4);
    cluster.pass(Duration::from_secs(8));
    assert_eq!(cluster.node(1).state().history.floor(), 6);
}

/// Where heartbeats are rare, a tick is due at each.
#[test]
fn history_is_forgotten_while_leases_run() {
    let mut cluster = cluster(Keeping { events: 100, ..Keeping::default() });
    cluster.ask_kv(1, Kv::LeaseGrant { ttl: ELECTION * 1_000, lease: None }, None);
    (0..300).for_each(|_| assert!(put(&mut cluster)));
    for _ in 0..10 {
        cluster.now = cluster.now + Duration::from_millis(300);
        cluster.live(1);
    }
    assert_eq!(cluster.node(1).state().history.floor(), 201);
}

/// What there was at a time before the floor is not known, whichever changes have been swept: the
/// floor may be a revision without a change, as that of a claim.
#[test]
fn a_time_before_the_floor_is_not_told() {
    let mut cluster = cluster(Keeping::default());
    cluster.pass(Duration::from_secs(1));
    (0..2).for_each(|_| assert!(put(&mut cluster)));
    let lock = Lock {
        name: key(),
        lease: LeaseId(7),
        sharing: Default::default(),
        value: Value::default(),
        no_wait: false,
        is_election: false,
    };
    let grant = Kv::LeaseGrant { ttl: ELECTION * 100, lease: Some(LeaseId(7)) };
    for kv in [grant, Kv::Lock(lock), Kv::Compact(Keep::From(3))] {
        cluster.ask_kv(1, kv, None);
    }
    cluster.pass(Duration::from_secs(1));
    let get = |unix_ms| Kv::Get { key: key(), at: Moment::UnixMs(unix_ms), read: None };
    let [before, since] = [100, 5_000].map(|unix_ms| cluster.ask_kv(1, get(unix_ms), None));
    assert_eq!(cluster.failure(before).code, ErrorCode::Compacted);
    assert_eq!(cluster.revision_read(since), Some(2));
}

//! Sessions: what clients carry along, and what they are told.

use super::asking::*;
use super::*;
use crate::control::failure::ErrorCode;

/// L8: "put without context creates false siblings": 1,000 puts in a row through random nodes, by
/// one who carries along what it has seen.
#[test]
fn a_session_makes_no_siblings_of_its_own_writes() {
    let mut cluster = Cluster::of(3);
    let mut seen = Context::default();
    for n in 0..1_000_u64 {
        let node = n * 7 % 3 + 1;
        let id = cluster.ask(node, put("k", &n.to_string(), Acks::default(), Some(seen.clone())));
        cluster.settle();
        while cluster.reply(id).is_none() {
            cluster.live(1);
        }
        seen.merge(&cluster.context_of(id));
        assert_eq!(cluster.values(node, "k"), [n.to_string()]);
    }
}

/// X5: "read-your-writes on another node → waits or fails; never stale".
#[test]
fn a_read_waits_for_what_its_session_has_seen() {
    let mut cluster = Cluster::of(2);
    let id = cluster.put(1, "k", "v");
    let context = Some(cluster.context_of(id));
    let get = Request::Get { key: of("k"), read: None, context, min_revision: None };
    let read = cluster.ask(2, get.clone());
    assert_eq!(cluster.reply(read), None);
    cluster.deliver(1, 2);
    let Some(Ok(Reply::Get(told))) = cluster.reply(read) else { panic!("it is no get") };
    assert!(told.found);
    cluster.isolate(2);
    let id = cluster.put(1, "k", "w");
    let Request::Get { key, .. } = get else { unreachable!("it was made so") };
    let context = Some(cluster.context_of(id));
    let get = Request::Get { key, read: None, context, min_revision: None };
    let late = cluster.call(2, Call { timeout: Some(HEARTBEAT), ..Call::new(get) });
    cluster.pass(HEARTBEAT * 2);
    let told = cluster.reply(late).and_then(|reply| reply.as_ref().err());
    assert_eq!(told.map(|failure| failure.code), Some(ErrorCode::Behind));
}

/// What another client has written at the same node just before is not taken as read.
#[test]
fn a_put_with_a_context_takes_the_place_of_what_its_client_has_seen_alone() {
    let mut cluster = Cluster::of(1);
    let first = cluster.put(1, "k", "seen");
    let seen = cluster.context_of(first);
    cluster.put(1, "k", "by another");
    let second = cluster.ask(1, put("k", "mine", Acks::default(), Some(seen)));
    assert_eq!(cluster.values(1, "k"), ["by another", "mine"]);
    let seen = cluster.context_of(second);
    cluster.ask(1, put("k", "mine again", Acks::default(), Some(seen)));
    assert_eq!(cluster.values(1, "k"), ["by another", "mine again"]);
}

/// The answer to a retry tells of the write that was made, not of what the node wrote later: what
/// it tells of all, and of it not, is a write that its own client does not see. Found by the
/// simulator.
#[test]
fn a_retry_is_told_of_its_own_write() {
    let mut cluster = Cluster::of(2);
    let seen = Some(Context::default());
    let request = put("k", "v", Acks::All, seen);
    cluster.ask_tagged(1, request.clone(), 1);
    cluster.live(2);
    cluster.put(1, "later", "v");
    let retry = cluster.ask_tagged(1, request, 1);
    assert_eq!(cluster.acks_of(retry), ["n1", "n2"], "who has the write, not the later one");
    let dot = |counter| clock::Dot { node: NodeId(1), counter };
    let context = cluster.context_of(retry);
    assert!(context.contains(dot(1)) && !context.contains(dot(2)));
}

/// What takes nothing away waits for nobody.
#[test]
fn a_deletion_of_nothing_is_answered_at_once() {
    let mut cluster = Cluster::of(2);
    cluster.put(1, "other", "v");
    cluster.live(2);
    for selection in [Selection::Key(of("k")), Selection::Prefix("k".to_owned())] {
        let id = cluster.ask(1, Request::Delete { selection, acks: Acks::All, context: None });
        assert!(matches!(cluster.reply(id), Some(Ok(Reply::Delete(done))) if done.deleted == 0));
    }
}

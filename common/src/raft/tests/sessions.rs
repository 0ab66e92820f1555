//! Reads of sessions: no older than what the session has seen, on whichever node.

use super::*;
use crate::control::failure::{Applied, ErrorCode};
use crate::control::reply::Served;

fn read(cluster: &mut Cluster, node: u64, min_revision: Option<u64>) -> RequestId {
    let read = Some(Read::Session);
    cluster.ask(node, Request::Get { key: key(), read, context: None, min_revision }, None)
}

fn served(cluster: &Cluster, id: RequestId) -> Option<Served> {
    let Some(Answer::Reply(header, Ok(_))) = cluster.answer(id) else { return None };
    header.served
}

/// X5: what the session has seen is here, so no other node is asked.
#[test]
fn a_session_is_answered_from_a_state_that_has_what_it_has_seen() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "v", None);
    cluster.settle();
    cluster.beat(1);
    for min_revision in [None, Some(1)] {
        let id = read(&mut cluster, 3, min_revision);
        assert_eq!(cluster.revision_read(id), Some(1));
        assert_eq!(served(&cluster, id), Some(Served::Session));
    }
}

/// X6: a revision that is not here yet is waited for.
#[test]
fn a_session_waits_until_the_node_has_what_it_has_seen() {
    let mut cluster = Cluster::led(3);
    let first = read(&mut cluster, 3, Some(2));
    cluster.put(1, "v", None);
    cluster.settle();
    cluster.beat(1);
    assert!(cluster.answer(first).is_none());
    cluster.put(1, "w", None);
    cluster.settle();
    cluster.beat(1);
    assert_eq!(cluster.revision_read(first), Some(2));
    assert_eq!(served(&cluster, first), Some(Served::Session));
    assert!(cluster.node(3).requests.at_revision.is_empty());
}

/// X5: never an old answer. The deadline passed: surely not, and another node may do.
#[test]
fn a_node_that_stays_behind_says_so_at_the_deadline() {
    let mut cluster = Cluster::led(3);
    let id = read(&mut cluster, 3, Some(7));
    let late = cluster.now + std::time::Duration::from_secs(6);
    while cluster.now < late {
        cluster.beat(1);
        cluster.tick(3);
    }
    let Some(Answer::Reply(_, Err(failure))) = cluster.answer(id) else { panic!("no failure") };
    assert_eq!((failure.code, failure.applied), (ErrorCode::Behind, Some(Applied::No)));
    assert!(cluster.node(3).requests.at_revision.is_empty());
}

/// What a client that is gone has waited for is forgotten with it.
#[test]
fn a_session_that_is_gone_leaves_nothing_behind() {
    let mut cluster = Cluster::led(3);
    let first = read(&mut cluster, 3, Some(7));
    read(&mut cluster, 3, Some(8));
    cluster.step(3, Input::Abandoned(first));
    assert_eq!(cluster.node(3).requests.at_revision.len(), 1);
    cluster.step(3, Input::Closed { connection: 1 });
    assert!(cluster.node(3).requests.at_revision.is_empty());
}

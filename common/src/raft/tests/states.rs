//! States that are compared: what must never differ is found where it does (R20, R21, R22).

use super::*;
use crate::control::failure::ErrorCode;

/// A node's state is made to differ, as a bug or a bit in its memory might.
fn differ(cluster: &mut Cluster, node: u64) {
    cluster.nodes.get_mut(&node).expect("it is up").state.revision += 1;
    for _ in 0..2 {
        cluster.beat(1);
    }
}

fn refused_as(cluster: &mut Cluster, node: u64) -> Option<ErrorCode> {
    let read = cluster.get(node);
    cluster.settle();
    match cluster.answer(read) {
        Some(Answer::Reply(_, Err(failure))) => Some(failure.code),
        Some(_) | None => None,
    }
}

/// "a node that differs stops serving and says so": the other two agree, so it is the third.
#[test]
fn a_follower_whose_state_differs_serves_no_more() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "a", None);
    cluster.settle();
    differ(&mut cluster, 3);
    assert_eq!(refused_as(&mut cluster, 3), Some(ErrorCode::Corrupt));
    assert_eq!(refused_as(&mut cluster, 2), None);
    assert!(cluster.node(1).leads());
}

/// The same where it is the leader: both others differ from it. Another leads then.
#[test]
fn a_leader_whose_state_differs_leads_no_more() {
    let mut cluster = Cluster::led(3);
    cluster.put(1, "a", None);
    cluster.settle();
    differ(&mut cluster, 1);
    assert!(!cluster.node(1).leads());
    assert_eq!(refused_as(&mut cluster, 1), Some(ErrorCode::Corrupt));
    cluster.elect(2);
    cluster.beat(2);
    assert_eq!(refused_as(&mut cluster, 2), None);
}

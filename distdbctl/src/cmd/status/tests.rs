use super::*;

fn status(node: &str, applied_index: u64, state_hash: &str) -> Status {
    let status = serde_json::json!({
        "node": node, "id": "00000000000000000000000000000001", "cluster": null,
        "address": "a", "incarnation": 1, "role": "follower", "leader": null, "term": 1,
        "commit_index": 9, "applied_index": applied_index, "revision": 1,
        "state_hash": state_hash, "ready": true, "reason": "r", "modes": [],
        "peers": [{
            "name": "n9", "address": "a", "state": "down", "last_contact_ms": null, "lag": 4,
            "reason": "connection refused"
        }],
        "keys": 0, "tombstones": 0, "stored_bytes": 0
    });
    serde_json::from_value(status).unwrap()
}

#[test]
fn states_are_compared_at_the_same_index_only() {
    let apart = [status("a", 7, "x"), status("b", 8, "y"), status("c", 7, "x")];
    assert_eq!(difference(&apart), None);
    let damaged = [status("a", 7, "x"), status("b", 8, "y"), status("c", 7, "z")];
    assert!(difference(&damaged).unwrap().starts_with("a and c"));
    let broadcast = [status("a", 0, "x"), status("b", 0, "y")];
    assert!(difference(&broadcast).unwrap().contains("sync"));
}

#[test]
fn a_row_tells_who_lags_and_who_is_down() {
    let row = status_row(&status("a", 7, "x"));
    assert_eq!(row.len(), STATUS_COLUMNS.len());
    assert_eq!(row[17..], ["n9=4", "n9 (connection refused)", "-", "-", "-"]);
}

fn causal(node: &str, state_hash: &str, clock: &str) -> Status {
    let mut status = status(node, 7, state_hash);
    let causal = serde_json::json!({
        "clock": clock, "lamport": 1, "keys": 1, "conflicts": 2, "log_writes": 3,
        "log_bytes": 4, "waiting": 5
    });
    status.causal = serde_json::from_value(causal).unwrap();
    status.peers[0].unacked = Some(6);
    status
}

#[test]
fn writes_that_are_on_their_way_are_no_difference() {
    let dot = "0000000000000001:1";
    assert_eq!(difference(&[causal("a", "x", dot), causal("b", "y", "")]), None);
    assert!(difference(&[causal("a", "x", dot), causal("b", "y", dot)]).is_some());
    assert_eq!(status_row(&causal("a", "x", dot))[19..], ["2", "5", "n9=6"]);
}

#[test]
fn a_suspicion_has_a_level_and_an_age() {
    let cells = |suspicion: serde_json::Value| {
        let mut peer = causal("a", "x", "").peers.remove(0);
        peer.suspicion = serde_json::from_value(suspicion).unwrap();
        let row = node_row(&peer);
        assert_eq!(row.len(), NODE_COLUMNS.len());
        row[6..].to_vec()
    };
    assert_eq!(cells(serde_json::Value::Null), ["-", "-", "6"]);
    let calm = serde_json::json!({"level": 0.26, "suspected": false, "since_ms": 9_000});
    assert_eq!(cells(calm), ["0.3", "-", "6"]);
    let dead = serde_json::json!(
        {"level": 16.0, "suspected": true, "since_ms": 72_400, "hears_us": false}
    );
    assert_eq!(cells(dead), ["16.0 suspected 1m 12s", "no", "6"]);
}

//! Steps of `spec/TraceCausal.tla`, out of what nodes in causal mode have observed.
//!
//! A line is mostly a step. What is not in the lines, because only several of them tell it:
//!
//! - **Order.** The steps of a node keep their order, and a step waits for those of others that it
//!   is due to: a delivery for the sender's sync, an acknowledgement for that of the peer. Where
//!   nothing is due, the Lamport clocks tell the order.
//! - **Answers** leave behind the commit: they are steps behind its Sync, and none if it has none.
//! - **Crashes.** A `Recover` that is not the first of its node. The last commit may have been durable,
//!   and yet nobody has heard of it: then its steps come out of the `Recover`.
//! - **Machines that were wiped** come back under another id: a `Wipe`. Others that come are a `Join`.
//!
//! Nodes are `n1` (the founder), `n2` and so on, keys `k1` and so on; a write is named by its place
//! among all, from 1 on, and 0 is one that nobody has made.

mod corrupt;
mod names;
mod order;
mod recovery;
mod replay;
mod told;

use super::{Behaviour, Line};

pub(super) use corrupt::corruptions;

pub(super) fn behaviour(lines: &[Line]) -> Result<Behaviour, String> {
    let streams = order::streams(lines)?;
    replay::replay(streams)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A line of `node`, whose id is its name.
    fn line(node: &str, lc: u64, ev: &str, fields: Value) -> Line {
        let mut line =
            json!({"lab": 2, "lc": lc, "seq": lc, "node": node, "node_id": node, "ev": ev});
        for (name, value) in fields.as_object().expect("members") {
            line[name] = value.clone();
        }
        serde_json::from_value(line).expect("it has all members")
    }

    fn recover(position: u64, ready: bool, clock: &Value, last: &Value) -> Value {
        json!({"position": position, "clock": clock, "lamport": 1, "ready": ready, "behind": [],
               "held": [["k", clock]], "last": last})
    }

    fn state(position: u64, clock: &Value) -> Value {
        json!({"position": position, "clock": clock, "lamport": 1, "ready": true, "behind": [],
               "waiting": [], "keys": 1, "held": [["k", clock]]})
    }

    /// n1 founds a cluster and writes; the write is answered.
    fn written() -> Vec<Line> {
        let dot = json!({"node": "n1", "counter": 1});
        let made = json!({"past": [], "lamport": 1, "deleted": false, "basis": "all",
                          "context": null, "tag": null});
        let own = json!({"dot": dot, "key": "k", "deleted": false, "way": "own"});
        vec![
            line("n1", 1, "Recover", recover(0, true, &json!([]), &json!([]))),
            line(
                "n1",
                2,
                "Originate",
                json!({"dot": dot, "key": "k", "replaces": [], "made": made}),
            ),
            line("n1", 2, "ApplyWrite", own),
            line("n1", 2, "Answer", json!({"dot": dot, "needed": 1, "holders": ["n1"]})),
            line("n1", 3, "Sync", json!({"position": 1})),
            line("n1", 3, "CausalState", state(1, &json!([dot]))),
        ]
    }

    fn names(lines: &[Line]) -> Vec<String> {
        let steps = behaviour(lines).expect("it makes sense").steps;
        steps.iter().map(|step| step["ev"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn an_answer_is_given_behind_the_commit_and_never_without_one() {
        let mut lines = written();
        assert_eq!(names(&lines), ["Write", "Sync", "Answer", "State"]);
        // A crash leaves of the commit what has left early.
        lines.truncate(4);
        lines.push(line("n1", 4, "Recover", recover(0, true, &json!([]), &json!([]))));
        assert_eq!(names(&lines), ["Write", "Crash", "Sync"]);
    }

    /// The disk had the last commit of n2, and nobody was told of it: its step waits for the writer's
    /// commit, whatever the clocks say.
    #[test]
    fn a_commit_that_nobody_has_heard_of_comes_out_of_the_restart() {
        let mut lines = written();
        let dot = json!({"node": "n1", "counter": 1});
        let apply = json!({"dot": dot, "key": "k", "replaces": [], "past": [], "lamport": 1,
                           "deleted": false, "tag": null});
        let last = json!([{"apply": apply}]);
        lines.insert(1, line("n2", 1, "Recover", recover(0, false, &json!([]), &json!([]))));
        lines.insert(2, line("n2", 2, "Recover", recover(1, false, &json!([dot]), &last)));
        let steps =
            ["Join", "Write", "Sync", "Redeliver", "Sync", "Crash", "Sync", "Answer", "State"];
        let mut told = names(&lines);
        let mut expected = steps.map(str::to_owned).to_vec();
        assert!(
            told.iter().position(|ev| ev == "Redeliver") > told.iter().position(|ev| ev == "Sync")
        );
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_machine_under_another_id_has_lost_its_disk() {
        let mut lines = written();
        lines.push(line("n2", 4, "Recover", recover(0, false, &json!([]), &json!([]))));
        let mut again = line("n2", 5, "Recover", recover(0, false, &json!([]), &json!([])));
        again.id = "another".into();
        lines.push(again);
        assert_eq!(names(&lines)[4..], ["Join", "Wipe"]);
    }
}

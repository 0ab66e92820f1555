//! Real daemons: what a write, a crash and a partition do to the copies of others.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::control::condition::Condition;
use common::control::fault::FaultKind;
use common::control::request::{Call, Request};
use common::modes::Mode;
use tests::cluster::client::{Client, key, text};
use tests::cluster::{LocalCluster, eventually};

/// Bounds in time hold for release builds; a debug build has to come to the end all the same.
fn assert_within(took: Duration, bound: Duration, what: &str) {
    assert!(cfg!(debug_assertions) || took <= bound, "{what} took {took:?}, more than {bound:?}");
}

/// Puts `count` keys of 256 B, pipelined.
fn fill(client: &mut Client, count: usize) {
    let value = "v".repeat(256);
    for first in (0..count).step_by(500) {
        let mut lines = Vec::new();
        for number in first..first + 500 {
            let put = Request::put(key(&format!("fill/{number:06}")), text(&value));
            lines.extend(Call::new(put).to_line());
        }
        client.send(&lines);
        for _ in 0..500 {
            let line = client.line().expect("an answer");
            assert!(line.starts_with(r#"{"ok":true"#), "{line}");
        }
    }
}

#[test]
fn a_write_is_read_on_every_node() {
    let cluster = LocalCluster::start(3, Mode::Broadcast);
    let put = cluster.client(0).put("name", "alice").expect("ready");
    assert_eq!(put.sent_to, Some(2), "S10: the reply says to how many it was sent");
    for node in 0..3 {
        cluster.wait(node, Condition::Key(key("name")));
        assert_eq!(cluster.client(node).get("name"), Ok(Some("alice".to_owned())));
    }
    assert_eq!(cluster.client(2).get("nope"), Ok(None));
    assert_eq!(cluster.client(2).delete("name"), Ok(1));
    cluster.wait_converged();
}

/// S1, S11: what is written while a node syncs is not lost, and 100,000 keys take no 2 s.
#[test]
fn a_new_node_has_everything_although_writes_go_on() {
    let mut cluster = LocalCluster::start(3, Mode::Broadcast);
    fill(&mut cluster.client(0), 100_000);
    let mut writers = [cluster.client(0), cluster.client(1)];
    let is_over = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        for (number, writer) in writers.iter_mut().enumerate() {
            let is_over = &is_over;
            scope.spawn(move || {
                let mut count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    writer.put(&format!("live/{number}/{count}"), "v").expect("ready");
                    count += 1;
                }
            });
        }
        let began = Instant::now();
        let newcomer = cluster.add();
        cluster.wait(newcomer, Condition::Synced);
        let took = began.elapsed();
        is_over.store(true, Ordering::Relaxed);
        took
    });
    assert_within(took, Duration::from_secs(2), "the sync");
    cluster.wait_converged();
    assert!(cluster.client(3).status().keys > 100_000);
}

/// A killed node is back with everything within a second, and the others serve all the time.
#[test]
fn each_node_may_be_killed_and_comes_back_with_everything() {
    let mut cluster = LocalCluster::start(3, Mode::Broadcast);
    fill(&mut cluster.client(0), 10_000);
    cluster.wait_converged();
    for victim in 0..3 {
        let mut other = cluster.client((victim + 1) % 3);
        cluster.kill(victim);
        other.put(&format!("while/{victim}"), "down").expect("the others serve");
        let began = Instant::now();
        cluster.restart(victim);
        cluster.wait(victim, Condition::Synced);
        assert_within(began.elapsed(), Duration::from_secs(1), "the restart");
        let seen = cluster.client(victim).get(&format!("while/{victim}"));
        assert_eq!(seen, Ok(Some("down".to_owned())));
        cluster.wait_formed();
    }
    cluster.wait_converged();
}

/// S3: a donor that dies, or stops, in the middle is replaced; half a state is never served.
#[test]
fn a_donor_may_die_or_stop_in_the_middle() {
    let mut cluster = LocalCluster::start(3, Mode::Broadcast);
    fill(&mut cluster.client(0), 50_000);
    cluster.wait_converged();
    let newcomer = cluster.add();
    cluster.kill(2);
    cluster.pause(1);
    cluster.wait(newcomer, Condition::Synced);
    assert_eq!(cluster.client(newcomer).status().keys, 50_000);
    cluster.resume(1);
}

/// S5: a deletion is not undone by a node that has missed it.
#[test]
fn what_is_deleted_while_a_node_is_down_stays_deleted() {
    let mut cluster = LocalCluster::start(3, Mode::Broadcast);
    cluster.client(0).put("gone", "soon").expect("ready");
    cluster.wait_converged();
    cluster.kill(2);
    assert_eq!(cluster.client(1).delete("gone"), Ok(1));
    cluster.restart(2);
    cluster.wait(2, Condition::Synced);
    cluster.client(2).put("other", "v").expect("ready");
    cluster.wait_converged();
    assert_eq!(cluster.client(0).get("gone"), Ok(None));
}

/// S2: nodes that are all new to the state don't wait for each other for ever.
#[test]
fn a_cluster_that_was_killed_as_a_whole_forms_again() {
    let mut cluster = LocalCluster::start(3, Mode::Broadcast);
    cluster.client(0).put("lost", "in memory").expect("ready");
    for node in 0..3 {
        cluster.kill(node);
    }
    for node in 0..3 {
        cluster.restart(node);
    }
    cluster.wait_formed();
    assert_eq!(cluster.client(1).get("lost"), Ok(None), "nothing claims to be durable");
    cluster.client(2).put("new", "life").expect("ready");
    cluster.wait_converged();
}

/// Both sides of a partition serve; what the other side has missed shows, and `sync` gets it.
#[test]
fn a_partition_diverges_visibly_and_sync_repairs_it() {
    let cluster = LocalCluster::start(3, Mode::Broadcast);
    cluster.partition(0, 2);
    cluster.partition(1, 2);
    cluster.client(0).put("left", "a").expect("writable");
    cluster.client(2).put("right", "b").expect("writable");
    cluster.heal();
    cluster.client(1).put("after", "c").expect("writable");
    for node in 0..3 {
        cluster.wait(node, Condition::Key(key("after")));
    }
    let hashes: Vec<_> = (0..3).map(|node| cluster.client(node).status().state_hash).collect();
    assert_ne!(hashes[0], hashes[2], "the loss is visible");
    eventually("the lag is visible", || {
        cluster.client(2).status().peers.iter().any(|peer| peer.lag > 0)
    });
    for node in 0..3 {
        cluster.client(node).sync().expect("peers are ready");
    }
    cluster.wait_converged();
    assert_eq!(cluster.client(0).get("right"), Ok(Some("b".to_owned())));
    assert!(cluster.client(2).status().peers.iter().all(|peer| peer.lag == 0));
}

/// S9: frames that come twice or late are applied once, in order.
#[test]
fn duplicates_and_delays_do_no_harm() {
    let cluster = LocalCluster::start(2, Mode::Broadcast);
    cluster.fault(0, FaultKind::Duplicate(0.5), &[1]);
    cluster.fault(0, FaultKind::Delay(Duration::from_millis(20)), &[1]);
    let mut client = cluster.client(0);
    for number in 0..200 {
        client.put("counter", &number.to_string()).expect("ready");
    }
    cluster.wait_converged();
    assert_eq!(cluster.client(1).get("counter"), Ok(Some("199".to_owned())));
    assert_eq!(cluster.client(1).status().peers[0].lag, 0);
}

/// A node that was stopped has missed writes, says so, and repairs on request.
#[test]
fn a_stopped_node_comes_back_and_repairs() {
    let mut cluster = LocalCluster::start(3, Mode::Broadcast);
    cluster.pause(2);
    eventually("its peers have noticed", || {
        cluster.client(0).status().peers.iter().any(|peer| peer.state.as_str() == "down")
    });
    cluster.client(0).put("missed", "v").expect("the others serve");
    cluster.resume(2);
    cluster.wait_formed();
    assert_eq!(cluster.client(2).sync().expect("peers are ready").changed, 1);
    cluster.wait_converged();
}

/// A wiped node is another node under the same name, and leaves no ghost.
#[test]
fn a_wiped_node_joins_again_under_its_name() {
    let mut cluster = LocalCluster::start(3, Mode::Broadcast);
    cluster.client(0).put("name", "alice").expect("ready");
    let id = cluster.client(2).status().id;
    cluster.kill(2);
    fs::remove_dir_all(cluster.data_dir(2)).expect("it is there");
    cluster.restart(2);
    cluster.wait(2, Condition::Synced);
    assert_ne!(cluster.client(2).status().id, id, "an id is never used again");
    cluster.wait_formed();
    cluster.wait_converged();
    assert_eq!(cluster.client(0).status().peers.len(), 2);
}

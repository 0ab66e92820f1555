//! Sessions over real daemons: what a client has written or read anywhere, it is not shown an
//! older state of elsewhere.

use std::thread;
use std::time::{Duration, Instant};

use common::causal::context::Context;
use common::control::failure::{Applied, ErrorCode};
use common::control::fault::FaultKind;
use common::control::reply::Get;
use common::control::request::{Call, Read, Request};
use common::modes::{Mode, Rule};
use tests::cluster::LocalCluster;
use tests::cluster::client::{Outcome, key, text, value_of};
use tests::cluster::session::Session;
use tests::sim::dice::Dice;

/// Pairs of a write at one node and a read at another, for each mode.
const PAIRS: usize = 10_000;

/// Clients at once, each with a session of its own.
const SESSIONS: usize = 32;

/// Keys of each session.
const KEYS: usize = 3;

/// So late are frames: without sessions, most reads elsewhere would be stale.
const DELAY: Duration = Duration::from_millis(1);

/// A cluster in which each mode that knows sessions has a prefix.
fn cluster() -> LocalCluster {
    let cluster = LocalCluster::start(3, Mode::Raft);
    cluster.set_mode("causal/", Rule::Causal(Default::default()));
    cluster
}

/// Issue 4: 10,000 pairs, and not one stale answer.
#[test]
fn no_read_elsewhere_is_older_than_what_the_session_has_seen() {
    let cluster = cluster();
    for node in 0..3 {
        cluster.fault(node, FaultKind::Delay(DELAY), &[]);
    }
    for prefix in ["causal", "raft"] {
        let stale: usize = thread::scope(|scope| {
            let runs = (0..SESSIONS).map(|number| {
                let cluster = &cluster;
                scope.spawn(move || pairs(cluster, prefix, number))
            });
            let runs: Vec<_> = runs.collect();
            runs.into_iter().map(|run| run.join().expect("no stale answer")).sum()
        });
        assert!(stale > 0, "{prefix}: nodes were never behind, so nothing was tested");
    }
}

/// Writes at one node, reads at another, and tells how often that was behind.
fn pairs(cluster: &LocalCluster, prefix: &str, number: usize) -> usize {
    let mut session = Session::new(cluster);
    let mut others: Vec<_> = (0..3).map(|node| cluster.client(node)).collect();
    let mut dice = Dice::new(number as u64);
    let mut written = vec![None; KEYS];
    let mut seen = [0; SESSIONS];
    let mut stale = 0;
    for count in 0..PAIRS.div_ceil(SESSIONS) {
        let slot = dice.below(KEYS);
        let name = format!("{prefix}/{number}/{slot}");
        let (here, there) = (dice.below(3), dice.below(2));
        let there = (here + 1 + there) % 3;
        let value = count.to_string();
        session.put(here, &name, &value).expect("it serves");
        written[slot] = Some(value);
        // Reads without a session show that this one needs it.
        if count.is_multiple_of(10) {
            let bare = Request::get(key(&name), Some(Read::Stale));
            let got: Get = others[there].ask(bare).expect("it serves");
            stale += usize::from(got.item.as_ref().map(value_of) != written[slot]);
        }
        let got = session.get(there, &name).expect("it comes in time");
        assert_eq!(got.item.as_ref().map(value_of), written[slot], "{name} at {there}");
        assert!(got.siblings.is_empty(), "{name}: {got:?}");
        // Monotonic reads of what another session counts up, here and there.
        let other = dice.below(SESSIONS);
        let node = dice.below(3);
        let got = session.get(node, &format!("{prefix}/{other}/0")).expect("it comes in time");
        let is = got.item.as_ref().map_or(0, |item| value_of(item).parse().expect("a number"));
        assert!(is >= seen[other], "{prefix}/{other}/0 at {node}: {is} after {}", seen[other]);
        seen[other] = is;
    }
    stale
}

/// L8: puts of one key through random nodes follow each other.
#[test]
fn puts_of_a_session_make_no_siblings() {
    let cluster = cluster();
    let mut session = Session::new(&cluster);
    let mut dice = Dice::new(8);
    for count in 0..1_000 {
        session.put(dice.below(3), "causal/key", &count.to_string()).expect("it serves");
    }
    for node in 0..3 {
        let got = session.get(node, "causal/key").expect("it comes in time");
        assert_eq!(got.item.as_ref().map(value_of).as_deref(), Some("999"));
        assert!(got.siblings.is_empty() && !got.conflict, "{got:?}");
        assert_eq!(got.item.expect("it is there").version, 1_000, "each followed the one before");
    }
}

/// L18: who has read b on one node is shown a on every other.
#[test]
fn what_was_read_elsewhere_brings_its_causes_along() {
    let cluster = cluster();
    let (mut writer, mut reader) = (Session::new(&cluster), Session::new(&cluster));
    // What node 1 writes comes late to node 3, what node 2 writes at once.
    cluster.fault(0, FaultKind::Delay(Duration::from_millis(100)), &[2]);
    for count in 0..20 {
        let value = count.to_string();
        writer.put(0, "causal/a", &value).expect("it serves");
        writer.put(1, "causal/b", &value).expect("it serves");
        loop {
            let b = reader.get(2, "causal/b").expect("it serves");
            let mut bare = cluster.client(2);
            let a = bare.get("causal/a").expect("it serves");
            if b.item.as_ref().map(value_of) == Some(value.clone()) {
                assert_eq!(a, Some(value), "b was shown without a");
                break;
            }
            thread::yield_now();
        }
    }
}

/// X6: a node that is behind waits, and says so at the deadline; it does nothing meanwhile.
#[test]
fn a_node_that_is_behind_waits_and_then_says_so() {
    let cluster = cluster();
    let cut = cluster.followers()[0];
    let writer = (0..3).find(|node| *node != cut).expect("there are three");
    for name in ["causal/key", "raft/key"] {
        let mut session = Session::new(&cluster);
        cluster.fault(cut, FaultKind::Isolate, &[]);
        session.put(writer, name, "value").expect("it serves");
        session.timeout = Duration::from_millis(300);
        let began = Instant::now();
        let failure = session.get(cut, name).expect_err("it is behind");
        assert_eq!(failure.code, ErrorCode::Behind, "{name}: {failure:?}");
        assert!(began.elapsed() >= session.timeout, "{name}: it did not wait");
        if name == "causal/key" {
            let failure = session.put(cut, name, "other").expect_err("it is behind");
            assert_eq!((failure.code, failure.applied), (ErrorCode::Behind, Some(Applied::No)));
        }
        // Once the links are back it need not wait for long.
        session.timeout = Duration::from_secs(10);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| session.get(cut, name));
            cluster.fault(cut, FaultKind::Heal, &[]);
            let got = waiting.join().expect("no panic").expect("it comes in time");
            assert_eq!(got.item.as_ref().map(value_of).as_deref(), Some("value"));
        });
        cluster.heal();
    }
}

/// What no node has is not waited for any longer than asked, in either mode.
#[test]
fn what_nobody_has_ends_at_the_deadline() {
    let cluster = cluster();
    let timeout = Some(Duration::from_millis(200));
    let context: Context = "00000000000000ff:7".parse().expect("a context");
    let causal = Request::Get {
        key: key("causal/key"),
        read: None,
        context: Some(context.clone()),
        min_revision: None,
    };
    let raft = Request::Get {
        key: key("raft/key"),
        read: Some(Read::Session),
        context: None,
        min_revision: Some(1_000_000),
    };
    for request in [causal, raft] {
        let call = Call { timeout, ..Call::new(request) };
        let outcome: Outcome<Get> = cluster.client(0).try_ask(&call).expect("an answer");
        assert_eq!(outcome.expect_err("nobody has it").code, ErrorCode::Behind);
    }
    let mut put = Request::put(key("causal/key"), text("v"));
    if let Request::Put { context: of_put, .. } = &mut put {
        *of_put = Some(context);
    }
    let call = Call { timeout, ..Call::new(put) };
    let outcome: Outcome<Get> = cluster.client(0).try_ask(&call).expect("an answer");
    assert_eq!(outcome.expect_err("nobody has it").code, ErrorCode::Behind);
    assert_eq!(cluster.client(0).get("causal/key"), Ok(None));
}

/// X5: a new leader, and a node that has restarted, show what the session has seen.
#[test]
fn sessions_outlive_a_leader_and_restarts() {
    let mut cluster = cluster();
    for round in 0..3 {
        let mut session = Session::new(&cluster);
        let value = round.to_string();
        let leader = cluster.leader();
        for prefix in ["causal", "raft"] {
            session.put(leader, &format!("{prefix}/key"), &value).expect("it serves");
        }
        // All have the causal one, or the leader takes it with it for a while.
        cluster.wait_converged();
        cluster.kill(leader);
        let rest: Vec<_> = cluster.running().collect();
        for node in rest {
            for prefix in ["causal", "raft"] {
                let got = session.get(node, &format!("{prefix}/key")).expect("it comes in time");
                assert_eq!(got.item.as_ref().map(value_of), Some(value.clone()));
            }
        }
        cluster.restart(leader);
        session.reconnect(&cluster, leader);
        for prefix in ["causal", "raft"] {
            let got = session.get(leader, &format!("{prefix}/key")).expect("it comes in time");
            assert_eq!(got.item.as_ref().map(value_of), Some(value.clone()));
        }
        cluster.wait_formed();
    }
}

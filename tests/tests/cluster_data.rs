//! Real daemons, and what the data model promises while they are killed, paused and cut off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::control::failure::ErrorCode;
use common::control::fault::FaultKind;
use common::control::kv::reply::Lease;
use common::control::kv::{Kv, PutOptions};
use common::control::request::{Call, Request, RequestTag};
use common::control::watching::WatchLine;
use common::modes::Mode;
use tests::cluster::client::{key, text};
use tests::cluster::transfers::{Lines, Transfers};
use tests::cluster::{LocalCluster, eventually};

/// So that an election takes half a second.
const QUICK: &[&str] = &["--heartbeat-interval", "50ms", "--election-timeout", "500ms"];

/// Serializable in the strict sense: one order, that of real time, and nothing acknowledged is lost.
#[test]
fn transfers_keep_the_sum_while_leaders_die_and_links_fail() {
    const CLIENTS: usize = 32;
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let transfers = Transfers::open(&cluster);
    let told = transfers.run_during(CLIENTS, || {
        for _ in 0..3 {
            thread::park_timeout(Duration::from_millis(500));
            let leader = cluster.leader();
            cluster.kill(leader);
            let others: Vec<_> = cluster.running().collect();
            cluster.leader_of(&others);
            cluster.restart(leader);
            cluster.wait_formed();
            thread::park_timeout(Duration::from_millis(500));
            let leader = cluster.leader();
            cluster.fault(leader, FaultKind::Isolate, &[]);
            let others: Vec<_> = cluster.running().filter(|node| *node != leader).collect();
            cluster.leader_of(&others);
            cluster.heal();
        }
    });
    cluster.wait_applied_alike();
    transfers.audit(&cluster, &told);
    assert!(told.done.len() > 100 && told.sums > 10, "{told:?}");
}

/// W3: whoever goes on where it was, on whichever node, gets each revision once and in order.
#[test]
fn a_watch_goes_on_elsewhere_without_a_gap() {
    const WRITES: u64 = 4_000;
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let sockets = cluster.sockets();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&sockets, WRITES));
        let writer = scope.spawn(|| write(&sockets, WRITES));
        let mut victim = 0;
        while !writer.is_finished() && !is_over.load(Ordering::Relaxed) {
            cluster.kill(victim);
            cluster.restart(victim);
            victim = (victim + 1) % 3;
            thread::park_timeout(Duration::from_millis(300));
        }
        writer.join().expect("each write took effect");
        follower.join().expect("no promise was broken");
    });
}

/// Writes `count` values one after the other, each once, however often it is tried.
fn write(sockets: &[std::path::PathBuf], count: u64) {
    let client = format!("{:032x}", 7);
    for (first, seq) in (1..=count).enumerate() {
        let put = Request::put(key(&format!("w/{}", seq % 7)), text(&seq.to_string()));
        let tag = Some(RequestTag { client: client.clone(), seq });
        let call = Call { timeout: Some(Duration::from_secs(2)), tag, ..Call::new(put) };
        let mut tries = first;
        eventually("a write is acknowledged", || {
            tries += 1;
            let socket = &sockets[tries % sockets.len()];
            let client = tests::cluster::client::Client::connect(socket);
            let Ok(mut client) = client else { return false };
            let put: std::io::Result<Result<common::control::reply::Put, _>> =
                client.try_ask(&call);
            matches!(put, Ok(Ok(_)))
        });
    }
}

/// Follows all of them, from node to node, and checks that none is missing or comes twice.
fn follow(sockets: &[std::path::PathBuf], count: u64) {
    let (mut cursor, mut expected, mut node) = (0, 1, 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while expected <= count {
        assert!(Instant::now() < deadline, "only {expected} of {count} came");
        node = (node + 1) % sockets.len();
        let Some(mut lines) = Lines::begin(&sockets[node], "w/", cursor + 1) else { continue };
        // Each node tells some, also while it is well.
        for _ in 0..500 {
            match lines.next_line() {
                Some(WatchLine::Events { events, revision, .. }) => {
                    assert!(revision > cursor, "W3: {revision} comes behind {cursor}");
                    for event in events.iter() {
                        assert_eq!(event.revision, revision, "W7: a revision is one line");
                        let value = event.value.as_ref().expect("a put").as_str();
                        assert_eq!(value, expected.to_string(), "W3: a gap, or a repetition");
                        expected += 1;
                    }
                    cursor = revision;
                }
                Some(WatchLine::Progress { progress, .. }) => cursor = cursor.max(progress),
                Some(WatchLine::End { .. }) | None => break,
            }
            if expected > count {
                return;
            }
        }
    }
}

/// T1: a lease outlives leaders, and ends when its time is over: within a tick and the elections.
#[test]
fn five_leader_changes_do_not_change_when_a_lease_ends() {
    const TTL: Duration = Duration::from_secs(6);
    /// A tick of 250 ms, and what a busy machine takes.
    const LATE_MAX: Duration = Duration::from_millis(1_500);
    let cluster = LocalCluster::start_with(3, Mode::Raft, QUICK);
    let mut client = cluster.client(0);
    let began = Instant::now();
    let ttl_ms = u64::try_from(TTL.as_millis()).expect("short");
    let options = PutOptions { ttl_ms: Some(ttl_ms), ..PutOptions::default() };
    let kv = Kv::Put { key: key("leased"), value: text("v"), options };
    let put: Result<common::control::reply::Put, _> = client.ask(Request::Kv(Box::new(kv)));
    put.expect("it serves");
    let mut without_leader = Duration::ZERO;
    for _ in 0..5 {
        let leader = cluster.leader();
        let gone = Instant::now();
        cluster.fault(leader, FaultKind::Isolate, &[]);
        let others: Vec<_> = (0..3).filter(|node| *node != leader).collect();
        cluster.leader_of(&others);
        without_leader += gone.elapsed();
        cluster.heal();
    }
    assert!(began.elapsed() < TTL, "the machine is too slow for this test");
    assert_eq!(client.get("leased"), Ok(Some("v".to_owned())), "it has ended too early");
    eventually("the lease ends", || client.get("leased").is_ok_and(|held| held.is_none()));
    let lasted = began.elapsed();
    assert!(lasted >= TTL, "it has ended after {lasted:?}");
    let late = lasted.saturating_sub(TTL + without_leader);
    assert!(
        late < LATE_MAX,
        "it has ended {late:?} too late, elections of {without_leader:?} aside"
    );
}

/// D5: a quota refuses what grows and never what makes room, and service comes back by itself.
#[test]
fn a_full_quota_takes_deletions_and_opens_again() {
    let flags = ["--quota", "300K", "--history-age", "1s"];
    let cluster = LocalCluster::start_with(1, Mode::Raft, &flags);
    let mut client = cluster.client(0);
    let large = "x".repeat(50_000);
    let mut stored = 0;
    let refusal = loop {
        match client.put(&format!("k{stored}"), &large) {
            Ok(_) => stored += 1,
            Err(failure) => break failure,
        }
    };
    assert!((5..=6).contains(&stored), "{stored} of 50 KB fit into 300 KiB");
    assert_eq!(refusal.code, ErrorCode::Quota);
    assert!(refusal.message.contains("50"), "it says how much: {}", refusal.message);
    let lease = Request::Kv(Box::new(Kv::LeaseList));
    let listed: Result<common::control::kv::reply::Leases, _> = client.ask(lease);
    listed.expect("reads go on");
    assert_eq!(client.delete("k0"), Ok(1));
    assert_eq!(client.delete("k1"), Ok(1));
    eventually("there is room again", || client.put("again", &large).is_ok());
}

/// T4: who keeps a lease alive is told when it has ended.
#[test]
fn a_lease_that_has_ended_is_not_kept_alive() {
    let cluster = LocalCluster::start_with(1, Mode::Raft, &[]);
    let mut client = cluster.client(0);
    let grant = Kv::LeaseGrant { ttl: Duration::from_millis(300), lease: None };
    let lease: Lease = client.ask(Request::Kv(Box::new(grant))).expect("it serves");
    let show = Request::Kv(Box::new(Kv::LeaseShow(lease.lease)));
    eventually("it ends", || client.ask::<Lease>(show.clone()).is_err());
    let keep = Request::Kv(Box::new(Kv::LeaseKeepAlive(lease.lease)));
    let kept = client.ask::<Lease>(keep).expect_err("it has ended");
    assert_eq!(kept.code, ErrorCode::LeaseLost);
}

//! A watch that goes on from node to node: each write once, and in order.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::control::reply::Put;
use common::control::request::{Call, Request, RequestTag};
use common::control::watching::WatchLine;

use crate::cluster::client::{Client, key, text};
use crate::cluster::transfers::Lines;

/// Lines that are taken from a node before the watch moves on, also while it is well.
const LINES_MAX: usize = 200;

/// Of a write at one node.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A write is taken, and told, sooner than this, whatever is wrong meanwhile.
const TAKEN_MAX: Duration = Duration::from_secs(60);

/// Between two writes, or tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Writes numbers until `is_over`, and follows them to the last. Tells how many there were.
pub fn write_and_follow(
    sockets: &[PathBuf],
    number: u64,
    cursor: u64,
    is_over: &AtomicBool,
) -> u64 {
    let (last, is_written) = (AtomicU64::new(0), AtomicBool::new(false));
    let prefix = format!("followed-{number}/");
    thread::scope(|scope| {
        let follower = scope.spawn(|| follow(sockets, &prefix, cursor, &last, &is_written));
        while !is_over.load(Ordering::Relaxed) {
            let next = last.load(Ordering::Relaxed) + 1;
            write(sockets, &prefix, number, next);
            last.store(next, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
        is_written.store(true, Ordering::Relaxed);
        follower.join().expect("no promise was broken");
    });
    last.into_inner()
}

/// Writes a value once, however often it is tried.
fn write(sockets: &[PathBuf], prefix: &str, number: u64, seq: u64) {
    let put = Request::put(key(&format!("{prefix}{}", seq % 7)), text(&seq.to_string()));
    // No other client of the soak has such a number.
    let tag = RequestTag { client: format!("{:032x}", (7_u128 << 64) | u128::from(number)), seq };
    let call = Call { timeout: Some(TIMEOUT), tag: Some(tag), ..Call::new(put) };
    let began = Instant::now();
    for node in (0..sockets.len()).cycle().skip(usize::try_from(seq).expect("a count")) {
        let client = Client::connect_with(&sockets[node], TIMEOUT * 2);
        if client.is_ok_and(|mut it| matches!(it.try_ask::<Put>(&call), Ok(Ok(_)))) {
            return;
        }
        assert!(began.elapsed() < TAKEN_MAX, "no node takes write {seq} of {prefix}");
        thread::sleep(PAUSE);
    }
}

/// Follows all of them and checks that none is missing or comes twice.
fn follow(
    sockets: &[PathBuf],
    prefix: &str,
    mut cursor: u64,
    last: &AtomicU64,
    is_written: &AtomicBool,
) {
    let (mut expected, mut node) = (1, 0);
    let mut told_at = Instant::now();
    let is_done =
        |expected| is_written.load(Ordering::Relaxed) && expected > last.load(Ordering::Relaxed);
    while !is_done(expected) {
        assert!(told_at.elapsed() < TAKEN_MAX, "{expected} of {prefix} did not come");
        node = (node + 1) % sockets.len();
        let Some(mut lines) = Lines::begin(&sockets[node], prefix, cursor + 1) else {
            thread::sleep(PAUSE);
            continue;
        };
        for _ in 0..LINES_MAX {
            match lines.next_line() {
                Some(WatchLine::Events { events, revision, .. }) => {
                    assert!(revision > cursor, "{prefix}: {revision} comes behind {cursor}");
                    for event in events.iter() {
                        assert_eq!(event.revision, revision, "a revision is one line");
                        let value = event.value.as_ref().expect("a put").as_str();
                        assert_eq!(value, expected.to_string(), "{prefix}: a gap or a repetition");
                        expected += 1;
                    }
                    (cursor, told_at) = (revision, Instant::now());
                }
                Some(WatchLine::Progress { progress, .. }) => cursor = cursor.max(progress),
                Some(WatchLine::End { .. }) | None => break,
            }
            if is_done(expected) {
                return;
            }
        }
    }
}

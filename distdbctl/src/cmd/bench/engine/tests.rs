use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use super::*;
use crate::args::command::keys::Freshness;
use crate::args::command::{Bench, Operation};

/// Answers so many lines, and is gone.
fn mortal(path: &Path, answers: usize, answer: &'static str) {
    let listener = UnixListener::bind(path).unwrap();
    let path = path.to_owned();
    thread::spawn(move || {
        let (mut left, mut open) = (answers, Vec::new());
        while left > 0 {
            let (stream, _) = listener.accept().unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                if line.is_err() || left == 0 {
                    break;
                }
                left -= 1;
                writeln!(&stream, "{answer}").unwrap();
            }
            open.push(stream);
        }
        std::fs::remove_file(path).unwrap();
    });
}

fn run(sockets: Vec<PathBuf>, duration: Duration) -> Tally {
    let mut engine = Engine::connect(sockets, 1, Duration::from_secs(5)).unwrap();
    let bench = Bench {
        op: Operation::Put,
        clients: 1,
        duration,
        value_size: 5,
        keys: 10,
        key_prefix: "bench/".to_owned(),
        acks: common::control::acks::Acks::default(),
        freshness: Freshness::default(),
        watchers: 1,
        connections: 1,
    };
    let timeout = Duration::from_secs(5);
    let end = Some(Instant::now() + duration);
    let limits = Limits { end, timeout, applied: Applied::Unknown };
    engine.run(&mut Load::random(&bench), &limits, |_, _| ()).unwrap()
}

const YES: &str = r#"{"ok":true,"header":{"node":"n"},"result":{"revision":7}}"#;
const NO_LEADER: &str = r#"{"ok":false,"header":{"node":"n"},"error":{"code":"no_leader","applied":"no","message":"m"}}"#;

/// A failover is measured by going on elsewhere.
#[test]
fn a_client_whose_node_dies_goes_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let sockets = ["a", "b"].map(|name| dir.path().join(name)).to_vec();
    mortal(&sockets[0], 3, YES);
    mortal(&sockets[1], usize::MAX, YES);
    let tally = run(sockets, Duration::from_millis(300));
    assert!(tally.successes > 3, "{tally:?}");
    assert_eq!(tally.failures.get("disconnected"), Some(&1));
    assert_eq!(tally.unknown, 1);
    assert!(tally.longest_gap >= REST);
}

#[test]
fn a_run_without_any_node_left_ends_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let sockets = vec![dir.path().join("a")];
    mortal(&sockets[0], 3, YES);
    let tally = run(sockets, Duration::from_millis(300));
    assert_eq!(tally.successes, 3);
    assert!(tally.longest_gap >= Duration::from_millis(100), "{tally:?}");
}

#[test]
fn a_failure_is_counted_and_does_not_end_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let sockets = vec![dir.path().join("a")];
    mortal(&sockets[0], usize::MAX, NO_LEADER);
    let tally = run(sockets, Duration::from_millis(200));
    assert_eq!((tally.successes, tally.unknown), (0, 0));
    assert!(tally.failures["no_leader"] > 1, "{tally:?}");
}

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::args::Globals;
use crate::exit::Exit;
use crate::waiting;

const TTL: Duration = Duration::from_millis(600);

/// A node that grants leases, and does with keep-alives what `answer` says: after how long it says
/// yes, or what it says else.
fn node(
    answer: impl Fn(u64) -> Result<Option<Duration>, &'static str> + Send + 'static,
) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("s")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let Ok(line) = line else { break };
                let call: Value = serde_json::from_str(&line).unwrap();
                let answer = match call["id"].as_u64() {
                    None => Ok(Some(Duration::ZERO)),
                    Some(count) => answer(count),
                };
                let mut reply = json!({ "id": call["id"], "header": { "node": "n" } });
                match answer {
                    Ok(None) => continue,
                    Ok(Some(pause)) => {
                        thread::sleep(pause);
                        let ttl = u64::try_from(TTL.as_millis()).unwrap();
                        reply["result"] = json!({
                            "lease": "00000000000000aa",
                            "ttl_ms": ttl,
                            "remaining_ms": ttl,
                            "keys_count": 0,
                        });
                    }
                    Err(code) => reply["error"] = json!({ "code": code, "message": code }),
                }
                reply["ok"] = json!(reply["error"].is_null());
                let _ = writeln!(stream, "{reply}");
            }
        }
    });
    directory
}

fn tenure(directory: &TempDir) -> Tenure {
    let socket = vec![directory.path().join("s").into_os_string()];
    let timeout = Duration::from_secs(5);
    let link = Link::new(&Globals { socket, timeout, ..Globals::default() }).unwrap();
    Tenure::begin(link, TTL).unwrap()
}

/// Lets it do what it has to until something comes of it.
fn turn_until(
    tenure: &mut Tenure,
    is_enough: impl Fn(&Tenure, bool) -> bool,
) -> Result<(), Problem> {
    let alarm = crate::boottime::Alarm::new().unwrap();
    loop {
        let is_confirmed = tenure.turn()?;
        if is_enough(tenure, is_confirmed) {
            return Ok(());
        }
        alarm.set(tenure.wake_at()).unwrap();
        waiting::until_readable([Some(alarm.as_fd()), tenure.as_fd()].into_iter().flatten());
    }
}

/// However late an answer comes, it says nothing of the time since the question.
#[test]
fn a_lease_lasts_from_when_its_keep_alive_was_sent() {
    let slow = Duration::from_millis(100);
    let directory = node(move |_| Ok(Some(slow)));
    let mut tenure = tenure(&directory);
    let granted = tenure.confirmed;
    turn_until(&mut tenure, |_, is_confirmed| is_confirmed).unwrap();
    let heard = BootTime::now();
    assert!(tenure.confirmed > granted);
    assert!(heard - tenure.confirmed >= slow, "{:?}", heard - tenure.confirmed);
    let Deadlines { term_at, kill_at } = tenure.deadlines();
    assert_eq!(kill_at - tenure.confirmed, TTL.mul_f64(0.9));
    assert!(term_at < kill_at);
}

#[test]
fn a_lease_that_has_ended_is_an_error() {
    for code in ["lease_lost", "not_found"] {
        let directory = node(move |_| Err(code));
        let mut tenure = tenure(&directory);
        let problem = turn_until(&mut tenure, |_, _| false).unwrap_err();
        assert!([Exit::LEASE_LOST, Exit::NO].contains(&problem.exit()), "{problem}");
    }
}

/// A node that is cut off may say nothing at all, and one in an election says so.
#[test]
fn what_may_pass_is_tried_again_on_a_new_connection() {
    for trouble in [Ok(None), Err("no_leader")] {
        let directory =
            node(move |count| if count == 1 { trouble } else { Ok(Some(Duration::ZERO)) });
        let mut tenure = tenure(&directory);
        turn_until(&mut tenure, |_, is_confirmed| is_confirmed).unwrap();
        assert_eq!(tenure.detours(), 1);
        assert!(BootTime::now() < tenure.deadlines().term_at);
    }
}

/// An answer to the question before the last says less than it seems to.
#[test]
fn an_answer_that_is_not_waited_for_is_no_confirmation() {
    let directory = node(|_| Ok(Some(Duration::ZERO)));
    let mut tenure = tenure(&directory);
    turn_until(&mut tenure, |tenure, _| tenure.pending.is_some()).unwrap();
    let granted = tenure.confirmed;
    tenure.pending = Some((7, BootTime::now()));
    waiting::until_readable(tenure.as_fd());
    assert!(!tenure.turn().unwrap());
    assert_eq!(tenure.confirmed, granted);
}

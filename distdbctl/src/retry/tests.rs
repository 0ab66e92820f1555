use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use common::control::{cluster, reply};
use common::kv::key::Key;
use common::kv::value::Value;

use super::*;
use crate::exit::Exit;

const PUT: &str = r#"{"ok":true,"header":{"node":"n"},"result":{"revision":7,"duplicate":true}}"#;

/// What a fake daemon does with the next line that it gets.
enum Act {
    /// Answers it.
    Answer(String),
    /// Closes the connection without a word.
    Hang,
    /// Closes it, and is not there any more.
    Die,
}

/// A daemon that follows a script: an act for each line, whichever connection brings it. Gives the
/// lines back in the end.
fn daemon(script: Vec<Act>) -> (tempfile::TempDir, PathBuf, JoinHandle<Vec<Call>>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let socket = path.clone();
    let thread = thread::spawn(move || serve(&listener, &socket, script));
    (dir, path, thread)
}

fn serve(listener: &UnixListener, socket: &std::path::Path, script: Vec<Act>) -> Vec<Call> {
    let mut script = script.into_iter().peekable();
    let mut calls = Vec::new();
    while script.peek().is_some() {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while script.peek().is_some() {
            let Some(Ok(line)) = lines.next() else { break };
            calls.push(Call::parse(line.as_bytes()).unwrap());
            match script.next().unwrap() {
                Act::Answer(answer) => writeln!(&stream, "{answer}").unwrap(),
                Act::Hang => break,
                Act::Die => {
                    std::fs::remove_file(socket).unwrap();
                    return calls;
                }
            }
        }
    }
    calls
}

fn failure(code: &str, applied: &str, retry_after_ms: u64) -> Act {
    Act::Answer(format!(
        r#"{{"ok":false,"header":{{"node":"n"}},"error":{{"code":"{code}","applied":"{applied}","message":"m","retry_after_ms":{retry_after_ms}}}}}"#
    ))
}

/// The answer to the question in which mode the keys are.
fn status(mode: &str, ready: bool) -> Act {
    Act::Answer(format!(
        r#"{{"ok":true,"header":{{"node":"n"}},"result":{{"node":"n","id":"00000000000000000000000000000001","cluster":null,"address":"a","incarnation":1,"role":"follower","leader":null,"term":1,"commit_index":1,"applied_index":1,"revision":1,"state_hash":"0","ready":{ready},"reason":"r","modes":[{{"prefix":"","mode":"{mode}"}}],"peers":[],"keys":0,"tombstones":0,"stored_bytes":0}}}}"#
    ))
}

fn request() -> Request {
    let key = Key::try_from("k").unwrap();
    Request::put(key, Value::try_from(b"v".to_vec()).unwrap())
}

fn put(path: &std::path::Path, timeout_ms: u64) -> Result<reply::Put, Problem> {
    Client::at(path, Duration::from_millis(timeout_ms)).ask(&request())
}

/// The tags of the writes among what a daemon got.
fn tags(calls: Vec<Call>) -> Vec<RequestTag> {
    let writes = calls.into_iter().filter(|call| call.request.is_write());
    writes.map(|call| call.tag.expect("a write has a tag")).collect()
}

/// R12, R26: what may have been applied is asked again under the same tag, never as a new write.
#[test]
fn a_write_whose_answer_was_lost_is_asked_again_under_its_tag() {
    let script = vec![Act::Hang, status("raft", true), Act::Answer(PUT.to_owned())];
    let (_dir, path, daemon) = daemon(script);
    assert_eq!(put(&path, 10_000).map(|put| put.duplicate), Ok(true));
    let tags = tags(daemon.join().unwrap());
    assert_eq!(tags.len(), 2);
    assert_eq!(tags[0], tags[1]);
    assert_eq!(tags[0].client.len(), 32);
}

/// L2: a counter that was asked again counts once.
#[test]
fn a_count_whose_answer_was_lost_is_asked_again_under_its_tag() {
    let count = r#"{"ok":true,"header":{"node":"n"},"result":{"value":1,"revision":7}}"#;
    let script = vec![Act::Hang, status("causal", true), Act::Answer(count.to_owned())];
    let (_dir, path, daemon) = daemon(script);
    let (key, acks) = (Key::try_from("k").unwrap(), common::control::acks::Acks::default());
    let incr = Request::Incr { key, delta: 1, acks, context: None };
    let counted: reply::Count = Client::at(&path, Duration::from_secs(10)).ask(&incr).unwrap();
    assert_eq!(counted.value, 1);
    let tags = tags(daemon.join().unwrap());
    assert_eq!((tags.len(), &tags[0]), (2, &tags[1]));
}

#[test]
fn a_leader_that_was_lost_is_no_reason_to_give_up() {
    let script = vec![
        failure("leader_lost", "unknown", 1),
        status("raft", false),
        status("raft", true),
        failure("no_leader", "no", 1),
        Act::Answer(PUT.to_owned()),
    ];
    let (_dir, path, daemon) = daemon(script);
    assert!(put(&path, 10_000).is_ok());
    let tags = tags(daemon.join().unwrap());
    assert_eq!(tags.len(), 3);
    assert!(tags.iter().all(|tag| *tag == tags[0]));
}

/// Broadcast mode keeps no table of tags, so a repetition could undo what somebody wrote since.
#[test]
fn in_broadcast_mode_an_unknown_outcome_stays_unknown() {
    let (_dir, path, daemon) = daemon(vec![Act::Hang, status("broadcast", true)]);
    let problem = put(&path, 10_000).unwrap_err();
    assert_eq!(problem.exit(), Exit::OUTCOME_UNKNOWN);
    assert_eq!(problem.code, Code::Own(OwnCode::Disconnected));
    assert_eq!(tags(daemon.join().unwrap()).len(), 1);
}

#[test]
fn what_was_surely_not_applied_is_asked_again_when_the_node_says() {
    let script = vec![failure("no_leader", "no", 300), Act::Answer(PUT.to_owned())];
    let (_dir, path, daemon) = daemon(script);
    let began = Instant::now();
    assert!(put(&path, 10_000).is_ok());
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(tags(daemon.join().unwrap()).len(), 2);
}

#[test]
fn at_the_deadline_the_exit_code_tells_whether_a_try_may_have_been_applied() {
    let (_dir, path, not_applied) = daemon(vec![failure("no_leader", "no", 60_000)]);
    assert_eq!(put(&path, 5_000).unwrap_err().exit(), Exit::UNAVAILABLE);
    not_applied.join().unwrap();

    let script = vec![Act::Hang, status("raft", true), failure("no_leader", "no", 60_000)];
    let (_dir, path, unknown) = daemon(script);
    let problem = put(&path, 5_000).unwrap_err();
    assert_eq!(problem.exit(), Exit::OUTCOME_UNKNOWN);
    assert_eq!(problem.applied, Some(Applied::Unknown));
    unknown.join().unwrap();
}

/// A daemon that restarts is waited for; one that never was is not.
#[test]
fn nobody_at_the_socket_is_final_only_at_the_first_try() {
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let problem = put(&dir.path().join("control.sock"), 60_000).unwrap_err();
    assert_eq!(problem.exit(), Exit::NO_DAEMON);
    assert!(began.elapsed() < Duration::from_secs(30));

    let (_dir, path, first) = daemon(vec![Act::Die]);
    let asker = thread::spawn({
        let path = path.clone();
        move || put(&path, 60_000)
    });
    let before = first.join().unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let after = serve(&listener, &path, vec![status("raft", true), Act::Answer(PUT.to_owned())]);
    assert!(asker.join().unwrap().is_ok());
    assert_eq!(tags(before), tags(after));
}

#[test]
fn a_daemon_that_died_and_stays_away_leaves_the_outcome_unknown() {
    let (_dir, path, daemon) = daemon(vec![Act::Die]);
    let problem = put(&path, 300).unwrap_err();
    assert_eq!(problem.exit(), Exit::OUTCOME_UNKNOWN);
    daemon.join().unwrap();
}

#[test]
fn a_refusal_for_good_is_not_asked_again() {
    for code in ["mode_mismatch", "quota", "removed", "timeout", "denied"] {
        let (_dir, path, daemon) = daemon(vec![failure(code, "no", 1)]);
        let problem = put(&path, 60_000).unwrap_err();
        assert_eq!(problem.code.to_string(), code);
        assert_eq!(daemon.join().unwrap().len(), 1);
    }
}

/// The node's word on its members is an answer, and no tag makes a repetition harmless.
#[test]
fn a_change_of_the_members_waits_for_a_leader_alone() {
    let request = || {
        let (change, member) = (common::control::request::MemberChange::Remove, "n2".to_owned());
        Request::Member { change, member, dry_run: false }
    };
    let ask = |path: &std::path::Path| -> Result<cluster::MemberChanged, Problem> {
        Client::at(path, Duration::from_secs(60)).ask(&request())
    };
    let passing = ["no_leader", "not_ready", "busy"].map(|code| failure(code, "no", 1));
    let script = passing.into_iter().chain([failure("no_quorum", "no", 1)]).collect();
    let (_dir, path, patient) = daemon(script);
    assert_eq!(ask(&path).unwrap_err().exit(), Exit::UNAVAILABLE);
    assert_eq!(patient.join().unwrap().len(), 4);

    let (_dir, path, unknown) = daemon(vec![failure("leader_lost", "unknown", 1)]);
    assert_eq!(ask(&path).unwrap_err().exit(), Exit::OUTCOME_UNKNOWN);
    assert_eq!(unknown.join().unwrap().len(), 1);
}

/// X4: drawn, once a process, and counted up.
#[test]
fn each_write_has_a_tag_of_its_own() {
    let (first, second) = (next_tag(), next_tag());
    assert_eq!(first.client, second.client);
    assert!(first.seq < second.seq);
}

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use common::control::request::Selection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::args::Globals;
use crate::exit::Exit;
use crate::waiting;

/// A node that says these lines over one connection after the other, each time after the request,
/// and then closes it; over the last it goes on. Which `from` it was asked for comes from the
/// channel.
fn node(connections: Vec<Vec<Value>>) -> (TempDir, Receiver<Option<u64>>) {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("s")).unwrap();
    let (asked, from) = channel();
    thread::spawn(move || {
        let mut open = None;
        for lines in connections {
            drop(open.take());
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            let request: Value = serde_json::from_str(&request).unwrap();
            asked.send(request["from"].as_u64()).unwrap();
            for line in lines {
                writeln!(stream, "{line}").unwrap();
            }
            open = Some(stream);
        }
        // Until the test is over.
        let _ = BufReader::new(open.unwrap()).read_line(&mut String::new());
    });
    (directory, from)
}

fn begun(from: u64) -> Value {
    json!({ "ok": true, "header": { "node": "n", "mode": "raft" }, "result": { "from": from } })
}

fn change(revision: u64) -> Value {
    let event = json!({ "type": "put", "key": "k", "value": "v", "revision": revision });
    json!({ "events": [event], "revision": revision })
}

fn end(code: &str, resume: u64) -> Value {
    json!({ "end": true, "resume": resume, "error": { "code": code, "message": code } })
}

fn begin(directory: &TempDir, from: Option<u64>) -> Result<Stream, Problem> {
    let socket = vec![directory.path().join("s").into_os_string()];
    let timeout = Duration::from_secs(5);
    let link = Link::new(&Globals { socket, timeout, ..Globals::default() }).unwrap();
    let wish = Wish {
        selection: Selection::Prefix(String::new()),
        previous: false,
        only: None,
        requires_quorum: false,
        anew: "begin anew".to_owned(),
    };
    Stream::begin(link, wish, from).map(|(stream, _)| stream)
}

/// The revisions of the next changes.
fn next(stream: &mut Stream, count: usize) -> Result<Vec<u64>, Problem> {
    let output = Output::new(&Globals { quiet: true, ..Globals::default() });
    let mut revisions = Vec::new();
    while revisions.len() < count {
        match stream.ready(&output)? {
            Some(Item::Events { revision, .. }) => revisions.push(revision),
            Some(Item::Progress(_)) => {}
            None => waiting::until_readable_by(stream.as_fd(), stream.wake_at()),
        }
    }
    Ok(revisions)
}

/// W3: "events lost when a slow watch catches up", "duplicates after reconnect".
#[test]
fn a_watch_goes_on_behind_what_it_has_told() {
    let (directory, from) = node(vec![
        vec![begun(5), change(5), change(7)],
        vec![begun(8), json!({ "progress": 9 })],
        vec![begun(10), change(12), end("slow_consumer", 13)],
        vec![begun(13), change(13)],
    ]);
    let mut stream = begin(&directory, None).unwrap();
    assert_eq!(next(&mut stream, 4).unwrap(), [5, 7, 12, 13]);
    assert_eq!(from.iter().take(4).collect::<Vec<_>>(), [None, Some(8), Some(10), Some(13)]);
}

#[test]
fn a_node_that_can_not_serve_yet_is_asked_again() {
    let no = json!({ "ok": false, "header": { "node": "n" },
        "error": { "code": "not_ready", "message": "m" } });
    let (directory, _from) =
        node(vec![vec![begun(1), change(1)], vec![no], vec![begun(2), change(2)]]);
    let mut stream = begin(&directory, Some(1)).unwrap();
    assert_eq!(next(&mut stream, 2).unwrap(), [1, 2]);
}

/// W6: history that is not kept is never passed over in silence.
#[test]
fn what_is_not_kept_any_more_ends_the_watch() {
    let no = json!({ "ok": false, "header": { "node": "n" },
        "error": { "code": "compacted", "message": "m", "floor": 9 } });
    for connections in [
        vec![vec![no.clone()]],
        vec![vec![begun(3), change(3)], vec![no]],
        vec![vec![begun(3), change(3), end("compacted", 4)]],
    ] {
        let (directory, _from) = node(connections);
        let outcome = begin(&directory, Some(3)).and_then(|mut stream| next(&mut stream, 2));
        let problem = outcome.unwrap_err();
        assert_eq!(problem.exit(), Exit::COMPACTED);
        assert!(problem.hint.clone().unwrap().contains("begin anew"), "{problem:?}");
    }
}

/// W8: a node that is cut off tells by its silence alone.
#[test]
fn silence_is_told_after_three_intervals_and_not_before() {
    let (directory, _from) = node(vec![vec![begun(1), change(1)]]);
    let mut stream = begin(&directory, Some(1)).unwrap();
    stream.wish.requires_quorum = true;
    assert_eq!(next(&mut stream, 1).unwrap(), [1]);
    let began = Instant::now();
    let problem = next(&mut stream, 1).unwrap_err();
    assert_eq!(problem.exit(), Exit::UNAVAILABLE);
    assert!(began.elapsed() > PROGRESS * 2, "{:?}", began.elapsed());
}

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use common::causal::clock::Dot;
use common::control::acks::Acks;
use common::control::reply;
use common::control::request::{Call, Selection};
use common::identity::NodeId;
use common::kv::key::Key;
use common::kv::value::Value;
use proptest::prelude::*;

use super::*;
use crate::args::{self, Args};
use crate::client::Client;
use crate::exit::Exit;
use crate::session::file::SessionFile;

fn seen(dots: &[(u64, u64)], revision: u64) -> Seen {
    let dot = |(node, counter): &(u64, u64)| Dot { node: NodeId(*node), counter: *counter };
    Seen { context: Context::of(dots.iter().map(dot).collect()), revision }
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let dots = prop::collection::vec((0_u64..4, 1_u64..5), 0..6);
    (dots.clone(), dots, 0_u64..5).prop_map(|(all, single, revision)| {
        let mut seen = seen(&all, revision);
        for (node, counter) in single {
            seen.context.add(Dot { node: NodeId(node), counter });
        }
        seen
    })
}

fn merged(one: &Seen, other: &Seen) -> Seen {
    let mut both = one.clone();
    both.merge(other);
    both
}

/// Whether one has seen all that the other has.
fn has(one: &Seen, other: &Seen) -> bool {
    merged(one, other) == *one
}

proptest! {
    /// In whatever order script branches merge, and however often: the same comes of it.
    #[test]
    fn a_merge_is_the_least_upper_bound(a in any_seen(), b in any_seen(), c in any_seen()) {
        let both = merged(&a, &b);
        prop_assert_eq!(&both, &merged(&b, &a));
        prop_assert_eq!(merged(&both, &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(&merged(&a, &a), &a);
        prop_assert!(has(&both, &a) && has(&both, &b));
        prop_assert_eq!(has(&c, &both), has(&c, &a) && has(&c, &b));
    }
}

/// A file of a directory of its own.
fn fresh() -> (tempfile::TempDir, SessionFile, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session");
    (dir, SessionFile::new(path.clone()), path)
}

fn entries(dir: &tempfile::TempDir) -> usize {
    fs::read_dir(dir.path()).unwrap().count()
}

#[test]
fn a_file_that_is_not_there_or_empty_has_seen_nothing() {
    let (_dir, file, path) = fresh();
    assert_eq!(file.load(), Ok(Seen::default()));
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert_eq!(file.load(), Ok(Seen::default()));
    file.add(&seen(&[(26, 5)], 7)).unwrap();
    let line = "{\"version\":1,\"context\":\"000000000000001a:5\",\"revision\":7}\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), line);
}

/// C17: branches of a script that run side by side lose nothing, tear nothing, and leave nothing
/// behind.
#[test]
fn writers_side_by_side_lose_nothing() {
    const WRITERS: u64 = 8;
    const ROUNDS: u64 = 50;
    let (dir, file, _) = fresh();
    let write = |node: u64| {
        let file = file.clone();
        std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                file.add(&seen(&[(node, round)], node * ROUNDS + round)).unwrap();
                // What was added is there at once, whatever the others do.
                assert!(has(&file.load().unwrap(), &seen(&[(node, round)], 0)));
            }
        })
    };
    let writers: Vec<_> = (1..=WRITERS).map(write).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let all: Vec<_> = (1..=WRITERS).map(|node| (node, ROUNDS)).collect();
    assert_eq!(file.load(), Ok(seen(&all, WRITERS * ROUNDS + ROUNDS)));
    assert_eq!(entries(&dir), 1);
}

#[test]
fn what_is_no_session_is_refused_and_left_as_it_is() {
    let (_dir, file, path) = fresh();
    for text in [
        "alice\n",
        "{}",
        r#"{"version":2,"context":"","revision":1}"#,
        r#"{"version":1,"context":"node1:5","revision":1}"#,
        r#"{"version":1,"context":"","revision":-1}"#,
        &" ".repeat(2 * 1024 * 1024),
    ] {
        fs::write(&path, text).unwrap();
        for outcome in [file.load().map(drop), file.add(&seen(&[(1, 1)], 1))] {
            assert_eq!(outcome.unwrap_err().exit(), Exit::BAD_DATA, "{text:.50}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let directory = SessionFile::new(path.parent().unwrap().to_owned());
    assert_eq!(directory.load().unwrap_err().exit(), Exit::BAD_DATA);
    let device = SessionFile::new("/dev/null".into());
    assert_eq!(device.load().unwrap_err().exit(), Exit::BAD_DATA);
}

#[test]
fn what_can_not_be_written_is_refused_before_anything_is_asked() {
    let (dir, _, _) = fresh();
    let nowhere = SessionFile::new(dir.path().join("nowhere/session"));
    assert_eq!(nowhere.load().unwrap_err().exit(), Exit::NO_OUTPUT);
    assert_eq!(nowhere.add(&seen(&[], 1)).unwrap_err().exit(), Exit::NO_OUTPUT);
}

#[test]
fn a_link_stays_one_and_the_file_keeps_its_mode() {
    let (dir, target, path) = fresh();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link");
    symlink("session", &link).unwrap();
    SessionFile::new(link.clone()).add(&seen(&[], 7)).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(target.load(), Ok(seen(&[], 7)));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

fn key() -> Key {
    Key::try_from("k").unwrap()
}

#[test]
fn a_request_says_what_was_seen_unless_it_says_something_else() {
    let session = seen(&[(26, 5)], 7);
    let told = |mut request: Request| {
        session.tell(&mut request);
        request
    };
    let context = || Some(session.context.clone());
    let (value, acks) = (Value::default(), Acks::default());
    let put = |context| Request::Put { key: key(), value: value.clone(), acks, context };
    assert_eq!(told(put(None)), put(context()));
    let other = Some(seen(&[(1, 1)], 0).context);
    assert_eq!(told(put(other.clone())), put(other));
    let get =
        |read, context, min_revision| Request::Get { key: key(), read, context, min_revision };
    let (by_session, stale) = (Some(Read::Session), Some(Read::Stale));
    assert_eq!(told(get(None, None, None)), get(by_session, context(), Some(7)));
    assert_eq!(told(get(by_session, None, None)), get(by_session, context(), Some(7)));
    assert_eq!(told(get(stale, None, None)), get(stale, None, None));
    let range =
        Range { read: by_session, context: context(), min_revision: Some(7), ..Range::default() };
    assert_eq!(told(Request::List(Range::default())), Request::List(range));
    let mut first = put(None);
    Seen::default().tell(&mut first);
    assert_eq!(first, put(None));
    assert!(!concerns(&Request::Status) && concerns(&Request::delete(Selection::Key(key()))));
}

/// A daemon that gives these answers, and then the lines that it got.
fn daemon(dir: &tempfile::TempDir, answers: Vec<&'static str>) -> JoinHandle<Vec<Request>> {
    let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    std::thread::spawn(move || {
        let (mut answers, mut got) = (answers.into_iter(), Vec::new());
        while answers.len() > 0 {
            let (stream, _) = listener.accept().unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                got.push(Call::parse(line.unwrap().as_bytes()).unwrap().request);
                let Some(answer) = answers.next() else { break };
                writeln!(&stream, "{answer}").unwrap();
                if answers.len() == 0 {
                    break;
                }
            }
        }
        got
    })
}

fn client(dir: &tempfile::TempDir) -> Client {
    let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
    let words = ["distdbctl", "--socket", &path("socket"), "--session", &path("session"), "live"];
    let Args { globals, .. } = args::parse(&words.map(OsString::from)).unwrap();
    Client::new(&globals).unwrap()
}

/// Read-your-writes: a follower that answers a write may be behind it.
#[test]
fn the_revision_of_a_write_counts_and_that_of_other_modes_does_not() {
    let (dir, file, _) = fresh();
    let daemon = daemon(
        &dir,
        vec![
            r#"{"ok":true,"header":{"node":"n","mode":"raft","term":2,"revision":4},"result":{"revision":9}}"#,
            r#"{"ok":true,"header":{"node":"n","mode":"causal","revision":70},"result":{"revision":70,"acks":["n"],"context":"000000000000001a:5"}}"#,
            r#"{"ok":true,"header":{"node":"n","mode":"broadcast","revision":80},"result":{"revision":80,"sent_to":1}}"#,
            r#"{"ok":true,"header":{"node":"n","mode":"raft","term":2,"revision":9,"served":"session"},"result":{"found":false}}"#,
        ],
    );
    let client = client(&dir);
    for _ in 0..3 {
        let _: reply::Put = client.ask(&Request::put(key(), Value::default())).unwrap();
    }
    assert_eq!(file.load(), Ok(seen(&[(26, 5)], 9)));
    let _: reply::Get = client.ask(&Request::get(key(), None)).unwrap();
    let got = daemon.join().unwrap();
    let context = Some(seen(&[(26, 5)], 0).context);
    let (key, read, min_revision) = (key(), Some(Read::Session), Some(9));
    assert_eq!(got[0], Request::put(key.clone(), Value::default()));
    assert_eq!(got[3], Request::Get { key, read, context, min_revision });
}

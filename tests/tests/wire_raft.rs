//! The bytes of raft: between peers, in the log on the disk, and of commands in it. Postcard is
//! positional: they may change only together with `peer::hello::PROTOCOL` and the formats of files.

use bytes::Bytes;

use common::control::failure::{Applied, ErrorCode};
use common::control::request::MemberChange;
use common::identity::{NodeId, NodeName};
use common::kv::command::{Command, Encoded, Proposal, Tag};
use common::kv::key::Key;
use common::kv::outcome::{Outcome, Refused};
use common::kv::value::Value;
use common::modes::{Mode, Resolver, Rule};
use common::node::Message as NodeMessage;
use common::raft::configuration::Configuration;
use common::raft::log::{Entry, EntryId, Index, Payload, Term};
use common::raft::message::{Answered, Append, Appended, Ask, Ballot, Match, Message};
use common::raft::record::{Record, Tail};

fn hex<T: serde::Serialize>(value: &T) -> String {
    let bytes = postcard::to_stdvec(value).expect("no unsized part");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes are these, and these are read as the message.
fn assert_message(message: Message, expected: &str) {
    let message = NodeMessage::Raft(message);
    assert_eq!(hex(&message), expected.replace(' ', ""), "{message:?}");
    let bytes = postcard::to_stdvec(&message).expect("no unsized part");
    assert_eq!(postcard::from_bytes(&bytes), Ok(message));
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

fn name() -> NodeName {
    "n1".parse().expect("a name")
}

fn entries() -> Vec<Entry> {
    let configuration = Configuration::alone(NodeId(7), name());
    let payloads = [
        Payload::Noop,
        Payload::Configuration(Box::new(configuration)),
        Payload::Command(Bytes::from_static(b"c")),
    ];
    payloads.map(|payload| Entry { term: Term(2), payload }).to_vec()
}

#[test]
fn elections_keep_their_bytes() {
    let (term, last) = (Term(300), id(2, 5));
    assert_message(Message::RequestVote { term, last, ballot: Ballot::Pre }, "0100ac02020500");
    assert_message(Message::RequestVote { term, last, ballot: Ballot::Transfer }, "0100ac02020502");
    assert_message(Message::Vote { term, ballot: Ballot::Real, granted: true }, "0101ac020101");
    assert_message(Message::TimeoutNow { term }, "0104ac02");
}

#[test]
fn replication_keeps_its_bytes() {
    let (term, prev, commit) = (Term(2), id(1, 4), Index(4));
    assert_message(
        Message::Append(Append { term, prev, entries: entries(), commit, round: 9 }),
        "010202010403020002010107026e310100020201630409",
    );
    let appended =
        |outcome, checkpoint| Message::Appended(Appended { term, round: 9, outcome, checkpoint });
    assert_message(appended(Match::Up(Index(7)), Some((Index(256), 1))), "01030209000701800201");
    let conflict = Match::Conflict { prev: Index(7), hint: id(1, 3) };
    assert_message(appended(conflict, None), "010302090107010300");
}

#[test]
fn membership_keeps_its_bytes() {
    let (name, address) = (name(), "n1:7101".to_owned());
    assert_message(Message::Join { name, address }, "0105026e31076e313a37313031");
    assert_message(Message::JoinRefused { reason: "r".to_owned() }, "01080172");
    assert_message(Message::Removed, "0109");
    assert_message(Message::Diverged { index: Index(8) }, "010a08");
}

#[test]
fn questions_and_answers_keep_their_bytes() {
    let ask = |what| Message::Ask { ask: 300, what };
    assert_message(ask(Ask::Propose(Bytes::from_static(b"c"))), "0106ac02000163");
    assert_message(ask(Ask::Read), "0106ac0201");
    let change = MemberChange::Promote;
    assert_message(
        ask(Ask::Member { change, member: "n1".to_owned(), dry_run: true }),
        "0106ac020201026e3101",
    );
    assert_message(ask(Ask::Transfer(Some("n1".to_owned()))), "0106ac020301026e31");
    let answer = |outcome| Message::Answer { ask: 300, outcome };
    let put = Outcome::Put { revision: 300 };
    assert_message(
        answer(Answered::Applied { outcome: put, duplicate: true }),
        "0107ac020000ac0201",
    );
    let refused = Outcome::Refused(Refused::OtherMode(Mode::Broadcast));
    assert_message(
        answer(Answered::Applied { outcome: refused, duplicate: false }),
        "0107ac020003010000",
    );
    assert_message(answer(Answered::ReadAt(Index(9))), "0107ac020109");
    assert_message(answer(Answered::Transferred(name())), "0107ac0203026e31");
    assert_message(answer(Answered::NotLeader), "0107ac0204");
    assert_message(
        answer(Answered::Refused {
            code: ErrorCode::Quota,
            applied: Applied::No,
            message: "m".to_owned(),
            hint: None,
        }),
        "0107ac02051400016d00",
    );
}

#[test]
fn a_frame_of_the_log_keeps_its_bytes() {
    let tail = Some(Tail { prev: id(1, 4), entries: entries() });
    let record = Record { term: Term(2), voted_for: Some(NodeId(7)), commit_index: Index(4), tail };
    assert_eq!(hex(&record), "0201070401010403020002010107026e31010002020163".replace(' ', ""));
    let bytes = postcard::to_stdvec(&record).expect("no unsized part");
    assert_eq!(postcard::from_bytes(&bytes), Ok(record));
}

#[test]
fn commands_keep_their_bytes() {
    let key = || Key::try_from("k").expect("a key");
    let value = Value::try_from(vec![0xff]).expect("short");
    let tag = Some(Tag { client: 300, seq: 1 });
    let (prefix, causal) = ("p/".to_owned(), Rule::Causal(Resolver::Max));
    for (tag, command, expected) in [
        (tag, Command::Put { key: key(), value }, "01ac020100016b01ff"),
        (None, Command::Delete(key()), "0001016b"),
        (None, Command::DeletePrefix(prefix.clone()), "000202702f"),
        (None, Command::SetMode { prefix: prefix.clone(), rule: Rule::Broadcast }, "000302702f00"),
        (None, Command::SetMode { prefix, rule: causal }, "000302702f0202"),
    ] {
        let proposal = Proposal { tag, command };
        assert_eq!(hex(&proposal), expected, "{proposal:?}");
        let bytes = proposal.encode();
        let read = Encoded::read(&bytes).expect("it reads as it was written");
        assert_eq!(read.tag, tag);
    }
}

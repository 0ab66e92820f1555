use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::control::kv::{Txn, TxnOp};
use crate::kv::command::{Command, More, Proposal};
use crate::kv::state::{Stamp, State};

const START: Time = Time(Duration::ZERO);

/// A node's state and its watches, and the lines that each of these was told.
struct Node {
    state: State,
    watches: Watches,
    index: u64,
    lines: BTreeMap<RequestId, Vec<WatchLine>>,
    lost: BTreeSet<RequestId>,
}

impl Node {
    fn new() -> Self {
        let state = State::new(Mode::Raft);
        let (watches, index, lines, lost) = Default::default();
        Self { state, watches, index, lines, lost }
    }

    /// A command that nobody is told of yet.
    fn apply(&mut self, command: Command) {
        self.index += 1;
        let proposal = Proposal { tag: None, command }.encode();
        self.state.apply(self.index, Stamp::default(), &proposal);
    }

    fn run(&mut self, command: Command) {
        self.apply(command);
        self.advance();
    }

    fn put(&mut self, name: &str) {
        self.run(Command::Put { key: key(name), value: value("v") });
    }

    fn compact(&mut self, floor: u64) {
        self.run(More::Compact(floor).into());
        self.state.history.sweep(10);
    }

    fn advance(&mut self) {
        let State { revision, history, .. } = &self.state;
        self.watches.advance(*revision, history, told(&mut self.lines));
    }

    fn begin(&mut self, connection: u64, selection: Selection, from: u64) -> RequestId {
        self.begin_as(connection, watch(selection), from)
    }

    fn begin_as(&mut self, connection: u64, watch: Watch, from: u64) -> RequestId {
        let request = RequestId { connection, sequence: self.lines.len() as u64 };
        self.watches.begin_at(START, request, watch, from);
        self.lines.insert(request, Vec::new());
        request
    }

    /// One piece of what is to be told.
    fn catch_up(&mut self, connection: u64) -> Vec<RequestId> {
        let history = &self.state.history;
        let lost = self.watches.catch_up(connection, history, told(&mut self.lines));
        for request in &lost {
            let end = self.watches.end(*request, self.watches.position(), None);
            let Some(Answer::Watch(line)) = end else { panic!("it ends") };
            self.lines.entry(*request).or_default().push(line);
            self.lost.insert(*request);
        }
        lost
    }

    fn catch_all_up(&mut self) {
        while let Some(connection) = self.watches.catching_up().first() {
            self.catch_up(*connection);
        }
    }

    /// Every watch that may hear something does.
    fn tell_progress(&mut self, now: Time) {
        for request in self.watches.take_quiet(now) {
            let line = self.watches.progress(request, self.watches.position());
            let Some(Answer::Watch(line)) = line else { panic!("it runs") };
            self.lines.entry(request).or_default().push(line);
        }
    }

    fn revisions(&self, request: RequestId) -> Vec<u64> {
        let revision = |line: &WatchLine| match line {
            WatchLine::Events { revision, .. } => Some(*revision),
            WatchLine::Progress { .. } | WatchLine::End { .. } => None,
        };
        self.lines[&request].iter().filter_map(revision).collect()
    }
}

fn told(
    lines: &mut BTreeMap<RequestId, Vec<WatchLine>>,
) -> impl FnMut(RequestId, Answer) + use<'_> {
    |request, answer| {
        let Answer::Watch(line) = answer else { panic!("that is what watches are told") };
        lines.entry(request).or_default().push(line);
    }
}

fn key(text: &str) -> Key {
    Key::try_from(text).expect("a key")
}

fn value(text: &str) -> Value {
    Value::try_from(text.as_bytes().to_vec()).expect("short")
}

fn put(name: &str) -> TxnOp {
    TxnOp::Put { key: key(name), value: value("v"), lease: None, previous: false }
}

fn delete(name: &str) -> TxnOp {
    TxnOp::Delete { selection: Selection::Key(key(name)), previous: false }
}

fn all() -> Selection {
    Selection::Prefix(String::new())
}

fn watch(selection: Selection) -> Watch {
    let progress = Some(Duration::from_secs(1));
    Watch { id: None, selection, mode: Mode::Raft, previous: false, only: None, progress }
}

/// W3, W9: from wherever it begins, it is told what was, and then what comes: all once.
#[test]
fn a_watch_of_the_past_goes_on_live_without_gap_or_repetition() {
    let mut node = Node::new();
    (0..5).for_each(|_| node.put("k"));
    let watches = [1, 2, 3, 4, 5, 6].map(|from| node.begin(from, all(), from));
    node.put("k");
    node.catch_all_up();
    node.put("k");
    for (from, request) in (1..).zip(watches) {
        assert_eq!(node.revisions(request), (from..=7).collect::<Vec<_>>());
    }
}

/// W5: nothing before the revision that it asked for, however far that is.
#[test]
fn a_watch_of_the_future_is_told_nothing_before() {
    let mut node = Node::new();
    node.put("k");
    let request = node.begin(1, all(), 4);
    (0..2).for_each(|_| node.put("k"));
    node.catch_all_up();
    assert!(node.lines[&request].is_empty());
    (0..2).for_each(|_| node.apply(Command::Put { key: key("k"), value: value("v") }));
    node.advance();
    node.catch_all_up();
    node.put("k");
    assert_eq!(node.revisions(request), [4, 5, 6]);
}

/// W7: pieces end where a revision does, however much that has.
#[test]
fn a_piece_has_whole_revisions() {
    let mut node = Node::new();
    let names: Vec<String> = (0..3_000).map(|n| format!("k{n}")).collect();
    names.iter().for_each(|name| node.put(name));
    node.run(Command::DeletePrefix("k".to_owned()));
    node.put("last");
    let request = node.begin(1, all(), 1);
    node.catch_up(1);
    let WatchLine::Events { events, revision, .. } = node.lines[&request].last().expect("told")
    else {
        panic!("it is told what was");
    };
    assert_eq!((events.len(), *revision), (names.len(), names.len() as u64 + 1));
    assert!(node.watches.catching_up().contains(&1), "there is more");
    node.catch_all_up();
    assert_eq!(node.revisions(request), (1..=names.len() as u64 + 2).collect::<Vec<_>>());
}

/// A watch whose next revision is forgotten ends, and names it; one that is ahead goes on.
#[test]
fn compaction_ends_a_watch_that_is_behind_it() {
    let mut node = Node::new();
    (0..5).for_each(|_| node.put("k"));
    let [behind, ahead] = [2, 4].map(|from| node.begin(from, all(), from));
    node.compact(4);
    assert_eq!(node.catch_up(2), [behind]);
    node.catch_all_up();
    let [WatchLine::End { resume: 2, .. }] = node.lines[&behind].as_slice() else {
        panic!("{:?}", node.lines[&behind]);
    };
    assert_eq!(node.revisions(ahead), [4, 5]);
}

/// A snapshot brings many changes at once. Who was told all before is told what history has of
/// them; where it does not go back so far, the watch ends.
#[test]
fn a_live_watch_survives_a_snapshot_that_has_what_it_missed() {
    for (floor, revisions) in [(2, vec![2, 3, 4, 5]), (3, vec![])] {
        let mut node = Node::new();
        node.put("k");
        let request = node.begin(1, all(), 2);
        (0..3).for_each(|_| node.apply(Command::Put { key: key("k"), value: value("v") }));
        node.apply(More::Compact(floor).into());
        node.apply(Command::Delete(key("k")));
        node.advance();
        node.catch_all_up();
        assert_eq!(node.revisions(request), revisions);
        assert_eq!(node.lost.contains(&request), floor == 3);
    }
}

/// W10: it is encoded once for all, and shared.
#[test]
fn ten_thousand_watches_of_a_key_share_what_they_are_told() {
    let mut node = Node::new();
    for _ in 0..10_000 {
        node.begin(1, Selection::Key(key("k")), 1);
    }
    node.put("k");
    let place = |lines: &Vec<WatchLine>| match lines.as_slice() {
        [WatchLine::Events { events, .. }] => events.as_ptr(),
        other => panic!("{other:?}"),
    };
    let first = place(&node.lines[&RequestId { connection: 1, sequence: 0 }]);
    assert!(node.lines.values().all(|lines| place(lines) == first));
}

/// What a random watch is to be told, out of all that history ever had.
fn expected(all: &[Event], watch: &Watch, from: u64, upto: u64) -> Vec<(u64, Vec<WatchEvent>)> {
    let shape = Shape::of(watch);
    let is_asked = |event: &&Event| {
        (from..=upto).contains(&event.revision)
            && watch.selection.contains(&event.key)
            && watch.only.as_ref().is_none_or(|only| only.contains(&event.kind))
    };
    let mut lines: Vec<(u64, Vec<WatchEvent>)> = Vec::new();
    for event in all.iter().filter(is_asked) {
        let told = Change::of(event).to_event(shape.previous);
        match lines.last_mut() {
            Some((revision, events)) if *revision == event.revision => events.push(told),
            Some(_) | None => lines.push((event.revision, vec![told])),
        }
    }
    lines
}

#[derive(Debug, Clone)]
enum Action {
    Txn(Vec<(&'static str, bool)>),
    Advance,
    Begin { watch: Watch, connection: u64, from: i64 },
    CatchUp(u64),
    Compact(u64),
    Progress,
}

fn any_watch() -> impl Strategy<Value = Watch> {
    let prefix = select(vec!["", "a", "b"]).prop_map(|text| Selection::Prefix(text.to_owned()));
    let one = select(vec!["a", "aa", "b"]).prop_map(|text| Selection::Key(key(text)));
    let only = select(vec![vec![EventKind::Put], vec![EventKind::Delete, EventKind::Expire]]);
    let all = (prop_oneof![prefix, one], any::<bool>(), option::of(only));
    all.prop_map(|(selection, previous, only)| Watch { previous, only, ..watch(selection) })
}

fn any_action() -> impl Strategy<Value = Action> {
    let op = (select(vec!["a", "aa", "b"]), any::<bool>());
    prop_oneof![
        6 => prop::collection::vec(op, 1..4).prop_map(Action::Txn),
        4 => Just(Action::Advance),
        3 => (any_watch(), 0_u64..3, -6_i64..4)
            .prop_map(|(watch, connection, from)| Action::Begin { watch, connection, from }),
        3 => (0_u64..3).prop_map(Action::CatchUp),
        1 => (0_u64..4).prop_map(Action::Compact),
        2 => Just(Action::Progress),
    ]
}

/// What one watch was told: in order, whole revisions, no gap, and no mark ahead of it.
fn check(node: &Node, all: &[Event], request: RequestId, watch: &Watch, from: u64) {
    let (mut told, mut end) = (Vec::new(), node.watches.position());
    for line in &node.lines[&request] {
        match line {
            WatchLine::Events { events, revision, .. } => told.push((*revision, events.to_vec())),
            WatchLine::Progress { progress, .. } => {
                assert_eq!(told, expected(all, watch, from, *progress), "W1: a mark of the past");
            }
            WatchLine::End { resume, .. } => end = resume - 1,
        }
    }
    assert_eq!(told, expected(all, watch, from, end));
}

proptest! {
    /// W1, W3, W5, W7, W9: NoGap, Unique, Ordered, Atomic, ProgressNeverAhead of the spec.
    #[test]
    fn watches_are_told_all_in_order_once(actions in prop::collection::vec(any_action(), 1..80)) {
        let (mut node, mut all, mut begun) = (Node::new(), Vec::new(), Vec::new());
        let mut now = START;
        for action in actions {
            match action {
                Action::Txn(ops) => {
                    let ops: BTreeMap<_, _> = ops.into_iter().collect();
                    let op = |(name, puts)| if puts { put(name) } else { delete(name) };
                    let then = ops.into_iter().map(op).collect();
                    let before = node.state.revision;
                    node.apply(More::Txn(Txn { then, ..Txn::default() }).into());
                    all.extend(node.state.history.since(before + 1).cloned());
                }
                Action::Advance => node.advance(),
                Action::Begin { watch, connection, from } => {
                    // As the node does: after all that was applied was told.
                    node.advance();
                    let from = node.watches.position().saturating_add_signed(from + 1);
                    let from = from.max(node.state.history.floor());
                    begun.push((node.begin_as(connection, watch.clone(), from), watch, from));
                }
                Action::CatchUp(connection) => {
                    node.advance();
                    node.catch_up(connection);
                }
                Action::Compact(back) => {
                    let floor = node.state.revision.saturating_sub(back);
                    node.apply(More::Compact(floor).into());
                    node.state.history.sweep(3);
                }
                Action::Progress => {
                    now = now + Duration::from_secs(1);
                    node.tell_progress(now);
                }
            }
        }
        node.advance();
        node.catch_all_up();
        for (request, watch, from) in &begun {
            check(&node, &all, *request, watch, *from);
        }
    }
}

//! Who lacks more than the logs have takes a state over.

use super::asking::*;
use super::*;

/// As much as a few writes.
const SMALL: usize = 1_000;

fn fill(cluster: &mut Cluster, node: u64, writes: usize) {
    for n in 0..writes {
        cluster.put(node, &format!("fill/{n:04}"), "some text that takes room in the log");
    }
}

/// L3: "bounded disk, overflow switches to full repair".
#[test]
fn who_was_away_for_longer_than_the_log_takes_the_state_over() {
    let mut cluster = Cluster::with_logs(2, SMALL);
    cluster.isolate(2);
    cluster.put(2, "k", "of its own");
    fill(&mut cluster, 1, 50);
    let status = cluster.node(1).status();
    assert!(status.log_bytes <= SMALL as u64, "{status:?}");
    cluster.connect(1, 2);
    cluster.live(20);
    assert!(cluster.count(2, is_transfer) > 0);
    assert_eq!(cluster.values(1, "k"), ["of its own"]);
    cluster.assert_equal();
}

/// L3: who was away for less gets just what it lacks.
#[test]
fn who_was_away_for_a_moment_gets_what_it_lacks() {
    let mut cluster = Cluster::of(3);
    cluster.isolate(3);
    fill(&mut cluster, 1, 10);
    cluster.live(10);
    cluster.connect_all();
    cluster.live(10);
    cluster.assert_equal();
    assert_eq!(cluster.count(3, is_transfer), 0);
    assert_eq!(cluster.node(1).status().log_writes, 0, "nothing is kept for nobody");
}

/// L11: "tombstone GC while a node is away → resurrection". Nothing of the deletion is left by then
/// but the clock.
#[test]
fn what_was_deleted_long_ago_does_not_come_back_with_who_was_away() {
    let mut cluster = Cluster::with_logs(3, SMALL);
    cluster.put(1, "k", "v");
    cluster.live(4);
    cluster.isolate(3);
    cluster.delete(1, "k");
    fill(&mut cluster, 1, 50);
    cluster.live(4);
    cluster.put(3, "beside", "v");
    cluster.connect_all();
    cluster.live(30);
    cluster.assert_equal();
    assert_eq!((cluster.values(1, "k"), cluster.values(1, "beside")), (vec![], vec!["v".into()]));
}

/// L6: "node wiped and rejoins with the same id reuses dots → silent data loss → new incarnation".
#[test]
fn a_node_whose_disk_is_lost_comes_back_as_another() {
    let mut cluster = Cluster::of(3);
    cluster.put(3, "k", "acknowledged by all");
    cluster.live(4);
    cluster.isolate(3);
    cluster.put(3, "lost", "seen by nobody");
    cluster.nodes.remove(&3);
    cluster.start(4, false);
    let id = cluster.put(4, "k", "too early");
    let told = cluster.reply(id).and_then(|reply| reply.as_ref().err());
    assert_eq!(
        told.map(|failure| failure.code),
        Some(crate::control::failure::ErrorCode::NotReady)
    );
    cluster.connect_all();
    cluster.live(10);
    cluster.put(4, "new", "v");
    cluster.live(10);
    cluster.assert_equal();
    assert_eq!((cluster.values(1, "k").len(), cluster.values(1, "new").len()), (1, 1));
    assert_eq!(cluster.node(1).clock().get(NodeId(4)), 1);
}

/// A key with more versions than a chunk takes comes in parts, and whole.
#[test]
fn a_key_comes_whole_though_its_versions_fill_several_chunks() {
    let mut cluster = Cluster::with_logs(2, SMALL);
    cluster.isolate(2);
    let large = "x".repeat(200_000);
    for n in 0..9 {
        let beside = Some(Context::default());
        cluster.ask(1, put("k", &format!("{n}{large}"), Acks::default(), beside));
    }
    cluster.put(1, "l", "behind it");
    cluster.connect(1, 2);
    cluster.live(20);
    assert_eq!((cluster.values(2, "k").len(), cluster.values(2, "l").len()), (9, 1));
    cluster.assert_equal();
}

/// What is written while a state comes is in none of the two states, and in what they make.
#[test]
fn what_is_written_meanwhile_stays() {
    let mut cluster = Cluster::with_logs(2, SMALL);
    cluster.isolate(2);
    fill(&mut cluster, 1, 50);
    cluster.connect(1, 2);
    while cluster.node(2).status().syncing.is_none() {
        cluster.live(1);
        if cluster.count(2, is_transfer) > 0 {
            break;
        }
    }
    cluster.isolate(2);
    cluster.connect(1, 2);
    cluster.pool.clear();
    cluster.put(1, "fill/0003", "newer");
    cluster.step(2, Input::Message { from: NodeId(1), message: Message::Behind });
    cluster.deliver(2, 1);
    cluster.deliver(1, 2); // The tree has come: from here on it is meanwhile.
    cluster.put(2, "k", "meanwhile");
    cluster.put(2, "fill/0001", "meanwhile, too");
    assert!(cluster.node(2).status().syncing.is_some());
    cluster.live(20);
    assert_eq!(
        (cluster.values(2, "k"), cluster.values(2, "fill/0001")),
        (vec!["meanwhile".into()], vec!["meanwhile, too".into()])
    );
    cluster.assert_equal();
}

/// The messages of a transfer, one after another; what else is sent comes at once.
fn transfer(cluster: &mut Cluster, mut upon: impl FnMut(&mut Cluster, &Message) -> bool) {
    for _ in 0..200 {
        while !cluster.pool.is_empty() {
            let (from, to, message) = cluster.pool.remove(0);
            if !upon(cluster, &message) {
                return;
            }
            cluster.receive(from, to, message);
        }
        cluster.pass(HEARTBEAT / 4);
    }
}

/// Two nodes that have just met, each with writes of its own; those of the first take several chunks.
fn with_a_large_state_to_take_over() -> Cluster {
    let mut cluster = Cluster::with_logs(2, SMALL);
    cluster.isolate(2);
    cluster.put(2, "k", "of its own");
    let large = "x".repeat(200_000);
    for n in 0..9 {
        cluster.put(1, &format!("fill/{n}"), &large);
    }
    cluster.connect(1, 2);
    cluster
}

/// A crash amid a transfer leaves the state as it was; the next one is whole.
#[test]
fn a_transfer_that_a_crash_cuts_short_has_no_effect() {
    let mut cluster = with_a_large_state_to_take_over();
    let mut chunks = 0;
    transfer(&mut cluster, |_, message| {
        chunks += usize::from(matches!(message, Message::SyncChunk(_)));
        chunks < 3
    });
    assert!(cluster.disks[&2].0.iter().flat_map(|r| &r.steps).any(|s| matches!(s, Step::Stage(_))));
    cluster.restart(2);
    assert_eq!((cluster.node(2).store().keys(), cluster.values(2, "k").len()), (1, 1));
    cluster.connect(1, 2);
    cluster.live(20);
    assert_eq!(cluster.node(2).store().keys(), 10);
    cluster.assert_equal();
    cluster.restart(2);
    cluster.assert_equal();
}

/// "Deliver every message twice": questions and answers of transfers, too.
#[test]
fn a_transfer_bears_that_every_message_comes_twice() {
    let mut cluster = with_a_large_state_to_take_over();
    for _ in 0..80 {
        while !cluster.pool.is_empty() {
            let (from, to, message) = cluster.pool.remove(0);
            cluster.receive(from, to, message.clone());
            cluster.receive(from, to, message);
            // The donor goes on writing: a state that is pinned anew would be another.
            if cluster.node(1).clock().get(NodeId(1)) < 60 {
                cluster.put(1, "goes on", "v");
            }
        }
        cluster.pass(HEARTBEAT / 4);
    }
    cluster.live(20);
    cluster.assert_equal();
    assert!(cluster.count(2, is_transfer) > 0);
}

/// A question or an answer of a transfer that is lost is asked for once more, and what was waited
/// for one that was lost is not taken for what an answer takes.
#[test]
fn a_transfer_bears_that_a_quarter_of_the_messages_is_lost() {
    let mut took: Vec<Duration> = (1..=99).map(converge_with_losses).collect();
    took.sort_unstable();
    let (median, worst) = (took[49], took[98]);
    assert!(median < Duration::from_secs(8), "{median:?}");
    assert!(worst < Duration::from_secs(100), "{worst:?}");
}

/// How long it takes two nodes to be equal while a quarter of the messages is lost.
fn converge_with_losses(mut dice: u32) -> Duration {
    let mut cluster = with_a_large_state_to_take_over();
    let begin = cluster.now;
    while cluster.node(1).clock() != cluster.node(2).clock() {
        while !cluster.pool.is_empty() {
            let (from, to, message) = cluster.pool.remove(0);
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if dice >> 16 & 3 > 0 {
                cluster.receive(from, to, message);
            }
        }
        cluster.pass(HEARTBEAT / 4);
        assert!(cluster.now.since(begin) < Duration::from_secs(300), "no end");
    }
    cluster.assert_equal();
    assert!(cluster.count(2, is_transfer) > 0);
    cluster.now.since(begin)
}

/// A question of a transfer that was given up comes late, and one of the transfer that is under way
/// comes twice: the state that was pinned for that stays, or is none any more.
#[test]
fn no_late_question_pins_another_state_for_a_transfer_that_is_under_way() {
    let mut cluster = Cluster::of(2);
    let mut questions = Vec::new();
    for text in ["first", "second"] {
        cluster.put(1, "k", text);
        cluster.pool.clear();
        cluster.step(2, Input::Message { from: NodeId(1), message: Message::Behind });
        questions.push(cluster.take(2, 1).pop().expect("a question"));
        if text == "first" {
            while cluster.node(2).status().syncing.is_some() {
                cluster.pass(HEARTBEAT);
                cluster.pool.clear();
            }
        }
    }
    cluster.receive(2, 1, questions[1].clone());
    cluster.deliver(1, 2); // The state that has the second.
    let next = cluster.take(2, 1);
    cluster.put(1, "k", "third");
    cluster.pool.clear();
    for question in questions {
        cluster.receive(2, 1, question);
    }
    cluster.pool.clear();
    for message in next {
        cluster.receive(2, 1, message);
    }
    while let Some(place) = cluster.pool.iter().position(|(_, _, it)| is_of_transfer(it)) {
        let (from, to, message) = cluster.pool.remove(place);
        cluster.receive(from, to, message);
    }
    let writes = cluster.node(2).clock().get(NodeId(1));
    assert!(writes == 2 && cluster.values(2, "k") == ["second"] || writes == 0, "{writes}");
    cluster.live(20);
    cluster.assert_equal();
}

fn is_of_transfer(message: &Message) -> bool {
    !matches!(message, Message::Writes { .. } | Message::Ack(_) | Message::Beat(_))
}

/// L15: what differs by what is on its way is no reason to compare.
#[test]
fn nobody_takes_a_state_over_while_messages_do() {
    let mut cluster = Cluster::of(3);
    for round in 0..30 {
        for node in 1..=3 {
            cluster.put(node, "k", &format!("{node}, {round}"));
        }
        cluster.live(1);
    }
    cluster.live(4);
    cluster.assert_equal();
    let transfers: usize = (1..=3).map(|node| cluster.count(node, is_transfer)).sum();
    assert_eq!(transfers, 0);
}

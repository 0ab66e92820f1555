//! How long the log gets under a node of which one protocol is busy, and the other is not.

use std::time::Duration;

use super::*;
use crate::causal::Causal;
use crate::config::{Config, Keeping};
use crate::control::request::{Call, Request};
use crate::kv::value::Value;
use crate::modes::{Resolver, Rule};
use crate::node::Node;
use crate::protocol::{Effects, Input, Protocol, RequestId, Task};
use crate::raft::Raft;
use crate::time::Time;

fn config(mode: Mode) -> Config {
    Config {
        node: NodeId(2),
        name: name(),
        address: "node1:7101".to_owned(),
        heartbeat_interval: Duration::from_millis(100),
        election_timeout: Duration::from_secs(1),
        mode,
        snapshot_every: 20,
        log_kept_bytes: 0,
        causal_log_bytes: usize::MAX,
        keeping: Keeping::default(),
        seed: 1,
        is_traced: false,
    }
}

/// A daemon without clients or peers, whose disk is fast.
struct Daemon {
    node: Node,
    storage: Storage<MemoryDisk>,
    requests: u64,
}

impl Daemon {
    fn start(mode: Mode, disk: MemoryDisk) -> Self {
        let (storage, mut found, _) = open(disk).expect("sound");
        let Record::Identity(founder) = identity(mode) else { unreachable!() };
        found.identity = found.identity.or(Some(*founder));
        let node = Node::recover(config(mode), found).expect("it belongs together");
        let mut daemon = Self { node, storage, requests: 0 };
        daemon.step(Input::Start);
        daemon
    }

    fn step(&mut self, input: Input<crate::node::Message>) {
        let mut inputs = vec![input];
        while !inputs.is_empty() {
            let mut effects = Effects::default();
            inputs.drain(..).for_each(|input| self.node.step(Time::default(), input, &mut effects));
            self.node.flush(Time::default(), &mut effects);
            let early = effects.take_early();
            let late = effects.commit(&mut self.storage).expect("room");
            for task in early.tasks.into_iter().chain(late.tasks) {
                inputs.extend(self.carry_out(task));
            }
        }
    }

    fn carry_out(&mut self, task: Task) -> Option<Input<crate::node::Message>> {
        match task {
            Task::WriteSnapshot(snapshot) => Some(self.write(&*snapshot)),
            Task::WriteCausal(snapshot) => Some(self.write(&*snapshot)),
            Task::Release(kind, mark) => {
                self.storage.release(kind, mark).expect("removed");
                None
            }
            Task::SendSnapshot(_) | Task::Verify(..) | Task::Retire => unreachable!("it is alone"),
        }
    }

    fn write<C: Content>(&mut self, snapshot: &C) -> Input<crate::node::Message> {
        write_snapshot(&mut self.storage, snapshot);
        Input::written(C::KIND, snapshot.mark())
    }

    fn ask(&mut self, request: Request) {
        self.requests += 1;
        let id = RequestId { connection: 1, sequence: self.requests };
        self.step(Input::Request { id, call: Call::new(request) });
    }

    fn put(&mut self, key: &str) {
        let key = Key::try_from(key).expect("a key");
        self.ask(Request::put(key, Value::try_from(vec![1; 100]).expect("short")));
    }
}

/// D7: the log has a bound, whichever protocol is busy, though the other has something in it that
/// is not in a snapshot; and nothing of that is lost.
#[test]
fn d7_a_protocol_that_rests_does_not_hold_up_the_log() {
    for (mode, other) in
        [(Mode::Causal, Rule::Raft), (Mode::Raft, Rule::Causal(Resolver::Siblings))]
    {
        let mut daemon = Daemon::start(mode, MemoryDisk::default());
        let (prefix, dry_run) = ("rests/".to_owned(), false);
        daemon.ask(Request::ModeSet { prefix, rule: other, dry_run });
        daemon.put("rests/a");
        for round in 0..20 {
            (0..25).for_each(|key| daemon.put(&format!("busy/{key}")));
            // Between two snapshots of either there are at most 60 frames of some 250 bytes.
            let bytes = daemon.storage.wal_bytes();
            assert!(bytes <= 8 * SEGMENT_BYTES, "{mode:?}, round {round}: {bytes} bytes");
            if round == 10 {
                daemon = Daemon::start(mode, daemon.storage.disk);
            }
        }
        let (_, found) = reopened(daemon.storage);
        let raft = Raft::recover(config(mode), false, found.snapshot, found.records);
        let (snapshot, records) = (found.causal_snapshot, found.causal_records);
        let causal = Causal::recover(config(mode), false, snapshot, records);
        let (raft, causal) = (raft.expect("no gap"), causal.expect("no gap"));
        let keys = (raft.state().store.keys(), causal.store().keys());
        assert_eq!(keys, if mode == Mode::Causal { (1, 25) } else { (25, 1) });
    }
}

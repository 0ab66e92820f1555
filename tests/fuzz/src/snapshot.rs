//! The frames of a snapshot. Those of Raft come from other nodes.

use std::time::Duration;

use common::broadcast;
use common::config::{Config, Keeping};
use common::identity::{ClusterId, NodeId};
use common::modes::Mode;
use common::node::{Found, Identity, Node};
use common::protocol::{Effects, Input, Protocol};
use common::storage::Owner;
use common::storage::snapshot::{Content, Kind, SnapshotError};
use common::time::Time;
use common::{causal, raft};

use crate::source::Source;
use crate::{allocation, sealed};

/// What a snapshot takes in memory for each of its bytes, and beside them.
const BYTES_PER_BYTE: usize = 512;
const BYTES_BESIDE: usize = 8 * 1024 * 1024;

/// Of a file that tells how many items there are; the fuzzer need not find out.
const ITEMS_MAX: u64 = 40;

/// Reads `bytes` as a file, and as what its frames hold.
pub fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let kind = source.byte();
    if kind & 2 != 0 {
        raw(source.take(bytes.len()));
        return;
    }
    let mut frames = Vec::new();
    for _ in 0..kind >> 2 & 3 {
        let length = source.word();
        frames.extend(sealed::snapshot_frame(source.take(length)));
    }
    if kind & 1 == 0 {
        if let Some(snapshot) = ended::<raft::snapshot::Snapshot>(&frames) {
            recover(Found { snapshot: Some(snapshot.clone()), ..Found::default() });
            receive(snapshot);
        }
    } else if let Some(snapshot) = ended::<causal::snapshot::Snapshot>(&frames) {
        // It never leaves its node: what it says is what the node knew.
        assert_eq!(snapshot.mark(), snapshot.position);
    }
}

/// As they are, without a checksum that is right but those that were recorded.
fn raw(bytes: &[u8]) {
    let owner = Owner { cluster: ClusterId(7), node: NodeId(1) };
    for kind in Kind::ALL {
        let _ = kind.check_header(&mut &*bytes, owner);
    }
    let _ = read::<raft::snapshot::Snapshot>(bytes);
    let _ = read::<causal::snapshot::Snapshot>(bytes);
}

fn read<C: Content>(bytes: &[u8]) -> Result<C, SnapshotError> {
    let budget = BYTES_BESIDE + BYTES_PER_BYTE * bytes.len();
    allocation::within(budget, || C::read(&mut &*bytes))
}

/// The snapshot of these frames, with the end that they should have.
fn ended<C: Content>(frames: &[u8]) -> Option<C> {
    for items in 0..ITEMS_MAX {
        let bytes = [frames, &sealed::snapshot_end(items)].concat();
        match read::<C>(&bytes) {
            Ok(snapshot) => {
                check(&snapshot);
                return Some(snapshot);
            }
            Err(SnapshotError::Damaged("items are missing")) => {}
            Err(_) => return None,
        }
    }
    None
}

/// What is written of it is read again, and written the same.
fn check<C: Content>(snapshot: &C) {
    let written: Vec<u8> = snapshot.frames().flatten().collect();
    let again = C::read(&mut written.as_slice()).expect("what was written is a snapshot");
    assert_eq!(again.mark(), snapshot.mark());
    let once_more: Vec<u8> = again.frames().flatten().collect();
    assert!(once_more == written, "it is written otherwise the second time");
}

fn config() -> Config {
    Config {
        node: NodeId(1),
        name: "n1".parse().expect("a name"),
        address: "n1:7101".to_owned(),
        heartbeat_interval: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
        mode: Mode::Raft,
        snapshot_every: 4,
        log_kept_bytes: 256,
        causal_log_bytes: 4_096,
        keeping: Keeping::default(),
        seed: 1,
        is_traced: false,
    }
}

/// A node that finds it on its disk.
fn recover(found: Found) -> Option<Node> {
    let name = "n1".parse().expect("a name");
    let broadcast = broadcast::Record::bootstrap(NodeId(1), name, ClusterId(7));
    let identity = Some(Identity { broadcast, mode: Mode::Raft, founder: false });
    let mut node = Node::recover(config(), Found { identity, ..found }).ok()?;
    live(&mut node, Input::Start);
    Some(node)
}

/// A node that gets it from another.
fn receive(snapshot: raft::snapshot::Snapshot) {
    let mut node = recover(Found::default()).expect("nothing contradicts itself");
    live(&mut node, Input::SnapshotReceived(Box::new(snapshot)));
}

fn live(node: &mut Node, first: Input<common::node::Message>) {
    let mut effects = Effects::default();
    node.step(Time::default(), first, &mut effects);
    node.step(Time::default(), Input::Wall(1_700_000_000_000), &mut effects);
    node.flush(Time::default(), &mut effects);
    for seconds in 1..4 {
        let now = Time(Duration::from_secs(seconds));
        node.step(now, Input::Tick, &mut effects);
        node.flush(now, &mut effects);
    }
}

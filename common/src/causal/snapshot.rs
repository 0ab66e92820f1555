//! What stands for the beginning of the log: the state, and the writes that members may yet need.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::causal::clock::VectorClock;
use crate::causal::hybrid::Timestamp;
use crate::causal::store::Store;
use crate::causal::version::Version;
use crate::causal::write::Write;
use crate::kv::key::Key;
use crate::kv::session::Sessions;
use crate::storage::snapshot::{self, Content, Kind, SnapshotError};

/// The state after some steps, with all that goes with it. It is this node's own: peers are told
/// writes, or what their state lacks, and never this.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last step that it stands for.
    pub position: u64,
    /// What the node has seen.
    pub clock: VectorClock,
    /// The Lamport clock of the last write.
    pub lamport: u64,
    /// The hybrid clock of the last write.
    pub time: Timestamp,
    /// Whether the node serves.
    pub ready: bool,
    /// Writes that not all members have, in the order in which they were applied.
    pub log: Vec<Arc<Write>>,
    /// Which tagged requests were executed.
    pub sessions: Sessions,
    /// The keys.
    pub store: Store,
}

/// What a snapshot begins with.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    position: u64,
    clock: VectorClock,
    lamport: u64,
    time: Timestamp,
    ready: bool,
    sessions: Bytes,
    writes: u64,
    keys: u64,
    hash: u64,
}

/// What follows: first the log, then the versions of each key. They stand one by one, because all
/// of a key's together may be longer than a frame. Borrowed where it is written, owned where it is
/// read.
#[derive(Serialize, Deserialize)]
enum Item<W, K, V> {
    Write(W),
    Version(K, V),
}

impl Content for Snapshot {
    const KIND: Kind = Kind::Causal;

    fn mark(&self) -> u64 {
        self.position
    }

    fn frames(&self) -> impl Iterator<Item = Vec<u8>> {
        let head = Head {
            position: self.position,
            clock: self.clock.clone(),
            lamport: self.lamport,
            time: self.time,
            ready: self.ready,
            sessions: Bytes::from(self.sessions.encode()),
            writes: self.log.len() as u64,
            keys: self.store.keys(),
            hash: self.store.hash(),
        };
        let keys = self.store.iter();
        let versions = keys.flat_map(|(key, all)| all.iter().map(move |version| (key, version)));
        let versions = versions.map(|(key, version)| Item::Version(key, version));
        snapshot::frames(head, self.log.iter().map(Item::Write).chain(versions))
    }

    fn read(input: &mut impl Read) -> Result<Self, SnapshotError> {
        let mut parts = Parts::default();
        let head: Head = snapshot::read(input, |item| match item {
            Item::Write(write) => parts.log.push(write),
            Item::Version(key, version) => parts.add(key, version),
        })?;
        parts.assemble(head).ok_or(SnapshotError::Damaged("its parts do not belong together"))
    }
}

/// What was read behind the head.
#[derive(Default)]
struct Parts {
    log: Vec<Arc<Write>>,
    store: Store,
    /// The last key, and its versions so far.
    open: Option<(Key, Vec<Version>)>,
}

impl Parts {
    fn add(&mut self, key: Key, version: Version) {
        match &mut self.open {
            Some((open, versions)) if *open == key => versions.push(version),
            Some(_) | None => {
                self.close();
                self.open = Some((key, vec![version]));
            }
        }
    }

    fn close(&mut self) {
        if let Some((key, versions)) = self.open.take() {
            self.store.load(key, versions);
        }
    }

    /// The snapshot, if this is what the head tells of.
    fn assemble(mut self, head: Head) -> Option<Snapshot> {
        self.close();
        let Self { log, store, open: _ } = self;
        let counts = (log.len() as u64, store.keys(), store.hash());
        if counts != (head.writes, head.keys, head.hash) {
            return None;
        }
        let sessions = Sessions::decode(&head.sessions)?;
        let Head { position, clock, lamport, time, ready, .. } = head;
        Some(Snapshot { position, clock, lamport, time, ready, log, sessions, store })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::causal::clock::Dot;
    use crate::identity::NodeId;
    use crate::kv::command::Tag;
    use crate::kv::outcome::Outcome;
    use crate::kv::value::Value;

    /// A write by node `node`.
    pub(crate) fn write(node: u64, counter: u64, key: &str, value: Vec<u8>) -> Write {
        Write {
            dot: Dot { node: NodeId(node), counter },
            past: Vec::new(),
            lamport: counter,
            time: Timestamp::of_ms(counter),
            key: Key::try_from(key).expect("a key"),
            replaces: Vec::new(),
            value: Some(Value::try_from(value).expect("short")),
            created: counter,
            writes: 1,
            request: None,
        }
    }

    /// The state after that many writes, some of which stand side by side.
    pub(crate) fn snapshot(position: u64) -> Snapshot {
        let (mut clock, mut store) = (VectorClock::default(), Store::default());
        let mut sessions = Sessions::default();
        let mut log = Vec::new();
        for n in 1..=position {
            let write = write(1 + n % 2, n.div_ceil(2), &format!("key{}", n / 3), vec![5; 100]);
            clock.advance(write.dot);
            store.apply(&write);
            let tag = Tag { client: 7, seq: n };
            sessions.remember(n, tag, n, Outcome::Put { revision: n });
            if n % 4 == 0 {
                log.push(Arc::new(write));
            }
        }
        let time = Timestamp::of_ms(position);
        Snapshot { position, clock, lamport: position, time, ready: true, log, sessions, store }
    }

    /// All of it, in a form that can be compared.
    pub(crate) fn parts(snapshot: &Snapshot) -> impl PartialEq + std::fmt::Debug + use<> {
        let Snapshot { position, clock, lamport, time, ready, log, sessions, store } =
            snapshot.clone();
        let keys: Vec<(Key, Vec<Version>)> =
            store.iter().map(|(key, versions)| (key.clone(), versions.to_vec())).collect();
        (position, clock, lamport, time, ready, log, sessions, keys)
    }

    fn bytes(snapshot: &Snapshot) -> Vec<u8> {
        snapshot.frames().flatten().collect()
    }

    #[test]
    fn a_snapshot_comes_back_whole_or_not_at_all() {
        for position in [0, 1_000] {
            let sent = snapshot(position);
            let bytes = bytes(&sent);
            let read = Snapshot::read(&mut &*bytes).expect("sound");
            assert_eq!(parts(&read), parts(&sent));
            for length in (0..bytes.len()).step_by(1_009) {
                assert!(Snapshot::read(&mut &bytes[..length]).is_err(), "{length} bytes");
            }
            for at in (0..bytes.len()).step_by(499) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 4;
                assert!(Snapshot::read(&mut &*damaged).is_err(), "byte {at}");
            }
        }
    }

    /// A frame has a bound, and a key has none on what its versions take together.
    #[test]
    fn a_key_with_many_versions_goes_over_several_frames() {
        let mut sent = snapshot(1);
        for node in 1..=40 {
            sent.store.apply(&write(node, 1, "many", vec![1; 10_000]));
        }
        let frames: Vec<Vec<u8>> = sent.frames().collect();
        assert!(frames.len() > 6 && frames.iter().all(|frame| frame.len() < 80_000));
        let read = Snapshot::read(&mut &*frames.concat()).expect("sound");
        assert_eq!(parts(&read), parts(&sent));
    }

    /// Frames that are sound each for itself, of two snapshots.
    #[test]
    fn parts_of_two_snapshots_are_none() {
        let [one, other] = [snapshot(10), snapshot(20)];
        let head = one.frames().next().expect("a head");
        let mixed: Vec<u8> = [head].into_iter().chain(other.frames().skip(1)).flatten().collect();
        let outcome = Snapshot::read(&mut &*mixed);
        assert!(matches!(outcome, Err(SnapshotError::Damaged(what)) if what.contains("belong")));
    }
}

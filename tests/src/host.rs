//! A node with its disk and its process: what simulations and scripts both drive.

use std::io;
use std::time::Duration;

use common::broadcast;
use common::config::Config;
use common::identity::{ClusterId, NodeId, NodeName};
use common::node::{Message, Node, Record};
use common::protocol::{Effects, Input, Outbox, Protocol};
use common::storage::{self, Disk};
use common::time::Time;

/// A place where a node can run. The node in it dies with its process; the disk stays.
///
/// Invariant: there is a node just while the process is up.
#[derive(Debug)]
pub struct Host {
    name: NodeName,
    address: String,
    heartbeat_interval: Duration,
    election_timeout: Duration,
    disk: MemoryDisk,
    node: Option<Node>,
    id: NodeId,
}

/// How often nodes say that they live, and when they are taken for dead.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// See [`Config::heartbeat_interval`].
    pub heartbeat_interval: Duration,
    /// See [`Config::election_timeout`].
    pub election_timeout: Duration,
}

impl Host {
    /// An empty one: nothing on disk, no process.
    pub fn new(name: NodeName, address: String, pace: Pace) -> Self {
        Self {
            name,
            address,
            heartbeat_interval: pace.heartbeat_interval,
            election_timeout: pace.election_timeout,
            disk: MemoryDisk::default(),
            node: None,
            id: NodeId(0),
        }
    }

    /// Its name, which is that of every node that ever runs here.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Where peers dial it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The id of the node that runs here, or was the last to.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The node, while the process is up.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// Whether a restart would find a record.
    pub fn has_record(&self) -> bool {
        self.disk.record.is_some()
    }

    /// Writes the record of a new cluster's first node, as `distdbd --bootstrap` does.
    pub fn bootstrap(&mut self, id: NodeId, cluster: ClusterId) {
        let broadcast = broadcast::Record::bootstrap(id, self.name.clone(), cluster);
        self.disk.record = Some(storage::encode(&Record { broadcast }));
    }

    /// Starts a process. Without a record it is a new node under the id `fresh`.
    pub fn start(&mut self, fresh: NodeId) {
        assert!(self.node.is_none(), "a host has one process");
        let record = self.disk.record.as_deref();
        let record: Option<Record> =
            record.map(|bytes| storage::decode(bytes).expect("the disk damages nothing"));
        self.id = record.as_ref().map_or(fresh, |record| record.broadcast.node);
        let config = Config {
            node: self.id,
            name: self.name.clone(),
            address: self.address.clone(),
            heartbeat_interval: self.heartbeat_interval,
            election_timeout: self.election_timeout,
        };
        self.node = Some(Node::recover(config, record));
    }

    /// Ends the process, and with it all that was in memory.
    pub fn crash(&mut self) {
        self.node = None;
    }

    /// Loses the data directory.
    pub fn wipe(&mut self) {
        self.disk.record = None;
    }

    /// Lets the next write of the record fail.
    pub fn break_disk(&mut self, failure: DiskFailure) {
        self.disk.failure = Some(failure);
    }

    /// The disk is well again.
    pub fn mend_disk(&mut self) {
        self.disk.failure = None;
    }

    /// Steps the node through `inputs` and commits once, as the daemon does with all that has
    /// arrived.
    ///
    /// # Errors
    ///
    /// That of the disk. The process must end, and nothing has left it.
    pub fn run(
        &mut self,
        now: Time,
        inputs: impl IntoIterator<Item = Input<Message>>,
    ) -> io::Result<Outbox<Node>> {
        let node = self.node.as_mut().expect("only a running node is driven");
        let mut effects = Effects::default();
        for input in inputs {
            node.step(now, input, &mut effects);
        }
        effects.commit(&mut self.disk)
    }
}

/// A disk that keeps one record, and can fail.
#[derive(Debug, Default)]
struct MemoryDisk {
    record: Option<Vec<u8>>,
    failure: Option<DiskFailure>,
}

/// When a disk fails; the node can't tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFailure {
    /// The old record is still there.
    BeforeReplace,
    /// The new record is there already.
    AfterReplace,
}

impl Disk for MemoryDisk {
    fn replace(&mut self, record: &[u8]) -> io::Result<()> {
        let failure = self.failure.take();
        if failure != Some(DiskFailure::BeforeReplace) {
            self.record = Some(record.to_vec());
        }
        match failure {
            Some(_) => Err(io::Error::other("the disk failed")),
            None => Ok(()),
        }
    }
}

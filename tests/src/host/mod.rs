//! A node with its disk and its process: what simulations and scripts both drive.

mod snapshots;

use std::io;
use std::time::Duration;

use common::broadcast;
use common::config::{Config, Keeping};
use common::identity::{ClusterId, NodeId, NodeName};
use common::modes::Mode;
use common::node::{Identity, Message, Node};
use common::protocol::{Effects, Input, Outbox, Protocol};
use common::storage::{Storage, StorageError, is_full};
use common::time::Time;

use crate::disk::{DiskFailure, SimulatedDisk};

/// A place where a node can run. The node in it dies with its process; the disk stays.
#[derive(Debug)]
pub struct Host {
    name: NodeName,
    address: String,
    setup: Setup,
    id: NodeId,
    /// Who the node is as long as nothing is on the disk: that of `distdbd --bootstrap`.
    founding: Option<Identity>,
    /// What the Lamport clock of the process before said: a trace goes on from there.
    clock: u64,
    state: State,
}

/// Whether there is a process. The disk belongs to it while it is up.
#[derive(Debug)]
enum State {
    Down(SimulatedDisk),
    Up(Box<Process>),
}

#[derive(Debug)]
struct Process {
    node: Node,
    storage: Storage<SimulatedDisk>,
    is_disk_full: bool,
}

/// How nodes are set up: the daemon's flags.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Heartbeats.
    pub pace: Pace,
    /// In which mode a cluster is founded.
    pub mode: Mode,
    /// See [`Config::snapshot_every`].
    pub snapshot_every: u64,
    /// See [`Config::log_kept_bytes`].
    pub log_kept_bytes: usize,
    /// See [`Config::causal_log_bytes`].
    pub causal_log_bytes: usize,
    /// Of a segment of the log.
    pub segment_bytes: u64,
    /// See [`Config::is_traced`].
    pub is_traced: bool,
}

/// How often nodes say that they live, and when they are taken for dead.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// See [`Config::heartbeat_interval`].
    pub heartbeat_interval: Duration,
    /// See [`Config::election_timeout`].
    pub election_timeout: Duration,
}

/// Why a process can't start.
#[derive(Debug)]
pub enum StartError {
    /// There is no room for what it must write before.
    Full,
    /// What its disk has can't be read: a disk that only crashes makes no such thing.
    Broken(String),
}

/// Of the changes that a simulated node keeps.
const HISTORY_AGE: Duration = Duration::from_secs(60);

/// How many it keeps.
const HISTORY_EVENTS: u64 = 200;

/// What the wall clocks say at the beginning of time.
const EPOCH_MS: u64 = 1_700_000_000_000;

impl StartError {
    fn of(error: StorageError) -> Self {
        if let StorageError::Io { source, .. } = &error
            && is_full(source)
        {
            return Self::Full;
        }
        Self::Broken(error.to_string())
    }
}

impl Host {
    /// An empty one: nothing on disk, no process.
    pub fn new(name: NodeName, address: String, setup: Setup) -> Self {
        let state = State::Down(SimulatedDisk::default());
        Self { name, address, setup, id: NodeId(0), founding: None, clock: 0, state }
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
        match &self.state {
            State::Up(process) => Some(&process.node),
            State::Down(_) => None,
        }
    }

    /// What was sent at `clock` has come.
    pub fn hear(&mut self, clock: u64) {
        if let State::Up(process) = &mut self.state {
            process.node.hear(clock);
        }
    }

    /// Whether a restart would find something.
    pub fn has_record(&self) -> bool {
        !self.disk().is_empty()
    }

    fn disk(&self) -> &SimulatedDisk {
        match &self.state {
            State::Up(process) => process.storage.disk(),
            State::Down(disk) => disk,
        }
    }

    /// The disk, to do something to it.
    pub fn disk_mut(&mut self) -> &mut SimulatedDisk {
        match &mut self.state {
            State::Up(process) => process.storage.disk_mut(),
            State::Down(disk) => disk,
        }
    }

    /// Lets the first start found a cluster, as `distdbd --bootstrap` does.
    pub fn bootstrap(&mut self, id: NodeId, cluster: ClusterId) {
        let broadcast = broadcast::Record::bootstrap(id, self.name.clone(), cluster);
        self.founding = Some(Identity { broadcast, mode: self.setup.mode, founder: true });
    }

    /// Starts a process. Where nothing is on the disk it is a new node under the id `fresh`. No
    /// two starts have the same `seed`.
    ///
    /// # Errors
    ///
    /// [`StartError`]; there is no process then.
    pub fn start(&mut self, fresh: NodeId, seed: u64) -> Result<(), StartError> {
        let State::Down(disk) = &self.state else { panic!("a host has one process") };
        let opened = Storage::open(disk.clone(), &self.name, self.setup.segment_bytes);
        let (storage, mut found, _) = opened.map_err(StartError::of)?;
        found.identity = found.identity.or_else(|| self.founding.clone());
        self.id = found.identity.as_ref().map_or(fresh, |identity| identity.broadcast.node);
        let Setup { pace, mode, snapshot_every, log_kept_bytes, causal_log_bytes, .. } = self.setup;
        // A short history: it is forgotten all the time.
        let keeping = Keeping { age: HISTORY_AGE, events: HISTORY_EVENTS, ..Keeping::default() };
        let config = Config {
            node: self.id,
            name: self.name.clone(),
            address: self.address.clone(),
            heartbeat_interval: pace.heartbeat_interval,
            election_timeout: pace.election_timeout,
            mode,
            snapshot_every,
            log_kept_bytes,
            causal_log_bytes,
            keeping,
            seed,
            is_traced: self.setup.is_traced,
        };
        let mut node =
            Node::recover(config, found).map_err(|error| StartError::Broken(error.to_string()))?;
        node.hear(self.clock);
        self.state = State::Up(Box::new(Process { node, storage, is_disk_full: false }));
        Ok(())
    }

    /// Ends the process, and with it all that was in memory. What it has written stays, but is no
    /// more durable than it was.
    pub fn end(&mut self) {
        if let State::Up(process) = &mut self.state {
            self.clock = process.node.clock();
            let disk = std::mem::take(process.storage.disk_mut());
            self.state = State::Down(disk);
        }
    }

    /// Ends the process amid a commit: after so many changes of the disk.
    pub fn end_amid(&mut self, effects: Effects<Node>, changes: u32) {
        if let State::Up(process) = &mut self.state {
            process.storage.disk_mut().set_failure_after(changes, DiskFailure::Before);
            let _ = effects.commit(&mut process.storage);
        }
        self.end();
        self.disk_mut().set_failure(None);
    }

    /// Cuts the power: `keep` is asked for each sector that was not synced whether it survives.
    pub fn cut_power(&mut self, keep: impl FnMut() -> bool) {
        self.end();
        self.disk_mut().crash(keep);
    }

    /// Loses the data directory.
    pub fn wipe(&mut self) {
        self.founding = None;
        self.disk_mut().wipe();
    }

    /// Steps the node through `inputs`, as the daemon does with all that has arrived. Returns what
    /// may leave at once, and what [`Self::commit`] takes.
    ///
    /// # Errors
    ///
    /// That of the disk. The process must end, and nothing has left it.
    pub fn step(
        &mut self,
        now: Time,
        inputs: impl IntoIterator<Item = Input<Message>>,
    ) -> io::Result<(Outbox<Node>, Effects<Node>)> {
        let process = self.process();
        let mut effects = Effects::default();
        // Every machine's clocks are set to another time, and run at another pace.
        let unix_ms = EPOCH_MS + u64::try_from(now.0.as_millis()).unwrap_or(0);
        process.node.step(now, Input::Wall(unix_ms), &mut effects);
        for input in inputs {
            process.node.step(now, input, &mut effects);
        }
        // All clients read what they are told.
        for connection in process.node.catching_up() {
            process.node.step(now, Input::Room { connection }, &mut effects);
        }
        let is_full = !process.storage.reserve()?;
        if is_full != process.is_disk_full {
            process.is_disk_full = is_full;
            process.node.step(now, Input::DiskFull(is_full), &mut effects);
        }
        process.node.flush(now, &mut effects);
        Ok((effects.take_early(), effects))
    }

    /// Makes durable what a step has left, and yields what may leave then.
    ///
    /// # Errors
    ///
    /// That of the disk. The process must end, and nothing more has left it.
    pub fn commit(&mut self, effects: Effects<Node>) -> io::Result<Outbox<Node>> {
        effects.commit(&mut self.process().storage)
    }

    fn process(&mut self) -> &mut Process {
        match &mut self.state {
            State::Up(process) => process,
            State::Down(_) => panic!("only a running node is driven"),
        }
    }
}

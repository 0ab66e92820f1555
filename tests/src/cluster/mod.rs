//! Real daemons on this machine: started, killed, paused and partitioned by tests.
//!
//! Each cluster has a directory of its own, free ports, and sockets with short paths; so tests run
//! side by side. Whatever a test does, its daemons end with it; and if it fails, it prints what
//! they logged last.

pub mod accounts;
pub mod causal;
pub mod client;
mod daemon;
pub mod links;
pub mod load;
pub mod mount;
pub mod recorder;
pub mod session;
pub mod transfers;
pub mod voters;
pub mod workload;
pub mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use common::control::condition::Condition;
use common::modes::Mode;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::cluster::client::Client;
use crate::cluster::daemon::Daemon;

/// Whatever is waited for comes sooner than this, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition outside the daemons is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How much of a log is printed when a test fails.
const LOG_LINES: usize = 30;

/// Daemons of one cluster, by number from 0 on.
#[derive(Debug)]
pub struct LocalCluster {
    /// What each node is told beyond who it is.
    flags: Vec<String>,
    daemons: Vec<Daemon>,
    /// Where sockets and logs are, and what the daemons keep unless they are told otherwise.
    dir: PathBuf,
    /// Goes last: what is in it is in use.
    _temporary: Option<TempDir>,
}

impl LocalCluster {
    /// A cluster of `count` nodes that are all up; in raft mode all of them vote.
    pub fn start(count: usize, mode: Mode) -> Self {
        Self::start_with(count, mode, &[])
    }

    /// The same, of nodes that are told more.
    pub fn start_with(count: usize, mode: Mode, flags: &[&str]) -> Self {
        let mut cluster = Self::empty(mode, flags);
        for _ in 0..count {
            cluster.add();
        }
        cluster.wait_formed();
        if mode.has_log() {
            cluster.wait_voters(count);
        }
        cluster
    }

    /// A cluster without nodes.
    pub fn empty(mode: Mode, flags: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("distdb-").tempdir_in("/tmp");
        let dir = dir.expect("/tmp takes a directory");
        let mut cluster = Self::empty_in(dir.path().to_owned(), mode, flags);
        cluster._temporary = Some(dir);
        cluster
    }

    /// A cluster without nodes whose directory stays.
    pub fn empty_in(dir: PathBuf, mode: Mode, flags: &[&str]) -> Self {
        let flags = owned(&[&["--mode", mode.as_str()], flags].concat());
        Self { flags, daemons: Vec::new(), dir, _temporary: None }
    }

    /// Starts another node: the first founds the cluster, the others join through the first that
    /// runs.
    pub fn add(&mut self) -> usize {
        self.add_with(&[])
    }

    /// The same, of a node that is told more.
    pub fn add_with(&mut self, flags: &[&str]) -> usize {
        let data_dir = self.dir.join(format!("node{}", self.daemons.len() + 1));
        self.add_at(data_dir, flags)
    }

    /// The same, of a node that keeps its files in a place of its own: on another file system, say.
    pub fn add_at(&mut self, data_dir: PathBuf, flags: &[&str]) -> usize {
        let node = self.daemons.len();
        let founding = match self.running().next() {
            None => vec!["--bootstrap".to_owned()],
            Some(other) => vec!["--join".to_owned(), self.address(other)],
        };
        self.daemons.push(Daemon {
            name: format!("node{}", node + 1),
            dir: self.dir.clone(),
            data_dir,
            flags: [self.flags.clone(), owned(flags)].concat(),
            founding,
            process: None,
            is_paused: false,
        });
        self.restart(node);
        node
    }

    /// Removes what a node keeps that does not run; when it is started it joins through the first
    /// that runs.
    pub fn wipe(&mut self, node: usize) {
        let other = self.running().next().expect("one runs");
        let address = self.address(other);
        let daemon = &mut self.daemons[node];
        daemon.founding = vec!["--join".to_owned(), address];
        // Not the directory itself: another file system may be mounted on it.
        for entry in fs::read_dir(&daemon.data_dir).expect("it has run") {
            fs::remove_file(entry.expect("it can be read").path()).expect("it keeps only files");
        }
    }

    /// How a node has ended that nobody asked to.
    pub fn ended_unasked(&mut self, node: usize) -> Option<ExitStatus> {
        let process = self.daemons[node].process.as_mut()?;
        process.try_wait().expect("it is our child")
    }

    /// Starts a node that does not run, and waits until its socket answers.
    pub fn restart(&mut self, node: usize) {
        self.launch(node);
        self.daemons[node].wait_answering();
    }

    /// Starts a node that does not run, and may end at once.
    pub fn launch(&mut self, node: usize) {
        self.daemons[node].launch();
    }

    /// Starts all that do not run.
    pub fn restart_all(&mut self) {
        let has_ended = |daemon: &&mut Daemon| daemon.process.is_none();
        let mut ended: Vec<_> = self.daemons.iter_mut().filter(has_ended).collect();
        for daemon in &mut ended {
            daemon.launch();
        }
        for daemon in ended {
            daemon.wait_answering();
        }
    }

    /// What starts a node, for tests that want to start it otherwise.
    pub fn command(&self, node: usize) -> Command {
        self.daemons[node].command()
    }

    /// `kill -9`.
    pub fn kill(&mut self, node: usize) {
        self.daemons[node].signal(Signal::SIGKILL);
        self.ended(node);
    }

    /// `kill -9` of all that run, at once.
    pub fn kill_all(&mut self) {
        let nodes: Vec<_> = self.running().collect();
        for node in &nodes {
            self.daemons[*node].signal(Signal::SIGKILL);
        }
        for node in nodes {
            self.ended(node);
        }
    }

    /// SIGTERM. Tells how it ended.
    pub fn terminate(&mut self, node: usize) -> ExitStatus {
        self.daemons[node].signal(Signal::SIGTERM);
        self.ended(node)
    }

    /// Waits until a node has ended, and tells how.
    pub fn ended(&mut self, node: usize) -> ExitStatus {
        self.daemons[node].ended()
    }

    /// SIGSTOP: the process is there, and does nothing.
    pub fn pause(&mut self, node: usize) {
        self.daemons[node].signal(Signal::SIGSTOP);
        self.daemons[node].is_paused = true;
    }

    /// SIGCONT.
    pub fn resume(&mut self, node: usize) {
        self.daemons[node].signal(Signal::SIGCONT);
        self.daemons[node].is_paused = false;
    }

    /// The process of a node that runs.
    pub fn pid(&self, node: usize) -> u32 {
        self.daemons[node].pid()
    }

    /// Waits until all running nodes see each other up.
    pub fn wait_formed(&self) {
        let count = self.running().count();
        for node in self.running() {
            self.wait(node, Condition::Members(count));
        }
    }

    /// Waits until something is so on a node.
    pub fn wait(&self, node: usize, condition: Condition) {
        let waited = self.client(node).wait(condition, PATIENCE);
        waited.unwrap_or_else(|failure| panic!("{}: {failure}", self.name(node)));
    }

    /// Waits until all running nodes hold the same state.
    pub fn wait_converged(&self) {
        let hash = |node| self.client(node).status().state_hash;
        eventually("all state hashes are equal", || {
            let mut hashes: Vec<_> = self.running().map(hash).collect();
            hashes.dedup();
            hashes.len() == 1
        });
    }

    /// The nodes that run, and are not paused.
    pub fn running(&self) -> impl Iterator<Item = usize> {
        let runs = |daemon: &Daemon| daemon.process.is_some() && !daemon.is_paused;
        let daemons = self.daemons.iter().enumerate();
        daemons.filter(move |(_, daemon)| runs(daemon)).map(|(node, _)| node)
    }

    /// A node's name.
    pub fn name(&self, node: usize) -> &str {
        &self.daemons[node].name
    }

    /// A new connection to a node that runs.
    pub fn client(&self, node: usize) -> Client {
        Client::connect(&self.socket(node)).expect("it runs, and takes clients")
    }

    /// A node's control socket.
    pub fn socket(&self, node: usize) -> PathBuf {
        self.daemons[node].socket()
    }

    /// The control sockets of all nodes, of those that do not run too.
    pub fn sockets(&self) -> Vec<PathBuf> {
        self.daemons.iter().map(Daemon::socket).collect()
    }

    /// Where a node's peers reach it.
    pub fn address(&self, node: usize) -> String {
        self.daemons[node].address()
    }

    /// Where a node keeps its files.
    pub fn data_dir(&self, node: usize) -> &Path {
        &self.daemons[node].data_dir
    }

    /// What a node has logged.
    pub fn logged(&self, node: usize) -> String {
        self.daemons[node].logged()
    }
}

impl Drop for LocalCluster {
    #[expect(clippy::print_stderr, reason = "what a test that failed leaves behind")]
    fn drop(&mut self) {
        if thread::panicking() {
            for daemon in &self.daemons {
                let log = daemon.logged();
                let lines: Vec<_> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
                eprintln!("--- the last lines of {}:\n{last}", daemon.name);
            }
        }
    }
}

fn owned(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

/// Looks until `is_so`, up to [`PATIENCE`].
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not become true that {what}");
        thread::park_timeout(GLANCE);
    }
}

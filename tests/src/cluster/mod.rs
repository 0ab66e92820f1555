//! Real daemons on this machine: started, killed, paused and partitioned by tests.
//!
//! Each cluster has a directory of its own, free ports, and sockets with short paths; so tests run
//! side by side. Whatever a test does, its daemons end with it; and if it fails, it prints what
//! they logged last.

pub mod client;
pub mod recorder;
pub mod workload;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use common::control::condition::Condition;
use common::control::reply::Faults;
use common::control::request::{Direction, Fault, FaultKind, Request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::cluster::client::Client;

/// Whatever is waited for comes sooner than this, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition outside the daemons is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How much of a log is printed when a test fails.
const LOG_LINES: usize = 30;

/// Daemons of one cluster, by number from 0 on.
#[derive(Debug)]
pub struct LocalCluster {
    dir: TempDir,
    daemons: Vec<Daemon>,
}

/// One node: a process while it runs.
#[derive(Debug)]
struct Daemon {
    name: String,
    flags: Vec<String>,
    process: Option<Child>,
}

impl LocalCluster {
    /// A cluster of `count` nodes that are all up.
    pub fn start(count: usize) -> Self {
        let mut cluster = Self::empty();
        for _ in 0..count {
            cluster.add();
        }
        for node in 0..count {
            cluster.wait(node, Condition::Members(count));
        }
        cluster
    }

    /// A cluster without nodes.
    pub fn empty() -> Self {
        let dir = tempfile::Builder::new().prefix("distdb-").tempdir_in("/tmp");
        Self { dir: dir.expect("/tmp takes a directory"), daemons: Vec::new() }
    }

    /// Starts another node: the first founds the cluster, the others join through the first.
    pub fn add(&mut self) -> usize {
        let flags = match self.daemons.first() {
            None => vec!["--bootstrap".to_owned()],
            Some(_) => vec!["--join".to_owned(), self.address(0)],
        };
        self.add_with(flags)
    }

    /// Starts another node with flags of its own.
    pub fn add_with(&mut self, flags: Vec<String>) -> usize {
        let node = self.daemons.len();
        let name = format!("node{}", node + 1);
        self.daemons.push(Daemon { name, flags, process: None });
        self.restart(node);
        node
    }

    /// Starts a node that does not run, and waits until its socket answers.
    pub fn restart(&mut self, node: usize) {
        let mut command = self.command(node);
        let process = command.spawn().expect("distdbd starts");
        assert!(self.daemons[node].process.replace(process).is_none(), "it runs already");
        let socket = self.socket(node);
        eventually("its socket answers", || Client::connect(&socket).is_ok());
    }

    /// What starts a node, for tests that want to start it otherwise.
    pub fn command(&self, node: usize) -> Command {
        let daemon = &self.daemons[node];
        let log = File::options().create(true).append(true).open(self.log(node));
        let mut command = Command::new(daemon_binary());
        command
            .args(["--node", &daemon.name, "--listen", "127.0.0.1:0", "--enable-faults"])
            .arg("--runtime-dir")
            .arg(self.dir.path().join("run"))
            .arg("--data-dir")
            .arg(self.data_dir(node))
            .args(&daemon.flags)
            .stdin(Stdio::null())
            .stderr(log.expect("its directory is there"));
        command
    }

    /// `kill -9`.
    pub fn kill(&mut self, node: usize) {
        let mut process = self.daemons[node].process.take().expect("it runs");
        process.kill().expect("it runs");
        process.wait().expect("it was killed");
    }

    /// SIGTERM. Tells how it ended.
    pub fn terminate(&mut self, node: usize) -> ExitStatus {
        self.signal(node, Signal::SIGTERM);
        self.daemons[node].process.take().expect("it runs").wait().expect("it ends")
    }

    /// SIGSTOP: the process is there, and does nothing.
    pub fn pause(&self, node: usize) {
        self.signal(node, Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn resume(&self, node: usize) {
        self.signal(node, Signal::SIGCONT);
    }

    fn signal(&self, node: usize, signal: Signal) {
        let pid = i32::try_from(self.pid(node)).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// The process of a node that runs.
    pub fn pid(&self, node: usize) -> u32 {
        self.daemons[node].process.as_ref().expect("it runs").id()
    }

    /// Makes frames of a node's own links fail.
    pub fn fault(&self, node: usize, kind: FaultKind, peers: &[usize]) {
        let peers = peers.iter().map(|peer| self.daemons[*peer].name.clone()).collect();
        let fault = Fault { kind, peers, direction: Direction::Both };
        let set: Result<Faults, _> = self.client(node).ask(Request::Fault(Some(fault)));
        set.expect("faults are enabled");
    }

    /// Cuts the link between two nodes, and waits until both have noticed.
    pub fn partition(&self, one: usize, other: usize) {
        self.fault(one, FaultKind::Partition, &[other]);
        for (node, peer) in [(one, other), (other, one)] {
            let name = &self.daemons[peer].name;
            eventually("the link is down", || {
                let status = self.client(node).status();
                let peer = status.peers.iter().find(|peer| peer.name.as_str() == name);
                peer.is_some_and(|peer| peer.state.as_str() == "down")
            });
        }
    }

    /// Ends all faults, and waits until all running nodes are connected.
    pub fn heal(&self) {
        for node in self.running() {
            self.fault(node, FaultKind::Heal, &[]);
        }
        self.wait_formed();
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
        waited.unwrap_or_else(|failure| panic!("{}: {failure}", self.daemons[node].name));
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

    fn running(&self) -> impl Iterator<Item = usize> {
        let daemons = self.daemons.iter().enumerate();
        daemons.filter(|(_, daemon)| daemon.process.is_some()).map(|(node, _)| node)
    }

    /// A new connection to a node that runs.
    pub fn client(&self, node: usize) -> Client {
        Client::connect(&self.socket(node)).expect("it runs, and takes clients")
    }

    /// A node's control socket.
    pub fn socket(&self, node: usize) -> PathBuf {
        self.runtime_dir(node).join("control.sock")
    }

    /// Where a node's peers reach it.
    pub fn address(&self, node: usize) -> String {
        let file = self.runtime_dir(node).join("peer.addr");
        fs::read_to_string(file).expect("it has started").trim_end().to_owned()
    }

    /// Where a node keeps who it is.
    pub fn data_dir(&self, node: usize) -> PathBuf {
        self.dir.path().join(&self.daemons[node].name)
    }

    fn runtime_dir(&self, node: usize) -> PathBuf {
        self.dir.path().join("run").join(&self.daemons[node].name)
    }

    fn log(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("{}.log", self.daemons[node].name))
    }

    /// What a node has logged.
    pub fn logged(&self, node: usize) -> String {
        fs::read_to_string(self.log(node)).unwrap_or_default()
    }
}

impl Drop for LocalCluster {
    #[expect(clippy::print_stderr, reason = "what a test that failed leaves behind")]
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            if let Some(process) = &mut daemon.process {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        if thread::panicking() {
            for node in 0..self.daemons.len() {
                let log = self.logged(node);
                let lines: Vec<_> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
                eprintln!("--- the last lines of {}:\n{last}", self.daemons[node].name);
            }
        }
    }
}

/// Looks until `is_so`, up to [`PATIENCE`].
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not become true that {what}");
        thread::park_timeout(GLANCE);
    }
}

/// `distdbd` beside this test, built from what is there now.
pub fn daemon_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("this test's path");
        let profile_dir = test.parent().and_then(Path::parent).expect("PROFILE/deps/test");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "distdbd", "--target-dir"]);
        build.arg(profile_dir.parent().expect("TARGET/PROFILE"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "distdbd does not build");
        profile_dir.join("distdbd")
    })
}

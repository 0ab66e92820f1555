//! A client that must not lose a write: it repeats each under the `request` tag of its first try,
//! at one node after the other, as `distdbctl` does.
//!
//! Each write has a key of its own. So whatever happens to the cluster, in the end each key that
//! was acknowledged is there, with the revision that was acknowledged, in version 1: a write that
//! was applied twice would show as version 2.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::control::failure::ErrorCode;
use common::control::reply::{List, Put};
use common::control::request::{Call, Range, Request, RequestTag};

use crate::cluster::client::{Client, key, text};
use crate::cluster::{LocalCluster, PATIENCE, eventually};

/// What a node is given for an answer; then the next one is asked.
const TRY_TIME_MAX: Duration = Duration::from_secs(2);

/// How long to leave the nodes alone when all have been asked in vain.
const PAUSE: Duration = Duration::from_millis(5);

/// Writes that go on, for those who do harm meanwhile.
#[derive(Debug, Default)]
pub struct Progress {
    acknowledged: AtomicU64,
}

impl Progress {
    /// Waits until so many more writes are acknowledged.
    pub fn wait_for(&self, more: u64) {
        let count = || self.acknowledged.load(Ordering::Relaxed);
        let aim = count() + more;
        eventually("writes go on", || count() >= aim);
    }
}

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Written {
    prefix: String,
    /// The revision of each key.
    revisions: BTreeMap<String, u64>,
    /// The longest time between two acknowledgements.
    pub longest_gap: Duration,
}

impl Written {
    /// What all keys begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.revisions.len()
    }

    /// A node must hold all of them, as they were acknowledged, and each written once.
    pub fn assert_kept(&self, cluster: &LocalCluster, node: usize) {
        let mut kept = BTreeMap::new();
        let mut client = cluster.client(node);
        let mut start = None;
        loop {
            let range = Range { prefix: self.prefix.clone(), start, ..Range::default() };
            let page: List = client.ask(Request::List(range)).expect("it serves");
            for item in page.items {
                let name = item.key.as_str().to_owned();
                assert_eq!(item.version, 1, "{name} was written more than once");
                kept.insert(name, item.mod_revision);
            }
            let Some(next) = page.next else { break };
            start = Some(next.as_str().to_owned());
        }
        for (name, revision) in &self.revisions {
            let found = kept.get(name);
            assert_eq!(found, Some(revision), "{name} was acknowledged; {}", cluster.name(node));
        }
    }
}

/// A client that writes one key after the other.
#[derive(Debug)]
pub struct Writer {
    sockets: Vec<PathBuf>,
    number: u128,
    connections: Vec<Option<Client>>,
    /// Who is asked first: who answered last.
    node: usize,
    written: Written,
}

impl Writer {
    /// Client `number` of this cluster; no two of one cluster have the same.
    pub fn new(cluster: &LocalCluster, number: u128) -> Self {
        let sockets = cluster.sockets();
        let connections = sockets.iter().map(|_| None).collect();
        let written = Written { prefix: format!("written-{number}/"), ..Written::default() };
        Self { sockets, number, connections, node: 0, written }
    }

    /// Writes until `is_over`.
    pub fn run(mut self, is_over: &AtomicBool, progress: &Progress) -> Written {
        let mut seq = 0;
        while !is_over.load(Ordering::Relaxed) {
            seq += 1;
            let began = Instant::now();
            let name = format!("{}{seq:06}", self.written.prefix);
            let put = self.put(&name, seq);
            self.written.revisions.insert(name, put.revision);
            self.written.longest_gap = self.written.longest_gap.max(began.elapsed());
            progress.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.written
    }

    /// Repeats a write until it is acknowledged.
    fn put(&mut self, name: &str, seq: u64) -> Put {
        let call = Call {
            tag: Some(RequestTag { client: format!("{:032x}", self.number), seq }),
            timeout: Some(TRY_TIME_MAX / 2),
            ..Call::new(Request::put(key(name), text("v")))
        };
        let deadline = Instant::now() + PATIENCE;
        for attempt in 1_usize.. {
            if let Some(put) = self.try_put(&call) {
                return put;
            }
            assert!(Instant::now() < deadline, "{name} was not acknowledged by any node");
            self.node = (self.node + 1) % self.sockets.len();
            if attempt.is_multiple_of(self.sockets.len()) {
                thread::park_timeout(PAUSE);
            }
        }
        unreachable!("it ends above")
    }

    fn try_put(&mut self, call: &Call) -> Option<Put> {
        let connection = &mut self.connections[self.node];
        if connection.is_none() {
            *connection = Client::connect_with(&self.sockets[self.node], TRY_TIME_MAX).ok();
        }
        let Ok(outcome) = connection.as_mut()?.try_ask::<Put>(call) else {
            *connection = None;
            return None;
        };
        match outcome {
            Ok(put) => Some(put),
            Err(failure) => {
                let is_wrong = matches!(
                    failure.code,
                    ErrorCode::BadRequest | ErrorCode::Internal | ErrorCode::Corrupt
                );
                assert!(!is_wrong, "{failure:?}");
                None
            }
        }
    }
}

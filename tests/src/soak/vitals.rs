//! What daemons take of the machine, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use crate::cluster::LocalCluster;

/// Keys and history of a soak take a tenth of it.
const RSS_KIB_MAX: u64 = 512 * 1024;

/// A few files, a few for each peer, and those of the soak's clients.
const FDS_MAX: u64 = 400;

/// Those of the runtime, and of blocking work.
const THREADS_MAX: u64 = 200;

/// Looks at rest before memory counts as grown: by then history is full.
const WARM: usize = 8;

/// What a soak's daemons may log in a minute, all together.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// The highest of each, and how memory went.
#[derive(Debug, Default)]
pub struct Vitals {
    /// In KiB.
    pub rss_kib_max: u64,
    /// Descriptors.
    pub fds_max: u64,
    /// Threads.
    pub threads_max: u64,
    /// What is in the logs.
    pub log_bytes: u64,
    /// The largest daemon, each time at rest, in KiB.
    at_rest: Vec<u64>,
    /// How much of each log was looked at.
    read: BTreeMap<usize, usize>,
    began: Option<Instant>,
}

impl Vitals {
    /// Looks at all that run.
    ///
    /// # Panics
    ///
    /// If one has ended, or has panicked.
    pub fn look(&mut self, cluster: &mut LocalCluster, is_at_rest: bool) {
        self.began.get_or_insert_with(Instant::now);
        let mut largest = 0;
        for node in cluster.running().collect::<Vec<_>>() {
            if let Some(status) = cluster.ended_unasked(node) {
                panic!("{} ended with {status}, and nobody asked it to", cluster.name(node));
            }
            let pid = cluster.pid(node);
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let number = |name| {
                let line = status.lines().find_map(|line: &str| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
            };
            largest = largest.max(number("VmRSS:"));
            self.threads_max = self.threads_max.max(number("Threads:"));
            let fds = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
            self.fds_max = self.fds_max.max(fds as u64);
            self.read_log(cluster, node);
        }
        self.rss_kib_max = self.rss_kib_max.max(largest);
        if is_at_rest {
            self.at_rest.push(largest);
        }
    }

    fn read_log(&mut self, cluster: &LocalCluster, node: usize) {
        let log = cluster.logged(node);
        let read = self.read.entry(node).or_default();
        let new = &log[*read..];
        assert!(!new.contains("panicked"), "{} has panicked", cluster.name(node));
        self.log_bytes += new.len() as u64;
        *read = log.len();
    }

    /// All is within bounds.
    ///
    /// # Panics
    ///
    /// If not.
    pub fn judge(&self) {
        assert!(self.rss_kib_max < RSS_KIB_MAX, "a daemon took {} KiB", self.rss_kib_max);
        assert!(self.fds_max < FDS_MAX, "a daemon had {} descriptors", self.fds_max);
        assert!(self.threads_max < THREADS_MAX, "a daemon had {} threads", self.threads_max);
        let minutes = self.began.map_or(1, |began| 1 + began.elapsed().as_secs() / 60);
        let per_minute = self.log_bytes / minutes;
        assert!(per_minute < LOG_BYTES_MAX, "daemons logged {per_minute} bytes a minute");
        if let (Some(warm), Some(last)) = (self.at_rest.get(WARM), self.at_rest.last()) {
            let most = warm + warm / 2 + 64 * 1024;
            assert!(*last < most, "memory at rest went from {warm} KiB to {last} KiB");
        }
    }

    /// Memory of the largest daemon at the last rest, in KiB.
    pub fn at_rest(&self) -> u64 {
        self.at_rest.last().copied().unwrap_or(0)
    }
}

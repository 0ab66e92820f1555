//! The nodes of a soak: three that stay, and two that come and go; one of them with a small disk,
//! one with a disk whose power can be cut, where the machine lets us mount such.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use common::control::reply::{Delete, Get, Put};
use common::control::request::{Call, MemberChange, Request, Selection};
use common::control::status::Status;
use common::modes::{Mode, Resolver, Rule};

use crate::cluster::LocalCluster;
use crate::cluster::client::{Client, key, text};
use crate::cluster::mount::Mount;
use crate::soak::wait_until;

/// Snapshots and new files of the log are taken all the time; what is kept of history is full after
/// a few rounds, so that memory must stay as it is then.
const FLAGS: &[&str] =
    &["--snapshot-every", "2000", "--segment-size", "256K", "--history-events", "100000"];

/// Those that stay.
const FEW: usize = 3;

/// With those that come and go.
const MANY: usize = 5;

/// Whose disk is small.
pub const SMALL: usize = 2;

/// Whose power can be cut.
pub const POWERED: usize = 1;

/// However busy the machine is.
const SETTLED_MAX: Duration = Duration::from_secs(60);

/// The nodes, and the disks of some.
#[derive(Debug)]
pub struct Machines {
    /// All that were ever started, the first of them being members.
    pub cluster: LocalCluster,
    /// How many are members.
    pub members: usize,
    /// Of node 3.
    pub small: Option<Mount>,
    /// Of node 2.
    pub powered: Option<Mount>,
    dir: PathBuf,
}

impl Machines {
    /// Three nodes, with the keys of each mode.
    pub fn start(dir: &Path) -> Self {
        let small = Mount::small_in(dir, 96 * 1024);
        let powered = Mount::disk_in(dir, 256);
        let mut cluster = LocalCluster::empty_in(dir.to_owned(), Mode::Raft, FLAGS);
        cluster.add();
        for mount in [&powered, &small] {
            match mount {
                Some(mount) => cluster.add_at(mount.path().join("data"), &[]),
                None => cluster.add(),
            };
        }
        cluster.wait_formed();
        cluster.wait_voters(FEW);
        for prefix in ["single/", "shared/"] {
            cluster.set_mode(prefix, Rule::Causal(Resolver::default()));
        }
        cluster.set_mode("count/", Rule::Causal(Resolver::Counter));
        cluster.set_mode("set/", Rule::Causal(Resolver::Set));
        cluster.set_mode("spread/", Rule::Broadcast);
        Self { cluster, members: FEW, small, powered, dir: dir.to_owned() }
    }

    /// The control sockets of the members.
    pub fn sockets(&self) -> Vec<PathBuf> {
        (0..self.members).map(|node| self.cluster.socket(node)).collect()
    }

    /// How far the keys in raft mode are.
    pub fn revision(&self) -> u64 {
        let revisions = self.cluster.running().map(|it| self.cluster.client(it).status().revision);
        revisions.max().expect("one runs")
    }

    /// Two more nodes.
    pub fn grow(&mut self) {
        for node in self.members..MANY {
            if node == self.cluster.sockets().len() {
                self.cluster.add();
            } else {
                self.cluster.wipe(node);
                self.cluster.restart(node);
            }
        }
        self.members = MANY;
        self.settle();
    }

    /// And without them again.
    pub fn shrink(&mut self) {
        for node in (FEW..self.members).rev() {
            self.drain(node);
            self.remove(node);
            self.members = node;
        }
        self.settle();
    }

    /// Starts all members that do not run.
    pub fn restart_members(&mut self) {
        for node in 0..self.members {
            self.cluster.launch(node);
        }
        for node in 0..self.members {
            wait_until("its socket answers", SETTLED_MAX, || {
                Client::connect(&self.cluster.socket(node)).is_ok()
            });
        }
    }

    /// Removes a member, which ends then.
    pub fn remove(&mut self, node: usize) {
        let member = self.cluster.name(node).to_owned();
        let request = Request::Member { change: MemberChange::Remove, member, dry_run: false };
        let call = Call { timeout: Some(Duration::from_secs(5)), ..Call::new(request) };
        let other = (0..self.members).find(|other| *other != node).expect("it is not the last");
        // It may lead, and end before its answer is here; and leaders change.
        let mut asked = (0..self.members).cycle();
        wait_until("a member is removed", SETTLED_MAX, || {
            let socket = self.cluster.socket(asked.next().expect("it cycles"));
            let client = Client::connect_with(&socket, Duration::from_secs(10));
            let answer = client.and_then(|mut it| it.try_ask::<serde_json::Value>(&call));
            matches!(answer, Ok(Ok(_))) || self.cluster.voters(other) < self.members
        });
        let status = self.cluster.ended(node);
        assert!(status.success(), "{} was removed and ended with {status}", node + 1);
    }

    /// Waits until all others have what a node has in causal mode.
    pub fn drain(&self, node: usize) {
        let causal = self.cluster.client(node).status().causal.expect("there are such keys");
        let request = Request::Get {
            key: key("single/nothing"),
            read: None,
            context: Some(causal.clock.parse().expect("a context")),
            min_revision: None,
        };
        let call = Call { timeout: Some(Duration::from_secs(5)), ..Call::new(request) };
        for other in (0..self.members).filter(|other| *other != node) {
            wait_until("the others have what it has", SETTLED_MAX, || {
                let got = self.cluster.client(other).try_ask::<Get>(&call);
                matches!(got, Ok(Ok(_)))
            });
        }
    }

    /// Waits until all members run, see each other, vote, and serve. Tells how long it took.
    pub fn settle(&self) -> Duration {
        wait_until("all members serve", SETTLED_MAX, || {
            (0..self.members).all(|node| self.is_well(node))
        })
    }

    fn is_well(&self, node: usize) -> bool {
        let patience = Duration::from_secs(1);
        let Ok(mut client) = Client::connect_with(&self.cluster.socket(node), patience) else {
            return false;
        };
        let Ok(Ok(status)) = client.try_ask::<Status>(&Call::new(Request::Status)) else {
            return false;
        };
        let up = status.peers.iter().filter(|peer| peer.state.as_str() == "up").count();
        if !status.ready || up + 1 != self.members || status.peers.len() + 1 != self.members {
            return false;
        }
        let put = Request::put(key(&format!("well/{node}")), text("v"));
        let call = Call { timeout: Some(patience), ..Call::new(put) };
        let put = client.try_ask::<Put>(&call);
        matches!(put, Ok(Ok(_))) && self.cluster.voters(node) == self.members
    }

    /// Removes the keys of a round that was judged.
    pub fn forget(&self, number: u64) {
        let shared = [format!("single/{number}/"), format!("shared/{number}/")];
        let raft = [format!("workload-{number}/"), format!("written-{number}/")];
        for prefix in shared.iter().chain(&raft) {
            wait_until("keys are removed", SETTLED_MAX, || {
                let request = Request::delete(Selection::Prefix(prefix.clone()));
                let leader = self.cluster.leader();
                self.cluster.client(leader).ask::<Delete>(request).is_ok()
            });
        }
    }

    /// Ends all, before their disks are gone.
    pub fn stop(&mut self) {
        for node in 0..self.members {
            let status = self.cluster.terminate(node);
            assert!(status.success(), "node{} ended with {status}", node + 1);
        }
    }
}

impl Drop for Machines {
    /// What is on disks of a soak's own goes with them, so whoever looks for what went wrong gets a
    /// copy.
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        self.cluster.kill_all();
        for (mount, node) in [(&self.small, SMALL), (&self.powered, POWERED)] {
            if let Some(mount) = mount {
                let name = self.cluster.name(node);
                let _ = Command::new("cp")
                    .arg("-a")
                    .arg(mount.path())
                    .arg(self.dir.join(name))
                    .status();
            }
        }
    }
}

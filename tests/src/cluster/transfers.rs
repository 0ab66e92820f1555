//! Transfers between accounts: money is neither made nor lost, whatever happens to the nodes.
//!
//! A client reads two accounts, and moves some of the money by a transaction that takes effect only
//! if neither has been written since. Others read all accounts at once. Every answer carries a
//! revision, so the order of all that was acknowledged is known: it must be that of real time
//! (strict serializability), and the history of the accounts must have it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::control::kv::reply::{History, TxnDone};
use common::control::kv::{Kv, Txn, TxnOp};
use common::control::reply::{Get, Header, List, ReplyLine};
use common::control::request::{Call, Range, Request};
use common::kv::condition::{Compare, Relation, Target};
use serde::de::DeserializeOwned;

use crate::cluster::LocalCluster;
use crate::cluster::client::{Client, key, text, value_of};
use crate::sim::dice::Dice;

/// Accounts.
pub const ACCOUNTS: usize = 100;

/// What each has in the beginning.
pub const MONEY: i64 = 1_000;

/// Of a request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a client leaves alone a node that does not answer.
const PAUSE: Duration = Duration::from_millis(5);

/// What clients were told.
#[derive(Debug, Default)]
pub struct Told {
    /// The transfers that were acknowledged: their revisions, and what they left in two accounts.
    pub done: BTreeMap<u64, [(usize, i64); 2]>,
    /// Transfers that found an account changed.
    pub conflicts: u64,
    /// Transfers whose outcome nobody knows.
    pub unknown: u64,
    /// Reads of all accounts.
    pub sums: u64,
}

/// A run of clients.
#[derive(Debug)]
pub struct Transfers {
    sockets: Vec<PathBuf>,
    is_over: AtomicBool,
    /// The highest revision that anybody was told of.
    latest: AtomicU64,
}

/// Ends the run when it is dropped, also by a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One client.
struct Teller<'a> {
    run: &'a Transfers,
    dice: Dice,
    connections: Vec<Option<Client>>,
    told: Told,
}

fn account(number: usize) -> String {
    format!("account/{number:03}")
}

impl Transfers {
    /// Opens the accounts.
    pub fn open(cluster: &LocalCluster) -> Self {
        let put = |number| TxnOp::Put {
            key: key(&account(number)),
            value: text(&MONEY.to_string()),
            lease: None,
            previous: false,
        };
        let txn = Txn { then: (0..ACCOUNTS).map(put).collect(), ..Txn::default() };
        let done: Result<TxnDone, _> =
            cluster.client(cluster.leader()).ask(Request::Kv(Box::new(Kv::Txn(txn))));
        assert!(done.expect("it leads").succeeded);
        let (is_over, latest) = (AtomicBool::new(false), AtomicU64::new(1));
        Self { sockets: cluster.sockets(), is_over, latest }
    }

    /// Lets `clients` transfer, and two more read, while `meanwhile` does harm.
    pub fn run_during(&self, clients: usize, meanwhile: impl FnOnce()) -> Told {
        thread::scope(|scope| {
            let tellers: Vec<_> = (0..clients + 2)
                .map(|number| scope.spawn(move || self.teller(number as u64, number >= clients)))
                .collect();
            let end = End(&self.is_over);
            meanwhile();
            drop(end);
            let mut all = Told::default();
            for teller in tellers {
                let told = teller.join().expect("no promise was broken");
                let count = all.done.len() + told.done.len();
                all.done.extend(told.done);
                assert_eq!(all.done.len(), count, "two transfers share a revision");
                all.conflicts += told.conflicts;
                all.unknown += told.unknown;
                all.sums += told.sums;
            }
            all
        })
    }

    fn teller(&self, seed: u64, only_reads: bool) -> Told {
        let connections = self.sockets.iter().map(|_| None).collect();
        let (dice, told) = (Dice::new(seed), Told::default());
        let mut teller = Teller { run: self, dice, connections, told };
        while !self.is_over.load(Ordering::Relaxed) {
            let outcome = if only_reads { teller.add_up() } else { teller.transfer() };
            if outcome.is_none() {
                thread::park_timeout(PAUSE);
            }
        }
        teller.told
    }

    /// What was acknowledged is in the history of the accounts of every node, as far as that is
    /// kept, and the sum is what it was.
    pub fn audit(&self, cluster: &LocalCluster, told: &Told) {
        for node in cluster.running() {
            let mut client = cluster.client(node);
            let range = Range { prefix: "account/".to_owned(), ..Range::default() };
            let list: List = client.ask(Request::List(range)).expect("it serves");
            check_sum(&list);
            for number in 0..ACCOUNTS {
                let (written, floor) = history(&mut client, &account(number));
                let of_it = told.done.range(floor..).filter_map(|(revision, left)| {
                    let (_, money) = left.iter().find(|(account, _)| *account == number)?;
                    Some((revision, money.to_string()))
                });
                for (revision, money) in of_it {
                    let held = written.get(revision);
                    assert_eq!(held, Some(&money), "account {number} at {revision}");
                }
            }
        }
    }
}

/// What a key was given, by revision, and from which on that is kept.
fn history(client: &mut Client, name: &str) -> (BTreeMap<u64, String>, u64) {
    let (mut all, mut from) = (BTreeMap::new(), None);
    loop {
        let kv = Kv::History { key: key(name), from, limit: None, read: None };
        let page: History = client.ask(Request::Kv(Box::new(kv))).expect("it serves");
        let given = page.versions.into_iter();
        all.extend(given.filter_map(|v| Some((v.revision, v.value?.as_str().to_owned()))));
        from = page.next;
        if from.is_none() {
            return (all, page.floor);
        }
    }
}

fn check_sum(list: &List) {
    assert_eq!((list.items.len(), list.more), (ACCOUNTS, false));
    let money = list.items.iter().map(|item| value_of(item).parse::<i64>().expect("a number"));
    assert_eq!(money.sum::<i64>(), ACCOUNTS as i64 * MONEY, "money was made, or lost");
}

impl Teller<'_> {
    /// Asks a node for something. None where no answer came, or one that says no.
    fn ask<R: DeserializeOwned>(&mut self, node: usize, request: Request) -> Option<(Header, R)> {
        let call = Call { timeout: Some(TIMEOUT), ..Call::new(request) };
        let known = self.run.latest.load(Ordering::SeqCst);
        if self.connections[node].is_none() {
            self.connections[node] =
                Client::connect_with(&self.run.sockets[node], TIMEOUT * 2).ok();
        }
        let client = self.connections[node].as_mut()?;
        let Ok((header, outcome)) = client.try_ask_all::<R>(&call) else {
            self.connections[node] = None;
            return None;
        };
        let result = outcome.ok()?;
        let revision = header.revision.expect("raft tells one");
        // Whatever began after an answer had come has seen at least as much.
        assert!(revision >= known, "{} answers at {revision}, {known} was seen", header.node);
        self.run.latest.fetch_max(revision, Ordering::SeqCst);
        Some((header, result))
    }

    fn transfer(&mut self) -> Option<()> {
        let from = self.dice.below(ACCOUNTS);
        let to = (from + 1 + self.dice.below(ACCOUNTS - 1)) % ACCOUNTS;
        let node = self.dice.below(self.run.sockets.len());
        let (money_from, seen_from) = self.read(node, from)?;
        let (money_to, seen_to) = self.read(node, to)?;
        let amount = 1 + self.dice.below(9) as i64;
        let left = [(from, money_from - amount), (to, money_to + amount)];
        let compare = |number, seen| Compare {
            key: key(&account(number)),
            relation: Relation::Equal,
            target: Target::Mod(seen),
        };
        let put = |(number, money): (usize, i64)| TxnOp::Put {
            key: key(&account(number)),
            value: text(&money.to_string()),
            lease: None,
            previous: false,
        };
        let txn = Txn {
            compares: vec![compare(from, seen_from), compare(to, seen_to)],
            then: left.map(put).to_vec(),
            otherwise: Vec::new(),
        };
        let done = self.ask::<TxnDone>(node, Request::Kv(Box::new(Kv::Txn(txn))));
        match done {
            None => self.told.unknown += 1,
            Some((_, TxnDone { succeeded: false, .. })) => self.told.conflicts += 1,
            Some((_, TxnDone { revision, .. })) => {
                let other = self.told.done.insert(revision, left);
                assert!(other.is_none(), "two transfers share revision {revision}");
            }
        }
        Some(())
    }

    fn read(&mut self, node: usize, number: usize) -> Option<(i64, u64)> {
        let (_, got) = self.ask::<Get>(node, Request::get(key(&account(number)), None))?;
        let item = got.item.expect("accounts stay");
        Some((value_of(&item).parse().expect("a number"), item.mod_revision))
    }

    fn add_up(&mut self) -> Option<()> {
        let node = self.dice.below(self.run.sockets.len());
        let range = Range { prefix: "account/".to_owned(), ..Range::default() };
        let (_, list) = self.ask::<List>(node, Request::List(range))?;
        check_sum(&list);
        self.told.sums += 1;
        Some(())
    }
}

/// The lines of a watch, from its first on.
#[derive(Debug)]
pub struct Lines {
    client: Client,
}

impl Lines {
    /// Follows the keys of a prefix from a revision on, if the node lets it.
    pub fn begin(socket: &Path, prefix: &str, from: u64) -> Option<Self> {
        let mut client = Client::connect(socket).ok()?;
        let request = Request::Watch {
            selection: common::control::request::Selection::Prefix(prefix.to_owned()),
            from: Some(from),
            previous: false,
            only: None,
            progress: Some(Duration::from_millis(100)),
        };
        client.try_send(&Call::new(request).to_line()).ok()?;
        let line = client.line()?;
        let begun: ReplyLine<common::control::watching::WatchBegun> =
            serde_json::from_str(&line).expect(&line);
        begun.result.map(|_| Self { client })
    }

    /// The next one; none once the node has gone.
    pub fn next_line(&mut self) -> Option<common::control::watching::WatchLine> {
        let line = self.client.line()?;
        Some(serde_json::from_str(&line).expect(&line))
    }
}

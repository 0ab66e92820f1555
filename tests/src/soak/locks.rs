//! A lock that clients contend for, and what they write under its token.
//!
//! A token is the revision at which the lock was got, for claims that do not wait. So a write that
//! was taken at revision R with the fence T means that nobody got the lock between T and R.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::control::kv::reply::{Claimed, Lease, Unlocked};
use common::control::kv::{Claimant, Kv, Lock, PutOptions, Sharing};
use common::control::reply::Put;
use common::control::request::{Call, Request};
use common::identity::LeaseId;
use common::kv::condition::Conditions;
use serde::de::DeserializeOwned;

use crate::cluster::client::{Client, key, text};
use crate::sim::dice::Dice;

/// Clients.
const CLIENTS: u64 = 3;

/// Without being kept alive, so that some lose the lock while they hold it.
const TTL: Duration = Duration::from_secs(2);

/// Of a request.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(50);

/// What clients were told.
#[derive(Debug, Default)]
pub struct Locks {
    /// Tokens.
    pub tokens: BTreeSet<u64>,
    /// Writes that were taken, by revision, and their fences.
    pub writes: BTreeMap<u64, u64>,
}

impl Locks {
    /// Nobody writes who has lost the lock.
    pub fn judge(&self) {
        for (revision, token) in &self.writes {
            let other = self.tokens.range(token + 1..*revision).next();
            assert_eq!(other, None, "a write at {revision} was fenced by {token} only");
        }
    }
}

/// Clients contend until `is_over`.
pub fn contend(sockets: &[PathBuf], number: u64, is_over: &AtomicBool) -> Locks {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let (mut locks, mut dice) = (Locks::default(), Dice::new(number << 8 | client));
                    while !is_over.load(Ordering::Relaxed) {
                        let _ = hold(&sockets[dice.below(sockets.len())], number, &mut locks);
                        thread::sleep(PAUSE);
                    }
                    locks
                })
            })
            .collect();
        let mut all = Locks::default();
        for client in clients {
            let locks = client.join().expect("it comes to its end");
            for token in locks.tokens {
                assert!(all.tokens.insert(token), "two have got token {token}");
            }
            all.writes.extend(locks.writes);
        }
        all
    })
}

/// Gets the lock, writes a few times, and gives it back, unless something comes in between.
fn hold(socket: &Path, number: u64, locks: &mut Locks) -> Option<()> {
    let mut client = Client::connect_with(socket, TIMEOUT * 2).ok()?;
    let name = key(&format!("lock-{number}"));
    let lease: Lease = ask(&mut client, Kv::LeaseGrant { ttl: TTL, lease: None })?;
    let lock = Lock {
        name: name.clone(),
        lease: lease.lease,
        sharing: Sharing::Exclusive,
        value: text("holder"),
        no_wait: true,
        is_election: false,
    };
    let claimed: Option<Claimed> = ask(&mut client, Kv::Lock(lock));
    let Some(Claimed { token, .. }) = claimed else {
        return revoke(&mut client, lease.lease);
    };
    locks.tokens.insert(token);
    for _ in 0..5 {
        thread::sleep(PAUSE);
        let conditions = Conditions { fence: Some(token), ..Conditions::default() };
        let options = PutOptions { conditions, ..PutOptions::default() };
        let put = Kv::Put { key: name.clone(), value: text("held"), options };
        let put: Put = ask(&mut client, put)?;
        locks.writes.insert(put.revision, token);
    }
    let by = Claimant::Token(token);
    let _: Unlocked = ask(&mut client, Kv::Unlock { name, by })?;
    revoke(&mut client, lease.lease)
}

fn revoke(client: &mut Client, lease: LeaseId) -> Option<()> {
    ask::<serde_json::Value>(client, Kv::LeaseRevoke(lease)).map(drop)
}

fn ask<R: DeserializeOwned>(client: &mut Client, kv: Kv) -> Option<R> {
    let call = Call { timeout: Some(TIMEOUT), ..Call::new(Request::Kv(Box::new(kv))) };
    client.try_ask(&call).ok()?.ok()
}

//! Keys in broadcast mode: written everywhere, promised nothing, and equal after a sync.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::control::reply::{Delete, Put};
use common::control::request::{Call, Request, Selection};

use crate::cluster::LocalCluster;
use crate::cluster::client::{Client, key, text};
use crate::sim::dice::Dice;

/// The same in every round: what broadcast mode remembers of deleted keys stays.
const KEYS: usize = 50;

/// Of a request.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Between two writes of a client.
const PAUSE: Duration = Duration::from_millis(20);

/// Writes and deletes at a node until `is_over`.
pub fn write(socket: &Path, node: usize, number: u64, is_over: &AtomicBool) {
    let mut dice = Dice::new(number << 16 | node as u64);
    let mut connection = None;
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(PAUSE);
        if connection.is_none() {
            connection = Client::connect_with(socket, TIMEOUT * 2).ok();
        }
        let Some(client) = connection.as_mut() else { continue };
        let key = key(&format!("spread/{}", dice.below(KEYS)));
        let call = |request| Call { timeout: Some(TIMEOUT), ..Call::new(request) };
        let is_connected = if dice.chance(0.2) {
            client.try_ask::<Delete>(&call(Request::delete(Selection::Key(key)))).is_ok()
        } else {
            let value = text(&format!("{number}.{node}.{}", dice.draw()));
            client.try_ask::<Put>(&call(Request::put(key, value))).is_ok()
        };
        if !is_connected {
            connection = None;
        }
    }
}

/// Every node takes what the others have, once.
pub fn sync(cluster: &LocalCluster) {
    for node in cluster.running() {
        let synced = cluster.client(node).sync();
        synced.unwrap_or_else(|failure| panic!("{} does not sync: {failure}", cluster.name(node)));
    }
}

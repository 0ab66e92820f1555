//! A client that goes from node to node and carries what it has seen, as `distdbctl` does with
//! `DISTDB_SESSION`.

use std::time::Duration;

use common::causal::context::Context;
use common::control::reply::{Get, Header, Put};
use common::control::request::{Call, Read, Request};
use common::modes::{Mode, ModeRow, Rule};
use serde::de::DeserializeOwned;

use crate::cluster::client::{Client, Outcome, key, text};
use crate::cluster::{LocalCluster, eventually};

/// A session, with a connection to each node.
#[derive(Debug)]
pub struct Session {
    connections: Vec<Client>,
    /// After which a node that is behind says so.
    pub timeout: Duration,
    context: Context,
    revision: u64,
}

impl Session {
    /// One that has seen nothing.
    pub fn new(cluster: &LocalCluster) -> Self {
        let connections = cluster.running().map(|node| cluster.client(node)).collect();
        let timeout = Duration::from_secs(10);
        Self { connections, timeout, context: Context::default(), revision: 0 }
    }

    /// Connects anew to a node that was restarted.
    pub fn reconnect(&mut self, cluster: &LocalCluster, node: usize) {
        self.connections[node] = cluster.client(node);
    }

    /// Stores a value at a node.
    pub fn put(&mut self, node: usize, name: &str, value: &str) -> Outcome<Put> {
        let mut request = Request::put(key(name), text(value));
        if let Request::Put { context, .. } = &mut request {
            *context = self.seen();
        }
        let (header, outcome) = self.ask(node, request);
        let put: Put = outcome?;
        self.see(&header, Some(put.revision), put.context.as_deref());
        Ok(put)
    }

    /// Reads at a node.
    pub fn get(&mut self, node: usize, name: &str) -> Outcome<Get> {
        let request = Request::Get {
            key: key(name),
            read: Some(Read::Session),
            context: self.seen(),
            min_revision: Some(self.revision).filter(|revision| *revision > 0),
        };
        let (header, outcome) = self.ask(node, request);
        let get: Get = outcome?;
        self.see(&header, None, get.context.as_deref());
        Ok(get)
    }

    fn ask<R: DeserializeOwned>(&mut self, node: usize, request: Request) -> (Header, Outcome<R>) {
        let call = Call { timeout: Some(self.timeout), ..Call::new(request) };
        self.connections[node].try_ask_all(&call).expect("an answer")
    }

    fn seen(&self) -> Option<Context> {
        Some(self.context.clone()).filter(|context| !context.is_empty())
    }

    fn see(&mut self, header: &Header, of_write: Option<u64>, context: Option<&str>) {
        let context: Context = context.unwrap_or_default().parse().expect("a context");
        self.context.merge(&context);
        if header.mode == Some(Mode::Raft) {
            let revision = header.revision.max(of_write).unwrap_or(0);
            self.revision = self.revision.max(revision);
        }
    }
}

impl LocalCluster {
    /// Gives a prefix to a mode, and waits until every node goes by it.
    pub fn set_mode(&self, prefix: &str, rule: Rule) {
        let prefix = prefix.to_owned();
        let request = Request::ModeSet { prefix: prefix.clone(), rule, dry_run: false };
        let first = self.running().next().expect("one runs");
        let set: Outcome<serde_json::Value> = self.client(first).ask(request);
        set.expect("the prefix has no keys");
        eventually("all nodes go by the mode", || {
            self.running().all(|node| {
                let modes = self.client(node).status().modes;
                let goes = |row: &ModeRow| row.prefix == prefix && row.mode == rule.mode();
                modes.iter().any(goes)
            })
        });
    }
}

//! Sent once to each peer: a write goes to exactly the peers that are connected, N-1 where all
//! are, in one message of its writer; nobody sends on what somebody else wrote.
//!
//! Source: pitfalls S6 (broadcast storm) and S10 (the reply says to how many). TLA+: `NoEcho`.

use std::collections::{BTreeMap, BTreeSet};

use common::broadcast::message;
use common::control::reply::Reply;
use common::identity::NodeId;
use common::node::Message;
use common::observe::Event;
use common::protocol::{Answer, Recipients as To};

use super::peers::{Connected, Peers};
use super::{Batch, Check};

/// The number of the latest write that each node has sent.
#[derive(Debug, Default)]
pub(super) struct Recipients {
    peers: Peers,
    sent: BTreeMap<NodeId, u64>,
}

impl Check for Recipients {
    fn on_batch(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let connected = self.peers.follow(batch);
        let mut sent_to = BTreeMap::new();
        for envelope in &batch.outbox.messages {
            let Message::Broadcast(message) = &envelope.message else { continue };
            let message::Message::Write { number, write } = message else {
                continue;
            };
            let version = write.entry.version;
            if version.node != batch.node {
                return Err(format!("it sends on {}, a write of {}", write.key, version.node));
            }
            let latest = self.sent.entry(batch.node).or_default();
            if *number <= *latest {
                return Err(format!("write {number} is sent after write {latest}"));
            }
            *latest = *number;
            judge(&envelope.to, &connected)?;
            sent_to.insert(version.clock, (*number, envelope.to.as_slice().len()));
        }
        for event in batch.outbox.events() {
            let Event::Write { number, version, .. } = event else {
                continue;
            };
            let is_sent = sent_to.get(&version.clock).is_some_and(|(sent, _)| sent == number);
            if !is_sent && !connected.throughout.is_empty() {
                return Err(format!("write {number} is not sent to {:?}", connected.throughout));
            }
        }
        for (_, answer) in &batch.outbox.answers {
            let Answer::Reply(_, Ok(Reply::Put(put))) = answer else {
                continue;
            };
            let sent = sent_to.get(&put.revision).map_or(0, |(_, count)| *count);
            if put.sent_to != Some(sent) {
                return Err(format!("sent to {sent}, and told {:?}", put.sent_to));
            }
        }
        Ok(())
    }

    fn on_crash(&mut self, node: NodeId) {
        self.peers.forget(node);
        self.sent.remove(&node);
    }
}

fn judge(to: &To, connected: &Connected) -> Result<(), String> {
    let to: BTreeSet<NodeId> = to.as_slice().iter().copied().collect();
    if connected.throughout.is_subset(&to) && to.is_subset(&connected.sometimes) {
        return Ok(());
    }
    let should = &connected.throughout;
    Err(format!("a write is sent to {to:?}, connected are {should:?}"))
}

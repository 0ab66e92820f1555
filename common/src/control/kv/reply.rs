//! What a node answers to [`Kv`](super::Kv).

use serde::{Deserialize, Serialize};

use crate::control::bytes::{Base64Bytes, TextBytes};
use crate::control::reply::{Count, Delete, Get, List, Put};
use crate::control::watching::EventKind;
use crate::identity::LeaseId;
use crate::kv::key::Key;

/// The results, one struct for each operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum KvReply {
    /// Of `history`.
    History(History),
    /// Of `diff`.
    Diff(Diff),
    /// Of `compact`.
    Compacted(Compacted),
    /// Of `txn`.
    Txn(TxnDone),
    /// Of `lease_grant`, `lease_keep_alive` and `lease_show`.
    Lease(Lease),
    /// Of `lease_list`.
    Leases(Leases),
    /// Of `lease_revoke`.
    Revoked(Revoked),
    /// Of `lock` and `elect`.
    Claimed(Claimed),
    /// Of `unlock` and `resign`.
    Unlocked(Unlocked),
    /// Of `leader`.
    Holder(Holder),
}

/// The versions of a key that are kept, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Of this page.
    pub versions: Vec<Version>,
    /// Whether there are later ones.
    pub more: bool,
    /// The `from` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// What was before this revision is not kept.
    pub floor: u64,
}

/// What a key held, or that it held nothing, from a revision on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When.
    pub revision: u64,
    /// The value, where that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TextBytes>,
    /// The value, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_b64: Option<Base64Bytes>,
    /// Of a put: how often the key had been written since it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The user who did it, as the kernel of the node that was asked said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// When, in milliseconds since 1970, by the leader's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_ms: Option<u64>,
}

/// Keys that hold something else than they did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// In the order of their bytes.
    pub items: Vec<Difference>,
    /// Whether there are more behind them.
    pub more: bool,
    /// The `start` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Key>,
    /// The newer state.
    pub to: u64,
}

/// A key that holds something else than it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which.
    pub key: Key,
    /// What it held, where it existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_b64: Option<Base64Bytes>,
    /// What it holds, where it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_b64: Option<Base64Bytes>,
}

/// History was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// What was before this revision is not kept.
    pub floor: u64,
}

/// A transaction was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TxnDone {
    /// Whether its conditions held.
    pub succeeded: bool,
    /// What its operations did, in order.
    pub results: Vec<OpDone>,
    /// Of all its writes; where it wrote nothing, the latest.
    pub revision: u64,
    /// Whether it had been executed before, under the same `request` or `once`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// What an operation of a transaction did: what it says by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum OpDone {
    /// A value was stored.
    Put(Put),
    /// Keys were removed.
    Delete(Delete),
    /// A key was read.
    Get(Box<Get>),
    /// Keys were read.
    List(List),
    /// A number was added to.
    Incr(Count),
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name.
    pub lease: LeaseId,
    /// How long it lasts without being kept alive.
    pub ttl_ms: u64,
    /// How long it still lasts.
    pub remaining_ms: u64,
    /// How many keys end with it.
    pub keys_count: u64,
    /// The keys that end with it, where it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<Key>>,
    /// Whether it had been executed before, under the same `request` or `once`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// All leases, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    /// Without their keys.
    pub leases: Vec<Lease>,
}

/// A lease was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// How many keys ended with it.
    pub deleted: u64,
    /// Of their removal; without one, the latest.
    pub revision: u64,
    /// Whether it had been executed before, under the same `request` or `once`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// A lock was got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The revision of the claim: it grows from holder to holder, and fences writes.
    pub token: u64,
    /// With which lease it ends.
    pub lease: LeaseId,
}

/// A lock was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocked {
    /// Whether there was such a claim.
    pub released: bool,
    /// Whether it had been executed before, under the same `request` or `once`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// Who holds a lock, or leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Whether somebody does.
    pub found: bool,
    /// If so, the revision of the claim. Of several who share it, that of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// What the holder says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<TextBytes>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_b64: Option<Base64Bytes>,
    /// With which lease the claim ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// How many hold it.
    pub holders: u64,
    /// How many wait for it.
    pub waiting: u64,
}

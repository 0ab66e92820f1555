//! Clients: what they were told is so, and in an order that real time allows.
//!
//! 1. A write that was acknowledged is in the ledger, at the revision it was told; one that failed
//!    surely is not (pitfalls R12, D1).
//! 2. Linearizable (Herlihy and Wing 1990; Raft §8; pitfalls R3, R9, R10, R11): a read shows what
//!    the ledger has at the revision it tells, and no operation that begins after another one has
//!    returned is of an earlier revision. As each answer carries its place in the one order of all
//!    writes, that is all there is to be linearizable; nothing needs to be searched for.
//! 3. A stale read shows what was committed at its revision, and a process never goes back.
//!
//! Seen from the ledger; from the answers alone [`common::check::linearizability`] judges.

use std::collections::BTreeMap;
use std::time::Duration;

use common::control::bytes::join;
use common::control::kv::reply::KvReply;
use common::control::reply::{Get, Item, List, Reply};
use common::kv::key::Key;
use common::kv::value::Value;

use super::ledger::Ledger;

/// What a client said, and what it heard.
#[derive(Debug)]
pub struct Said {
    /// Which client.
    pub caller: usize,
    /// What.
    pub ask: Ask,
    /// When, for the first time.
    pub invoked: Duration,
    /// What came of it.
    pub heard: Heard,
}

/// What is asked.
#[derive(Debug)]
pub enum Ask {
    /// A value is to be stored.
    Put {
        /// Where.
        key: Key,
        /// Nobody puts it a second time.
        value: Value,
    },
    /// A key is to be removed.
    Delete {
        /// Which.
        key: Key,
    },
    /// An amount goes from one key to another.
    Transfer {
        /// Which.
        from: Key,
        /// To which.
        to: Key,
    },
    /// A key is counted once, whoever does it.
    Once {
        /// Which.
        key: Key,
    },
    /// A lock is claimed.
    Claim,
    /// A key is read.
    Get {
        /// Which.
        key: Key,
        /// Whether any state will do.
        is_stale: bool,
    },
    /// Keys are read.
    List {
        /// What they begin with.
        prefix: String,
        /// Whether any state will do.
        is_stale: bool,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum Heard {
    /// Nothing: it may take effect at any time, or never.
    Nothing,
    /// It was done.
    Reply {
        /// When.
        returned: Duration,
        /// Which machine answered, in which of its lives.
        place: (usize, u64),
        /// In the header.
        revision: Option<u64>,
        /// What.
        reply: Box<Reply>,
    },
    /// It surely was not done.
    Failure,
}

/// An answer that has its place in the order of revisions.
#[derive(Debug, Clone, Copy)]
struct Placed {
    invoked: Duration,
    returned: Duration,
    revision: u64,
    /// A write is behind all that had returned before, and a read not before it.
    is_write: bool,
}

pub(super) fn judge(ledger: &Ledger, said: &[Said]) -> Result<(), String> {
    let mut placed = Vec::new();
    let mut stale = Vec::new();
    for one in said {
        match &one.heard {
            Heard::Nothing => {}
            Heard::Failure => {
                if let Ask::Put { key, value } = &one.ask
                    && ledger.has_put(value)
                {
                    return Err(format!("a put of {key} failed, and took effect: {one:?}"));
                }
            }
            Heard::Reply { returned, place, revision, reply } => {
                let told = place_of(ledger, &one.ask, *revision, reply);
                let (revision, is_write) = told.map_err(|what| format!("{what}: {one:?}"))?;
                let (invoked, returned) = (one.invoked, *returned);
                if matches!(one.ask, Ask::Claim | Ask::Once { .. }) {
                    continue; // It may tell what was done long before.
                }
                if is_stale(&one.ask) {
                    stale.push((returned, *place, revision));
                } else {
                    placed.push(Placed { invoked, returned, revision, is_write });
                }
            }
        }
    }
    judge_order(placed)?;
    judge_stale(stale)
}

fn is_stale(ask: &Ask) -> bool {
    matches!(ask, Ask::Get { is_stale: true, .. } | Ask::List { is_stale: true, .. })
}

/// The revision of an answer, and whether it is that of a write of its own.
fn place_of(
    ledger: &Ledger,
    ask: &Ask,
    revision: Option<u64>,
    reply: &Reply,
) -> Result<(u64, bool), String> {
    let state = revision.ok_or("no revision is told")?;
    if state > ledger.revision() {
        return Err(format!("revision {state} of {} is told", ledger.revision()));
    }
    match (ask, reply) {
        (Ask::Put { key, value }, Reply::Put(put)) => {
            if ledger.value_at(key, put.revision) != Some(value)
                || !ledger.is_written_at(key, put.revision)
            {
                return Err(format!("revision {} is no such write", put.revision));
            }
            Ok((put.revision, true))
        }
        (Ask::Transfer { from, to }, Reply::Kv(reply)) => {
            let KvReply::Txn(done) = &**reply else { return Err("it is no txn".to_owned()) };
            let is_there = |key: &Key| ledger.is_written_at(key, done.revision);
            if !is_there(from) || !is_there(to) {
                return Err(format!("revision {} is no such transfer", done.revision));
            }
            Ok((done.revision, true))
        }
        (Ask::Once { key }, Reply::Count(count)) => {
            if count.value != 1 || !ledger.is_written_at(key, count.revision) {
                return Err(format!("revision {} did not count it to 1", count.revision));
            }
            Ok((count.revision, true))
        }
        (Ask::Claim, Reply::Kv(reply)) => {
            let KvReply::Claimed(claimed) = &**reply else { return Err("no claim".to_owned()) };
            if !ledger.was_granted(claimed.token) {
                return Err("nobody ever held it under that token".to_owned());
            }
            Ok((state, false))
        }
        (Ask::Delete { key }, Reply::Delete(delete)) => {
            let is_there = ledger.value_at(key, delete.revision).is_some();
            let is_write = delete.deleted > 0;
            if is_there || is_write && !ledger.is_written_at(key, delete.revision) {
                return Err(format!("revision {} is no such removal", delete.revision));
            }
            Ok((delete.revision, is_write))
        }
        (Ask::Get { key, .. }, Reply::Get(get)) => {
            if value_of(get.as_ref())?.as_ref() != ledger.value_at(key, state) {
                return Err(format!("revision {state} has {:?}", ledger.value_at(key, state)));
            }
            Ok((state, false))
        }
        (Ask::List { prefix, .. }, Reply::List(List { items, .. })) => {
            let shown: Result<Vec<_>, String> =
                items.iter().map(|item| Ok((item.key.clone(), value(item)?))).collect();
            let held = ledger.range_at(prefix, state);
            let held: Vec<_> = held.map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
            if shown? != held {
                return Err(format!("revision {state} has {held:?}"));
            }
            Ok((state, false))
        }
        _ => Err("it answers another question".to_owned()),
    }
}

fn value_of(get: &Get) -> Result<Option<Value>, String> {
    get.item.as_ref().map_or(Ok(None), value)
}

fn value(item: &Item) -> Result<Option<Value>, String> {
    join(item.value.clone(), item.value_b64.clone()).map_err(|failure| failure.to_string())
}

fn judge_order(placed: Vec<Placed>) -> Result<(), String> {
    let mut returns = placed.clone();
    returns.sort_by_key(|one| one.returned);
    let mut invocations = placed;
    invocations.sort_by_key(|one| one.invoked);
    let mut returned = returns.into_iter().peekable();
    let mut floor: Option<Placed> = None;
    for one in invocations {
        while let Some(earlier) = returned.next_if(|earlier| earlier.returned < one.invoked) {
            if floor.is_none_or(|floor| earlier.revision > floor.revision) {
                floor = Some(earlier);
            }
        }
        let Some(floor) = floor else { continue };
        let is_behind =
            one.revision < floor.revision || one.is_write && one.revision == floor.revision;
        if is_behind {
            return Err(format!("{one:?} begins after {floor:?} has returned"));
        }
    }
    Ok(())
}

fn judge_stale(mut stale: Vec<(Duration, (usize, u64), u64)>) -> Result<(), String> {
    stale.sort_by_key(|(returned, ..)| *returned);
    let mut seen: BTreeMap<(usize, u64), u64> = BTreeMap::new();
    for (returned, place, revision) in stale {
        let before = seen.insert(place, revision).unwrap_or(0);
        if revision < before {
            return Err(format!("{place:?} goes from {before} to {revision} at {returned:?}"));
        }
    }
    Ok(())
}

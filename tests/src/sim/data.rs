//! What the clients of raft ask of the data model.
//!
//! Below `t/` amounts go from key to key, below `o/` keys are counted once, and below `e/` they end
//! with leases. The locks are `k/0` and `k/1`. What has no judge of its own is judged by the states
//! that come of it.

use std::time::Duration;

use common::control::kv::{Claimant, Keep, Kv, Lock, Moment, PutOptions, Sharing, Txn, TxnOp};
use common::control::request::Request;
use common::identity::LeaseId;
use common::kv::condition::Conditions;
use common::kv::key::Key;

use crate::check::raft::clients::Ask;

use super::world::World;

/// The names of leases; all clients use them.
const LEASES: usize = 4;

/// About how long they last.
const TTL: Duration = Duration::from_millis(600);

impl World {
    /// A request of the data model, and how to judge what comes of it.
    pub(super) fn draw_data(&mut self) -> (Request, Option<Ask>) {
        let (kv, ask) = match self.dice.below(12) {
            0..4 => self.draw_transfer(),
            4 => {
                let key = self.draw_key_below("o");
                let request = Request::Incr {
                    key: key.clone(),
                    delta: 1,
                    acks: Default::default(),
                    context: None,
                };
                return (request, Some(Ask::Once { key }));
            }
            5 => (self.draw_claim(), Some(Ask::Claim)),
            6 => (self.draw_unlock(), None),
            7..9 => (self.draw_lease(), None),
            9 => (self.draw_ending_put(), None),
            10 => (self.draw_compaction(), None),
            _ => (self.draw_look(), None),
        };
        (Request::Kv(Box::new(kv)), ask)
    }

    fn draw_transfer(&mut self) -> (Kv, Option<Ask>) {
        let from = self.dice.below(4);
        let to = (from + 1 + self.dice.below(3)) % 4;
        let [from, to] = [from, to].map(|n| key(&format!("t/{n}")));
        let amount = 1 + self.dice.below(9) as i64;
        let then = vec![
            TxnOp::Incr { key: from.clone(), delta: -amount },
            TxnOp::Incr { key: to.clone(), delta: amount },
        ];
        (Kv::Txn(Txn { then, ..Txn::default() }), Some(Ask::Transfer { from, to }))
    }

    fn draw_lease_name(&mut self) -> LeaseId {
        LeaseId(1 + self.dice.below(LEASES) as u64)
    }

    fn draw_lock_name(&mut self) -> Key {
        key(self.dice.pick(&["k/0", "k/1"]))
    }

    fn draw_claim(&mut self) -> Kv {
        let exclusive = Sharing::Exclusive;
        Kv::Lock(Lock {
            name: self.draw_lock_name(),
            lease: self.draw_lease_name(),
            sharing: self.dice.pick(&[exclusive, exclusive, Sharing::Shared, Sharing::Slots(2)]),
            value: self.draw_value(),
            no_wait: self.dice.chance(0.2),
            is_election: false,
        })
    }

    fn draw_unlock(&mut self) -> Kv {
        let by = match self.dice.chance(0.7) {
            true => Claimant::Lease(self.draw_lease_name()),
            false => Claimant::Token(self.dice.below(200) as u64),
        };
        Kv::Unlock { name: self.draw_lock_name(), by }
    }

    fn draw_lease(&mut self) -> Kv {
        let lease = self.draw_lease_name();
        match self.dice.below(5) {
            0..2 => Kv::LeaseGrant { ttl: self.dice.about(TTL), lease: Some(lease) },
            2 => Kv::LeaseGrant { ttl: self.dice.about(TTL), lease: None },
            3 => Kv::LeaseKeepAlive(lease),
            _ => Kv::LeaseRevoke(lease),
        }
    }

    fn draw_ending_put(&mut self) -> Kv {
        let is_own = self.dice.chance(0.5);
        let ttl_ms = u64::try_from(self.dice.about(TTL).as_millis()).unwrap_or(1);
        let conditions = Conditions {
            if_absent: self.dice.chance(0.2),
            fence: self.dice.chance(0.2).then(|| self.dice.below(200) as u64),
            ..Conditions::default()
        };
        let options = PutOptions {
            conditions,
            lease: (!is_own).then(|| self.draw_lease_name()),
            ttl_ms: is_own.then_some(ttl_ms.max(1)),
            previous: self.dice.chance(0.5),
        };
        Kv::Put { key: self.draw_key_below("e"), value: self.draw_value(), options }
    }

    fn draw_compaction(&mut self) -> Kv {
        Kv::Compact(match self.dice.chance(0.5) {
            true => Keep::From(self.dice.below(300) as u64),
            false => Keep::Age(self.dice.about(Duration::from_secs(1))),
        })
    }

    fn draw_look(&mut self) -> Kv {
        let (key, read) = (self.draw_key_below("e"), None);
        match self.dice.below(5) {
            0 => {
                let revision = self.dice.below(300) as u64;
                Kv::Get { key, at: Moment::Revision(revision), read }
            }
            1 => Kv::History { key, from: None, limit: None, read },
            2 => {
                let (from, prefix) = (self.dice.below(300) as u64, "e/".to_owned());
                Kv::Diff { prefix, from, to: None, start: None, limit: None, read }
            }
            3 => Kv::LeaseList,
            _ => {
                let after = self.dice.chance(0.5).then(|| self.dice.below(100) as u64);
                Kv::Leader { name: self.draw_lock_name(), after, read }
            }
        }
    }
}

fn key(text: &str) -> Key {
    Key::try_from(text).expect("a short text")
}

//! Random commands, and what the state makes of them compared with what the model does.

use proptest::prelude::*;

use super::model::Model;
use super::*;
use crate::control::kv::{Claimant, PutOptions, Sharing, Txn, TxnOp};
use crate::control::request::Selection;
use crate::kv::condition::{Compare, Conditions, Relation, Target};
use crate::kv::lock::Claim;
use crate::kv::outcome::OpOutcome;
use crate::kv::value::Value;

/// A command, over few keys, leases and locks, so that they meet.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Put(u8, u8, PutOptions),
    Delete(u8, Conditions),
    DeletePrefix,
    Incr(u8, i8),
    Txn(Vec<(u8, u8)>, Vec<Small>, Vec<Small>),
    Compact(u8),
    Grant(u8, u16),
    Revoke(u8),
    KeepAlive(u8),
    Lock(u8, u8, Sharing, bool),
    Unlock(u8, u8),
}

/// An operation of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Small {
    Put(u8, u8),
    Delete(u8),
    Get(u8),
    Incr(u8),
}

pub(super) fn name(n: u8) -> String {
    format!("k{}", n % 4)
}

pub(super) fn key(n: u8) -> Key {
    Key::try_from(name(n).as_str()).expect("a key")
}

fn value(n: u8) -> Value {
    Value::try_from(n.to_string().into_bytes()).expect("short")
}

impl Op {
    fn command(&self) -> Command {
        let more = match self.clone() {
            Self::Put(k, v, options) => More::Put { key: key(k), value: value(v), options },
            Self::Delete(k, conditions) => {
                let selection = Selection::Key(key(k));
                More::Delete { selection, conditions, previous: true }
            }
            Self::DeletePrefix => return Command::DeletePrefix("k".to_owned()),
            Self::Incr(k, delta) => More::Incr { key: key(k), delta: delta.into() },
            Self::Txn(compares, then, otherwise) => {
                let compare = |(k, v): (u8, u8)| Compare {
                    key: key(k),
                    relation: Relation::Equal,
                    target: Target::Value(value(v)),
                };
                let ops = |ops: Vec<Small>| ops.iter().map(Small::op).collect();
                let compares = compares.into_iter().map(compare).collect();
                More::Txn(Txn { compares, then: ops(then), otherwise: ops(otherwise) })
            }
            Self::Compact(floor) => More::Compact(floor.into()),
            Self::Grant(lease, ttl) => {
                More::Grant { lease: Some(LeaseId(lease.into())), ttl_ms: ttl.into() }
            }
            Self::Revoke(lease) => More::Revoke(LeaseId(lease.into())),
            Self::KeepAlive(lease) => More::KeepAlive(LeaseId(lease.into())),
            Self::Lock(n, lease, sharing, no_wait) => {
                let claim =
                    Claim { lease: LeaseId(lease.into()), sharing, value: Value::default() };
                More::Lock { name: key(n), claim, no_wait }
            }
            Self::Unlock(n, lease) => {
                More::Unlock { name: key(n), by: Claimant::Lease(LeaseId(lease.into())) }
            }
        };
        more.into()
    }
}

impl Small {
    fn op(&self) -> TxnOp {
        match *self {
            Self::Put(k, v) => {
                TxnOp::Put { key: key(k), value: value(v), lease: None, previous: false }
            }
            Self::Delete(k) => TxnOp::Delete { selection: Selection::Key(key(k)), previous: false },
            Self::Get(k) => TxnOp::Get(key(k)),
            Self::Incr(k) => TxnOp::Incr { key: key(k), delta: 1 },
        }
    }
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let fence = prop::option::weighted(0.2, 1..30_u64);
    let revision = prop::option::weighted(0.3, 0..30_u64);
    let held = prop::option::weighted(0.2, (0..5_u8).prop_map(value));
    (0..4_u8, revision, held, fence).prop_map(|(existence, if_revision, if_value, fence)| {
        Conditions {
            if_absent: existence == 1,
            if_exists: existence == 2,
            if_revision,
            if_value,
            fence,
        }
    })
}

fn any_options() -> impl Strategy<Value = PutOptions> {
    let lease = prop::option::weighted(0.3, (0..3_u64).prop_map(LeaseId));
    let ttl_ms = prop::option::weighted(0.3, 1..100_u64);
    (any_conditions(), lease, ttl_ms, any::<bool>()).prop_map(
        |(conditions, lease, ttl_ms, previous)| {
            let ttl_ms = ttl_ms.filter(|_| lease.is_none());
            PutOptions { conditions, lease, ttl_ms, previous }
        },
    )
}

fn any_small() -> impl Strategy<Value = Small> {
    prop_oneof![
        (0..4_u8, 0..5_u8).prop_map(|(k, v)| Small::Put(k, v)),
        (0..4_u8).prop_map(Small::Delete),
        (0..4_u8).prop_map(Small::Get),
        (0..4_u8).prop_map(Small::Incr),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    let plain = (0..4_u8, 0..5_u8).prop_map(|(k, v)| Op::Put(k, v, PutOptions::default()));
    let small = || prop::collection::vec(any_small(), 0..4);
    let sharing = prop_oneof![
        Just(Sharing::Exclusive),
        Just(Sharing::Shared),
        (2..4_u32).prop_map(Sharing::Slots)
    ];
    prop_oneof![
        3 => plain,
        3 => (0..4_u8, 0..5_u8, any_options()).prop_map(|(k, v, o)| Op::Put(k, v, o)),
        1 => (0..4_u8).prop_map(|k| Op::Delete(k, Conditions::default())),
        1 => (0..4_u8, any_conditions()).prop_map(|(k, c)| Op::Delete(k, c)),
        1 => Just(Op::DeletePrefix),
        1 => (0..4_u8, -3..9_i8).prop_map(|(k, d)| Op::Incr(k, d)),
        3 => (prop::collection::vec((0..4_u8, 0..5_u8), 0..2), small(), small())
            .prop_map(|(c, t, o)| Op::Txn(c, t, o)),
        1 => (0..30_u8).prop_map(Op::Compact),
        4 => (0..4_u8, 1..600_u16).prop_map(|(l, ttl)| Op::Grant(l, ttl)),
        1 => (0..3_u8).prop_map(Op::Revoke),
        1 => (0..3_u8).prop_map(Op::KeepAlive),
        6 => (Just(0_u8), 0..4_u8, sharing, prop::bool::weighted(0.3))
            .prop_map(|(n, l, s, w)| Op::Lock(n, l, s, w)),
        6 => (0..4_u8).prop_map(|l| Op::Lock(1, l, Sharing::Slots(2), false)),
        1 => (0..2_u8, 0..4_u8).prop_map(|(n, l)| Op::Unlock(n, l)),
    ]
}

/// The model does not tell what a read finds; the keys are compared anyway.
fn without_items(outcome: Outcome) -> Outcome {
    let Outcome::Txn { succeeded, mut results, revision } = outcome else { return outcome };
    for result in &mut results {
        if let OpOutcome::Get { item, .. } = result {
            *item = None;
        }
    }
    Outcome::Txn { succeeded, results, revision }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// All commands, time that passes, history that is let go of at any time, and a snapshot amid.
    #[test]
    fn the_state_is_what_its_model_says(
        steps in prop::collection::vec((any_op(), 0..40_u64, 0..3_usize), 1..60),
        at: prop::sample::Index,
    ) {
        let (mut model, mut state) = (Model::new(), State::new(Mode::Raft));
        let at = at.index(steps.len());
        for (n, (op, pause, sweep)) in steps.into_iter().enumerate() {
            // A transaction that stores a key twice is refused before it is one.
            let index = 1_000 + n as u64;
            let command = op.command();
            if let Command::More(more) = &command
                && let More::Txn(txn) = &**more
                && txn.check().is_err()
            {
                continue;
            }
            model.advance(pause);
            let stamp = Stamp { log_ms: model.now, unix_ms: 1_700_000_000_000 + model.now };
            let proposal = Proposal { tag: None, command: command.by(Some(7), None) }.encode();
            let applied = state.apply(index, stamp, &proposal);
            let expected = model.apply(index, &op);
            prop_assert_eq!(without_items(applied.outcome), expected, "{:?}", op);
            state.history.sweep(sweep);
            if n == at {
                state = restore(&state);
            }
            model.compare(&state);
        }
    }
}

//! Random commands, done by the state and by the [`Model`], are held against each other.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::model::{Model, Told};
use super::*;
use crate::control::kv::{Claimant, PutOptions, Sharing, Txn, TxnOp};
use crate::control::request::Selection;
use crate::kv::command::{Command, Proposal, Tag};
use crate::kv::condition::{Compare, Conditions, Relation, Target};
use crate::kv::history::Event;
use crate::kv::lock::Claim;

const KEYS: [&str; 5] = ["a", "ab", "b", "c/x", "c/y"];
const NAMES: [&str; 2] = ["a", "l"];

#[derive(Debug, Clone)]
enum Action {
    /// Time passes, and a command is done.
    Do {
        ms: u64,
        proposal: Proposal,
    },
    /// One of the commands before is done again.
    Again(Index),
    Sweep(usize),
    Restore,
    Check,
}

fn any_key() -> impl Strategy<Value = Key> {
    select(&KEYS).prop_map(|text| Key::try_from(text).expect("a key"))
}

fn any_name() -> impl Strategy<Value = Key> {
    select(&NAMES).prop_map(|text| Key::try_from(text).expect("a key"))
}

fn any_prefix() -> impl Strategy<Value = String> {
    select(&["", "a", "c/", "c/y", "z"]).prop_map(str::to_owned)
}

fn any_value() -> impl Strategy<Value = Value> {
    let texts = select(&["", "x", "1", " 2 ", "-7", "9223372036854775807", "nine"]);
    texts.prop_map(|text| Value::try_from(text.as_bytes().to_vec()).expect("short"))
}

fn any_lease() -> impl Strategy<Value = LeaseId> {
    prop_oneof![4 => 1_u64..5, 1 => 5_u64..40].prop_map(LeaseId)
}

fn any_selection() -> impl Strategy<Value = Selection> {
    let prefix = any_prefix().prop_map(Selection::Prefix);
    prop_oneof![3 => any_key().prop_map(Selection::Key), 1 => prefix]
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let rare = |p| proptest::bool::weighted(p);
    let revision = option::weighted(0.1, 0_u64..30);
    let value = option::weighted(0.1, any_value());
    let all = (rare(0.1), rare(0.1), revision, value, option::weighted(0.2, 0_u64..40));
    all.prop_map(|(if_absent, if_exists, if_revision, if_value, fence)| Conditions {
        if_absent,
        if_exists,
        if_revision,
        if_value,
        fence,
    })
}

fn any_options() -> impl Strategy<Value = PutOptions> {
    let lease = option::weighted(0.3, any_lease());
    let all = (any_conditions(), lease, option::weighted(0.3, 1_u64..4_000), any::<bool>());
    all.prop_map(|(conditions, lease, ttl_ms, previous)| PutOptions {
        conditions,
        lease,
        ttl_ms,
        previous,
    })
}

fn any_compare() -> impl Strategy<Value = Compare> {
    let relations = [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater];
    let target = prop_oneof![
        any_value().prop_map(Target::Value),
        (0_u64..4).prop_map(Target::Version),
        (0_u64..30).prop_map(Target::Create),
        (0_u64..30).prop_map(Target::Mod),
        option::of(any_lease()).prop_map(Target::Lease),
    ];
    let all = (any_key(), select(relations.to_vec()), target);
    all.prop_map(|(key, relation, target)| Compare { key, relation, target })
}

fn any_op() -> impl Strategy<Value = TxnOp> {
    let lease = option::weighted(0.3, any_lease());
    let put = (any_key(), any_value(), lease, any::<bool>());
    prop_oneof![
        4 => put.prop_map(|(key, value, lease, previous)| {
            TxnOp::Put { key, value, lease, previous }
        }),
        4 => (any_selection(), any::<bool>())
            .prop_map(|(selection, previous)| TxnOp::Delete { selection, previous }),
        1 => any_key().prop_map(TxnOp::Get),
        1 => (any_prefix(), option::of(0_u64..3))
            .prop_map(|(prefix, limit)| TxnOp::List { prefix, limit }),
        2 => (any_key(), -3_i64..4).prop_map(|(key, delta)| TxnOp::Incr { key, delta }),
    ]
}

fn any_txn() -> impl Strategy<Value = Txn> {
    let ops = || prop::collection::vec(any_op(), 0..5);
    let all = (prop::collection::vec(any_compare(), 0..3), ops(), ops());
    all.prop_map(|(compares, then, otherwise)| Txn { compares, then, otherwise })
}

fn any_claimant() -> impl Strategy<Value = Claimant> {
    prop_oneof![(0_u64..40).prop_map(Claimant::Token), any_lease().prop_map(Claimant::Lease)]
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let slots = (0_u32..4).prop_map(Sharing::Slots);
    let sharing =
        prop_oneof![2 => Just(Sharing::Exclusive), 1 => Just(Sharing::Shared), 1 => slots];
    (any_lease(), sharing).prop_map(|(lease, sharing)| Claim {
        lease,
        sharing,
        value: Value::default(),
    })
}

fn any_more() -> impl Strategy<Value = More> {
    let age = prop_oneof![4 => 0_u64..9_000, 1 => Just(u64::MAX)];
    prop_oneof![
        4 => (any_key(), any_value(), any_options())
            .prop_map(|(key, value, options)| More::Put { key, value, options }),
        2 => (any_selection(), any_conditions(), any::<bool>()).prop_map(
            |(selection, conditions, previous)| More::Delete { selection, conditions, previous }
        ),
        1 => (any_key(), prop_oneof![-3_i64..4, Just(i64::MAX)])
            .prop_map(|(key, delta)| More::Incr { key, delta }),
        5 => any_txn().prop_map(More::Txn),
        1 => (0_u64..40).prop_map(More::Compact),
        1 => age.prop_map(More::CompactOlder),
        4 => (option::weighted(0.8, any_lease()), 1_u64..6_000)
            .prop_map(|(lease, ttl_ms)| More::Grant { lease, ttl_ms }),
        1 => any_lease().prop_map(More::Revoke),
        2 => any_lease().prop_map(More::KeepAlive),
        5 => (any_name(), any_claim(), any::<bool>())
            .prop_map(|(name, claim, no_wait)| More::Lock { name, claim, no_wait }),
        6 => any_lease().prop_map(|lease| {
            // A lock that is always claimed alike, so that many hold it together.
            let claim = Claim { lease, sharing: Sharing::Slots(2), value: Value::default() };
            let name = Key::try_from("slots").expect("a key");
            More::Lock { name, claim, no_wait: false }
        }),
        2 => (any_name(), any_claimant()).prop_map(|(name, by)| More::Unlock { name, by }),
        2 => (any_name(), 0_u64..40).prop_map(|(name, token)| More::Withdraw { name, token }),
        1 => Just(More::Tick),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let rule = select(vec![Rule::Raft, Rule::Broadcast]);
    let simple = prop_oneof![
        3 => (any_key(), any_value()).prop_map(|(key, value)| Command::Put { key, value }),
        2 => any_key().prop_map(Command::Delete),
        1 => any_prefix().prop_map(Command::DeletePrefix),
        1 => (select(&["c/", "c/y", "l"]), rule)
            .prop_map(|(prefix, rule)| Command::SetMode { prefix: prefix.to_owned(), rule }),
    ];
    prop_oneof![1 => simple, 4 => any_more().prop_map(Command::from)]
}

fn any_action() -> impl Strategy<Value = Action> {
    let id = select(&["one", "two", "three"]).prop_map(|text| OnceId::new(text.into()));
    let once = option::weighted(0.2, id).prop_map(Option::flatten);
    let tag = option::weighted(0.2, (0_u128..2, 0_u64..6));
    let tag = tag.prop_map(|tag| tag.map(|(client, seq)| Tag { client, seq }));
    let proposal = (tag, any_command(), option::of((option::of(0_u32..2), once)));
    let proposal = proposal.prop_map(|(tag, command, by)| Proposal {
        tag,
        command: match by {
            Some((uid, once)) => command.by(uid, once),
            None => command,
        },
    });
    let ms = prop_oneof![10 => Just(0_u64), 10 => 0_u64..2_000, 1 => Just(24 * 3_600_000)];
    prop_oneof![
        16 => (ms, proposal).prop_map(|(ms, proposal)| Action::Do { ms, proposal }),
        2 => any::<Index>().prop_map(Action::Again),
        1 => (1_usize..9).prop_map(Action::Sweep),
        1 => Just(Action::Restore),
        1 => Just(Action::Check),
    ]
}

fn told(event: &Event) -> Told {
    let Event { key, kind, revision, author, before, after, .. } = event.clone();
    Told { revision, key, kind, author, before, after }
}

/// All that can be asked.
fn compare(state: &State, model: &Model) {
    let (store, history) = (&state.store, &state.history);
    let keys = store.iter().map(|(key, item)| (key.clone(), item.clone())).collect();
    assert_eq!((state.revision, history.floor()), (model.revision(), model.floor));
    assert_eq!(model.keys, keys);
    let bytes = keys.iter().map(|(key, item)| key.as_str().len() + item.bytes().len());
    assert_eq!(store.bytes(), bytes.sum::<usize>() as u64);
    assert!(state.modes == model.modes && state.once.len() == model.once.len());
    for text in KEYS {
        let key = Key::try_from(text).expect("a key");
        let from_floor = (0..).zip(&model.states).filter(|(revision, _)| *revision >= model.floor);
        for (revision, keys) in from_floor {
            assert_eq!(history.at(store, &key, revision), keys.get(&key), "{key} at {revision}");
        }
        let is_its = |told: &&Told| told.key == key && told.revision >= model.floor;
        let all: Vec<Told> = model.events.iter().rev().filter(is_its).cloned().collect();
        assert_eq!(history.of(store, &key).map(told).collect::<Vec<_>>(), all, "{key}");
    }
    for from in model.floor..=model.revision() + 1 {
        let is_its = |told: &&Told| told.revision >= from;
        let all: Vec<Told> = model.events.iter().filter(is_its).cloned().collect();
        let mut since: Vec<Told> = history.since(from).map(told).collect();
        assert!(since.is_sorted_by_key(|told| told.revision));
        since.sort_by(|one, next| (one.revision, &one.key).cmp(&(next.revision, &next.key)));
        assert_eq!(since, all, "since {from}");
    }
    compare_leases(state, model);
    compare_locks(state, model);
}

fn compare_leases(state: &State, model: &Model) {
    assert!(state.leases.iter().map(|(id, _)| id).eq(model.leases.keys().copied()));
    for (id, lease) in state.leases.iter() {
        let other = &model.leases[&id];
        assert_eq!((lease.ttl_ms, lease.ends_ms), (other.ttl_ms, other.ends_ms));
        let keys = model.keys.iter().filter(|(_, item)| item.lease == Some(id));
        assert!(lease.keys.iter().eq(keys.map(|(key, _)| key)), "the keys of {id:?}");
        let is_its = |(_, claims): &(_, &Vec<(u64, Claim)>)| {
            claims.iter().any(|(_, claim)| claim.lease == id)
        };
        let locks = model.claims.iter().filter(is_its);
        assert!(lease.locks.iter().eq(locks.map(|(name, _)| name)), "the locks of {id:?}");
    }
}

fn compare_locks(state: &State, model: &Model) {
    let all = model.claims.values().map(Vec::len).sum::<usize>();
    assert_eq!(state.locks.claims(), all as u64);
    for (name, claims) in &model.claims {
        let (held, holders) = (state.locks.held(name), model.holders_of(name));
        assert_eq!(held.first, claims.first().map(|(token, claim)| (*token, claim)));
        assert_eq!(held.holders, holders.len());
        assert_eq!(held.waiting, claims.len() - holders.len());
        for (token, claim) in claims {
            let is_held = holders.contains(token);
            assert_eq!(state.locks.is_held(name, *token), Some(is_held));
            assert_eq!(state.locks.claim_of(name, claim.lease), Some((*token, is_held)));
        }
    }
    for token in 0..=model.revision() {
        assert_eq!(state.locks.is_valid(token), model.is_valid(token), "token {token}");
    }
}

fn in_order(mut applied: Applied) -> Applied {
    applied.turns.sort_by(|one, next| (&one.name, one.token).cmp(&(&next.name, next.token)));
    applied
}

/// The state does what the model does; and whether a node has let go of what is forgotten, or has
/// its state from a snapshot, nobody can tell from what it does (R21, T2, W4, W11, X1, X2, X3).
fn replay(actions: &[Action]) {
    let (mut state, mut model) = (State::new(Mode::Raft), Model::new());
    let mut twin = state.clone();
    let mut stamp = NOW;
    let (mut done, mut index): (Vec<Proposal>, _) = (Vec::new(), 0);
    for action in actions {
        let proposal = match action {
            Action::Do { ms, proposal } => {
                stamp = Stamp { log_ms: stamp.log_ms + ms, unix_ms: stamp.unix_ms + ms };
                proposal.clone()
            }
            Action::Again(_) if done.is_empty() => continue,
            Action::Again(place) => place.get(&done).clone(),
            Action::Sweep(count) => {
                state.history.sweep(*count);
                continue;
            }
            Action::Restore => {
                state = restore(&state);
                continue;
            }
            Action::Check => {
                compare(&state, &model);
                continue;
            }
        };
        index += 1;
        let applied = state.apply(index, stamp, &proposal.encode());
        assert_eq!(applied, twin.apply(index, stamp, &proposal.encode()));
        assert_eq!(in_order(applied), in_order(model.apply(index, stamp, &proposal)));
        assert!(state == twin && state.hash() == twin.hash(), "swept, restored: the same");
        done.push(proposal);
    }
    compare(&state, &model);
    compare(&twin, &model);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_state_does_what_the_model_does(
        actions in prop::collection::vec(any_action(), 1..80),
        has_leases: bool,
    ) {
        // Leases that last, so that many wait for a lock.
        let ttl_ms = 40 * 24 * 3_600_000;
        let grant = |lease| More::Grant { lease: Some(LeaseId(lease)), ttl_ms };
        let grant = |lease| Proposal { tag: None, command: grant(lease).into() };
        let grants = (1..5).filter(|_| has_leases).map(grant);
        let grants = grants.map(|proposal| Action::Do { ms: 0, proposal });
        replay(&grants.chain(actions).collect::<Vec<_>>());
    }
}

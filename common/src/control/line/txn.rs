//! The members of `txn`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::bytes::{self, Base64Bytes, TextBytes};
use crate::control::failure::{ErrorCode, Failure};
use crate::control::kv::{TXN_OPS_MAX, Txn, TxnOp};
use crate::control::line::kv::lease_id;
use crate::control::line::{Line, key_failure, missing};
use crate::control::request::Selection;
use crate::identity::LeaseId;
use crate::kv::condition::{Compare, Relation, Target};
use crate::kv::key::{Key, check_prefix};

/// A condition.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComparePart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is: Option<Relation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Operand>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_b64: Option<Base64Bytes>,
}

/// What is compared with: a number, or the text of a value or a lease.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number or a string")]
enum Operand {
    Number(u64),
    Text(TextBytes),
}

/// An operation.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpPart {
    op: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<TextBytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_b64: Option<Base64Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delta: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    previous: bool,
}

impl Line {
    pub(super) fn take_txn(&mut self) -> Result<Txn, Failure> {
        let compares = self.r#if.take().unwrap_or_default();
        let [then, otherwise] =
            [self.then.take(), self.r#else.take()].map(Option::unwrap_or_default);
        if compares.len() > TXN_OPS_MAX || then.len() + otherwise.len() > TXN_OPS_MAX {
            let message = format!("a txn takes {TXN_OPS_MAX} conditions, and as many operations");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        let ops = |ops: Vec<OpPart>| ops.into_iter().map(OpPart::into_op).collect::<Result<_, _>>();
        let txn = Txn {
            compares: compares
                .into_iter()
                .map(ComparePart::into_compare)
                .collect::<Result<_, _>>()?,
            then: ops(then)?,
            otherwise: ops(otherwise)?,
        };
        txn.check()?;
        Ok(txn)
    }

    pub(super) fn set_txn(&mut self, txn: &Txn) {
        let compares: Vec<_> = txn.compares.iter().map(ComparePart::of).collect();
        self.r#if = (!compares.is_empty()).then_some(compares);
        let ops = |ops: &[TxnOp]| ops.iter().map(OpPart::of).collect::<Vec<_>>();
        self.then = Some(ops(&txn.then));
        self.r#else = (!txn.otherwise.is_empty()).then(|| ops(&txn.otherwise));
    }
}

impl Txn {
    /// Checks what no type says: no key is stored twice on a way through it.
    ///
    /// # Errors
    ///
    /// `bad_request`, naming the key.
    pub fn check(&self) -> Result<(), Failure> {
        for ops in [&self.then, &self.otherwise] {
            let mut stored = BTreeSet::new();
            for op in ops {
                if let TxnOp::Put { key, .. } | TxnOp::Incr { key, .. } = op
                    && !stored.insert(key)
                {
                    let message = format!("a txn stores a key once, and {key} comes twice");
                    return Err(Failure::bad_request(message));
                }
            }
        }
        Ok(())
    }
}

impl ComparePart {
    fn into_compare(self) -> Result<Compare, Failure> {
        let key = key(self.key)?;
        let relation = self.is.ok_or_else(|| missing("is"))?;
        let target = self.target.ok_or_else(|| missing("target"))?;
        let number = |to: Option<Operand>| match to {
            Some(Operand::Number(number)) => Ok(number),
            Some(Operand::Text(_)) => {
                Err(Failure::bad_request(format!("member `to`: a {target} is a number")))
            }
            None => Err(missing("to")),
        };
        let target = match &*target {
            "value" => {
                let text = match self.to {
                    Some(Operand::Text(text)) => Some(text),
                    Some(Operand::Number(_)) => {
                        return Err(Failure::bad_request("member `to`: a value is a string"));
                    }
                    None => None,
                };
                let value = bytes::join(text, self.to_b64)?;
                Target::Value(value.ok_or_else(|| missing("to"))?)
            }
            _ if self.to_b64.is_some() => {
                return Err(Failure::bad_request("member `to_b64` is for a value"));
            }
            "version" => Target::Version(number(self.to)?),
            "create" => Target::Create(number(self.to)?),
            "mod" => Target::Mod(number(self.to)?),
            "lease" => Target::Lease(lease(self.to)?),
            other => {
                return Err(Failure::bad_request(format!(
                    "member `target` is {other:?}; there are: value, version, create, mod, lease"
                )));
            }
        };
        Ok(Compare { key, relation, target })
    }

    fn of(compare: &Compare) -> Self {
        let number = |number: u64| (Some(Operand::Number(number)), None);
        let (target, (to, to_b64)) = match &compare.target {
            Target::Value(value) => {
                let (text, base64) = bytes::split(value.clone());
                ("value", (text.map(Operand::Text), base64))
            }
            Target::Version(version) => ("version", number(*version)),
            Target::Create(revision) => ("create", number(*revision)),
            Target::Mod(revision) => ("mod", number(*revision)),
            Target::Lease(lease) => {
                let text = lease.map_or(String::new(), |lease| lease.to_string());
                ("lease", (Some(Operand::Text(TextBytes::from(text))), None))
            }
        };
        let (key, target) = (Some(compare.key.clone().into()), Some(target.into()));
        Self { key, target, is: Some(compare.relation), to, to_b64 }
    }
}

/// The lease of a comparison; the empty text, or 0, is for none.
fn lease(to: Option<Operand>) -> Result<Option<LeaseId>, Failure> {
    match to {
        Some(Operand::Number(0)) => Ok(None),
        Some(Operand::Text(text)) if text.byte_count() == 0 => Ok(None),
        Some(Operand::Text(text)) => lease_id(&text.as_str().into()).map(Some),
        Some(Operand::Number(_)) => Err(Failure::bad_request("member `to`: a lease is a string")),
        None => Err(missing("to")),
    }
}

impl OpPart {
    fn into_op(mut self) -> Result<TxnOp, Failure> {
        let op = Arc::clone(&self.op);
        let parsed = match &*op {
            "put" => TxnOp::Put {
                key: key(self.key.take())?,
                value: bytes::join(self.value.take(), self.value_b64.take())?
                    .ok_or_else(|| missing("value"))?,
                lease: self.lease.take().map(|text| lease_id(&text)).transpose()?,
                previous: std::mem::take(&mut self.previous),
            },
            "delete" => {
                let previous = std::mem::take(&mut self.previous);
                let selection = match self.prefix.take() {
                    Some(_) if self.key.is_some() || previous => {
                        let message = "with `prefix` a delete takes neither `key` nor `previous`";
                        return Err(Failure::bad_request(message));
                    }
                    Some(text) => Selection::Prefix(prefix(&text)?),
                    None => Selection::Key(key(self.key.take())?),
                };
                TxnOp::Delete { selection, previous }
            }
            "get" => TxnOp::Get(key(self.key.take())?),
            "list" => TxnOp::List {
                prefix: prefix(&self.prefix.take().unwrap_or_default())?,
                limit: self.limit.take(),
            },
            "incr" => {
                TxnOp::Incr { key: key(self.key.take())?, delta: self.delta.take().unwrap_or(1) }
            }
            other => {
                return Err(Failure::bad_request(format!(
                    "member `op` is {other:?}; a txn takes put, delete, get, list and incr"
                )));
            }
        };
        match self.left_over() {
            Some(member) => Err(Failure::bad_request(format!("{op} takes no member `{member}`"))),
            None => Ok(parsed),
        }
    }

    fn left_over(&self) -> Option<&'static str> {
        let members = [
            (self.key.is_some(), "key"),
            (self.prefix.is_some(), "prefix"),
            (self.value.is_some(), "value"),
            (self.value_b64.is_some(), "value_b64"),
            (self.lease.is_some(), "lease"),
            (self.delta.is_some(), "delta"),
            (self.limit.is_some(), "limit"),
            (self.previous, "previous"),
        ];
        members.into_iter().find(|(is_there, _)| *is_there).map(|(_, name)| name)
    }

    fn of(op: &TxnOp) -> Self {
        let named = |op: &str| Self { op: op.into(), ..Self::default() };
        match op {
            TxnOp::Put { key, value, lease, previous } => {
                let (value, value_b64) = bytes::split(value.clone());
                Self {
                    key: Some(key.clone().into()),
                    value,
                    value_b64,
                    lease: lease.map(|lease| lease.to_string().into()),
                    previous: *previous,
                    ..named("put")
                }
            }
            TxnOp::Delete { selection: Selection::Key(key), previous } => {
                Self { key: Some(key.clone().into()), previous: *previous, ..named("delete") }
            }
            TxnOp::Delete { selection: Selection::Prefix(prefix), .. } => {
                Self { prefix: Some(prefix.as_str().into()), ..named("delete") }
            }
            TxnOp::Get(key) => Self { key: Some(key.clone().into()), ..named("get") },
            TxnOp::List { prefix, limit } => {
                Self { prefix: Some(prefix.as_str().into()), limit: *limit, ..named("list") }
            }
            TxnOp::Incr { key, delta } => {
                Self { key: Some(key.clone().into()), delta: Some(*delta), ..named("incr") }
            }
        }
    }
}

fn key(text: Option<Arc<str>>) -> Result<Key, Failure> {
    let text = text.ok_or_else(|| missing("key"))?;
    Key::try_from(text).map_err(|error| key_failure("key", error))
}

fn prefix(text: &str) -> Result<String, Failure> {
    check_prefix(text).map_err(|error| key_failure("prefix", error))?;
    Ok(text.to_owned())
}

//! The members of what reads and changes keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::causal::context::Context;
use crate::control::acks::Acks;
use crate::control::bytes;
use crate::control::failure::Failure;
use crate::control::line::{Line, missing};
use crate::control::request::{Range, Request, Selection};
use crate::kv::key::Key;
use crate::kv::value::Value;

/// A condition or an operation of a `txn`, as far as it is looked at.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Part {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Arc<str>>,
}

impl Line {
    pub(super) fn take_put(&mut self) -> Result<Request, Failure> {
        Ok(Request::Put {
            value: self.take_value()?,
            key: self.take_key()?,
            acks: self.acks.take().unwrap_or_default(),
            context: self.take_context()?,
            conditional: self.take_is_conditional()?,
        })
    }

    pub(super) fn take_get(&mut self) -> Result<Request, Failure> {
        Ok(Request::Get {
            key: self.take_key()?,
            read: self.read.take(),
            context: self.take_context()?,
            min_revision: self.min_revision.take(),
        })
    }

    pub(super) fn take_delete(&mut self) -> Result<Request, Failure> {
        Ok(Request::Delete {
            selection: self.take_selection()?,
            acks: self.acks.take().unwrap_or_default(),
            context: self.take_context()?,
        })
    }

    pub(super) fn take_incr(&mut self) -> Result<Request, Failure> {
        Ok(Request::Incr {
            key: self.take_key()?,
            delta: self.delta.take().unwrap_or(1),
            acks: self.acks.take().unwrap_or_default(),
            context: self.take_context()?,
        })
    }

    pub(super) fn take_add(&mut self) -> Result<Request, Failure> {
        Ok(Request::Add {
            value: self.take_value()?,
            key: self.take_key()?,
            acks: self.acks.take().unwrap_or_default(),
            context: self.take_context()?,
        })
    }

    pub(super) fn take_remove(&mut self) -> Result<Request, Failure> {
        Ok(Request::Remove {
            value: self.take_value()?,
            key: self.take_key()?,
            acks: self.acks.take().unwrap_or_default(),
            context: self.take_context()?,
        })
    }

    pub(super) fn take_conflicts(&mut self) -> Result<Request, Failure> {
        Ok(Request::Conflicts {
            prefix: self.take_prefix()?.unwrap_or_default(),
            start: self.start.take().map(|text| text.to_string()),
            limit: self.limit.take(),
            context: self.take_context()?,
        })
    }

    pub(super) fn take_resolve(&mut self) -> Result<Request, Failure> {
        Ok(Request::Resolve {
            value: self.take_value()?,
            key: self.take_key()?,
            context: self.take_context()?,
        })
    }

    pub(super) fn take_txn(&mut self) -> Result<Request, Failure> {
        let parts = [self.r#if.take(), self.then.take(), self.r#else.take()];
        let keys = parts.into_iter().flatten().flatten().filter_map(|part| part.key);
        let key = |text| Key::try_from(text).map_err(|error| super::key_failure("key", error));
        Ok(Request::Txn { keys: keys.map(key).collect::<Result<_, _>>()? })
    }

    fn take_value(&mut self) -> Result<Value, Failure> {
        let value = bytes::join(self.value.take(), self.value_b64.take())?;
        value.ok_or_else(|| missing("value"))
    }

    fn take_context(&mut self) -> Result<Option<Context>, Failure> {
        let text = self.context.take();
        let clock = text.map(|text| text.parse()).transpose();
        clock.map_err(|error| Failure::bad_request(format!("member `context`: {error}")))
    }

    /// Conditions are checked as far as that goes without carrying them out.
    fn take_is_conditional(&mut self) -> Result<bool, Failure> {
        let value = bytes::join(self.if_value.take(), self.if_value_b64.take())?;
        let on_existence = [self.if_absent.take(), self.if_exists.take()];
        let revision = self.if_revision.take();
        Ok(value.is_some() || revision.is_some() || on_existence.contains(&Some(true)))
    }

    pub(super) fn take_selection(&mut self) -> Result<Selection, Failure> {
        match self.take_prefix()? {
            Some(_) if self.key.is_some() => {
                Err(Failure::bad_request("`key` and `prefix` stand side by side; give one"))
            }
            Some(prefix) => Ok(Selection::Prefix(prefix)),
            None if self.key.is_none() => Err(missing("key` or `prefix")),
            None => self.take_key().map(Selection::Key),
        }
    }

    pub(super) fn take_range(&mut self) -> Result<Range, Failure> {
        Ok(Range {
            prefix: self.take_prefix()?.unwrap_or_default(),
            start: self.start.take().map(|text| text.to_string()),
            end: self.end.take().map(|text| text.to_string()),
            limit: self.limit.take(),
            keys_only: self.keys_only.take().unwrap_or(false),
            count_only: self.count_only.take().unwrap_or(false),
            read: self.read.take(),
            context: self.take_context()?,
            min_revision: self.min_revision.take(),
        })
    }

    pub(super) fn set_key(&mut self, key: &Key) {
        self.key = Some(key.clone().into());
    }

    pub(super) fn set_value(&mut self, key: &Key, value: &Value) {
        self.set_key(key);
        (self.value, self.value_b64) = bytes::split(value.clone());
    }

    pub(super) fn set_acks(&mut self, acks: Acks, context: Option<&Context>) {
        self.acks = (acks != Acks::default()).then_some(acks);
        self.set_context(context);
    }

    pub(super) fn set_context(&mut self, context: Option<&Context>) {
        self.context = context.map(|clock| clock.to_string().into());
    }

    pub(super) fn set_selection(&mut self, selection: &Selection) {
        match selection {
            Selection::Key(key) => self.set_key(key),
            Selection::Prefix(prefix) => self.prefix = Some(prefix.as_str().into()),
        }
    }

    pub(super) fn set_range(&mut self, range: &Range) {
        self.set_page(&range.prefix, range.start.as_deref(), range.limit);
        self.end = range.end.as_deref().map(Arc::from);
        self.keys_only = range.keys_only.then_some(true);
        self.count_only = range.count_only.then_some(true);
        self.read = range.read;
        self.set_context(range.context.as_ref());
        self.min_revision = range.min_revision;
    }

    pub(super) fn set_page(&mut self, prefix: &str, start: Option<&str>, limit: Option<u64>) {
        self.prefix = (!prefix.is_empty()).then(|| prefix.into());
        self.start = start.map(Arc::from);
        self.limit = limit;
    }

    /// What is refused in any case keeps no more than the keys that it names.
    pub(super) fn set_txn(&mut self, keys: &[Key]) {
        let part = |key: &Key| Part { key: Some(key.clone().into()) };
        self.then = Some(keys.iter().map(part).collect());
    }
}

//! The members of what reads and changes keys.

use std::sync::Arc;

use crate::causal::context::Context;
use crate::control::acks::Acks;
use crate::control::bytes;
use crate::control::failure::Failure;
use crate::control::kv::Kv;
use crate::control::line::kv::check_delete;
use crate::control::line::{Line, missing};
use crate::control::request::{Range, Request, Selection};
use crate::kv::key::Key;
use crate::kv::value::Value;

impl Line {
    pub(super) fn take_put(&mut self) -> Result<Request, Failure> {
        let (value, key) = (self.take_value()?, self.take_key()?);
        if let Some(options) = self.take_put_options()? {
            self.check_acks()?;
            return Ok(Request::Kv(Box::new(Kv::Put { key, value, options })));
        }
        let acks = self.acks.take().unwrap_or_default();
        Ok(Request::Put { key, value, acks, context: self.take_context()? })
    }

    pub(super) fn take_get(&mut self) -> Result<Request, Failure> {
        if let Some(at) = self.take_moment()? {
            let (key, read) = (self.take_key()?, self.read.take());
            return Ok(Request::Kv(Box::new(Kv::Get { key, at, read })));
        }
        Ok(Request::Get {
            key: self.take_key()?,
            read: self.read.take(),
            context: self.take_context()?,
            min_revision: self.min_revision.take(),
        })
    }

    pub(super) fn take_delete(&mut self) -> Result<Request, Failure> {
        let (conditions, previous) =
            (self.take_conditions()?, self.previous.take().unwrap_or(false));
        let selection = self.take_selection()?;
        if previous || !conditions.is_empty() {
            check_delete(&selection, &conditions, previous)?;
            self.check_acks()?;
            return Ok(Request::Kv(Box::new(Kv::Delete { selection, conditions, previous })));
        }
        Ok(Request::Delete {
            selection,
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

    fn take_value(&mut self) -> Result<Value, Failure> {
        let value = bytes::join(self.value.take(), self.value_b64.take())?;
        value.ok_or_else(|| missing("value"))
    }

    fn take_context(&mut self) -> Result<Option<Context>, Failure> {
        let text = self.context.take();
        let clock = text.map(|text| text.parse()).transpose();
        clock.map_err(|error| Failure::bad_request(format!("member `context`: {error}")))
    }

    /// What takes a consensus is on the disks of a majority before it is answered: that may be asked
    /// for, and nothing else.
    fn check_acks(&mut self) -> Result<(), Failure> {
        match self.acks.take() {
            None | Some(Acks::Majority | Acks::Nodes(1)) => Ok(()),
            Some(_) => Err(Failure::bad_request("a condition takes no `acks` but majority")),
        }
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

    pub(super) fn take_list(&mut self) -> Result<Request, Failure> {
        let at = self.take_moment()?;
        let range = self.take_range()?;
        Ok(match at {
            Some(at) => Request::Kv(Box::new(Kv::List { range, at })),
            None => Request::List(range),
        })
    }

    fn take_range(&mut self) -> Result<Range, Failure> {
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
}

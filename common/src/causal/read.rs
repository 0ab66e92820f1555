//! What clients read: this node's own copy.

use crate::causal::resolver::View;
use crate::causal::traced::dots;
use crate::causal::version::Version;
use crate::causal::{Causal, Effects};
use crate::control::conflict::{ConflictingKey, Conflicts, Sibling};
use crate::control::reply::{Get, Header, Item, List, Reply, Served};
use crate::control::request::{Range, Read, Request};
use crate::kv::key::Key;
use crate::kv::page::{Row, page};
use crate::kv::value::{VALUE_BYTES_MAX, Value};
use crate::modes::{Mode, Resolver};
use crate::observe::CausalEvent;
use crate::protocol::{Answer, RequestId};
use crate::time::Time;

/// Keys of a page of conflicts.
const CONFLICTS_MAX: usize = 1_000;

/// Keys that are looked at for one, or for a status: more would hold up others.
const LOOKED_AT_MAX: usize = 10_000;

/// What the siblings of a key take, in bytes. A client adds none beyond; of those that concurrent
/// writes add, an answer, which is one line, tells but whose they are.
pub(super) const SIBLINGS_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX;

impl Causal {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other is a read of this mode")]
    pub(super) fn read(
        &mut self,
        now: Time,
        id: RequestId,
        request: Request,
        effects: &mut Effects,
    ) {
        let session = |read, has_context: bool| match read {
            Some(Read::Stale) => Served::Stale,
            Some(Read::Session) => Served::Session,
            Some(Read::Linearizable) | None if has_context => Served::Session,
            Some(Read::Linearizable) | None => Served::Local,
        };
        let (served, reply) = match request {
            Request::Get { key, read, context, .. } => {
                let served = session(read, context.is_some());
                let reply = Reply::Get(Box::new(self.get(&key)));
                self.trace(effects, |causal| {
                    let dots = dots(causal.store.get(&key));
                    CausalEvent::SessionRead { key, context, dots }
                });
                (served, reply)
            }
            Request::List(range) => {
                let served = session(range.read, range.context.is_some());
                (served, Reply::List(self.list(&range)))
            }
            Request::Conflicts { prefix, start, limit, .. } => {
                let found = self.conflicts(&prefix, start.as_deref(), limit);
                (Served::Local, Reply::Conflicts(found))
            }
            Request::Sync { prefix, dry_run } => {
                self.begin_repair(now, id, prefix, dry_run, effects);
                return;
            }
            _ => unreachable!("the node answers these itself, or another protocol does"),
        };
        effects.answer(id, Answer::Reply(self.header(Some(served)), Ok(reply)));
    }

    fn get(&self, key: &Key) -> Get {
        let context = Some(self.context());
        let versions = self.store.get(key);
        if versions.is_empty() {
            let siblings = Vec::new();
            return Get { found: false, item: None, siblings, conflict: false, context };
        }
        let resolver = self.resolver_of(key);
        let view = resolver.view(versions);
        let conflict = view.conflict;
        let siblings = match conflict || resolver == Resolver::Set {
            true => siblings(resolver, versions),
            false => Vec::new(),
        };
        let item = Some(Item::from(row(key, &view)));
        Get { found: true, item, siblings, conflict, context }
    }

    fn list(&self, range: &Range) -> List {
        let context = Some(self.context());
        List { context, ..self.list_where(range, |_| true) }
    }

    /// The page of `range`, of the keys that `counts`.
    pub fn list_where(&self, range: &Range, counts: impl Fn(&Key) -> bool) -> List {
        let keys = self.store.from(&range.prefix, range.start.as_deref());
        let keys = keys.filter(|(key, _)| counts(key));
        page(range, keys.map(|(key, versions)| row(key, &self.resolver_of(key).view(versions))))
    }

    /// A page of conflicts. Not all versions that stand side by side are one, those of a counter are
    /// none: so many keys are looked at.
    fn conflicts(&self, prefix: &str, start: Option<&str>, limit: Option<u64>) -> Conflicts {
        let limit = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let mut several = self.store.several(prefix, start);
        let (mut items, mut looked) = (Vec::new(), 0);
        while items.len() < limit.min(CONFLICTS_MAX) && looked < LOOKED_AT_MAX {
            let Some((key, versions)) = several.next() else { break };
            looked += 1;
            if self.is_conflict(key, versions) {
                let siblings = siblings(self.resolver_of(key), versions).len() as u64;
                items.push(ConflictingKey { key: key.clone(), siblings });
            }
        }
        let next = several.next().map(|(key, _)| key.clone());
        Conflicts { items, more: next.is_some(), next, context: Some(self.context()) }
    }

    fn is_conflict(&self, key: &Key, versions: &[Version]) -> bool {
        self.is_causal(key) && self.resolver_of(key).view(versions).conflict
    }

    /// How many keys have versions that somebody has to resolve, of the first that have several.
    pub(super) fn count_conflicts(&self) -> u64 {
        let several = self.store.several("", None).take(LOOKED_AT_MAX);
        several.filter(|(key, versions)| self.is_conflict(key, versions)).count() as u64
    }

    /// What a key shows.
    pub(super) fn value_of(
        &self,
        resolver: Resolver,
        versions: Option<impl AsRef<[Version]>>,
    ) -> Option<Value> {
        let versions = versions?;
        let versions = versions.as_ref();
        (!versions.is_empty()).then(|| shown(&resolver.view(versions)))
    }

    /// How the versions of a key are seen.
    pub(super) fn resolver_of(&self, key: &Key) -> Resolver {
        self.modes.resolver_of(key.as_str()).unwrap_or_default()
    }

    /// Whether a key belongs to this mode: what came before its mode was known may not.
    pub(super) fn is_causal(&self, key: &Key) -> bool {
        self.modes.mode_of(key.as_str()) == Mode::Causal
    }

    /// What this node has seen, for clients to carry.
    pub(super) fn context(&self) -> String {
        self.clock.to_string()
    }

    /// The header of an answer about keys of this mode.
    pub fn header(&self, served: Option<Served>) -> Header {
        Header {
            node: self.config.name.clone(),
            mode: Some(Mode::Causal),
            term: None,
            revision: Some(self.lamport),
            served,
        }
    }

    /// Whether a key exists here.
    pub fn has(&self, key: &Key) -> bool {
        !self.store.get(key).is_empty()
    }

    /// Whether any key with this prefix is here.
    pub fn has_any(&self, prefix: &str) -> bool {
        self.store.range(prefix, None).next().is_some()
    }
}

fn row<'a>(key: &'a Key, view: &View<'_>) -> Row<'a> {
    Row {
        key,
        value: shown(view),
        create_revision: view.created,
        mod_revision: view.modified,
        version: view.writes,
        lease: None,
    }
}

/// The value of a key. Of a set that has grown past what a value takes, which concurrent additions
/// can make it, those elements that do.
fn shown(view: &View<'_>) -> Value {
    Value::try_from(view.value.clone()).unwrap_or_else(|_| {
        let mut bytes = 0;
        let fits = |element: &&&[u8]| {
            bytes += element.len() + 1;
            bytes <= VALUE_BYTES_MAX
        };
        let elements: Vec<&[u8]> = view.elements.iter().take_while(fits).copied().collect();
        Value::try_from(elements.join(&b'\n')).expect("it was cut")
    })
}

/// The versions that stand side by side, the winner first; of a set its elements, each once, in
/// the order of their bytes.
fn siblings(resolver: Resolver, versions: &[Version]) -> Vec<Sibling> {
    let mut sorted: Vec<&Version> = versions.iter().collect();
    if resolver == Resolver::Set {
        sorted
            .sort_by(|one, other| one.value.cmp(&other.value).then(other.rank().cmp(&one.rank())));
        sorted.dedup_by(|one, other| one.value == other.value);
    } else {
        sorted.sort_by_key(|version| std::cmp::Reverse(version.rank()));
    }
    let mut bytes = 0;
    let shown = sorted.into_iter().map(|version| {
        bytes += version.value.len();
        let mut sibling = Sibling::new(version.value(), version.dot, version.time.unix_ms());
        if bytes > SIBLINGS_BYTES_MAX {
            (sibling.value, sibling.value_b64) = (None, None);
        }
        sibling
    });
    shown.collect()
}

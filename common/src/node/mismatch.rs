//! What the mode of a key can't do, and what is said of it.

use crate::causal::Causal;
use crate::control::acks::Acks;
use crate::control::failure::{ErrorCode, Failure};
use crate::control::kv::Kv;
use crate::control::request::Selection;
use crate::kv::key::Key;
use crate::modes::Mode;
use crate::node::Node;

impl Node {
    /// The mode of a key that is to be written, if it can do so.
    pub(super) fn mode_to_put(&self, key: &Key, acks: Acks) -> Result<Mode, Failure> {
        let mode = self.mode_of(key.as_str())?;
        self.check_acks(mode, acks).map(|()| mode)
    }

    /// The one mode of keys that are to be removed, if it can do so.
    pub(super) fn mode_to_delete(
        &self,
        selection: &Selection,
        acks: Acks,
    ) -> Result<Mode, Failure> {
        let mode = match selection {
            Selection::Key(key) => self.mode_of(key.as_str()),
            Selection::Prefix(prefix) => self.mode_of_all(prefix),
        }?;
        self.check_acks(mode, acks).map(|()| mode)
    }

    /// Nothing may be told to be on more disks than it is.
    fn check_acks(&self, mode: Mode, acks: Acks) -> Result<(), Failure> {
        let message = match (mode, acks) {
            (Mode::Causal, _) | (_, Acks::Nodes(1)) | (Mode::Raft, Acks::Majority) => return Ok(()),
            (Mode::Raft, Acks::Nodes(nodes)) if nodes as usize <= self.majority() => return Ok(()),
            (Mode::Raft, Acks::Nodes(_) | Acks::All) => {
                "raft mode answers a write when a majority has it, and waits for no others"
            }
            (Mode::Broadcast, Acks::Nodes(_) | Acks::Majority | Acks::All) => {
                "in broadcast mode nobody acknowledges a write"
            }
        };
        Err(Failure::new(ErrorCode::ModeMismatch, message)
            .with_hint("keys in causal mode take any number of acks: distdbctl mode set --help"))
    }

    fn majority(&self) -> usize {
        self.raft.as_ref().map_or(0, |raft| raft.configuration().majority())
    }

    /// The mode of a counter: broadcast mode has none.
    pub(super) fn mode_to_count(&self, key: &Key, acks: Acks) -> Result<Mode, Failure> {
        match self.mode_of(key.as_str())? {
            Mode::Raft => self.check_acks(Mode::Raft, acks).map(|()| Mode::Raft),
            Mode::Causal | Mode::Broadcast => self.mode_to_merge("incr", key),
        }
    }

    /// For what causal mode alone can do with a key.
    pub(super) fn mode_to_merge(&self, op: &str, key: &Key) -> Result<Mode, Failure> {
        self.check_joined()?;
        match self.mode_of(key.as_str())? {
            Mode::Causal => Ok(Mode::Causal),
            other @ (Mode::Broadcast | Mode::Raft) => {
                let other = other.as_str();
                let message = format!("{op} takes a key in causal mode; {key} is in {other} mode");
                Err(Failure::new(ErrorCode::ModeMismatch, message).with_hint(TO_CAUSAL))
            }
        }
    }

    /// For what causal mode alone can do with the keys of a prefix, of which some may have it.
    pub(super) fn mode_to_merge_all(&self, op: &str, prefix: &str) -> Result<Mode, Failure> {
        self.check_joined()?;
        self.mode_of(prefix)?;
        let has_some = self
            .raft
            .as_ref()
            .is_some_and(|raft| raft.state().modes.may_have(prefix, Mode::Causal));
        if has_some {
            return Ok(Mode::Causal);
        }
        let message = format!("{op} is about causal mode, and no key with that prefix has it");
        Err(Failure::new(ErrorCode::ModeMismatch, message).with_hint(TO_CAUSAL))
    }

    /// Which of the two modes that sync is asked to: by hand, and not by prefix, broadcast mode where
    /// keys may have it.
    pub(super) fn mode_to_sync(
        &self,
        prefix: Option<&str>,
        dry_run: bool,
    ) -> Result<Mode, Failure> {
        let is_whole = prefix.is_none() && !dry_run;
        if is_whole && (self.has_broadcast_keys() || !self.has_causal_keys()) {
            return Ok(Mode::Broadcast);
        }
        self.mode_to_merge_all("sync of a prefix", prefix.unwrap_or_default())
    }

    /// What takes a consensus is for keys in raft mode alone.
    pub(super) fn check_consensus(&self, kv: &Kv) -> Result<(), Failure> {
        for selection in kv.selections() {
            let (mode, what) = match &selection {
                Selection::Key(key) => (self.mode_of(key.as_str())?, key.as_str()),
                Selection::Prefix(prefix) => (self.mode_of_all(prefix)?, prefix.as_str()),
            };
            if mode != Mode::Raft {
                return Err(needs_raft(what, mode));
            }
        }
        self.check_raft()
    }

    /// This node's part in Lab 2, for a request that needs it.
    pub(super) fn require_causal(&self) -> Result<&Causal, Failure> {
        self.causal.as_ref().ok_or_else(|| {
            let message = format!("{} does not serve keys in causal mode", self.config.name);
            Failure::new(ErrorCode::NotReady, message)
        })
    }

    /// Refuses as long as there may be keys in causal mode, and this node does not serve them.
    pub(super) fn check_causal(&self) -> Result<(), Failure> {
        if self.has_causal_keys() { self.require_causal()?.check_ready() } else { Ok(()) }
    }
}

/// What to do about a key that is not in causal mode.
const TO_CAUSAL: &str =
    "give a prefix without keys to it: distdbctl mode set PREFIX causal [--resolver NAME]";

/// That something is done once takes a consensus.
pub(super) fn check_once(mode: Mode, is_once: bool) -> Result<Mode, Failure> {
    match mode {
        Mode::Broadcast | Mode::Causal if is_once => {
            let message =
                format!("once takes keys in raft mode; these are in {} mode", mode.as_str());
            Err(Failure::new(ErrorCode::ModeMismatch, message))
        }
        Mode::Broadcast | Mode::Causal | Mode::Raft => Ok(mode),
    }
}

fn needs_raft(what: &str, mode: Mode) -> Failure {
    let mode = mode.as_str();
    let message = format!("that takes keys in raft mode; {what:?} is in {mode} mode");
    Failure::new(ErrorCode::ModeMismatch, message)
        .with_hint("distdbctl mode list shows which prefixes are in which mode")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broadcast;
    use crate::config::{Config, Keeping};
    use crate::control::request::{Call, Request};
    use crate::identity::{ClusterId, NodeId};
    use crate::kv::value::Value;
    use crate::node::{Found, Identity, Record};
    use crate::protocol::{Answer, Effects, Input, Protocol, RequestId};
    use crate::storage::Save;
    use crate::time::Time;

    /// What would be saved is of no interest.
    struct Void;

    impl Save<Record> for Void {
        fn save(&mut self, _: &[Record]) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The one node of a cluster that was founded in `mode`.
    fn founder(mode: Mode) -> Node {
        let name = || "n1".parse().expect("a name");
        let config = Config {
            node: NodeId(1),
            name: name(),
            address: "n1:1".to_owned(),
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
            mode,
            snapshot_every: 100,
            log_kept_bytes: 0,
            causal_log_bytes: 1_000_000,
            keeping: Keeping::default(),
            seed: 1,
            is_traced: false,
        };
        let broadcast = broadcast::Record::bootstrap(NodeId(1), name(), ClusterId(1));
        let identity = Some(Identity { broadcast, mode, founder: true });
        Node::recover(config, Found { identity, ..Found::default() }).expect("nothing contradicts")
    }

    /// Why the request fails.
    fn refused(node: &mut Node, request: Request) -> ErrorCode {
        let mut effects = Effects::default();
        let id = RequestId { connection: 1, sequence: 1 };
        let input = Input::Request { id, call: Call::new(request) };
        node.step(Time::default(), input, &mut effects);
        let outbox = effects.commit(&mut Void).expect("nothing can fail");
        match outbox.answers.as_slice() {
            [(_, Answer::Reply(_, Err(failure)))] => failure.code,
            other => panic!("{other:?}"),
        }
    }

    fn key() -> Key {
        Key::try_from("k").expect("a key")
    }

    fn put(acks: Acks) -> Request {
        Request::Put { key: key(), value: Value::default(), acks, context: None }
    }

    #[test]
    fn what_takes_a_consensus_is_refused_where_there_is_none() {
        for mode in [Mode::Broadcast, Mode::Causal] {
            for line in [
                r#"{"op":"txn","if":[{"key":"k","target":"mod","is":"=","to":0}],"then":[]}"#,
                r#"{"op":"txn","then":[{"op":"delete","prefix":"k"}]}"#,
                r#"{"op":"put","key":"k","value":"v","if_absent":true}"#,
                r#"{"op":"put","key":"k","value":"v","ttl_ms":1000}"#,
                r#"{"op":"delete","key":"k","if_revision":1}"#,
                r#"{"op":"get","key":"k","revision":1}"#,
                r#"{"op":"lock","name":"k","lease":"1"}"#,
            ] {
                let call = Call::parse(line.as_bytes()).expect(line);
                let code = refused(&mut founder(mode), call.request);
                assert_eq!(code, ErrorCode::ModeMismatch, "{mode:?}: {line}");
            }
        }
    }

    #[test]
    fn what_causal_mode_alone_can_do_is_refused_by_the_others() {
        let (acks, context) = (Acks::default(), None);
        let value = Value::default;
        for mode in [Mode::Broadcast, Mode::Raft] {
            let mut node = founder(mode);
            for request in [
                Request::Add { key: key(), value: value(), acks, context: context.clone() },
                Request::Remove { key: key(), value: value(), acks, context: context.clone() },
                Request::Resolve { key: key(), value: value(), context: None },
                Request::Conflicts { prefix: "".into(), start: None, limit: None, context: None },
                Request::Sync { prefix: Some("k".into()), dry_run: false },
            ] {
                let told = format!("{mode:?}: {request:?}");
                assert_eq!(refused(&mut node, request), ErrorCode::ModeMismatch, "{told}");
            }
        }
    }

    /// Raft mode has counters of its own, broadcast mode has none.
    #[test]
    fn a_counter_takes_a_mode_that_can_count() {
        let (acks, context) = (Acks::default(), None);
        let incr = Request::Incr { key: key(), delta: 1, acks, context };
        let code = refused(&mut founder(Mode::Broadcast), incr);
        assert_eq!(code, ErrorCode::ModeMismatch);
    }

    /// S10: nobody is told that more nodes have a write than do.
    #[test]
    fn acks_that_a_mode_can_not_keep_are_refused() {
        for (mode, acks) in [
            (Mode::Broadcast, Acks::Nodes(2)),
            (Mode::Broadcast, Acks::Majority),
            (Mode::Raft, Acks::Nodes(2)),
            (Mode::Raft, Acks::All),
        ] {
            let code = refused(&mut founder(mode), put(acks));
            assert_eq!(code, ErrorCode::ModeMismatch, "{mode:?}: {acks}");
        }
    }
}

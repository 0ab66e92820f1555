//! What the clients of raft ask.
//!
//! Keys below `r/` are judged operation by operation. Those below `x/` are written and removed all
//! together, those below `b/` change their mode: they are judged by the states that come of it.

use bytes::Bytes;

use common::control::condition::Condition;
use common::control::request::{Range, Read, Request, Selection};
use common::kv::key::Key;
use common::kv::value::Value;
use common::modes::Rule;

use crate::check::raft::clients::Ask;

use super::world::World;

impl World {
    /// A request, and how to judge what comes of it.
    pub(super) fn draw_question(&mut self) -> (Request, Option<Ask>) {
        let key = self.draw_key_below("r");
        let read = self.dice.pick(&[None, Some(Read::Linearizable), Some(Read::Stale)]);
        let is_stale = read == Some(Read::Stale);
        match self.dice.below(100) {
            0..28 => {
                let value = self.draw_value();
                let ask = Ask::Put { key: key.clone(), value: value.clone() };
                (Request::put(key, value), Some(ask))
            }
            28..40 => self.draw_data(),
            40..65 => (Request::get(key.clone(), read), Some(Ask::Get { key, is_stale })),
            65..75 => (Request::delete(Selection::Key(key.clone())), Some(Ask::Delete { key })),
            75..80 => {
                let prefix = self.dice.pick(&["r/", "t/"]).to_owned();
                let ask = Ask::List { prefix: prefix.clone(), is_stale };
                (Request::List(Range { prefix, read, ..Range::default() }), Some(ask))
            }
            _ => (self.draw_other(), None),
        }
    }

    fn draw_other(&mut self) -> Request {
        let folder = self.dice.pick(&["x", "x", "b"]);
        let key = self.draw_key_below(folder);
        match self.dice.below(12) {
            0..4 => Request::put(key, self.draw_value()),
            4 => Request::get(key, None),
            5 => Request::delete(Selection::Key(key)),
            6 => Request::delete(Selection::Prefix(format!("{folder}/"))),
            7 => Request::ModeSet {
                prefix: "b/".to_owned(),
                rule: self.dice.pick(&[Rule::Broadcast, Rule::Raft]),
                dry_run: self.dice.chance(0.1),
            },
            8 => Request::Watch {
                selection: Selection::Prefix(self.dice.pick(&["r/", "x/", ""]).to_owned()),
                from: None,
                previous: true,
                only: None,
                progress: None,
            },
            9 if self.dice.chance(0.5) => Request::Wait(Condition::Leader),
            9 => Request::Wait(Condition::Synced),
            10 => Request::Explain { key: Some(key), purpose: None },
            _ if self.dice.chance(0.5) => Request::Status,
            _ => Request::Modes,
        }
    }

    /// Every value is put once, so it tells which put it is from.
    pub(super) fn draw_value(&mut self) -> Value {
        self.callers.values += 1;
        let mut bytes = format!("v{}", self.callers.values).into_bytes();
        let length = self.dice.below(self.profile.value_bytes_max);
        bytes.resize(bytes.len().max(length), b'.');
        Value::try_from(Bytes::from(bytes)).expect("below the bound")
    }

    pub(super) fn draw_key_below(&mut self, folder: &str) -> Key {
        let number = self.dice.below(self.profile.keys);
        Key::try_from(format!("{folder}/{number}").as_str()).expect("a short text")
    }
}

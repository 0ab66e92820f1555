//! Contexts: what a client has seen. It carries them from answer to request, in `context`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::causal::clock::{COUNTER_MAX, Dot, VectorClock};
use crate::identity::NodeId;

/// Writes beside its clock that a context tells, at most. Then the first of them go into the clock,
/// and with them what their nodes wrote before.
const DOTS_MAX: usize = 64;

/// What was read, and what was written: a clock, and single dots beside it (a dotted version
/// vector: Preguiça et al. 2012). A client that writes has seen its own write, and not what others
/// have written just before at the same node.
///
/// Invariant: `dots` has none that `clock` covers, and not more than `DOTS_MAX`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    clock: VectorClock,
    dots: BTreeSet<Dot>,
}

impl Context {
    /// What the node with this clock has seen.
    pub fn of(clock: VectorClock) -> Self {
        Self { clock, dots: BTreeSet::new() }
    }

    /// Whether the write was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        self.clock.contains(dot) || self.dots.contains(&dot)
    }

    /// The last writes of nodes that were seen: who has all these has all of it.
    pub fn iter(&self) -> impl Iterator<Item = Dot> + '_ {
        self.clock.iter().chain(self.dots.iter().copied())
    }

    /// Whether a node with this clock has seen all of it.
    pub fn is_covered_by(&self, clock: &VectorClock) -> bool {
        self.iter().all(|dot| clock.contains(dot))
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.clock.is_empty() && self.dots.is_empty()
    }

    /// Sees one write more.
    pub fn add(&mut self, dot: Dot) {
        if !self.clock.contains(dot) {
            self.dots.insert(dot);
        }
        self.tidy();
    }

    /// Sees all that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.clock.merge(&other.clock);
        self.dots.extend(&other.dots);
        self.tidy();
    }

    fn tidy(&mut self) {
        self.dots.retain(|dot| !self.clock.contains(*dot));
        // The next of a node is no gap.
        while let Some(next) =
            self.dots.iter().find(|dot| self.clock.get(dot.node) + 1 == dot.counter).copied()
        {
            self.dots.remove(&next);
            self.clock.advance(next);
        }
        while self.dots.len() > DOTS_MAX
            && let Some(first) = self.dots.pop_first()
        {
            self.clock.advance(first);
        }
        self.dots.retain(|dot| !self.clock.contains(*dot));
    }
}

/// The text that clients carry: `NODE:COUNTER` for all writes of a node up to one, `NODE=COUNTER`
/// for a single one, with commas between; empty where nothing was seen.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clock.fmt(f)?;
        let mut comma = if self.clock.is_empty() { "" } else { "," };
        for Dot { node, counter } in &self.dots {
            write!(f, "{comma}{node}={counter}")?;
            comma = ",";
        }
        Ok(())
    }
}

/// A text that is no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no context: it is what an answer had as `context`")]
pub struct ContextError(String);

impl FromStr for Context {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<Self, ContextError> {
        let wrong = || ContextError(text.chars().take(80).collect());
        let (mut all, mut single) = (Vec::new(), Vec::new());
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let place = part.find([':', '=']).ok_or_else(wrong)?;
            let dot = dot(&part[..place], &part[place + 1..]).ok_or_else(wrong)?;
            if part[place..].starts_with(':') { all.push(dot) } else { single.push(dot) }
        }
        let clock = VectorClock::from(all);
        if !clock.is_plausible() || single.len() > DOTS_MAX {
            return Err(wrong());
        }
        let mut context = Self { clock, dots: single.into_iter().collect() };
        context.tidy();
        Ok(context)
    }
}

fn dot(node: &str, counter: &str) -> Option<Dot> {
    let is_hex = node.len() == 16 && node.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_decimal = counter.bytes().all(|byte| byte.is_ascii_digit());
    let node = u64::from_str_radix(node, 16).ok().filter(|_| is_hex && is_decimal)?;
    let counter = counter.parse().ok().filter(|counter| *counter < COUNTER_MAX)?;
    Some(Dot { node: NodeId(node), counter })
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contexts() -> impl Strategy<Value = Context> {
        let dot = (0_u64..4, 1_u64..9);
        let dot = dot.prop_map(|(node, counter)| Dot { node: NodeId(node), counter });
        let dots = prop::collection::vec(dot, 0..6);
        (dots.clone(), dots).prop_map(|(all, single)| {
            let mut context = Context::of(all.into_iter().collect());
            single.into_iter().for_each(|dot| context.add(dot));
            context
        })
    }

    proptest! {
        /// C17: what two shells have seen is merged to what both have, in any order.
        #[test]
        fn a_merge_has_what_either_had_and_no_more(a in contexts(), b in contexts()) {
            let (mut both, mut other) = (a.clone(), b.clone());
            both.merge(&b);
            other.merge(&a);
            prop_assert_eq!(&both, &other);
            for node in 0..4 {
                for counter in 1..9 {
                    let dot = Dot { node: NodeId(node), counter };
                    prop_assert_eq!(both.contains(dot), a.contains(dot) || b.contains(dot));
                }
            }
        }

        #[test]
        fn a_context_comes_back_from_its_text(context in contexts()) {
            prop_assert_eq!(context.to_string().parse(), Ok(context));
        }
    }

    /// L8: the client has not seen what another wrote at the same node just before it.
    #[test]
    fn a_write_of_ones_own_does_not_stand_for_those_before_it() {
        let dot = |counter| Dot { node: NodeId(1), counter };
        let mut context = Context::of([dot(5)].into_iter().collect());
        context.add(dot(7));
        assert!(!context.contains(dot(6)) && context.contains(dot(7)));
        let text = "0000000000000001:5,0000000000000001=7";
        assert_eq!(context.to_string(), text);
        context.add(dot(6));
        assert_eq!(context.to_string(), "0000000000000001:7");
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for bad in [
            "x",
            ":",
            "1:1",
            "000000000000000g:1",
            "0000000000000001:-1",
            ",",
            "0000000000000001:1,",
            "+000000000000001:1",
            "0000000000000001:9007199254740992",
            "0000000000000001",
            "0000000000000001:+1",
        ] {
            assert!(bad.parse::<Context>().is_err(), "{bad:?}");
        }
        assert_eq!("".parse(), Ok(Context::default()));
    }
}

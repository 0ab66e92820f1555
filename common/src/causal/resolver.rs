//! Resolvers: what the versions of a key are to its readers.
//!
//! A resolver changes no state: it is a view on the set of versions that stand side by side, the
//! same on each node that has the same set. That set is a join of what nodes have (commutative,
//! associative, idempotent: Shapiro et al. 2011), so views converge as it does, in whatever order
//! writes come, and another resolver can be chosen at any time without a change of what is stored.

use bytes::Bytes;

use crate::causal::clock::Dot;
use crate::causal::version::Version;
use crate::modes::Resolver;

/// What readers get of the versions of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View<'a> {
    /// The value. It shares the bytes of a version where it is that of one. A set of many elements
    /// may take more than a value may have.
    pub value: Bytes,
    /// Whether readers are to be told that there are other values.
    pub conflict: bool,
    /// The Lamport clock of the write that made the key.
    pub created: u64,
    /// The Lamport clock of the last write.
    pub modified: u64,
    /// How many writes there were since the key was made.
    pub writes: u64,
    /// Of a set: its elements, each once, in the order of their bytes.
    pub elements: Vec<&'a [u8]>,
}

impl Resolver {
    /// What readers get of versions that stand side by side: at least one, each dot once, in any
    /// order.
    ///
    /// # Panics
    ///
    /// If there is none: the key does not exist then.
    pub fn view(self, versions: &[Version]) -> View<'_> {
        let winner = self.winner(versions);
        let elements = if self == Self::Set { elements(versions) } else { Vec::new() };
        let value = match self {
            Self::Siblings | Self::Lww | Self::Max | Self::Min => shared(winner),
            Self::Counter => sum(versions).to_string().into(),
            Self::Set => elements.join(&b'\n').into(),
        };
        View {
            value,
            // Equal values are no conflict, whoever wrote them (L9).
            conflict: self == Self::Siblings
                && versions.iter().any(|version| version.value != winner.value),
            created: versions.iter().map(|version| version.created).min().unwrap_or(0),
            modified: versions.iter().map(|version| version.lamport).max().unwrap_or(0),
            writes: versions.iter().map(|version| version.writes).max().unwrap_or(0),
            elements,
        }
    }

    /// Whether a client may store this value with a put.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the client to read.
    pub fn check_put(self, value: &[u8]) -> Result<(), &'static str> {
        match self {
            Self::Max | Self::Min if number(value).is_none() => {
                Err("value is not a number, and the resolver of the key takes nothing else")
            }
            Self::Counter if integer(value).is_none() => {
                Err("value is not an integer of 64 bits, and a counter takes nothing else")
            }
            Self::Set => Err("a set takes no put: add and remove its elements"),
            Self::Siblings | Self::Lww | Self::Max | Self::Min | Self::Counter => Ok(()),
        }
    }

    /// Whether the value is that of this version, and of no other.
    pub fn shows(self, versions: &[Version], dot: Dot) -> bool {
        self.shows_values() && !versions.is_empty() && self.winner(versions).dot == dot
    }

    /// The version that has the value, or would have it. What is no number loses against each that
    /// is; numbers that are equal, `1` and `1.0` say, are told apart by their rank.
    fn winner(self, versions: &[Version]) -> &Version {
        let versions = versions.iter();
        let winner = match self {
            Self::Siblings | Self::Lww | Self::Counter | Self::Set => {
                versions.max_by_key(|version| version.rank())
            }
            Self::Max => versions.max_by_key(|version| (number(&version.value), version.rank())),
            Self::Min => versions.max_by_key(|version| {
                (number(&version.value).map(std::cmp::Reverse), version.rank())
            }),
        };
        winner.expect("a key without versions does not exist")
    }
}

fn shared(version: &Version) -> Bytes {
    Bytes::from_owner(std::sync::Arc::clone(&version.value))
}

/// The sum of what all nodes have counted, or the nearest that has 64 bits. What is no integer, of
/// a time before the key was a counter, counts nothing.
fn sum(versions: &[Version]) -> i64 {
    let counts = versions.iter().filter_map(|version| integer(&version.value));
    let sum: i128 = counts.map(i128::from).sum();
    let nearest = sum.clamp(i64::MIN.into(), i64::MAX.into());
    nearest.try_into().expect("it was clamped")
}

fn elements(versions: &[Version]) -> Vec<&[u8]> {
    let mut elements: Vec<&[u8]> = versions.iter().map(|version| &*version.value).collect();
    elements.sort_unstable();
    elements.dedup();
    elements
}

/// What a value counts: decimal digits, with a sign or without.
pub fn integer(value: &[u8]) -> Option<i64> {
    str::from_utf8(value).ok()?.parse().ok()
}

/// Where a number lies among all others, exactly, also past 2^53, where a float is no longer exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    /// Its integer part, towards zero.
    whole: i128,
    /// The bits of what is left, and its sign. Floats are ordered as their bits are (IEEE 754).
    rest: i64,
}

/// The least number that `whole` takes; the one above the greatest is as far from zero.
const WHOLE_MIN: f64 = i128::MIN as f64;

/// The number that a value is: decimal, an integer or finite as a float.
fn number(value: &[u8]) -> Option<Number> {
    let text = str::from_utf8(value).ok()?;
    if let Ok(whole) = text.parse() {
        return Some(Number { whole, rest: 0 });
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite())?;
    let has_whole = (WHOLE_MIN..-WHOLE_MIN).contains(&float);
    let rest = if has_whole { float.fract() } else { float };
    let bits = rest.abs().to_bits().cast_signed();
    #[expect(clippy::cast_possible_truncation, reason = "the rest has what is cut off")]
    let whole = float as i128;
    Some(Number { whole, rest: if rest < 0.0 { -bits } else { bits } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::causal::clock::Dot;
    use crate::causal::hybrid::Timestamp;
    use crate::identity::NodeId;

    const ALL: [Resolver; 6] = [
        Resolver::Siblings,
        Resolver::Lww,
        Resolver::Max,
        Resolver::Min,
        Resolver::Counter,
        Resolver::Set,
    ];

    fn version(node: u64, counter: u64, time: u64, value: &str) -> Version {
        Version {
            dot: Dot { node: NodeId(node), counter },
            lamport: time + counter,
            time: Timestamp::of_ms(time),
            created: 1 + time % 3,
            writes: counter,
            value: value.as_bytes().into(),
        }
    }

    /// Some versions, of which no two have one dot. Times and values are often equal.
    fn versions() -> impl Strategy<Value = Vec<Version>> {
        let value = prop_oneof!["-?[0-9]{1,2}(\\.5)?", "[ab]?", Just("9223372036854775807".into())];
        let each = (0_u64..4, 0_u64..3, 0_u64..3, value);
        let each =
            each.prop_map(|(node, counter, time, value)| version(node, counter, time, &value));
        prop::collection::vec(each, 1..8).prop_map(|versions| join(&versions, &[]))
    }

    /// What a node has that got both: each dot once, in order. The version of a dot is one.
    fn join(some: &[Version], others: &[Version]) -> Vec<Version> {
        let both = others.iter().chain(some).cloned();
        both.map(|version| (version.dot, version))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect()
    }

    proptest! {
        /// L9: in whatever order, and however often, nodes hear of versions, they show the same.
        #[test]
        fn the_order_of_joins_does_not_matter(
            a in versions(), cuts in (0_usize..8, 0_usize..8), turn in 0_usize..8
        ) {
            let (b, c) = (&a[cuts.0.min(a.len() - 1)..], &a[..cuts.1.min(a.len())]);
            let one = join(&join(&a, b), c);
            let mut other = join(&join(c, &join(b, c)), &join(&a, c));
            for resolver in ALL {
                prop_assert_eq!(resolver.view(&one), resolver.view(&other));
                other.rotate_left(turn % one.len());
                prop_assert_eq!(resolver.view(&one), resolver.view(&other));
                other.reverse();
            }
        }

        /// Views are homomorphisms: that of a join is the join of the views.
        #[test]
        fn a_view_of_a_join_is_made_of_the_views(some in versions(), others in versions()) {
            let is_new = |version: &Version| some.iter().all(|other| other.dot != version.dot);
            let others: Vec<_> = others.into_iter().filter(is_new).collect();
            prop_assume!(!others.is_empty());
            let both = join(&some, &others);
            for resolver in ALL {
                let views = [&some, &others, &both].map(|versions| resolver.view(versions));
                let winners = [&some, &others].map(|versions| resolver.winner(versions).clone());
                prop_assert_eq!(resolver.winner(&winners), resolver.winner(&both));
                prop_assert_eq!(views[2].created, views[0].created.min(views[1].created));
                prop_assert_eq!(views[2].modified, views[0].modified.max(views[1].modified));
                prop_assert_eq!(views[2].writes, views[0].writes.max(views[1].writes));
                prop_assert!(views[2].conflict || !(views[0].conflict || views[1].conflict));
                let mut elements = [views[0].elements.clone(), views[1].elements.clone()].concat();
                elements.sort_unstable();
                elements.dedup();
                prop_assert_eq!(&views[2].elements, &elements);
            }
        }

        /// Numbers are ordered as what they are, however they are written.
        #[test]
        fn numbers_have_an_exact_order(one in any::<i128>(), other in any::<i128>(), by in 0..128) {
            let (one, other): (i128, i128) = (one >> by, other >> (by / 2));
            let of = |text: String| number(text.as_bytes()).expect("a number");
            prop_assert_eq!(of(one.to_string()).cmp(&of(other.to_string())), one.cmp(&other));
            let (one, other) = (one % 2_000, other % 2_000);
            let quarters = |n: i128| of(format!("{:e}", n as f64 / 4.0));
            prop_assert_eq!(quarters(one).cmp(&quarters(other)), one.cmp(&other));
            prop_assert_eq!(quarters(one * 4), of(one.to_string()));
        }
    }

    #[test]
    fn each_resolver_shows_what_it_is_for() {
        let versions = [version(1, 1, 5, "7"), version(2, 1, 9, "x"), version(3, 1, 1, "-2.5")];
        let shown = ALL.map(|resolver| resolver.view(&versions));
        let values = shown.each_ref().map(|view| str::from_utf8(&view.value).expect("text"));
        assert_eq!(values, ["x", "x", "7", "-2.5", "7", "-2.5\n7\nx"]);
        assert_eq!(shown.map(|view| view.conflict), [true, false, false, false, false, false]);
        let counters = [i64::MAX, 5, -3].map(|n| version(n.unsigned_abs(), 1, 1, &n.to_string()));
        assert_eq!(Resolver::Counter.view(&counters).value, i64::MAX.to_string());
    }

    /// L9: values equal: no conflict. Times equal: the dot decides.
    #[test]
    fn equal_values_are_no_conflict_and_equal_times_no_tie() {
        let twice = [version(1, 1, 5, "a"), version(2, 1, 5, "a")];
        assert!(!Resolver::Siblings.view(&twice).conflict);
        let tied = [version(2, 1, 5, "1.0"), version(1, 1, 5, "1")];
        for resolver in [Resolver::Siblings, Resolver::Lww, Resolver::Max, Resolver::Min] {
            assert_eq!(resolver.view(&tied).value, "1.0", "{resolver:?}");
        }
    }

    #[test]
    fn a_put_stores_what_the_resolver_can_show() {
        let takes = |resolver: Resolver, value: &str| resolver.check_put(value.as_bytes()).is_ok();
        let sorted = [
            "-1e40",
            "-1e39",
            "-9007199254740993",
            "-9007199254740992",
            "-0.5",
            "-1e-9",
            "0",
            "1e-9",
            "0.1",
            "9007199254740992",
            "9007199254740993",
            "1e39",
            "1e40",
        ];
        assert!(sorted.map(|text| number(text.as_bytes())).is_sorted_by(|a, b| a < b));
        for good in sorted {
            assert!(takes(Resolver::Max, good) && takes(Resolver::Min, good), "{good}");
        }
        for bad in ["", "x", "inf", "-nan", "1e400", "0x1", " 1", "1\n", "1,5"] {
            assert!(!takes(Resolver::Max, bad) && !takes(Resolver::Counter, bad), "{bad}");
            assert!(takes(Resolver::Siblings, bad) && takes(Resolver::Lww, bad), "{bad}");
        }
        assert!(takes(Resolver::Counter, "-5") && !takes(Resolver::Counter, "9223372036854775808"));
        assert!(!takes(Resolver::Counter, "0.5") && !takes(Resolver::Set, "0"));
    }
}

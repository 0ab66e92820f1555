//! What the clients of a benchmark ask, as cheaply as it can be made: one line is serialized, and
//! of each request only the digits of its key are written anew.

use common::control::kv::{Kv, PutOptions};
use common::control::request::{Call, Range, Request};
use common::kv::condition::Conditions;
use common::kv::key::Key;
use common::kv::value::Value;

use crate::args::command::{Bench, Operation};

/// What `list` reads at a time.
const LIST_ITEMS: u64 = 100;

/// What `range` reads at a time.
const RANGE_ITEMS: u64 = 1_000;

/// Keys have so many digits at least.
const DIGITS_MIN: usize = 6;

/// A source of requests.
#[derive(Debug)]
pub(super) struct Load {
    /// A request, with its newline.
    line: Vec<u8>,
    /// Where in it the digits of the key begin.
    digits_at: usize,
    digits: usize,
    keys: u32,
    order: Order,
}

/// In which order keys have their turn.
#[derive(Debug)]
enum Order {
    /// Each once; the next one.
    Each(u32),
    /// At random; the state of the dice (xorshift64*, Vigna 2016), never zero.
    Random(u64),
}

impl Load {
    /// Writes every key once.
    pub(super) fn fill(bench: &Bench) -> Self {
        Self::new(Operation::Put, bench, Order::Each(1))
    }

    /// What is measured. The same keys in the same order in each run.
    pub(super) fn random(bench: &Bench) -> Self {
        Self::new(bench.op, bench, Order::Random(0x9e37_79b9_7f4a_7c15))
    }

    fn new(op: Operation, bench: &Bench, order: Order) -> Self {
        let digits = bench.keys.to_string().len().max(DIGITS_MIN);
        let name = format!("{}{}", bench.key_prefix, "0".repeat(digits));
        let key = Key::try_from(name.as_str()).expect("the command line bounds the prefix");
        let read = bench.freshness.read();
        let request = match op {
            Operation::Put | Operation::Watch => {
                let (acks, context) = (bench.acks, None);
                Request::Put { key, value: value(bench), acks, context }
            }
            // What is there is what was filled in, and stays: so the condition holds.
            Operation::Cas => {
                let if_value = Some(value(bench));
                let conditions = Conditions { if_value, ..Conditions::default() };
                let options = PutOptions { conditions, ..PutOptions::default() };
                Request::Kv(Box::new(Kv::Put { key, value: value(bench), options }))
            }
            Operation::Get => Request::get(key, read),
            Operation::List | Operation::Range => {
                let items = if op == Operation::List { LIST_ITEMS } else { RANGE_ITEMS };
                let (start, limit) = (Some(name.clone()), Some(items));
                let prefix = bench.key_prefix.clone();
                Request::List(Range { prefix, start, limit, read, ..Range::default() })
            }
        };
        let line = Call::new(request).to_line();
        let quoted = serde_json::to_string(&name).expect("text serializes");
        let found = memchr::memmem::find(&line, quoted.as_bytes());
        // The digits stand at the end, before the quotation mark.
        let digits_at = found.expect("the key is in the line") + quoted.len() - 1 - digits;
        Self { line, digits_at, digits, keys: bench.keys, order }
    }

    /// A request for a client to begin with.
    pub(super) fn template(&self) -> &[u8] {
        &self.line
    }

    /// Makes `line`, which began as the template, the next request; `false` if there is none.
    pub(super) fn next(&mut self, line: &mut [u8]) -> bool {
        let Some(mut key) = self.next_key() else { return false };
        for digit in line[self.digits_at..][..self.digits].iter_mut().rev() {
            *digit = b"0123456789"[(key % 10) as usize];
            key /= 10;
        }
        true
    }

    fn next_key(&mut self) -> Option<u32> {
        match &mut self.order {
            Order::Each(next) => {
                let key = *next;
                *next += 1;
                (key <= self.keys).then_some(key)
            }
            Order::Random(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
                let below = (random * u64::from(self.keys)) >> 32;
                Some(u32::try_from(below).expect("it is below the number of keys") + 1)
            }
        }
    }
}

fn value(bench: &Bench) -> Value {
    let bytes: Vec<u8> = (b'a'..=b'z').cycle().take(bench.value_size).collect();
    Value::try_from(bytes).expect("the command line bounds the size")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::control::acks::Acks;

    use super::*;
    use crate::args::command::keys::Freshness;

    fn bench(op: Operation, keys: u32) -> Bench {
        let (acks, freshness) = (Acks::default(), Freshness::default());
        let (duration, key_prefix) = (Duration::from_secs(1), "bench/".to_owned());
        let (clients, value_size, watchers, connections) = (1, 5, 1, 1);
        Bench {
            op,
            clients,
            duration,
            value_size,
            keys,
            key_prefix,
            acks,
            watchers,
            connections,
            freshness,
        }
    }

    fn lines(mut load: Load, count: usize) -> Vec<String> {
        let mut line = load.template().to_vec();
        let mut next = || load.next(&mut line).then(|| String::from_utf8(line.clone()).unwrap());
        std::iter::from_fn(&mut next).take(count).collect()
    }

    #[test]
    fn the_keys_are_filled_in_order() {
        let lines = lines(Load::fill(&bench(Operation::Get, 2)), 10);
        let put = |key| format!("{{\"op\":\"put\",\"key\":\"{key}\",\"value\":\"abcde\"}}\n");
        assert_eq!(lines, [put("bench/000001"), put("bench/000002")]);
    }

    #[test]
    fn a_random_key_is_one_of_those_that_were_filled() {
        for op in [Operation::Put, Operation::Get, Operation::List] {
            for line in lines(Load::random(&bench(op, 3)), 100) {
                let known = ["bench/000001", "bench/000002", "bench/000003"];
                assert!(known.iter().any(|key| line.contains(key)), "{line}");
                assert!(Call::parse(line.trim_end().as_bytes()).is_ok(), "{line}");
            }
        }
    }

    /// A prefix that JSON spells otherwise is no reason to write digits elsewhere.
    #[test]
    fn keys_begin_with_any_prefix() {
        let bench = Bench {
            key_prefix: r#"a"\000000ä/"#.to_owned(),
            acks: Acks::Majority,
            ..bench(Operation::Put, 9)
        };
        for line in lines(Load::random(&bench), 20) {
            let call = Call::parse(line.trim_end().as_bytes()).unwrap();
            let Request::Put { key, acks, .. } = call.request else { panic!("{line}") };
            let number = key.as_str().strip_prefix(&bench.key_prefix).unwrap();
            assert_eq!((number.len(), acks), (6, Acks::Majority));
            assert!((1..=9).contains(&number.parse::<u32>().unwrap()), "{line}");
        }
    }

    #[test]
    fn a_million_keys_have_seven_digits() {
        let load = Load::random(&bench(Operation::Get, 1_000_000));
        assert!(String::from_utf8_lossy(load.template()).contains("\"bench/0000000\""));
    }
}

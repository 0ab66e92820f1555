//! What a benchmark found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::args::command::{Bench, Operation};
use crate::cmd::bench::tally::Tally;

/// The figures, as JSON has them. Times are microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    op: &'static str,
    clients: u16,
    nodes: usize,
    value_bytes: usize,
    keys: u32,
    seconds: f64,
    /// With those that failed.
    requests: u64,
    failures: u64,
    /// The same by code.
    failed: BTreeMap<String, u64>,
    /// Writes among them that may have been applied.
    unknown: u64,
    /// The longest time without a success.
    max_gap_ms: f64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

impl Report {
    pub(super) fn new(bench: &Bench, nodes: usize, tally: &Tally) -> Self {
        let microseconds = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6;
        let quantile = |quantile| microseconds(tally.latencies.value_at_quantile(quantile));
        Self {
            op: match bench.op {
                Operation::Put => "put",
                Operation::Get => "get",
                Operation::List => "list",
                Operation::Range => "range",
                Operation::Cas => "cas",
                Operation::Watch => "watch",
            },
            clients: bench.clients,
            nodes,
            value_bytes: bench.value_size,
            keys: bench.keys,
            seconds: tally.elapsed.as_secs_f64(),
            requests: tally.successes + tally.failed(),
            failures: tally.failed(),
            failed: tally.failures.clone(),
            unknown: tally.unknown,
            max_gap_ms: tally.longest_gap.as_secs_f64() * 1e3,
            per_second: per_second(tally.successes, tally.elapsed),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: microseconds(tally.latencies.max()),
        }
    }
}

/// How many came in a second.
#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 answers")]
pub(super) fn per_second(answers: u64, elapsed: Duration) -> f64 {
    answers as f64 / elapsed.as_secs_f64().max(1e-9)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, clients, nodes, value_bytes, keys, .. } = self;
        writeln!(
            f,
            "{op}: {clients} clients, {nodes} nodes, {keys} keys, values of {value_bytes} bytes"
        )?;
        let Self { requests, failures, seconds, per_second, .. } = self;
        writeln!(f, "throughput  {per_second:.0}/s  ({requests} requests in {seconds:.2} s)")?;
        let [p50, p99, p999, max] =
            [self.p50_us, self.p99_us, self.p999_us, self.max_us].map(|us| us / 1e3);
        writeln!(
            f,
            "latency     p50 {p50:.3} ms  p99 {p99:.3} ms  p99.9 {p999:.3} ms  max {max:.3} ms"
        )?;
        writeln!(f, "longest gap {:.1} ms without a success", self.max_gap_ms)?;
        write!(f, "failures    {failures}")?;
        if *failures > 0 {
            let failed = self.failed.iter().map(|(code, count)| format!("{code} {count}"));
            write!(f, "  ({}", failed.collect::<Vec<_>>().join(", "))?;
            write!(f, "; outcome unknown {})", self.unknown)?;
        }
        writeln!(f)
    }
}

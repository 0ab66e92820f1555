//! What a soak tells: each fault as it comes, a line for each round, and a table in the end.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::soak::faults::{Kind, Recoveries};
use crate::soak::rot::Start;
use crate::soak::vitals::Vitals;
use crate::soak::{Options, Seen};
use common::history::Outcome;

/// What clients do.
const COUNTED: [&str; 11] = [
    "operations of recorded histories",
    "  of unknown outcome",
    "writes repeated until acknowledged",
    "transfers",
    "  refused by a comparison",
    "  of unknown outcome or refused",
    "sums of all accounts",
    "causal writes kept",
    "writes told by a watch",
    "locks got",
    "fenced writes",
];

/// The figures of a soak.
#[derive(Debug)]
pub struct Report {
    /// When it began.
    pub began: Instant,
    /// Kinds that are not drawn yet of this deal.
    pub deck: Vec<Kind>,
    /// The longest time without service while a majority was there.
    pub gap: Duration,
    /// How many terms it took.
    pub terms: u64,
    rounds: u64,
    recoveries: Recoveries,
    skipped: BTreeSet<Kind>,
    /// How nodes with damaged logs have started: refused, served, or the log was too short.
    starts: [u64; 3],
    /// By place in [`COUNTED`].
    counts: [u64; COUNTED.len()],
}

/// A soak is about to begin.
pub fn tell_begin(options: &Options) {
    println!("soak of {:?} with SEED={}", options.time, options.seed);
}

impl Report {
    /// Of a soak whose nodes are there.
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            deck: Vec::new(),
            gap: Duration::ZERO,
            terms: 0,
            rounds: 0,
            recoveries: Recoveries::new(),
            skipped: BTreeSet::new(),
            starts: [0; 3],
            counts: [0; COUNTED.len()],
        }
    }

    /// Harm is about to be done.
    pub fn tell_fault(&self, kind: Kind, victim: usize) {
        let at = self.began.elapsed().as_secs_f64();
        println!("{at:8.1} s  node{}  {}", victim + 1, kind.name());
    }

    /// This machine can't do that.
    pub fn skip(&mut self, kind: Kind) {
        if self.skipped.insert(kind) {
            println!("{:12}skipped, this machine can't mount what it takes", "");
        }
    }

    /// All was well again after so long.
    pub fn recovered(&mut self, kind: Kind, took: Duration) {
        self.recoveries.entry(kind).or_default().push(took);
    }

    /// A node with a damaged log was started, unless there was too little to damage.
    pub fn tell_start(&mut self, start: Option<Start>) {
        let place = match start {
            Some(Start::Refused) => 0,
            Some(Start::Serves) => 1,
            None => 2,
        };
        self.starts[place] += 1;
    }

    /// Counts what a round's clients did.
    pub fn take(&mut self, seen: &Seen) {
        let operations = seen.history.operations();
        let unknown = operations.iter().filter(|one| one.outcome == Outcome::Unknown).count();
        let (_, told) = &seen.transfers;
        let counts = [
            operations.len() as u64,
            unknown as u64,
            seen.written.count() as u64,
            told.done.len() as u64,
            told.conflicts,
            told.unknown,
            told.sums,
            seen.causal.count() as u64,
            seen.followed,
            seen.locks.tokens.len() as u64,
            seen.locks.writes.len() as u64,
        ];
        for (all, one) in self.counts.iter_mut().zip(counts) {
            *all += one;
        }
        self.rounds += 1;
    }

    /// A round was judged.
    pub fn tell_round(&self, number: u64, vitals: &Vitals) {
        let (at, gap) = (self.began.elapsed().as_secs_f64(), self.gap);
        println!(
            "{at:8.1} s  round {number} is in order; terms {}, longest gap {gap:.1?}, \
             largest daemon {} MiB",
            self.terms,
            vitals.at_rest() / 1024
        );
    }

    /// The table.
    pub fn close(&self, vitals: &Vitals) {
        println!("\nwhat was done                          count");
        for (what, count) in COUNTED.iter().zip(self.counts) {
            println!("{what:36} {count:7}");
        }
        println!("\nfault                  count   recovery: median     max");
        for (kind, took) in &self.recoveries {
            let mut took = took.clone();
            took.sort();
            let median = took[took.len() / 2].as_secs_f64();
            let max = took.last().map_or(0.0, Duration::as_secs_f64);
            println!("{:20} {:7}   {median:14.1} s {max:5.1} s", kind.name(), took.len());
        }
        for kind in &self.skipped {
            println!("{:20} skipped", kind.name());
        }
        let minutes = self.began.elapsed().as_secs_f64() / 60.0;
        println!("\nrounds                        {}, in {minutes:.1} minutes", self.rounds);
        let [refused, served, short] = self.starts;
        println!(
            "damaged logs                  {refused} refused, {served} cut, {short} too short"
        );
        println!("longest gap of service        {:.1?}", self.gap);
        println!("terms                         {}", self.terms);
        println!("largest daemon                {} MiB", vitals.rss_kib_max / 1024);
        println!("descriptors, threads          {}, {}", vitals.fds_max, vitals.threads_max);
        println!("logs                          {} KiB", vitals.log_bytes / 1024);
        println!("violations                    0");
    }
}

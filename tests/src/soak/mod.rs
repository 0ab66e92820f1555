//! A soak: real daemons, all kinds of clients, and faults of all kinds, for as long as one likes.
//!
//! A soak goes on in rounds of half a minute; every third one is of five nodes. In a round clients
//! of all modes are at work while [`faults`] does harm, drawn from the seed; what they saw is
//! judged when the round is over and the cluster has come to rest, and forgotten then:
//!
//! | what | must be so | by |
//! |---|---|---|
//! | keys in raft mode | linearizable, revisions in order | [`Workload`], judged during the next round |
//! | repeated writes | all there, each applied once | [`Writer`] |
//! | transfers | compare and swap loses nothing, the sum stays | [`Transfers`] |
//! | causal keys | what was acknowledged is there, or what took its place | [`causal`] |
//! | keys in broadcast mode | equal everywhere after a sync | [`spread`] |
//! | a watch | each write once and in order, from node to node | [`followed`] |
//! | a lock | no fenced write of who has lost it | [`locks`] |
//! | the state | the same hash on every node | at rest |
//! | service | no long gap while a majority is there | [`pulse`] |
//! | recovery | all is well soon after a fault has ended | [`faults`] |
//! | terms | few for each fault | [`judge`] |
//! | memory, descriptors, threads, logs | bounded | [`vitals`] |
//!
//! Whatever is not as it should be is a panic, of whichever thread sees it; so the checks are those
//! of the tests. The program keeps the directory of the run then.
//!
//! # Not done
//!
//! - The times of faults depend on the machine: a seed repeats their kinds, their order and their
//!   victims as far as the same node leads, not the interleaving with the clients.
//! - Damaged bytes on a connection of two members: what comes to their ports from strangers is.

pub mod faults;
pub mod followed;
pub mod hostile;
pub mod judge;
pub mod locks;
pub mod machines;
pub mod pulse;
pub mod report;
pub mod rot;
pub mod spread;
pub mod vitals;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::causal;
use crate::cluster::transfers::{Told, Transfers};
use crate::cluster::workload::Workload;
use crate::cluster::writer::{Progress, Writer, Written};
use crate::sim::dice::Dice;
use crate::soak::faults::Mischief;
use crate::soak::judge::Judge;
use crate::soak::locks::Locks;
use crate::soak::machines::Machines;
use crate::soak::pulse::Pulse;
use crate::soak::report::Report;
use crate::soak::vitals::Vitals;
use common::history::History;

/// How long a round lasts, its judgement aside.
const ROUND: Duration = Duration::from_secs(30);

/// Of recorded requests: about as long as an election takes.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(1);

/// Clients of each kind.
const READERS_AND_WRITERS: usize = 4;
const TELLERS: usize = 3;
const CAUSAL: usize = 3;

/// Keys of the recorded workload: few, so that clients meet, and enough for a cheap judgement.
const KEYS: usize = 10;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// For how long.
    pub time: Duration,
    /// Decides the faults.
    pub seed: u64,
    /// Where everything is, which must not have a long name: sockets are in it.
    pub dir: PathBuf,
}

/// What a round's clients saw.
#[derive(Debug)]
pub struct Seen {
    /// Its number.
    pub number: u64,
    /// Of the recorded workload.
    pub history: History,
    /// Of the client that repeats its writes.
    pub written: Written,
    /// The accounts, and what was told of them.
    pub transfers: (Transfers, Told),
    /// In causal mode.
    pub causal: causal::Written,
    /// What the watch saw.
    pub followed: u64,
    /// Fenced writes.
    pub locks: Locks,
}

/// Runs a soak to its end.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(options: &Options) -> Report {
    report::tell_begin(options);
    let mut machines = Machines::start(&options.dir);
    let mut report = Report::begin();
    let mut judge = Judge::new(options, machines.cluster.term_of(&[0]));
    let mut dice = Dice::new(options.seed);
    let mut vitals = Vitals::default();
    let mut number = 0;
    while number == 0 || report.began.elapsed() < options.time {
        number += 1;
        if number % 3 == 0 {
            machines.grow();
        }
        let left = options.time.saturating_sub(report.began.elapsed());
        let time = ROUND.min(left.max(Duration::from_secs(5)));
        let mut mischief = Mischief::new(&mut dice, &mut report, &mut vitals, time);
        let seen = round(&mut machines, &mut mischief, number);
        let faults = mischief.count();
        report.take(&seen);
        judge.judge(&mut machines, seen, faults, &mut report);
        vitals.look(&mut machines.cluster, true);
        vitals.judge();
        report.tell_round(number, &vitals);
        machines.forget(number);
        if number % 3 == 0 {
            machines.shrink();
        }
    }
    judge.finish();
    report.close(&vitals);
    machines.stop();
    report
}

/// Clients at work, and harm done to those who serve them.
fn round(machines: &mut Machines, mischief: &mut Mischief<'_>, number: u64) -> Seen {
    let sockets = machines.sockets();
    let writer = Writer::new(&machines.cluster, u128::from(number));
    let transfers = Transfers::open(&machines.cluster);
    let workload = Workload {
        sockets: sockets.clone(),
        clients: READERS_AND_WRITERS,
        keys: KEYS,
        timeout: REQUEST_TIME_MAX,
        swaps: true,
        read: None,
        seed: number,
    };
    let (is_over, progress, pulse) = (AtomicBool::new(false), Progress::default(), Pulse::new());
    let cursor = machines.revision();
    let (mut causal, mut history) = (None, None);
    thread::scope(|scope| {
        let end = End(&is_over);
        let written = scope.spawn(|| writer.run(&is_over, &progress));
        let follower =
            scope.spawn(|| followed::write_and_follow(&sockets, number, cursor, &is_over));
        let locks = scope.spawn(|| locks::contend(&sockets, number, &is_over));
        for node in 0..sockets.len() {
            let (pulse, sockets, is_over) = (&pulse, &sockets, &is_over);
            scope.spawn(move || pulse.beat(&sockets[node], node, is_over));
            scope.spawn(move || spread::write(&sockets[node], node, number, is_over));
        }
        let told = transfers.run_during(TELLERS, || {
            causal = Some(causal::write_during(&sockets, CAUSAL, number, |doors| {
                history = Some(workload.run_during(|| mischief.go_on(machines, doors, &pulse)));
            }));
        });
        mischief.note_gap(pulse.longest());
        drop(end);
        let all = "all clients come to their end";
        Seen {
            number,
            history: history.take().expect("it has ended"),
            written: written.join().expect(all),
            transfers: (transfers, told),
            causal: causal.take().expect("it has ended"),
            followed: follower.join().expect(all),
            locks: locks.join().expect(all),
        }
    })
}

/// Ends the clients of a round when it is dropped, also by a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until something is so, up to `most`, and tells how long it took.
fn wait_until(what: &str, most: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < most, "{what}: not within {most:?}");
        thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

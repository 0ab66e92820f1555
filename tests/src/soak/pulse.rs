//! Whether the keys in raft mode are served: a client for each node writes all the time, and the
//! longest time without an acknowledgement of any counts, while a majority is there.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::control::reply::Put;
use common::control::request::{Call, Request};

use crate::cluster::client::{Client, key, text};

/// Of a write. Who was given up is asked anew, which is soon noticed when it is back.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Between two writes of a client.
const PAUSE: Duration = Duration::from_millis(20);

/// No gap may be longer: an election takes one to two seconds, a second try as long again, and the
/// machine has other things to do.
const GAP_MAX: Duration = Duration::from_secs(15);

/// What is known of the service.
#[derive(Debug)]
pub struct Pulse(Mutex<Beats>);

#[derive(Debug)]
struct Beats {
    last: Instant,
    longest: Duration,
    /// There is no majority.
    is_excused: bool,
}

impl Pulse {
    /// All is well.
    pub fn new() -> Self {
        let (last, longest, is_excused) = (Instant::now(), Duration::ZERO, false);
        Self(Mutex::new(Beats { last, longest, is_excused }))
    }

    /// Writes through one node until `is_over`.
    pub fn beat(&self, socket: &Path, node: usize, is_over: &AtomicBool) {
        let mut connection = None;
        let call = Call {
            timeout: Some(TIMEOUT),
            ..Call::new(Request::put(key(&format!("pulse/{node}")), text("v")))
        };
        while !is_over.load(Ordering::Relaxed) {
            if connection.is_none() {
                connection = Client::connect_with(socket, TIMEOUT * 2).ok();
            }
            let put = connection.as_mut().map(|client: &mut Client| client.try_ask::<Put>(&call));
            match put {
                Some(Ok(Ok(_))) => self.beats().note(),
                Some(Ok(Err(_))) | None => {}
                Some(Err(_)) => connection = None,
            }
            thread::sleep(PAUSE);
        }
    }

    /// A majority goes.
    pub fn excuse(&self) {
        let mut beats = self.beats();
        beats.note();
        beats.is_excused = true;
    }

    /// It is back: the next gap begins here.
    pub fn expect(&self) {
        let mut beats = self.beats();
        (beats.last, beats.is_excused) = (Instant::now(), false);
    }

    /// The longest gap.
    ///
    /// # Panics
    ///
    /// If it was too long.
    pub fn longest(&self) -> Duration {
        let mut beats = self.beats();
        beats.note();
        let longest = beats.longest;
        assert!(longest < GAP_MAX, "a majority was there, and served nobody for {longest:?}");
        longest
    }

    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

impl Beats {
    fn note(&mut self) {
        if !self.is_excused {
            self.longest = self.longest.max(self.last.elapsed());
        }
        self.last = Instant::now();
    }
}

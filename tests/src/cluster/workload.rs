//! Clients that keep a real cluster busy while others do it harm, and write down what they see.
//!
//! Each client asks one thing after the other, of a random node and for a random key. What it
//! knows of a request that failed is what it may know:
//!
//! | what happens | outcome |
//! |---|---|
//! | no connection | failed: nothing was sent |
//! | an error with `applied: no` | failed |
//! | an error with another `applied`, or none | unknown |
//! | no answer in time, or the connection ends | unknown |

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::control::failure::Applied;
use common::control::kv::{Kv, PutOptions};
use common::control::reply::{Delete, Get, Put};
use common::control::request::{Call, Read, Request, Selection};

use crate::cluster::client::{Client, Outcome, key, text, value_of};
use crate::cluster::recorder::Recorder;
use crate::sim::dice::Dice;
use common::history::{Action, History, Observed};
use common::kv::condition::Conditions;

/// A daemon that is well answers so long after a request's own timeout at the latest.
const GRACE: Duration = Duration::from_secs(1);

/// How long a client leaves a node alone that refused it: else it would do nothing but ask.
const PAUSE: Duration = Duration::from_millis(5);

/// What clients do.
#[derive(Debug)]
pub struct Workload {
    /// The control sockets of the nodes.
    pub sockets: Vec<PathBuf>,
    /// How many clients there are.
    pub clients: usize,
    /// How many keys they ask for. Their names have the seed in them, so that a cluster that has
    /// seen another run has none of them.
    pub keys: usize,
    /// Of each request.
    pub timeout: Duration,
    /// Whether some puts are swaps, which raft mode alone can do.
    pub swaps: bool,
    /// How fresh gets are.
    pub read: Option<Read>,
    /// Decides what is asked. The seeds of a test on one cluster differ.
    pub seed: u64,
}

impl Workload {
    /// Runs while `meanwhile` does, also if that panics.
    pub fn run_during(&self, meanwhile: impl FnOnce()) -> History {
        /// Ends the workload when it is dropped.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let run = scope.spawn(|| self.run(&is_over));
            let end = End(&is_over);
            meanwhile();
            drop(end);
            run.join().expect("the clients come to their end")
        })
    }

    /// Runs until `is_over`, and returns when every client has had its last answer.
    pub fn run(&self, is_over: &AtomicBool) -> History {
        let recorder = Recorder::start();
        thread::scope(|scope| {
            for client in 0..self.clients {
                let mut session = Session::new(self, client);
                let recorder = &recorder;
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        session.operate(recorder);
                    }
                });
            }
        });
        recorder.into_history()
    }
}

/// One client, with a connection to each node that it has asked.
struct Session<'a> {
    workload: &'a Workload,
    client: usize,
    connections: Vec<Option<Client>>,
    dice: Dice,
    puts: usize,
    /// What it has read last of each key: what it asks to be there when it swaps.
    seen: BTreeMap<String, String>,
}

/// What an operation saw, and at which revision.
type Answered = (Observed, Option<u64>);

impl<'a> Session<'a> {
    fn new(workload: &'a Workload, client: usize) -> Self {
        // Each client of each seed has a stream of its own.
        let dice = Dice::new(workload.seed << 16 | client as u64);
        let connections = workload.sockets.iter().map(|_| None).collect();
        Self { workload, client, connections, dice, puts: 0, seen: BTreeMap::new() }
    }

    fn operate(&mut self, recorder: &Recorder) {
        let name =
            format!("workload-{}/{}", self.workload.seed, self.dice.below(self.workload.keys));
        let action = match self.dice.below(10) {
            0..3 => Action::Put(self.value()),
            3 => match self.seen.get(&name).cloned() {
                Some(from) if self.workload.swaps => Action::Swap { from, to: self.value() },
                Some(_) | None => Action::Put(self.value()),
            },
            4..8 => Action::Get,
            _ => Action::Delete,
        };
        let node = self.dice.below(self.workload.sockets.len());
        let ticket = recorder.invoke(self.client, &name, action.clone());
        if self.connect(node).is_err() {
            recorder.fail(ticket);
            thread::park_timeout(PAUSE);
            return;
        }
        match self.ask(node, &name, &action) {
            Ok(Ok((observed, revision))) => {
                if let Observed::Got(Some(value)) = &observed {
                    self.seen.insert(name, value.clone());
                }
                recorder.answer(ticket, observed, revision);
            }
            Ok(Err(failure)) => {
                if failure.applied == Some(Applied::No) {
                    recorder.fail(ticket);
                }
                thread::park_timeout(PAUSE);
            }
            // A late answer would be taken for that of the next request.
            Err(_) => self.connections[node] = None,
        }
    }

    /// One that no client has put before.
    fn value(&mut self) -> String {
        self.puts += 1;
        format!("v{}.{}", self.client, self.puts)
    }

    fn connect(&mut self, node: usize) -> io::Result<()> {
        if self.connections[node].is_none() {
            let patience = self.workload.timeout + GRACE;
            let client = Client::connect_with(&self.workload.sockets[node], patience)?;
            self.connections[node] = Some(client);
        }
        Ok(())
    }

    fn ask(&mut self, node: usize, name: &str, action: &Action) -> io::Result<Outcome<Answered>> {
        let client = self.connections[node].as_mut().expect("it has connected");
        let call = |request| Call { timeout: Some(self.workload.timeout), ..Call::new(request) };
        let key = key(name);
        Ok(match action {
            Action::Put(value) => {
                let put = client.try_ask(&call(Request::put(key, text(value))))?;
                put.map(|put: Put| (Observed::Stored, Some(put.revision)))
            }
            Action::Swap { from, to } => {
                let if_value = Some(text(from));
                let conditions = Conditions { if_value, ..Conditions::default() };
                let options = PutOptions { conditions, ..PutOptions::default() };
                let kv = Kv::Put { key, value: text(to), options };
                let put = client.try_ask(&call(Request::Kv(Box::new(kv))))?;
                put.map(|put: Put| (Observed::Stored, Some(put.revision)))
            }
            Action::Get => {
                let get = client.try_ask(&call(Request::get(key, self.workload.read)))?;
                get.map(|get: Get| {
                    let revision = get.item.as_ref().map(|item| item.mod_revision);
                    (Observed::Got(get.item.as_ref().map(value_of)), revision)
                })
            }
            Action::Delete => {
                let delete = client.try_ask(&call(Request::delete(Selection::Key(key))))?;
                delete.map(|delete: Delete| {
                    let existed = delete.deleted > 0;
                    (Observed::Deleted { existed }, existed.then_some(delete.revision))
                })
            }
        })
    }
}

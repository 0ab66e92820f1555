//! Clients that follow keys: each goes on at another node where it was at the last one, as long as
//! history goes back so far. What they were told is for [`crate::check::raft::watches`].

use std::time::Duration;

use common::control::reply::Reply;
use common::control::request::{Call, Request, Selection};
use common::control::watching::WatchLine;
use common::protocol::{Answer, Input, RequestId};

use crate::check::raft::watches::Stretch;

use super::world::{Happening, World};

/// What they follow.
const PREFIXES: [&str; 4] = ["", "r/", "e/", "t/"];

/// About how often one looks after its watch.
const LOOK_PERIOD: Duration = Duration::from_millis(300);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Followers {
    all: [Follower; PREFIXES.len()],
}

#[derive(Debug, Default)]
struct Follower {
    stretches: Vec<Stretch>,
    place: Option<Place>,
    /// Whether it begins anew, at whatever revision a node is.
    is_lost: bool,
}

/// Where it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    machine: usize,
    life: u64,
    id: RequestId,
}

impl Followers {
    pub(super) fn on_crash(&mut self, machine: usize) {
        for follower in &mut self.all {
            if follower.place.is_some_and(|place| place.machine == machine) {
                follower.leave();
            }
        }
    }

    /// What they were told.
    pub(super) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.all.iter().flat_map(|follower| &follower.stretches)
    }
}

impl Follower {
    fn leave(&mut self) {
        self.place = None;
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.is_live = false;
        }
    }

    /// From where it goes on.
    fn next(&self) -> Option<u64> {
        let stretch = self.stretches.last().filter(|_| !self.is_lost)?;
        Some(stretch.next)
    }

    fn hear(&mut self, prefix: &str, answer: &Answer) {
        match answer {
            Answer::Reply(_, Ok(Reply::Watch(begun))) => {
                let goes_on = self.next() == Some(begun.from);
                if !goes_on {
                    self.stretches.push(Stretch::new(prefix, begun.from));
                }
                self.is_lost = false;
                self.stretches.last_mut().expect("there is one").is_live = true;
            }
            Answer::Reply(_, outcome) => {
                self.is_lost |= outcome.as_ref().is_err_and(|failure| failure.floor.is_some());
                self.leave();
            }
            Answer::Watch(line) => {
                let stretch = self.stretches.last_mut().expect("it has begun");
                match line {
                    WatchLine::Events { events, revision, .. } => {
                        stretch.hear(*revision, events.to_vec());
                    }
                    WatchLine::Progress { progress, .. } => stretch.reach(progress + 1),
                    WatchLine::End { resume, error, .. } => {
                        stretch.reach(*resume);
                        let floor = error.as_ref().and_then(|failure| failure.floor);
                        self.is_lost |= floor.is_some();
                        self.leave();
                    }
                }
            }
        }
    }
}

impl World {
    pub(super) fn plan_followers(&mut self) {
        for follower in 0..PREFIXES.len() {
            self.plan_look(follower);
        }
    }

    fn plan_look(&mut self, follower: usize) {
        let at = self.now + self.dice.about(LOOK_PERIOD);
        self.agenda.put(at, Happening::Follow(follower));
    }

    /// A follower that follows nowhere begins somewhere; another one goes elsewhere now and then.
    pub(super) fn look_after_watch(&mut self, follower: usize) {
        self.plan_look(follower);
        if let Some(place) = self.followers.all[follower].place {
            if self.is_chaos && self.dice.chance(0.3) {
                self.followers.all[follower].leave();
                self.give(place.machine, Input::Closed { connection: place.id.connection });
            }
            return;
        }
        let index = self.dice.below(self.machines.len());
        let machine = &self.machines[index];
        if !machine.is_up() || !machine.has_begun() {
            return;
        }
        let (life, id) = (machine.life, self.callers.connect());
        let state = &mut self.followers.all[follower];
        state.place = Some(Place { machine: index, life, id });
        let request = Request::Watch {
            selection: Selection::Prefix(PREFIXES[follower].to_owned()),
            from: state.next(),
            previous: true,
            only: None,
            progress: Some(Duration::from_millis(100)),
        };
        self.give(index, Input::Request { id, call: Call::new(request) });
    }

    /// Tells whether an answer is for one that follows.
    pub(super) fn follow(&mut self, index: usize, id: RequestId, answer: &Answer) -> bool {
        let place = Some(Place { machine: index, life: self.machines[index].life, id });
        let found = self.followers.all.iter().position(|follower| follower.place == place);
        let Some(follower) = found else { return false };
        self.followers.all[follower].hear(PREFIXES[follower], answer);
        true
    }
}

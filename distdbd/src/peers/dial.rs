//! Whom this node dials: every member that is not connected; and as long as it has not joined or
//! is connected to nobody, the addresses of `--join`. All members may have other addresses than
//! before (M8); who answers is told by its id, never by where it does.

use std::collections::BTreeMap;
use std::time::Duration;

use common::identity::{Incarnation, NodeId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::peers::handshake::{self, HandshakeError};
use crate::peers::{Shared, link};

/// The pause after the first failure; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest pause: a peer that is back is noticed within it, or at once by its own dialling.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What the dialler is told.
#[derive(Debug)]
pub(crate) enum DialEvent {
    /// A peer is connected, in this of its incarnations.
    Linked(NodeId, Incarnation),
    /// A peer is no longer connected.
    Unlinked(NodeId),
    /// A peer with a larger id wants to be dialled.
    Knocked {
        /// Who.
        node: NodeId,
        /// In which of its incarnations.
        incarnation: Incarnation,
        /// Where.
        address: String,
    },
    /// An attempt is over. What it has made, if anything, the driver tells.
    Tried(Target, Result<(), HandshakeError>),
}

/// Who is dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Whoever answers there.
    Seed(String),
    /// This member.
    Member(NodeId),
}

#[derive(Debug)]
struct State {
    address: String,
    /// Not so for a newcomer that has knocked: the core makes it a member once it is connected.
    is_wanted: bool,
    phase: Phase,
    pause: Duration,
    /// So that the same trouble is logged once.
    trouble: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    Trying,
    /// Since when.
    Linked(Instant),
}

/// Keeps this node connected until the process ends.
pub(crate) struct Dialler {
    shared: Shared,
    seeds: Vec<String>,
    events: mpsc::UnboundedReceiver<DialEvent>,
    targets: BTreeMap<Target, State>,
    linked: BTreeMap<NodeId, Incarnation>,
}

impl Dialler {
    pub(crate) fn new(
        shared: Shared,
        seeds: Vec<String>,
        events: mpsc::UnboundedReceiver<DialEvent>,
    ) -> Self {
        Self { shared, seeds, events, targets: BTreeMap::new(), linked: BTreeMap::new() }
    }

    pub(crate) async fn run(mut self) {
        self.reconcile();
        loop {
            let due = self.targets.values().filter_map(State::due).min();
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.shared.view.changed() => match changed {
                    Ok(()) => self.reconcile(),
                    Err(_) => return,
                },
                event = self.events.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return,
                },
                () = wait => self.try_due(),
            }
        }
    }

    /// Takes over whom the node wants to be connected with.
    fn reconcile(&mut self) {
        let view = self.shared.view.borrow_and_update().clone();
        let has_joined = view.hello.cluster.is_some();
        let is_lonely = self.linked.is_empty() && !view.members.is_empty();
        let mut wanted: BTreeMap<Target, String> = BTreeMap::new();
        if has_joined {
            let members = view.members.into_iter();
            wanted.extend(members.map(|(id, member)| (Target::Member(id), member.address)));
        }
        if view.seeks_cluster || is_lonely {
            wanted.extend(self.seeds.iter().map(|seed| (Target::Seed(seed.clone()), seed.clone())));
        }
        self.targets.retain(|target, state| {
            state.is_wanted = wanted.contains_key(target);
            state.is_wanted || state.phase == Phase::Trying
        });
        for (target, address) in wanted {
            let linked = &self.linked;
            let is_linked = |id| linked.contains_key(id);
            let now = Instant::now();
            let phase = match &target {
                Target::Member(id) if is_linked(id) => Phase::Linked(now),
                // The members' own addresses come first.
                Target::Seed(_) if has_joined => Phase::Waiting(now + PAUSE_MAX),
                Target::Member(_) | Target::Seed(_) => Phase::Waiting(now),
            };
            let fresh = || State::new(address.clone(), phase);
            let state = self.targets.entry(target).or_insert_with(fresh);
            state.is_wanted = true;
            if state.address != address {
                state.address = address;
                state.hurry();
            }
        }
    }

    fn on_event(&mut self, event: DialEvent) {
        match event {
            DialEvent::Linked(peer, incarnation) => {
                let was_lonely = self.linked.is_empty();
                self.linked.insert(peer, incarnation);
                self.shared.troubles.clear(peer);
                // One that has just come by dialling this node is not among the targets yet.
                if let Some(state) = self.targets.get_mut(&Target::Member(peer)) {
                    state.phase = Phase::Linked(Instant::now());
                }
                if was_lonely {
                    self.reconcile();
                }
            }
            DialEvent::Unlinked(peer) => {
                self.linked.remove(&peer);
                if let Some(state) = self.targets.get_mut(&Target::Member(peer)) {
                    state.on_unlinked();
                }
                if self.linked.is_empty() {
                    self.reconcile();
                }
            }
            DialEvent::Knocked { node, incarnation, address } => {
                self.on_knocked(node, incarnation, address);
            }
            DialEvent::Tried(target, outcome) => {
                let Some(state) = self.targets.get_mut(&target) else { return };
                let has_failed = outcome.is_err();
                state.on_tried(&target, outcome);
                if let Target::Member(peer) = &target
                    && has_failed
                    && !self.linked.contains_key(peer)
                {
                    self.shared.troubles.set(*peer, state.trouble.clone());
                }
                if has_failed && !state.is_wanted {
                    self.targets.remove(&target);
                }
            }
        }
    }

    /// Dials back, unless that is under way, or the knock is from before the link that is there:
    /// a second link would end the first, and lose what is on it.
    fn on_knocked(&mut self, node: NodeId, incarnation: Incarnation, address: String) {
        if self.linked.get(&node) == Some(&incarnation) {
            return;
        }
        let target = Target::Member(node);
        let phase = Phase::Waiting(Instant::now());
        let fresh = || State { is_wanted: false, ..State::new(String::new(), phase) };
        let state = self.targets.entry(target).or_insert_with(fresh);
        if state.phase != Phase::Trying {
            state.address = address;
            state.phase = phase;
            self.try_due();
        }
    }

    fn try_due(&mut self) {
        let now = Instant::now();
        let is_due = |state: &State| state.due().is_some_and(|due| due <= now);
        let due: Vec<_> = self.targets.iter().filter(|(_, state)| is_due(state)).collect();
        let due: Vec<_> = due.into_iter().map(|(t, s)| (t.clone(), s.address.clone())).collect();
        for (target, address) in due {
            if let Some(state) = self.targets.get_mut(&target) {
                state.phase = Phase::Trying;
            }
            self.spawn(target, address);
        }
    }

    fn spawn(&self, target: Target, address: String) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let outcome = attempt(&target, &address, &shared).await;
            let _ = shared.dial.send(DialEvent::Tried(target, outcome));
        });
    }
}

impl State {
    fn new(address: String, phase: Phase) -> Self {
        Self { address, is_wanted: true, phase, pause: PAUSE_MIN, trouble: String::new() }
    }

    fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(due) => Some(due),
            Phase::Trying | Phase::Linked(_) => None,
        }
    }

    fn hurry(&mut self) {
        if let Phase::Waiting(due) = &mut self.phase {
            *due = Instant::now();
            self.pause = PAUSE_MIN;
        }
    }

    /// Tries again soon, unless the link has hardly lived: then there is something wrong with it.
    fn on_unlinked(&mut self) {
        if let Phase::Linked(since) = self.phase
            && since.elapsed() >= PAUSE_MAX
        {
            self.pause = PAUSE_MIN;
            self.trouble.clear();
        }
        self.wait();
    }

    fn wait(&mut self) {
        self.phase = Phase::Waiting(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Tries again later. Where the attempt has led to a link, its news comes from the driver,
    /// before or after this.
    fn on_tried(&mut self, target: &Target, outcome: Result<(), HandshakeError>) {
        let trouble = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        if !trouble.is_empty() && trouble != self.trouble {
            tracing::info!(?target, address = self.address, trouble, "can't connect");
        }
        self.trouble = trouble;
        if self.phase == Phase::Trying {
            self.wait();
        }
    }
}

/// Connects and introduces this node. The smaller id stays; the larger one has knocked.
async fn attempt(target: &Target, address: &str, shared: &Shared) -> Result<(), HandshakeError> {
    let ours = shared.view();
    let (stream, theirs, rest) = handshake::dial(address, &ours).await?;
    if let Target::Member(node) = target {
        handshake::expect(&theirs, *node)?;
    }
    if shared.faults.is_cut_off(&theirs.name) {
        return Err(HandshakeError::Fault);
    }
    // A second link would end the first, and lose what is on it.
    let is_linked = matches!(target, Target::Seed(_)) && ours.is_connected(theirs.node);
    if ours.hello.is_dialler_to(theirs.node) && !is_linked {
        link::start(stream, theirs, rest, shared).await;
    }
    Ok(())
}

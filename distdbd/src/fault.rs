//! Faults of this node's own links, disk and clock, made on request (`--enable-faults`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::control::failure::{ErrorCode, Failure};
use common::control::fault::{ActiveFault, Direction, Fault, FaultKind, Faults as FaultsReply};
use common::identity::NodeName;

/// The faults in force, shared by the tasks of all links and the driver.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    active: Option<Arc<Mutex<Active>>>,
}

#[derive(Debug, Default)]
struct Active {
    rules: Vec<Rule>,
    /// Each sync of the disk takes so much longer.
    disk: Duration,
    /// The wall clock is so many milliseconds fast.
    clock_offset_ms: i64,
}

/// One fault of one link, or of all.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    effect: Effect,
    peer: Option<NodeName>,
    direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Effect {
    Partition,
    Drop(f64),
    Delay(Duration),
    Duplicate(f64),
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    /// 0 if it is lost.
    pub(crate) copies: u32,
    /// How much later it is.
    pub(crate) delay: Duration,
}

impl Fate {
    const FAIR: Self = Self { copies: 1, delay: Duration::ZERO };
}

impl Faults {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { active: enabled.then(Arc::default) }
    }

    pub(crate) fn are_enabled(&self) -> bool {
        self.active.is_some()
    }

    /// Whether there is one of a link, so that frames must be looked at one by one.
    pub(crate) fn are_active(&self) -> bool {
        self.with_active(|active| !active.rules.is_empty()).unwrap_or(false)
    }

    /// How much longer each sync of the disk is to take.
    pub(crate) fn disk_delay(&self) -> Duration {
        self.with_active(|active| active.disk).unwrap_or_default()
    }

    /// How many milliseconds the wall clock is to be fast; slow where it is below 0.
    pub(crate) fn clock_offset_ms(&self) -> i64 {
        self.with_active(|active| active.clock_offset_ms).unwrap_or_default()
    }

    fn with_active<T>(&self, look: impl FnOnce(&mut Active) -> T) -> Option<T> {
        let active = self.active.as_ref()?;
        let mut active = active.lock().expect("no holder of the faults panics");
        Some(look(&mut active))
    }

    /// Whether no frame passes between this node and `peer` on one way at least, so that no
    /// connection can be made.
    pub(crate) fn is_cut_off(&self, peer: &NodeName) -> bool {
        let cuts = |rule: &Rule| rule.effect == Effect::Partition && rule.concerns(peer);
        self.with_active(|active| active.rules.iter().any(cuts)).unwrap_or(false)
    }

    /// Throws the dice for one frame.
    pub(crate) fn fate(&self, peer: &NodeName, way: Way) -> Fate {
        let throw = |active: &mut Active| {
            let mut fate = Fate::FAIR;
            for rule in active.rules.iter().filter(|rule| rule.concerns(peer) && rule.works(way)) {
                match rule.effect {
                    Effect::Partition => fate.copies = 0,
                    Effect::Drop(p) if rand::random_bool(p) => fate.copies = 0,
                    Effect::Duplicate(p) if rand::random_bool(p) => fate.copies *= 2,
                    Effect::Delay(delay) => fate.delay = delay,
                    Effect::Drop(_) | Effect::Duplicate(_) => {}
                }
            }
            fate
        };
        self.with_active(throw).unwrap_or(Fate::FAIR)
    }

    /// Carries out a request, and tells what is in force then.
    pub(crate) fn apply(
        &self,
        fault: Option<&Fault>,
        is_member: impl Fn(&str) -> bool,
    ) -> Result<FaultsReply, Failure> {
        if !self.are_enabled() {
            return Err(Failure::new(ErrorCode::Denied, "this node makes no faults")
                .with_hint("start distdbd with --enable-faults"));
        }
        let peers = match fault {
            Some(fault) => named(fault, is_member)?,
            None => Vec::new(),
        };
        let faults = self.with_active(|active| {
            for peer in peers {
                active.set(fault.expect("peers come of a fault"), peer);
            }
            active.shown()
        });
        Ok(FaultsReply { faults: faults.unwrap_or_default() })
    }
}

/// The peers that a fault is about; `None` among them stands for all.
fn named(
    fault: &Fault,
    is_member: impl Fn(&str) -> bool,
) -> Result<Vec<Option<NodeName>>, Failure> {
    if fault.kind == FaultKind::Isolate && !fault.peers.is_empty() {
        return Err(Failure::bad_request("isolate takes no peers; partition does"));
    }
    if fault.peers.is_empty() {
        return Ok(vec![None]);
    }
    let name = |text: &String| match text.parse() {
        Ok(name) if is_member(text) => Ok(Some(name)),
        Ok(_) | Err(_) => Err(Failure::bad_request(format!("no other member is called {text:?}"))
            .with_hint("distdbctl members lists them")),
    };
    fault.peers.iter().map(name).collect()
}

impl Active {
    fn set(&mut self, fault: &Fault, peer: Option<NodeName>) {
        let effect = match fault.kind {
            FaultKind::Heal => {
                self.rules.retain(|rule| peer.is_some() && rule.peer != peer);
                if peer.is_none() {
                    (self.disk, self.clock_offset_ms) = Default::default();
                }
                return;
            }
            FaultKind::Disk(delay) => {
                self.disk = delay;
                return;
            }
            FaultKind::Clock(ms) => {
                self.clock_offset_ms = ms;
                return;
            }
            FaultKind::Isolate | FaultKind::Partition => Effect::Partition,
            FaultKind::Drop(probability) => Effect::Drop(probability),
            FaultKind::Delay(delay) => Effect::Delay(delay),
            FaultKind::Duplicate(probability) => Effect::Duplicate(probability),
        };
        let rule = Rule { effect, peer, direction: fault.direction };
        self.rules.retain(|other| !other.is_replaced_by(&rule));
        self.rules.push(rule);
    }

    fn shown(&self) -> Vec<ActiveFault> {
        let of_node = |fault: &str, amount: f64| ActiveFault {
            fault: fault.to_owned(),
            peer: "*".to_owned(),
            direction: Direction::Both,
            amount: Some(amount),
        };
        let disk = self.disk.as_secs_f64() * 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "a line takes no more than is exact")]
        let clock = self.clock_offset_ms as f64;
        let of_node = [("disk", disk), ("clock", clock)]
            .into_iter()
            .filter(|(_, amount)| *amount != 0.0)
            .map(|(fault, amount)| of_node(fault, amount));
        self.rules.iter().map(Rule::shown).chain(of_node).collect()
    }
}

impl Rule {
    fn concerns(&self, peer: &NodeName) -> bool {
        self.peer.as_ref().is_none_or(|one| one == peer)
    }

    fn works(&self, way: Way) -> bool {
        match self.direction {
            Direction::Both => true,
            Direction::In => way == Way::In,
            Direction::Out => way == Way::Out,
        }
    }

    fn is_replaced_by(&self, later: &Self) -> bool {
        let same_kind =
            std::mem::discriminant(&self.effect) == std::mem::discriminant(&later.effect);
        let covers = later.direction == Direction::Both || later.direction == self.direction;
        same_kind && covers && self.peer == later.peer
    }

    fn shown(&self) -> ActiveFault {
        let (fault, amount) = match self.effect {
            Effect::Partition => ("partition", None),
            Effect::Drop(probability) => ("drop", Some(probability)),
            Effect::Delay(delay) => ("delay", Some(delay.as_secs_f64() * 1_000.0)),
            Effect::Duplicate(probability) => ("duplicate", Some(probability)),
        };
        ActiveFault {
            fault: fault.to_owned(),
            peer: self.peer.as_ref().map_or("*".to_owned(), ToString::to_string),
            direction: self.direction,
            amount,
        }
    }
}

#[cfg(test)]
mod tests;

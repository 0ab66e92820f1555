//! The members of `fault`.

use std::time::Duration;

use crate::control::failure::Failure;
use crate::control::line::{Line, missing};
use crate::control::request::{Direction, Fault, FaultKind};

/// A longer delay is a partition, or a disk that is gone.
const DELAY_MS_MAX: f64 = 60_000.0;

impl Line {
    pub(super) fn take_fault(&mut self) -> Result<Option<Fault>, Failure> {
        let Some(set) = self.set.take() else { return Ok(None) };
        let kind = match &*set {
            "isolate" => FaultKind::Isolate,
            "partition" => FaultKind::Partition,
            "heal" => FaultKind::Heal,
            "drop" => FaultKind::Drop(self.take_amount(1.0)?),
            "duplicate" => FaultKind::Duplicate(self.take_amount(1.0)?),
            "delay" => FaultKind::Delay(self.take_delay()?),
            "disk" if self.peers.is_some() || self.direction.is_some() => {
                return Err(Failure::bad_request(
                    "a fault of the disk takes neither `peers` nor `direction`",
                ));
            }
            "disk" => FaultKind::Disk(self.take_delay()?),
            other => {
                return Err(Failure::bad_request(format!(
                    "member `set` is {other:?}; there are: isolate, partition, drop, delay, \
                     duplicate, disk, heal"
                )));
            }
        };
        let peers = self.peers.take().unwrap_or_default();
        Ok(Some(Fault { kind, peers, direction: self.direction.take().unwrap_or_default() }))
    }

    fn take_delay(&mut self) -> Result<Duration, Failure> {
        Ok(Duration::from_secs_f64(self.take_amount(DELAY_MS_MAX)? / 1_000.0))
    }

    fn take_amount(&mut self, max: f64) -> Result<f64, Failure> {
        let amount = self.amount.take().ok_or_else(|| missing("amount"))?;
        if (0.0..=max).contains(&amount) {
            return Ok(amount);
        }
        Err(Failure::bad_request(format!("member `amount` is {amount}; it takes 0 to {max}")))
    }

    pub(super) fn set_fault(&mut self, fault: Option<&Fault>) {
        let Some(fault) = fault else { return };
        let (set, amount) = match fault.kind {
            FaultKind::Isolate => ("isolate", None),
            FaultKind::Partition => ("partition", None),
            FaultKind::Heal => ("heal", None),
            FaultKind::Drop(probability) => ("drop", Some(probability)),
            FaultKind::Duplicate(probability) => ("duplicate", Some(probability)),
            FaultKind::Delay(delay) => ("delay", Some(delay.as_secs_f64() * 1_000.0)),
            FaultKind::Disk(delay) => ("disk", Some(delay.as_secs_f64() * 1_000.0)),
        };
        self.set = Some(set.into());
        self.amount = amount;
        self.peers = (!fault.peers.is_empty()).then(|| fault.peers.clone());
        self.direction = (fault.direction != Direction::Both).then_some(fault.direction);
    }
}

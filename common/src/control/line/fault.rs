//! The members of `fault`.

use std::time::Duration;

use crate::control::failure::Failure;
use crate::control::fault::{Direction, Fault, FaultKind};
use crate::control::line::{Line, missing};

/// A longer delay is a partition, or a disk that is gone.
const DELAY_MS_MAX: f64 = 60_000.0;

/// A century either way: years of four digits, and exact as a number of JSON.
const OFFSET_MS_MAX: f64 = 100.0 * 365.25 * 86_400_000.0;

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
            "disk" | "clock" if self.peers.is_some() || self.direction.is_some() => {
                let message = format!("a fault of the {set} takes neither `peers` nor `direction`");
                return Err(Failure::bad_request(message));
            }
            "disk" => FaultKind::Disk(self.take_delay()?),
            "clock" => FaultKind::Clock(self.take_offset()?),
            other => {
                return Err(Failure::bad_request(format!(
                    "member `set` is {other:?}; there are: isolate, partition, drop, delay, \
                     duplicate, disk, clock, heal"
                )));
            }
        };
        let peers = self.peers.take().unwrap_or_default();
        Ok(Some(Fault { kind, peers, direction: self.direction.take().unwrap_or_default() }))
    }

    fn take_delay(&mut self) -> Result<Duration, Failure> {
        Ok(Duration::from_secs_f64(self.take_amount(DELAY_MS_MAX)? / 1_000.0))
    }

    #[expect(clippy::cast_possible_truncation, reason = "it is rounded, and within bounds")]
    fn take_offset(&mut self) -> Result<i64, Failure> {
        self.take_between(-OFFSET_MS_MAX, OFFSET_MS_MAX).map(|ms| ms.round() as i64)
    }

    fn take_amount(&mut self, max: f64) -> Result<f64, Failure> {
        self.take_between(0.0, max)
    }

    fn take_between(&mut self, min: f64, max: f64) -> Result<f64, Failure> {
        let amount = self.amount.take().ok_or_else(|| missing("amount"))?;
        if (min..=max).contains(&amount) {
            return Ok(amount);
        }
        Err(Failure::bad_request(format!("member `amount` is {amount}; it takes {min} to {max}")))
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
            FaultKind::Clock(ms) => ("clock", Some(as_amount(ms))),
        };
        self.set = Some(set.into());
        self.amount = amount;
        self.peers = (!fault.peers.is_empty()).then(|| fault.peers.clone());
        self.direction = (fault.direction != Direction::Both).then_some(fault.direction);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a line takes no more than is exact")]
fn as_amount(ms: i64) -> f64 {
    ms as f64
}

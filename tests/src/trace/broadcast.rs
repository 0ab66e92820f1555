//! Steps of the specification.

use super::{Behaviour, Line};

pub(super) fn behaviour(_lines: &[Line]) -> Result<Behaviour, String> {
    Err("it has no steps yet".to_owned())
}

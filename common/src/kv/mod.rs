//! Keys, values, and the watches on them: what all three labs have in common.

pub mod key;
pub mod value;
pub mod watch;

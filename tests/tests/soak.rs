//! A soak that is short: that the program works, and the checks that it has of all modes at once.

use std::time::Duration;

use tests::soak::{self, Options};

/// One round, a few faults.
const TIME: Duration = Duration::from_secs(12);

/// Its first faults need no other disks than the usual one.
const SEED: u64 = 3;

#[test]
fn a_short_soak_is_in_order() {
    let dir = tempfile::Builder::new().prefix("distdb-soak-").tempdir_in("/tmp");
    let dir = dir.expect("/tmp takes a directory").keep();
    soak::run(&Options { time: TIME, seed: SEED, dir: dir.clone() });
    std::fs::remove_dir_all(dir).expect("it is ours");
}

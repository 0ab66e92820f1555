//! Log files that are not what was written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::LocalCluster;
use crate::cluster::client::Client;
use crate::sim::dice::Dice;
use crate::soak::wait_until;

/// A file of a log is at least so long where a flipped bit can't be in its last frame.
const LAST_FRAME_BYTES: usize = 16 * 1024;

/// Files of logs begin with so many bytes that are read first.
const HEAD_BYTES: usize = 64;

/// What a disk writes as a whole, or not at all.
const SECTOR_BYTES: usize = 512;

/// Of a frame.
const FRAME_HEAD_BYTES: usize = 32;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// To bytes that were promised to be there.
    Promised,
    /// Behind what was promised.
    Unpromised,
}

/// How a node with such a file starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It says which file is damaged where, and ends.
    Refused,
    /// It has cut what nobody was promised.
    Serves,
}

/// Flips a bit of what was synced, if there is enough.
pub fn damage(data_dir: &Path, dice: &mut Dice) -> Option<Damage> {
    let (file, mut bytes, written) = last_segment(data_dir)?;
    let end = written.checked_sub(LAST_FRAME_BYTES).filter(|end| *end > HEAD_BYTES)?;
    bytes[HEAD_BYTES + dice.below(end - HEAD_BYTES)] ^= 1 << dice.below(8);
    fs::write(file, bytes).expect("it is ours");
    Some(Damage::Promised)
}

/// Leaves something behind what was synced, as a write does of which a crash has let later sectors
/// reach the disk and not the first.
pub fn tear(data_dir: &Path, dice: &mut Dice) -> Option<Damage> {
    let (file, mut bytes, written) = last_segment(data_dir)?;
    // The last frame may end with a few zeros, and the head of the next is to be blank.
    let from = (written + FRAME_HEAD_BYTES * 2).next_multiple_of(SECTOR_BYTES);
    for byte in bytes.get_mut(from..from + SECTOR_BYTES * (1 + dice.below(8)))? {
        *byte = u8::try_from(dice.below(256)).expect("a byte");
    }
    fs::write(file, bytes).expect("it is ours");
    Some(Damage::Unpromised)
}

/// Starts a node whose log was damaged.
///
/// # Panics
///
/// If it speaks although it has lost what it had promised, or ends without a word of the place.
pub fn start(cluster: &mut LocalCluster, node: usize, damage: &Damage) -> Start {
    let before = cluster.logged(node).len();
    cluster.launch(node);
    let socket = cluster.socket(node);
    let mut ended = false;
    wait_until("it ends or serves", Duration::from_secs(60), || {
        ended = cluster.ended_unasked(node).is_some();
        ended || Client::connect(&socket).is_ok()
    });
    let log = cluster.logged(node);
    let said = &log[before..];
    if ended {
        let status = cluster.ended(node);
        assert_eq!(status.code(), Some(70), "a damaged log: {said}");
        let is_named = said.contains("wal-") && said.contains("damaged at byte");
        assert!(is_named, "it does not say where the damage is: {said}");
        return Start::Refused;
    }
    assert_eq!(*damage, Damage::Unpromised, "it serves with a damaged log: {said}");
    assert!(said.contains("cut at byte"), "it does not say that it has cut its log: {said}");
    Start::Serves
}

/// The last file that something is written in, what is in it, and where that ends.
fn last_segment(data_dir: &Path) -> Option<(PathBuf, Vec<u8>, usize)> {
    let files = fs::read_dir(data_dir).expect("it has run").map(|it| it.expect("so").path());
    let is_log = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wal-"))
    };
    let mut segments: Vec<_> = files.filter(is_log).collect();
    segments.sort();
    segments.into_iter().rev().find_map(|path| {
        let bytes = fs::read(&path).expect("it is there");
        let last = bytes.iter().rposition(|byte| *byte != 0)?;
        Some((path, bytes, last + 1))
    })
}

//! Real daemons in raft mode whose disks fill up, rot, and lose their power.
//!
//! File systems of their own take root: without it, and where the kernel lacks what they need,
//! these tests say that they were skipped.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::control::cluster::{Explain, Transferred};
use common::control::failure::{Applied, ErrorCode};
use common::control::reply::Get;
use common::control::request::{Read, Request};
use common::modes::Mode;
use tests::cluster::client::{Outcome, key};
use tests::cluster::load::Load;
use tests::cluster::mount::Mount;
use tests::cluster::{LocalCluster, eventually};

/// Small files, so that a full disk is soon noticed.
const FLAGS: &[&str] = &[
    "--heartbeat-interval",
    "50ms",
    "--election-timeout",
    "500ms",
    "--segment-size",
    "64K",
    "--snapshot-every",
    "500",
];

/// Writes that show that a cluster serves.
const A_FEW: u64 = 20;

/// What a disk writes as a whole, or not at all.
const SECTOR_BYTES: usize = 512;

/// D4: a full disk is no reason to die, nor for anybody else to wait.
#[test]
fn a_leader_whose_disk_is_full_hands_over() {
    let Some(disk) = Mount::small(2 * 1024) else { return };
    let mut cluster = LocalCluster::empty(Mode::Raft, FLAGS);
    let full = cluster.add_at(disk.path().join("data"), &[]);
    cluster.add();
    cluster.add();
    cluster.wait_voters(3);
    let load = Load::run_during(&mut cluster, 1, |cluster, progress| {
        progress.wait_for(A_FEW);
        let leader = cluster.leader();
        let member = Some(cluster.name(full).to_owned());
        if leader != full {
            let moved = cluster.client(leader).ask(Request::TransferLeader { member });
            let _: Transferred = moved.expect("all are there");
        }
        assert_eq!(cluster.leader(), full);
        disk.fill();
        eventually("it has noticed", || cluster.client(full).status().disk_full);
        progress.wait_for(A_FEW);
        assert_ne!(cluster.leader(), full, "another one leads");
        let stale = Request::get(key("nope"), Some(Read::Stale));
        let read: Outcome<Get> = cluster.client(full).ask(stale);
        assert!(read.is_ok_and(|get| !get.found), "what it has, it tells");
        // It can't take the entries that a linearizable read is to see.
        let behind = cluster.client(full).get("nope").expect_err("writes went on without it");
        assert_eq!(behind.code, ErrorCode::Behind, "{behind:?}");
        disk.make_room();
        eventually("it has room", || !cluster.client(full).status().disk_full);
    });
    load.judge(&cluster);
}

/// D4: where nobody has room, writes are refused and reads are served, until there is room again.
#[test]
fn a_single_node_waits_for_room() {
    let Some(disk) = Mount::small(2 * 1024) else { return };
    let mut cluster = LocalCluster::empty(Mode::Raft, FLAGS);
    cluster.add_at(disk.path().join("data"), &[]);
    cluster.leader();
    let mut client = cluster.client(0);
    client.put("before", "v").expect("there is room");
    disk.fill();
    let mut failure = None;
    let value = "v".repeat(4 * 1024);
    eventually("the disk is full", || {
        failure = client.put("filler", &value).err();
        failure.is_some()
    });
    let failure = failure.expect("it was waited for");
    assert_eq!((failure.code, failure.applied), (ErrorCode::Quota, Some(Applied::No)));
    assert_eq!(client.get("before"), Ok(Some("v".to_owned())));
    let explained: Explain = client.ask(Request::Explain { key: None, purpose: None }).expect("so");
    assert!(!explained.ok && explained.verdict.contains("disk"), "{explained:?}");
    disk.make_room();
    eventually("it goes on by itself", || client.put("after", "v").is_ok());
    cluster.kill(0);
    cluster.restart(0);
    cluster.leader();
    for name in ["before", "after"] {
        assert_eq!(cluster.client(0).get(name), Ok(Some("v".to_owned())), "{name}");
    }
}

/// D1: power goes for all at once, and with it whatever was not synced.
#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let Some(disk) = Mount::disk(64) else { return };
    let mut cluster = LocalCluster::empty(Mode::Raft, FLAGS);
    for node in 0..3 {
        cluster.add_at(disk.path().join(format!("node{node}")), &[]);
    }
    cluster.wait_voters(3);
    let load = Load::run_during(&mut cluster, 2, |cluster, progress| {
        for _ in 0..3 {
            progress.wait_for(A_FEW);
            disk.cut_power();
            cluster.kill_all();
            disk.power_on();
            cluster.restart_all();
        }
        progress.wait_for(A_FEW);
    });
    load.judge(&cluster);
    cluster.kill_all();
}

/// D3: what was synced and can't be read stops the node, which touches nothing; the others go on,
/// and with an empty directory it is back.
#[test]
fn a_node_with_a_damaged_log_does_not_speak() {
    let mut cluster = LocalCluster::start_with(3, Mode::Raft, FLAGS);
    let load = Load::run_during(&mut cluster, 3, |cluster, progress| {
        progress.wait_for(A_FEW);
        let damaged = cluster.followers()[0];
        cluster.kill(damaged);
        let (file, written) = last_segment(cluster.data_dir(damaged));
        let mut bytes = fs::read(&file).expect("it is there");
        let offset = written.len() / 2;
        bytes[offset] ^= 0xff;
        fs::write(&file, bytes).expect("it is ours");
        let before = contents(cluster.data_dir(damaged));
        let said = refused(cluster, damaged);
        let name = file.file_name().and_then(|name| name.to_str()).expect("wal-*");
        assert!(said.contains(name) && said.contains("damaged at byte"), "{said}");
        assert!(before == contents(cluster.data_dir(damaged)), "files were touched");
        progress.wait_for(A_FEW);
        fs::remove_dir_all(cluster.data_dir(damaged)).expect("it is there");
        cluster.restart(damaged);
        cluster.wait_voters(3);
    });
    load.judge(&cluster);
}

/// D3: a last frame of which sectors never reached the disk is cut, and the node says so.
#[test]
fn a_torn_tail_is_cut_with_a_warning() {
    let mut cluster = LocalCluster::start_with(1, Mode::Raft, FLAGS);
    cluster.client(0).put("whole", "v").expect("it leads");
    cluster.client(0).put("torn", &"v".repeat(4 * 1024)).expect("it leads");
    cluster.kill(0);
    let (file, written) = last_segment(cluster.data_dir(0));
    let mut bytes = fs::read(&file).expect("it is there");
    let torn = written.end / SECTOR_BYTES * SECTOR_BYTES - SECTOR_BYTES;
    bytes[torn..].fill(0);
    fs::write(&file, bytes).expect("it is ours");
    cluster.restart(0);
    assert!(cluster.logged(0).contains("cut at byte"), "{}", cluster.logged(0));
    cluster.leader();
    assert_eq!(cluster.client(0).get("whole"), Ok(Some("v".to_owned())));
    assert_eq!(cluster.client(0).get("torn"), Ok(None));
    cluster.client(0).put("after", "v").expect("it leads");
    cluster.kill(0);
    cluster.restart(0);
    cluster.leader();
    assert_eq!(cluster.client(0).get("after"), Ok(Some("v".to_owned())));
}

/// What a daemon says that ends with 70 as soon as it is started.
fn refused(cluster: &LocalCluster, node: usize) -> String {
    let output = cluster.command(node).stderr(Stdio::piped()).output().expect("it starts");
    let said = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(output.status.code(), Some(70), "{said}");
    said
}

/// The last file of a log, and what of it is written.
fn last_segment(data_dir: &Path) -> (PathBuf, Range<usize>) {
    let written = |path: &Path| {
        let bytes = fs::read(path).expect("it is there");
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    };
    let files = fs::read_dir(data_dir).expect("it is there").map(|entry| entry.expect("so").path());
    let is_log =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("wal-"));
    let mut segments: Vec<_> = files.filter(is_log).collect();
    segments.sort();
    let mut segments = segments.into_iter().map(|path| (0..written(&path), path));
    let last = segments.rfind(|(written, _)| !written.is_empty());
    let (written, path) = last.expect("something was written");
    (path, written)
}

fn contents(data_dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(data_dir).expect("it is there").map(|entry| entry.expect("so").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("it is there"))).collect()
}

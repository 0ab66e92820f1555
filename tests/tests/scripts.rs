//! Runs the golden scripts in `tests/scripts`; see `tests::script`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tests::script::Runner;

/// One test for each script, and one that sees to it that none is forgotten.
macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_script_is_run() {
            let known = BTreeSet::from([$(stringify!($name).to_owned()),*]);
            assert_eq!(there(), known);
        }
    };
}

scripts! {
    chunked_sync
    concurrent_puts_converge
    delete_survives_sync
    donor_behind
    donor_dies_mid_sync
    founded_in_doubt_then_merges
    lost_write_is_counted_and_repaired
    name_reuse_after_wipe
    not_ready_until_synced
    old_snapshot_does_not_overwrite
    prefix_delete_and_watch
    put_reaches_all
    reconnect_neither_repeats_nor_reorders
    restarted_node_never_reuses_a_version
    two_fresh_nodes_found
    unreachable_member_does_not_block
    unready_writes_and_founders
    write_during_sync
}

fn run(name: &str) {
    let script = directory().join(name);
    goldenscript::run(&mut Runner::default(), script).expect("a script that can be run");
}

fn there() -> BTreeSet<String> {
    let entries = directory().read_dir().expect("the directory of scripts");
    let names = entries.map(|entry| entry.expect("its entries").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/broadcast")
}

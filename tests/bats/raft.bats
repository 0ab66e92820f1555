#!/usr/bin/env bats
# Raft for those who run it: what a crash, a cut link, a restart and a full disk look like
# from the shell.

load common

mode=raft

teardown() {
    stop_nodes
    umount "$dir/small" 2>/dev/null || true
}

leads_nobody() {
    [ -z "$(leader "$1")" ]
}

has_snapshot() {
    [ "$(status_of "$1" snapshot_index)" -ge "$2" ]
}

status_of() {
    ctl --node "$1" status -o json | jq -r ".$2"
}

# bats test_tags=traced:raft
@test "a leader is killed, and the next put succeeds within 2 s" {
    start_cluster 3
    for _ in 1 2; do
        old=$(leader node1)
        node=$(other_than "$old")
        ctl --node "$old" put before "$old"
        kill_node "$old"
        expect 0 ctl --node "$node" --timeout 2s put after "$old"
        [ "$(ctl --node "$node" get before)" = "$old" ]
        start_node "$old"
        wait_for "$old" members=3
        [ "$(ctl --node "$old" get after)" = "$old" ]
    done
}

# bats test_tags=traced:raft
@test "who can't reach a majority says 69 in time and why, and serves when it is back" {
    start_cluster 3 --enable-faults
    cut=$(other_than "$(leader node1)")
    near=$(other_than "$cut")
    term=$(status_of "$near" term)
    ctl --node "$cut" fault isolate >/dev/null
    eventually leads_nobody "$cut"
    began=$(now_ms)
    expect 69 ctl --node "$cut" --timeout 500ms -o json put key lost
    jq -e '.applied == "no" and .code == "no_leader"' <<<"$stderr"
    expect 69 ctl --node "$cut" --timeout 500ms get key
    [ $(($(now_ms) - began)) -lt 5000 ]
    expect 7 ctl --node "$cut" explain
    for peer in node1 node2 node3; do
        [ $peer = "$cut" ] || [[ $output == *"$peer"* ]]
    done
    expect 0 ctl --node "$near" put key kept
    ctl --node "$cut" fault heal >/dev/null
    expect 0 ctl --node "$cut" get key
    [ "$output" = kept ]
    # R13: it did not vote itself into a later term.
    [ "$(status_of "$near" term)" = "$term" ]
}

# bats test_tags=traced:raft
@test "O4: a leader that is told to end hands over, and nobody waits for an election" {
    # An election would take ten seconds at least.
    start_cluster 3 --election-timeout 10s
    old=$(leader node1)
    node=$(other_than "$old")
    began=$(now_ms)
    kill -TERM "${pids[$old]}"
    reap "$old"
    [ "$status" = 0 ]
    [ $(($(now_ms) - began)) -lt 5000 ]
    [ ! -e "$(socket "$old")" ]
    expect 0 ctl --node "$node" put key value
    [ $(($(now_ms) - began)) -lt 9000 ]
    start_node "$old"
    [ "$(ctl --node "$old" get key)" = value ]
}

@test "R23: all nodes die at once, and everything is there again" {
    start_cluster 3
    fill node2 500
    before=$(ctl --node node1 list | sort | md5sum)
    kill -KILL "${pids[@]}"
    for node in node1 node2 node3; do
        reap $node
    done
    for node in node1 node2 node3; do
        spawn_node $node
    done
    for node in node1 node2 node3; do
        eventually answers $node
        [ "$(ctl --node $node list | sort | md5sum)" = "$before" ]
    done
    eventually have_one_state node1 node2 node3
}

@test "R19: who comes back behind the log gets a snapshot, and so does who is new" {
    flags='--snapshot-every 100 --segment-size 64K'
    # shellcheck disable=SC2086  # Words of a command line.
    start_cluster 3 $flags
    kill_node node3
    fill node1 1000
    # What a node keeps of its log in memory goes with a restart.
    for node in node1 node2; do
        eventually has_snapshot $node 900
        kill_node $node
        # shellcheck disable=SC2086
        start_node $node $flags
    done
    # shellcheck disable=SC2086
    start_node node3 $flags
    start_node node4 --join "$(address node1)"
    eventually has_voters node1 4
    eventually have_one_state node1 node2 node3 node4
    for node in node3 node4; do
        grep -q 'took a snapshot for its state' "$node.log"
        [ "$(ctl --node $node get key01000)" = value01000 ]
    done
}

# bats test_tags=traced:raft
@test "M3: a second node at a wrong address stops no write, and can be removed" {
    start_single
    start_node node2 --join "$(address node1)" --advertise 127.0.0.1:1
    for i in {1..20}; do
        expect 0 ctl --node node1 put key "$i"
    done
    run ctl --node node1 member remove node2
    [ "$status" = 0 ] || [ "$status" = 1 ]
    expect 0 ctl --node node1 put key after
    eventually has_voters node1 1
}

@test "D3: a log that rotted stops its node with 70, names the place, and is left as it is" {
    start_single
    fill node1 100
    kill_node node1
    log=$(find data-node1 -name 'wal-*' -size +0 | sort | head -1)
    printf 'rot' | dd of="$log" bs=1 seek=200 conv=notrunc status=none
    before=$(md5sum data-node1/*)
    expect 70 timeout 20 "$bin/distdbd" --node node1 --listen 127.0.0.1:0 --data-dir data-node1
    [[ $stderr == *"$(basename "$log")"*'damaged at byte'* ]]
    [ "$(md5sum data-node1/*)" = "$before" ]
}

@test "D4: a full disk refuses writes with 75, serves reads, and goes on when there is room" {
    mkdir small
    mount -t tmpfs -o size=1m tmpfs small 2>/dev/null || skip 'mounting takes root'
    data_dir=$dir/small/data
    start_single --segment-size 64K
    ctl put before x
    cat /dev/zero >small/ballast 2>/dev/null || true
    is_full() { run --separate-stderr ctl -o json put filler "$(seq 2000)" && [ "$status" = 75 ]; }
    eventually is_full
    jq -e '.code == "quota" and .applied == "no"' <<<"$stderr"
    [ "$(ctl get before)" = x ]
    expect 7 ctl explain --for write
    [[ $output == *disk* ]]
    expect 0 ctl live
    rm small/ballast
    eventually ctl put after y
    kill_node node1
    start_node node1
    [ "$(ctl get after)" = y ]
}

@test "--fsync never warns loudly, and only then" {
    start_single --fsync never
    grep -q 'WARN.*--fsync never' node1.log
    expect 0 ctl put key value
    start_node node2 --bootstrap
    refute grep -q fsync node2.log
}

@test "--check-config checks the flags of the log as well" {
    check() { "$bin/distdbd" --node n --listen 127.0.0.1:0 --bootstrap --data-dir none --check-config "$@"; }
    expect 0 check --mode raft --snapshot-every 100 --segment-size 64K --fsync never
    expect 0 check --segment-size 1G --fsync always
    expect 0 env DISTDB_SEGMENT_SIZE=1M DISTDB_SNAPSHOT_EVERY=5 DISTDB_FSYNC=never \
        "$bin/distdbd" --node n --listen 127.0.0.1:0 --bootstrap --data-dir none --check-config
    for flags in '--snapshot-every 0' '--segment-size 1K' '--segment-size 2G' '--fsync often' \
        '--mode paxos' '--election-timeout 200ms'; do
        # shellcheck disable=SC2086  # Words of a command line.
        expect 78 check $flags
        [ -n "$stderr" ]
    done
    [ ! -e none ]
}

#!/usr/bin/env bats
# What a newcomer types, and the script behind `make cluster`.

load common

cluster() {
    DISTDB_RUN=$dir/run DISTDB_BIN=$bin "$root/tests/cluster.sh" "$@"
}

teardown() {
    # Nodes of the script are no children of the test.
    cluster stop >/dev/null
}

@test "the quick start works as it is printed" {
    expect 0 cluster start 3
    [[ $output == *"export DISTDB_RUNTIME_DIR=$dir/run"* ]]
    expect 0 ctl --node node1 put name alice
    [ -z "$output" ]
    wait_for node2 key name
    expect 0 ctl --node node2 get name
    [ "$output" = alice ]
    expect 0 ctl --node node1 list
    [ "$output" = $'name\talice' ]
    expect 0 ctl --node node1 delete name
    [ "$output" = 1 ]
}

@test "the leader of a quick start may be killed, and nobody has to do anything" {
    cluster start 3
    ctl --node node1 put name alice
    old=$(leader node1)
    kill -KILL "$(cat "run/$old/pid")"
    node=$(other_than "$old")
    expect 0 ctl --node "$node" put name bob
    expect 0 ctl --node "$(other_than "$old" "$node")" get name
    [ "$output" = bob ]
    expect 0 cluster start 3
    expect 0 ctl --node "$old" get name
    [ "$output" = bob ]
}

@test "C1: a missing key is exit code 1 and no output" {
    expect 0 cluster start 1
    expect 1 ctl get nope
    [ -z "$output" ]
}

@test "a cluster that runs is not started twice" {
    cluster start 2
    before=$(cat run/*/pid)
    ctl --node node1 put name alice
    expect 0 cluster start 2
    [[ $output == *"runs already"* ]]
    [ "$(cat run/*/pid)" = "$before" ]
    expect 0 ctl --node node1 get name
}

@test "start brings back what has died, and adds what is asked for" {
    cluster start 2
    ctl --node node1 put name alice
    kill -KILL "$(cat run/node2/pid)"
    expect 0 cluster start 3
    expect 0 ctl --node node2 get name
    expect 0 ctl --node node3 get name
    [ "$output" = alice ]
}

@test "a cluster that was stopped starts again with its members" {
    cluster start 3
    id=$(of node2 status id)
    expect 0 cluster stop
    [ "$output" = "3 nodes stopped" ]
    expect 0 cluster start 3
    [ "$(of node2 status id)" = "$id" ]
}

@test "stop leaves a process alone that has got the pid of a node" {
    cluster start 1
    pid=$(cat run/node1/pid)
    background tail -f /dev/null
    echo "$helper" >run/node1/pid
    expect 0 cluster stop
    kill -0 "$helper"
    echo "$pid" >run/node1/pid
}

@test "P9: a path too long for sockets is replaced by a link to a short one" {
    long=$dir/$(printf 'long%.0s' {1..30})
    mkdir "$long"
    export DISTDB_RUN=$long/run
    cluster_there() { DISTDB_BIN=$bin "$root/tests/cluster.sh" "$@"; }
    expect 0 cluster_there start 1
    short=$(readlink "$long/run")
    DISTDB_RUNTIME_DIR=$short ctl put name alice
    expect 0 cluster_there stop
    rm -rf "$short"
}

@test "N must be a number" {
    expect 1 cluster start many
    [[ $stderr == *many* ]]
}

#!/usr/bin/env bats
# C11: a flag beats its variable, which beats the default; and which daemon is meant.

load common

prepare() {
    start_single
}

two_nodes() {
    start_node node2 --bootstrap
    ctl --node node1 put who node1
    ctl --node node2 put who node2
}

@test "the only socket is found" {
    ctl put key value
    [ "$(ctl get key)" = value ]
}

@test "several sockets are named, and none is chosen" {
    two_nodes
    expect 68 ctl get who
    [[ $stderr == *node1* && $stderr == *node2* ]]
}

@test "C11: --node beats DISTDB_NODE, before and after the command" {
    two_nodes
    export DISTDB_NODE=node2
    [ "$(ctl get who)" = node2 ]
    [ "$(ctl --node node1 get who)" = node1 ]
    [ "$(ctl get who --node node1)" = node1 ]
}

@test "C11: --socket beats DISTDB_SOCKET, which beats a node's name" {
    two_nodes
    [ "$(ctl --socket "$(socket node2)" --node node1 get who)" = node2 ]
    DISTDB_SOCKET=$(socket node2)
    export DISTDB_SOCKET
    export DISTDB_NODE=node1
    [ "$(ctl get who)" = node2 ]
    [ "$(ctl --socket "$(socket node1)" get who)" = node1 ]
}

@test "C11: --runtime-dir beats DISTDB_RUNTIME_DIR" {
    DISTDB_RUNTIME_DIR=$dir/none
    expect 68 ctl get who
    expect 1 ctl --runtime-dir "$dir/run" get who
}

@test "C11: --output beats DISTDB_OUTPUT, --timeout beats DISTDB_TIMEOUT" {
    ctl put key value
    export DISTDB_OUTPUT=json
    [ "$(ctl get key | jq -r .value)" = value ]
    [ "$(ctl get key -o text)" = value ]
    export DISTDB_TIMEOUT=100ms
    expect 124 ctl wait key nope
    export DISTDB_TIMEOUT=30s
    began=$(now_ms)
    expect 124 ctl wait key nope --timeout 100ms
    expect 124 ctl --timeout 100ms wait key nope
    [ $(($(now_ms) - began)) -lt 10000 ]
    export DISTDB_TIMEOUT=never
    expect 2 ctl get key
    expect 0 ctl --timeout 5s get key
}

@test "C11: a variable that is empty is not set" {
    ctl put key value
    for name in NODE SOCKET; do
        [ "$(env "DISTDB_$name=" "$bin/distdbctl" get key)" = value ]
    done
}

@test "C11: the daemon takes each flag from its variable, and the flag first" {
    DISTDB_NODE=node5 DISTDB_LISTEN=127.0.0.1:0 DISTDB_BOOTSTRAP=true DISTDB_DATA_DIR=$dir/data \
        background "$bin/distdbd" --runtime-dir "$dir/run"
    eventually answers node5
    [ -d "$dir/data/node5" ]
    DISTDB_NODE=node5 DISTDB_LISTEN=nowhere DISTDB_JOIN="$(address node5)" \
        background "$bin/distdbd" --node node6 --listen 127.0.0.1:0 --data-dir "$dir/data-node6"
    eventually answers node6
    wait_for node6 members=2
}

@test "C11: a switch of the daemon may be 1 or 0 in the environment" {
    for yes in 1 true yes; do
        expect 0 env DISTDB_BOOTSTRAP=$yes "$bin/distdbd" --node n --listen 127.0.0.1:0 --check-config
    done
    for no in 0 false no ''; do
        expect 0 env DISTDB_BOOTSTRAP=$no DISTDB_JOIN=127.0.0.1:1 "$bin/distdbd" --node n \
            --listen 127.0.0.1:0 --check-config
    done
}

@test "DISTDB_SOCKET_MODE and --socket-mode say who may connect" {
    DISTDB_SOCKET_MODE=0600 start_node node2 --bootstrap
    [ "$(stat -c %a "$(socket node2)")" = 600 ]
    start_node node3 --bootstrap --socket-mode 0666
    [ "$(stat -c %a "$(socket node3)")" = 666 ]
    [ "$(stat -c %a "$(socket node1)")" = 660 ]
}

@test "a node's name is checked before a path is built from it" {
    for name in .. a/b '' '-x' "$(printf 'n%.0s' {1..64})" $'a\nb'; do
        expect 2 ctl "--node=$name" get key || [ -z "$name" ]
        refused "--node=$name" --listen 127.0.0.1:0 --bootstrap --data-dir "$dir/x"
    done
    [ ! -e "$dir/x" ]
}

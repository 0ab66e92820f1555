#!/usr/bin/env bats
# The flight recorder: what nodes have observed of late.

load common

mode=raft

# The first line of an event in a file.
place() {
    jq -r .ev "$2" | grep -n -m 1 "^$1$" | cut -d: -f1
}

@test "trace tells what the nodes did, and nothing before what caused it" {
    start_cluster 3
    ctl --node node2 put name alice
    wait_for node1 'revision>=1'
    ctl trace --output json >events
    jq -es 'map(.lc) == (map(.lc) | sort)' events
    [ "$(jq -r .node events | sort -u | paste -sd,)" = node1,node2,node3 ]
    [ "$(place BecomeLeader events)" -lt "$(place HandleAppend events)" ]
    [ "$(place HandleAppend events)" -lt "$(place HandleAppended events)" ]
}

@test "trace tells of some nodes, some events, and of who is silent" {
    start_cluster 3
    ctl --node node3 --node node1 trace --output json >events
    [ "$(jq -r .node events | sort -u | paste -sd,)" = node1,node3 ]
    [ "$(ctl trace --limit 3 | wc -l)" = 3 ]
    kill_node node3
    expect 7 ctl trace --diagram
    [[ $stderr == *node3/control.sock* ]]
    [[ $output == *node1*node2* && $output == *●*BecomeLeader* && $output == *"─▶●"* ]]
    expect 68 ctl --node node3 trace
}

@test "a trace file goes on over kill -9, and can be read" {
    start_single --trace node1.ndjson
    ctl put a 1
    kill_node node1
    start_node node1 --trace node1.ndjson
    wait_for node1 leader
    ctl trace --limit 100000 node1.ndjson >events
    [ "$(cut -f 4 events | grep -c '^Start$')" = 2 ]
    cut -f 1 events | sort -n -c
    expect 66 ctl trace nowhere
}

@test "what is no trace is refused, and not written to" {
    echo '{"v":1}' >wrong.ndjson
    expect 66 ctl trace wrong.ndjson
    refused --node node1 --listen 127.0.0.1:0 --bootstrap --data-dir data --trace wrong.ndjson
    [[ $stderr == *"no trace"* ]]
    [ "$(cat wrong.ndjson)" = '{"v":1}' ]
}

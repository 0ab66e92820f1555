#!/usr/bin/env bats
# Which keys are replicated how, and what a client sees of it.

load common

mode=raft

mode_of() {
    ctl --node "$1" call put "{\"key\":\"$2\",\"value\":\"x\"}" | jq -r .header.mode
}

has_row() {
    ctl --node "$1" mode list | grep -qx "$2"$'\t'"$3"$'\t'"${4:--}"
}

@test "the mode that a cluster was founded in is that of every key" {
    start_single
    [ "$(ctl mode list)" = $'prefix\tmode\tresolver\n\traft\t-' ]
    [ "$(mode_of node1 any)" = raft ]
    [ "$(of node1 status 'modes[0].mode')" = raft ]
}

@test "a prefix gets a mode of its own, on every node, and the longest counts" {
    start_cluster 3
    expect 0 ctl --node node2 mode set cache/ broadcast
    [[ $output == *$'cache/\tbroadcast'* ]]
    expect 0 ctl --node node3 mode set cache/safe/ raft
    for node in node1 node2 node3; do
        eventually has_row $node cache/ broadcast
        eventually has_row $node cache/safe/ raft
        [ "$(mode_of $node other)" = raft ]
        [ "$(mode_of $node cache)" = raft ]
        [ "$(mode_of $node cache/x)" = broadcast ]
        [ "$(mode_of $node cache/safe/x)" = raft ]
    done
}

@test "a prefix in causal mode has a resolver, and no other has" {
    start_single
    expect 0 ctl mode set presence/ causal
    expect 0 ctl mode set hits/ causal --resolver counter
    has_row node1 presence/ causal siblings
    has_row node1 hits/ causal counter
    [ "$(of node1 status 'modes[1].resolver')" = counter ]
    expect 2 ctl mode set a/ raft --resolver lww
    expect 2 ctl mode set a/ causal --resolver best
    [[ $stderr == *siblings*lww*max*min*counter*set* ]]
    expect 65 ctl call mode_set '{"prefix":"a/","mode":"raft","resolver":"lww"}'
}

@test "the node that was told of a mode goes by it at once" {
    start_cluster 3
    for i in {1..10}; do
        for node in node1 node2 node3; do
            ctl --node $node mode set "$node-$i/" broadcast
            has_row $node "$node-$i/" broadcast
            [ "$(mode_of $node "$node-$i/x")" = broadcast ]
        done
    done
}

@test "keys in broadcast mode are written without a majority, and go to who is connected" {
    start_cluster 3
    ctl --node node1 mode set cache/ broadcast
    for node in node2 node3; do
        eventually has_row $node cache/ broadcast
    done
    ctl --node node1 put cache/a 1
    wait_for node3 key cache/a
    holds node3 cache/a 1
    kill_node node2
    kill_node node3
    expect 0 ctl --node node1 put cache/b 2
    expect 0 ctl --node node1 get cache/b
    run ctl --node node1 --timeout 1s put other x
    [ "$status" = 69 ] || [ "$status" = 74 ]
}

@test "a dry run changes no mode" {
    start_single
    expect 0 ctl mode set cache/ broadcast --dry-run
    ctl -o json mode set cache/ broadcast --dry-run >reply
    [ "$(jq .changed reply)" = false ]
    [ "$(ctl mode list)" = $'prefix\tmode\tresolver\n\traft\t-' ]
    ctl -o json mode set cache/ broadcast >reply
    [ "$(jq .changed reply)" = true ]
    ctl -o json mode list | jq -e '.modes | length == 2'
}

@test "a mode that there is not is refused, and those that there are are told" {
    start_single
    expect 2 ctl mode set cache/ paxos
    [[ $stderr == *broadcast*raft* ]]
    expect 65 ctl call mode_set '{"prefix":"cache/","mode":"paxos"}'
    [[ $output == *broadcast*raft* ]]
    expect 65 ctl call mode_set '{"mode":"raft"}'
    expect 65 ctl mode set $'a\tb' raft
}

@test "modes outlive a restart of all nodes" {
    start_single
    ctl mode set cache/ broadcast
    kill_node node1
    start_node node1
    wait_for node1 leader
    eventually has_row node1 cache/ broadcast
    [ "$(mode_of node1 cache/x)" = broadcast ]
}

@test "X3: a repeated mode_set is executed once, and its tag fits no other" {
    start_single
    tag='"request":{"client":"00112233445566778899aabbccddeeff","seq":1}'
    expect 0 ctl call mode_set "{\"prefix\":\"a/\",\"mode\":\"broadcast\",$tag}"
    expect 0 ctl call mode_set "{\"prefix\":\"a/\",\"mode\":\"broadcast\",$tag}"
    expect 65 ctl call mode_set "{\"prefix\":\"b/\",\"mode\":\"broadcast\",$tag}"
    refute has_row node1 b/ broadcast
}

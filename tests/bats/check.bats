#!/usr/bin/env bats
# `distdbctl check` against real clusters: it passes good ones, and says what is wrong where
# something is.

load common

mode=raft

@test "linearizable: a good cluster passes, and nothing is left behind" {
    start_cluster 3
    ctl --node node1 put check/mine x
    expect 0 ctl check linearizable --operations 2000 -o json
    [ "$(jq -r .verdict <<<"$output")" = pass ]
    [ "$(jq .operations.answered <<<"$output")" -gt 1000 ]
    [ "$(jq -r '.nodes | join(" ")' <<<"$output")" = 'node1 node2 node3' ]
    [ "$(ctl --node node1 list --keys)" = check/mine ]
}

@test "linearizable: stale reads are a violation, told by the answers that contradict each other" {
    start_cluster 3
    expect 7 ctl check linearizable --read stale --operations 4000 -o json
    [ "$(jq -r .violation.property <<<"$output")" = linearizable ]
    # Few operations, of one key, some of them marked.
    [ "$(jq '.violation.operations | length' <<<"$output")" -le 20 ]
    [ "$(jq '[.violation.operations[] | select(.contradicts)] | length' <<<"$output")" -ge 1 ]
    [ "$(jq '[.violation.operations[].key] | unique | length' <<<"$output")" = 1 ]
    expect 7 ctl check linearizable --read stale --operations 4000
    [[ $output == 'VIOLATION linearizable'* ]]
    [[ $output == *'client '* && $output == *'┌ '* && $output == *'└*'* ]]
}

@test "causal: sessions that go from node to node see causes before effects" {
    start_cluster 3
    ctl --node node1 mode set cart/ causal
    expect 0 ctl check causal --prefix cart/ --operations 1500
    [[ $output == 'PASS causal'* ]]
    expect 65 ctl check causal
    expect 65 ctl check linearizable --prefix cart/
    ctl --node node1 mode set last/ causal --resolver lww
    expect 65 ctl check causal --prefix last/
}

@test "converge and watch: nodes hold the same, and watches tell every change once" {
    start_cluster 3
    expect 0 ctl check converge --operations 1000
    expect 0 ctl check watch --operations 1000
    [ -z "$(ctl --node node1 list)" ]
}

@test "converge: copies in broadcast mode that missed writes are told key by key" {
    mode=broadcast
    start_cluster 2 --enable-faults
    # Where nothing is heard, nothing is missed only if nothing is written.
    ctl --node node1 fault drop node2 1 --out
    expect 7 ctl --timeout 1s check converge --keys 2 --operations 200 -o json
    [ "$(jq -r .violation.property <<<"$output")" = convergence ]
    [[ $(jq -r .violation.what <<<"$output") == *'at node1: '*'at node2: '*sync* ]]
}

@test "faults: they happen, and are healed" {
    start_cluster 3 --enable-faults
    expect 0 ctl check linearizable --operations 500 --duration 4s --faults isolate,pause -o json
    [ "$(jq '.faults | add' <<<"$output")" -ge 1 ]
    for node in node1 node2 node3; do
        [ -z "$(ctl --node "$node" fault list -o json)" ]
        ctl --node "$node" --timeout 5s wait leader >/dev/null
    done
}

@test "faults: Ctrl-C heals and cleans up before it ends the run" {
    start_cluster 2 --enable-faults
    background "$bin/distdbctl" check linearizable --faults delay --duration 60s
    has_keys() { [ -n "$(ctl --node node1 list check/ --keys --limit 1)" ]; }
    eventually has_keys
    kill -INT "$helper"
    status=0
    wait "$helper" || status=$?
    [ "$status" = 130 ]
    [ -z "$(ctl --node node1 list)" ]
    for node in node1 node2; do
        [ -z "$(ctl --node "$node" fault list -o json)" ]
    done
}

@test "faults are refused before anything is written where daemons don't allow them" {
    start_cluster 2
    revision=$(of node1 status revision)
    expect 77 ctl check linearizable --faults
    [ "$(of node1 status revision)" = "$revision" ]
}

@test "nobody can say: without a quorum nothing is judged" {
    start_cluster 2
    kill_node node2
    expect 69 ctl --node node1 --timeout 500ms check linearizable --duration 1s -o json
    [ "$(jq -r .verdict <<<"$output")" = inconclusive ]
    expect 68 ctl --runtime-dir nowhere check linearizable
}

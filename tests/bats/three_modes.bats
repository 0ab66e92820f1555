#!/usr/bin/env bats
# One cluster, three prefixes, and what each mode makes of the same partition.

load common
load causal

mode=raft

# A cluster of three in which node3 can be cut off.
start_three_modes() {
    start_cluster 3 --enable-faults
    for mode_name in broadcast causal raft; do
        set_mode "$mode_name/" $mode_name
    done
    set_mode count/ causal counter
    set_mode tags/ causal set
}

mode_of() {
    told .header.mode "$1" get "{\"key\":\"$2\"}"
}

@test "each prefix has its mode on every node, and a list has the keys of all three" {
    start_three_modes
    for mode_name in broadcast causal raft; do
        ctl --node node2 put "$mode_name/key" "$mode_name"
        for node in node1 node2 node3; do
            [ "$(mode_of $node "$mode_name/key")" = "$mode_name" ]
            eventually holds $node "$mode_name/key" "$mode_name"
        done
    done
    for node in node1 node2 node3; do
        expect 0 ctl --node $node list
        [ "$output" = $'broadcast/key\tbroadcast\ncausal/key\tcausal\nraft/key\traft' ]
    done
}

@test "broadcast and causal are writable on both sides of a partition; the raft minority refuses" {
    start_three_modes
    # The majority is to keep its leader.
    cut=$(other_than "$(leader node1)")
    near=$(other_than "$cut")
    cut_off "$cut"
    for node in "$cut" "$near"; do
        for mode_name in broadcast causal; do
            expect 0 ctl --node "$node" put "$mode_name/$node" "$node"
            expect 0 ctl --node "$node" put "$mode_name/both" "$node"
            expect 0 ctl --node "$node" get "$mode_name/$node"
            [ "$output" = "$node" ]
        done
    done
    expect 0 ctl --node "$near" put raft/near kept
    run ctl --node "$cut" --timeout 1s put raft/cut lost
    [ "$status" = 69 ] || [ "$status" = 74 ]
    expect 69 ctl --node "$cut" --timeout 300ms get raft/near
    expect 1 ctl --node "$cut" get raft/near --read stale
}

@test "after a heal causal has every acknowledged write on every node within 2 s" {
    start_three_modes
    cut_off node3
    for i in {1..50}; do
        for node in node1 node2 node3; do
            echo "put causal/$node-$i $node-$i"
        done
    done >writes
    for node in node1 node2 node3; do
        grep "/$node-" writes | ctl --node $node batch >/dev/null
        ctl --node $node put causal/both "$node"
        ask $node incr '{"key":"count/n","delta":10}' | jq -e .ok
        ask $node add "{\"key\":\"tags/t\",\"value\":\"$node\"}" | jq -e .ok
    done
    heal node3
    healed=$(now_ms)
    sort writes | sed 's/put \([^ ]*\) /\1\t/' >wanted
    for node in node1 node2 node3; do
        eventually has_all_of $node wanted
        eventually has_values $node count/n 30
        eventually has_values $node tags/t node1,node2,node3
    done
    echo "it took $(($(now_ms) - healed)) ms"
    [ $(($(now_ms) - healed)) -lt 2000 ]
    # node2 wrote after it had node1's, or beside it; node3 surely beside both.
    winner=$(told .result.value node1 get '{"key":"causal/both"}')
    for node in node1 node2 node3; do
        [ "$(told '.result.conflict' $node get '{"key":"causal/both"}')" = true ]
        [ "$(told .result.value $node get '{"key":"causal/both"}')" = "$winner" ]
        [[ $(values_of $node causal/both) == *node3* ]]
    done
}

has_all_of() {
    ctl --node "$1" list causal/node | diff -q "$2" - >/dev/null
}

@test "broadcast differs after a heal and says so; causal does not" {
    start_three_modes
    cut_off node3
    ctl --node node3 put broadcast/far x
    ctl --node node3 put causal/far x
    expect 1 ctl --node node1 get causal/far
    heal node3
    for node in node1 node2; do
        eventually holds $node causal/far x
        expect 1 ctl --node $node get broadcast/far
    done
    refute have_one_state node1 node3
    # A repair concerns the keys of broadcast mode as well.
    for node in node1 node2; do
        expect 0 ctl --node $node sync
        holds $node broadcast/far x
    done
    eventually have_one_state node1 node2 node3
}

@test "what needs a consensus gets mode_mismatch on keys of another mode" {
    start_three_modes
    for key in causal/key broadcast/key; do
        for condition in '"if_absent":true' '"if_exists":true' '"if_revision":1' '"if_value":"x"'; do
            [ "$(told .error.code node1 put "{\"key\":\"$key\",\"value\":\"v\",$condition}")" = mode_mismatch ]
        done
        then='"then":[{"op":"put","key":"'$key'","value":"v"}]'
        [ "$(told .error.code node1 txn "{\"if\":[],$then,\"else\":[]}")" = mode_mismatch ]
        expect 65 ctl --node node1 call txn "{\"if\":[],$then,\"else\":[]}"
        expect 1 ctl --node node1 get $key
    done
}

@test "what causal mode alone can do gets mode_mismatch on keys of another mode" {
    start_three_modes
    for key in raft/key broadcast/key causal/key; do
        [ "$(told .error.code node2 add "{\"key\":\"$key\",\"value\":\"v\"}")" = mode_mismatch ]
        [ "$(told .error.code node2 remove "{\"key\":\"$key\",\"value\":\"v\"}")" = mode_mismatch ]
    done
    for key in broadcast/key causal/key; do
        [ "$(told .error.code node2 incr "{\"key\":\"$key\"}")" = mode_mismatch ]
        [ "$(told .error.applied node2 incr "{\"key\":\"$key\"}")" = no ]
    done
    for key in raft/key broadcast/key; do
        [ "$(told .error.code node2 resolve "{\"key\":\"$key\",\"value\":\"v\"}")" = mode_mismatch ]
    done
    expect 65 ctl --node node2 call incr '{"key":"broadcast/key"}'
    # What is done once takes a consensus.
    expect 65 ctl --node node2 put causal/key v --once job
    expect 65 ctl --node node2 add causal/key e --once job
    expect 65 ctl --node node2 remove causal/key e --once job
}

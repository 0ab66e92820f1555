#!/usr/bin/env bats
# Keys in causal mode: who has acknowledged, what stands side by side, and what becomes of it.

load common
load causal

mode=causal

# The reply to a put of NODE KEY VALUE and more members.
put() {
    ask "$1" put "{\"key\":\"$2\",\"value\":\"$3\"${4:+,$4}}"
}

get() {
    ask "$1" get "{\"key\":\"$2\"${3:+,$3}}"
}

is_in_conflict() {
    [ "$(get "$1" "$2" | jq .result.conflict)" = true ]
}

# bats test_tags=traced:causal
@test "a put is answered when as many nodes as asked have it, and names them" {
    start_cluster 3
    put node1 k v | jq -e '.result.acks == ["node1"] and .header.mode == "causal"'
    put node1 k v '"acks":1' | jq -e '.result.acks == ["node1"]'
    put node2 k v '"acks":2' | jq -e '.result.acks | length >= 2 and index("node2")'
    put node2 k v '"acks":"majority"' | jq -e '.result.acks | length >= 2 and index("node2")'
    put node3 k last '"acks":"all"' | jq -e '.result.acks == ["node1", "node2", "node3"]'
    # Who has acknowledged has it.
    for node in node1 node2 node3; do
        holds $node k last
    done
    ask node1 delete '{"key":"k","acks":"all"}' | jq -e '.result.acks | length == 3'
    for node in node1 node2 node3; do
        lacks $node k
    done
}

@test "more acks than there are members are refused, and so is what is no number" {
    start_cluster 2
    for acks in 3 0 -1 1.5 '"some"' '"2"'; do
        put node1 k v "\"acks\":$acks" | jq -e '.error.code == "bad_request"'
    done
    lacks node1 k
    expect 65 ctl --node node1 call put '{"key":"k","value":"v","acks":3}'
}

# bats test_tags=traced:causal
@test "at the deadline a put says who has it, that it is applied, and it arrives later" {
    start_cluster 3 --enable-faults
    cut_off node3
    began=$(now_ms)
    reply=$(put node1 k v '"acks":"all","timeout_ms":300')
    [ $(($(now_ms) - began)) -lt 2000 ]
    jq -e '.error.code == "timeout" and .error.applied == "yes"' <<<"$reply"
    jq -e '.error.acks == ["node1", "node2"]' <<<"$reply"
    expect 74 ctl --node node1 call put '{"key":"k2","value":"v","acks":3,"timeout_ms":300}'
    for node in node1 node2; do
        holds $node k v
    done
    lacks node3 k
    heal node3
    eventually holds node3 k v
    eventually holds node3 k2 v
}

# bats test_tags=traced:causal
@test "L8: puts one after the other, and overwrites elsewhere, make no siblings" {
    start_cluster 3
    for i in {1..20}; do
        put node1 k "$i" | jq -e '.ok'
    done
    is_latest() { [ "$(get "$1" k | jq -r .result.value)" = 20 ]; }
    for node in node1 node2 node3; do
        eventually is_latest $node
        get $node k | jq -e '.result.conflict != true and (.result.siblings | not)'
    done
    # Through random nodes, each time with what was seen before.
    context=$(get node1 k | jq .result.context)
    for i in {1..30}; do
        node=node$((RANDOM % 3 + 1))
        context=$(put $node k "r$i" "\"context\":$context" | jq .result.context)
    done
    for node in node1 node2 node3; do
        get $node k "\"context\":$context" | jq -e '.result.value == "r30" and .result.conflict != true'
    done
}

# bats test_tags=traced:causal
@test "concurrent puts stand side by side, with one winner on all nodes" {
    start_cluster 3 --enable-faults
    put node1 k before '"acks":"all"' | jq -e .ok
    cut_off node3
    put node1 k left | jq -e .ok
    eventually holds node2 k left
    put node3 k right | jq -e .ok
    has_values node1 k left
    has_values node3 k right
    heal node3
    eventually all_have k left,right
    winner=$(get node1 k | jq -r .result.value)
    for node in node1 node2 node3; do
        is_in_conflict $node k
        [ "$(get $node k | jq -r .result.value)" = "$winner" ]
        [ "$(get $node k | jq -r '.result.siblings[0].value')" = "$winner" ]
        told '.result.items | map([.key, .siblings])' $node conflicts | grep -Fx '[["k",2]]'
        told .result.items $node conflicts '{"prefix":"other"}' | grep -Fx '[]'
        [ "$(causal_status $node conflicts)" = 1 ]
    done
    # The cause of it all can be told: who wrote what, and when.
    get node2 k | jq -e '.result.siblings | all(.node and .counter and .time_ms)'
}

# bats test_tags=traced:causal
@test "a put without a context, and resolve, take the place of all siblings" {
    start_cluster 2 --enable-faults
    cut_off node2
    for key in a b; do
        put node1 $key left | jq -e .ok
        put node2 $key right | jq -e .ok
    done
    heal node2
    eventually all_have a left,right
    eventually all_have b left,right
    put node2 a new | jq -e .ok
    ask node1 resolve '{"key":"b","value":"merged"}' | jq -e .ok
    eventually all_have a new
    eventually all_have b merged
    [ "$(told .result.items node1 conflicts)" = '[]' ]
    refute is_in_conflict node1 a
}

# bats test_tags=traced:causal
@test "a put with a stale context stands beside what it has not seen" {
    start_cluster 2
    put node1 k one | jq -e .ok
    context=$(get node1 k | jq .result.context)
    put node1 k two | jq -e .ok
    put node1 k three "\"context\":$context" | jq -e .ok
    has_values node1 k three,two
    eventually all_have k three,two
    # With what has been read since it is replaced.
    context=$(get node2 k | jq .result.context)
    put node2 k four "\"context\":$context" | jq -e .ok
    eventually all_have k four
    # Who has seen nothing adds.
    put node2 k five '"context":""' | jq -e .ok
    eventually all_have k five,four
    # A deletion with a context takes what it has seen as well.
    ask node1 delete "{\"key\":\"k\",\"context\":$context}" | jq -e .ok
    get node1 k | jq -e '.result.found'
}

# bats test_tags=traced:causal
@test "L17: resolving on two nodes at once does not multiply, and can be resolved again" {
    start_cluster 2 --enable-faults
    cut_off node2
    put node1 k left | jq -e .ok
    put node2 k right | jq -e .ok
    heal node2
    eventually all_have k left,right
    cut_off node2
    ask node1 resolve '{"key":"k","value":"here"}' | jq -e .ok
    ask node2 resolve '{"key":"k","value":"there"}' | jq -e .ok
    ask node1 resolve '{"key":"k","value":"here"}' | jq -e .ok
    heal node2
    eventually all_have k here,there
    ask node2 resolve '{"key":"k","value":"settled"}' | jq -e .ok
    eventually all_have k settled
    # Who resolves it alike on both sides makes no new conflict.
    cut_off node2
    ask node1 resolve '{"key":"k","value":"same"}' | jq -e .ok
    ask node2 resolve '{"key":"k","value":"same"}' | jq -e .ok
    heal node2
    eventually have_one_state node1 node2
    for node in node1 node2; do
        refute is_in_conflict $node k
        holds $node k same
    done
}

# bats test_tags=traced:causal
@test "L9: equal values written at once are no conflict" {
    start_cluster 2 --enable-faults
    cut_off node2
    put node1 k same | jq -e .ok
    put node2 k same | jq -e .ok
    heal node2
    eventually have_one_state node1 node2
    for node in node1 node2; do
        refute is_in_conflict $node k
        [ "$(told .result.items $node conflicts)" = '[]' ]
        expect 0 ctl --node $node get k
        [ "$output" = same ]
    done
}

# bats test_tags=traced:causal
@test "a deletion takes what it has seen; a concurrent put stays" {
    start_cluster 2 --enable-faults
    put node1 k old '"acks":"all"' | jq -e .ok
    put node1 gone old '"acks":"all"' | jq -e .ok
    cut_off node2
    expect 0 ctl --node node1 delete k
    expect 0 ctl --node node1 delete gone
    put node2 k new | jq -e .ok
    heal node2
    eventually all_have k new
    eventually lacks node2 gone
    refute is_in_conflict node1 k
    expect 1 ctl --node node1 delete gone
}

# bats test_tags=traced:causal
@test "L11: what was deleted while a node was away does not come back with it" {
    start_cluster 3
    seq -f 'put doomed/%.0f x' 1 200 | ctl --node node1 batch >/dev/null
    put node1 kept x '"acks":"all"' | jq -e .ok
    kill_node node3
    [ "$(ctl --node node1 delete --prefix doomed/)" = 200 ]
    # The others forget it as well, and are restarted.
    for node in node1 node2; do
        eventually lacks $node doomed/200
        kill_node $node
        start_node $node
    done
    start_node node3
    eventually have_one_state node1 node2 node3
    for node in node1 node2 node3; do
        [ "$(ctl --node $node list --keys)" = kept ]
    done
}

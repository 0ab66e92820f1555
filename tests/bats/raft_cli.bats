#!/usr/bin/env bats
# What a client sees of raft: linearizable reads, failover, retries that are executed once.

load common

mode=raft

# Three nodes, of which $cut can't reach the others. $near can.
start_split() {
    start_cluster 3 --enable-faults
    ctl --node node1 put before x
    cut=$(leader node1)
    near=$(other_than "$cut")
    ctl --node "$cut" fault isolate >/dev/null
    eventually is_led_by_other "$near" "$cut"
}

is_led_by_other() {
    local now
    now=$(leader "$1")
    [ -n "$now" ] && [ "$now" != "$2" ]
}

request() {
    echo "{\"key\":\"$1\",\"value\":\"$2\",\"request\":{\"client\":\"00112233445566778899aabbccddeeff\",\"seq\":$3}}"
}

@test "each line of a batch sees what the lines before it did" {
    start_cluster 3
    node=$(other_than "$(leader node1)")
    for i in {1..50}; do
        printf 'put key %s\nget key\n' "$i"
        printf '{"op":"put","key":"key","value":"json%s"}\n{"op":"get","key":"key"}\n' "$i"
    done >commands
    ctl --node "$node" batch -f commands >results
    awk 'NR % 4 == 2' results | cmp - <(printf 'ok\t%s\n' {1..50})
    awk 'NR % 4 == 0' results | jq -r .result.value | cmp - <(printf 'json%s\n' {1..50})
}

@test "what one node was told, every node answers at once" {
    start_cluster 3
    for i in {1..10}; do
        for node in node1 node2 node3; do
            ctl --node $node put key "$node-$i"
            for reader in node1 node2 node3; do
                [ "$(ctl --node $reader get key)" = "$node-$i" ]
            done
        done
    done
    eventually have_one_state node1 node2 node3
}

@test "the header says mode, term, revision, and how a read was served" {
    start_cluster 3
    ctl --node node2 call put '{"key":"k","value":"v"}' >reply
    jq -e '.header.mode == "raft" and .header.term >= 1 and .result.revision >= 1' reply
    jq -e '.result | has("sent_to") | not' reply
    served() { ctl --node node3 call "$1" "$2" | jq -r .header.served; }
    [ "$(served get '{"key":"k"}')" = linearizable ]
    [ "$(served get '{"key":"k","read":"stale"}')" = stale ]
    [ "$(served list '{"prefix":"k"}')" = linearizable ]
    [ "$(served list '{"prefix":"k","read":"stale"}')" = stale ]
}

@test "R9: a leader that was cut off answers no linearizable read, but stale ones" {
    start_split
    ctl --node "$near" put before y
    expect 69 ctl --node "$cut" --timeout 1s get before
    [ -z "$output" ]
    expect 69 ctl --node "$cut" --timeout 1s list
    expect 0 ctl --node "$cut" get before --read stale
    [ "$output" = x ]
    expect 0 ctl --node "$cut" list --read stale
    [ "$output" = $'before\tx' ]
    run ctl --node "$cut" --timeout 1s put lost z
    [ "$status" = 69 ] || [ "$status" = 74 ]
    ctl --node "$cut" fault heal
    eventually holds "$cut" before y
}

@test "after the leader's death a write to any other node succeeds by itself" {
    start_cluster 3
    old=$(leader node1)
    node=$(other_than "$old")
    kill_node "$old"
    expect 0 ctl --node "$node" put key value
    [ -z "$output$stderr" ]
    expect 0 ctl --node "$(other_than "$old" "$node")" get key
    [ "$output" = value ]
}

@test "without a majority a write fails at its deadline, with an error object" {
    start_cluster 3
    kill_node node2
    kill_node node3
    began=$(now_ms)
    run --separate-stderr ctl --node node1 --timeout 1s -o json put key value
    [ "$status" = 69 ] || [ "$status" = 74 ]
    [ -z "$output" ]
    jq -e '.code and .applied and .message' <<<"$stderr"
    [ $(($(now_ms) - began)) -lt 3000 ]
    expect 69 ctl --node node1 --timeout 1s get key
    expect 124 ctl --node node1 --timeout 1s wait revision\>=1000000
}

@test "a repeated request is answered as the first time, and executed once" {
    start_cluster 3
    ctl --node node1 call put "$(request k v 1)" >first
    ctl --node node2 put k other
    ctl --node node3 call put "$(request k v 1)" >second
    [ "$(jq .result.revision first)" = "$(jq .result.revision second)" ]
    jq -e '.result.duplicate' second
    [ "$(ctl --node node1 get k)" = other ]
}

@test "X3: a request's number fits no other body" {
    start_cluster 3
    ctl --node node1 call put "$(request k v 1)"
    expect 65 ctl --node node2 call put "$(request k w 1)"
    [[ $output == *bad_request* ]]
    [ "$(ctl --node node1 get k)" = v ]
}

@test "X1: a request is known after a failover" {
    start_cluster 3
    ctl --node node1 call put "$(request k v 1)" >first
    old=$(leader node1)
    node=$(other_than "$old")
    kill_node "$old"
    ctl --node "$node" put k other
    ctl --node "$node" call put "$(request k v 1)" >second
    jq -e '.result.duplicate' second
    [ "$(jq .result.revision first)" = "$(jq .result.revision second)" ]
    [ "$(ctl --node "$node" get k)" = other ]
}

@test "a deletion that is repeated tells how many it deleted the first time" {
    start_single
    ctl put k v
    delete='{"key":"k","request":{"client":"00112233445566778899aabbccddeeff","seq":9}}'
    [ "$(ctl call delete "$delete" | jq .result.deleted)" = 1 ]
    [ "$(ctl call delete "$delete" | jq .result.deleted)" = 1 ]
    expect 1 ctl delete k
}

@test "explain: one screen when all is well, exit code 7 and what to do when not" {
    start_split
    expect 0 ctl --node "$near" explain --for write
    [ "${#lines[@]}" -ge 2 ]
    refute grep -q '!!.*quorum' <<<"$output"
    ctl --node "$near" explain before -o json | jq -e '.ok and (.facts | length > 0)'
    for purpose in read write; do
        expect 7 ctl --node "$cut" explain --for $purpose
        [[ $output == *'!!'* && $output == *'next: '* ]]
        [ "${#lines[@]}" -le 24 ]
    done
    expect 7 ctl --node "$cut" explain -o json
    jq -e '.ok == false and (.next | length > 0)' <<<"$output"
}

@test "status tells of leader, term, log and peers, and --all finds one state" {
    start_cluster 3
    fill node1 100
    eventually have_one_state node1 node2 node3
    expect 0 ctl status --all
    for column in leader term commit_index applied_index last_index snapshot_index \
        leader_contact_ms disk peers_lag peers_down; do
        [[ ${lines[0]} == *"$column"* ]]
    done
    [ "${#lines[@]}" = 4 ]
    now=$(leader node1)
    for node in node1 node2 node3; do
        ctl --node $node status -o json >reply
        [ "$(jq -r .leader reply)" = "$now" ]
        jq -e '.term >= 1 and .applied_index >= 100 and .commit_index >= .applied_index' reply
    done
}

@test "wait leader: who it is, or 124" {
    start_cluster 3
    expect 0 ctl --node node2 wait leader
    [ -n "$output" ]
    kill_node node2
    kill_node node3
    has_none() { [ -z "$(leader node1)" ]; }
    eventually has_none
    expect 124 ctl --node node1 wait leader --timeout 500ms
}

@test "fault disk slows the disk down, is listed, and healed" {
    start_single --enable-faults
    expect 0 ctl fault disk 100ms
    [ "$(ctl fault list -o json | jq -r .fault)" = disk ]
    began=$(now_ms)
    ctl put key value
    [ $(($(now_ms) - began)) -ge 100 ]
    expect 65 ctl call fault '{"set":"disk","amount":5,"peers":["node1"]}'
    ctl fault heal
    [ -z "$(ctl fault list -o json)" ]
    expect 2 ctl fault disk soon
}

@test "bench goes on through a failover, and tells how long it took" {
    start_cluster 3
    old=$(leader node1)
    background eval '"$bin/distdbctl" --node node1,node2,node3 --timeout 10s bench --op put \
        --clients 6 --duration 8s --value-size 64 --keys 100 -o json >report 2>notes'
    bench=$helper
    # Its keys are there once it has begun.
    has_begun() { [ "$(ctl --node node1 list bench/ --count)" -gt 10 ]; }
    eventually has_begun
    kill_node "$old"
    wait "$bench"
    jq -e '.requests > .failures and .failures >= 1 and .max_gap_ms > 0' report
    jq -e '.max_gap_ms < 8000' report
    jq -e '[.failed[]] | add >= 1' report
}

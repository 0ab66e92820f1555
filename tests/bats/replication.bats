#!/usr/bin/env bats
# Several nodes: writes reach all, and a node that comes or comes back has all.

load common

# bats test_tags=traced:broadcast
@test "a write on any node is on every node" {
    start_cluster 3
    for i in 1 2 3; do
        ctl --node "node$i" put "from$i" "$i"
    done
    for node in node1 node2 node3; do
        for i in 1 2 3; do
            wait_for "$node" key "from$i"
            [ "$(ctl --node "$node" get "from$i")" = "$i" ]
        done
    done
    eventually have_one_state node1 node2 node3
}

# bats test_tags=traced:broadcast
@test "S10: a reply says to how many peers a write was sent" {
    start_cluster 3
    [ "$(ctl --node node1 call put '{"key":"k","value":"v"}' | jq .result.sent_to)" = 2 ]
    kill_node node3
    sent_to_one() {
        [ "$(ctl --node node1 call put '{"key":"k","value":"v"}' | jq .result.sent_to)" = 1 ]
    }
    eventually sent_to_one
}

@test "S7: concurrent writes of a key end alike on every node" {
    start_cluster 3
    for node in node1 node2 node3; do
        background eval "for i in {1..200}; do echo put hot $node-\$i; done |
            ctl --node $node batch >/dev/null"
    done
    wait "${helpers[@]}"
    eventually have_one_state node1 node2 node3
    winner=$(ctl --node node1 get hot)
    holds node2 hot "$winner"
    holds node3 hot "$winner"
}

# bats test_tags=traced:broadcast
@test "a cluster forms from --join to any one member" {
    start_node node1 --bootstrap
    start_node node2 --join "$(address node1)"
    wait_for node2 members=2
    start_node node3 --join "127.0.0.1:1,$(address node2)"
    start_node node4 --join "$(address node3)"
    for node in node1 node2 node3 node4; do
        wait_for "$node" members=4
    done
    [ "$(of node1 members 'members | length')" = 4 ]
    ctl --node node4 put name alice
    wait_for node1 key name
}

# bats test_tags=traced:broadcast
@test "a node keeps trying to join until somebody is there" {
    start_node node1 --bootstrap
    port=$(address node1)
    kill_node node1
    rm -r data-node1
    spawn_node node2 --join "$port"
    eventually answers node2
    expect 124 ctl --node node2 wait synced --timeout 300ms
    listen=$port start_node node1 --bootstrap
    wait_for node2 synced
    wait_for node1 members=2
}

# bats test_tags=traced:broadcast
@test "joining twice adds nobody twice" {
    start_cluster 2
    for _ in 1 2; do
        kill_node node2
        start_node node2 --join "$(address node1)"
        wait_for node2 synced
    done
    wait_for node1 members=2
    [ "$(of node1 members 'members | length')" = 2 ]
}

@test "S8: a node that has not synced says not_ready, and not 'not found'" {
    spawn_node node2 --join 127.0.0.1:1
    eventually answers node2
    for command in 'get key' 'put key value' 'delete key' 'list' 'sync'; do
        # shellcheck disable=SC2086  # Words of a command line.
        expect 69 ctl -o json --timeout 300ms $command
        [ "$(jq -r .code <<<"$stderr")" = not_ready ]
        [ -z "$output" ]
    done
    expect 7 ctl ready
    expect 0 ctl live
    ctl call status >reply
    [ "$(jq .result.ready reply)" = false ]
    expect 124 ctl wait synced --timeout 100ms
}

@test "a killed node is back with all data from its peers" {
    start_cluster 3
    fill node1 2000
    eventually have_one_state node1 node2 node3
    kill_node node3
    ctl --node node2 put late write
    start_node node3
    wait_for node3 synced
    [ "$(ctl --node node3 list --count)" = 2001 ]
    [ "$(ctl --node node3 get late)" = write ]
    have_one_state node1 node3
    # Its links carry what is written from here on.
    ctl --node node3 put after restart
    wait_for node1 key after
}

# bats test_tags=traced:broadcast
@test "the others serve while a node is down" {
    start_cluster 3
    kill_node node1
    ctl --node node2 put name alice
    wait_for node3 key name
    expect 0 ctl --node node3 get name
}

# bats test_tags=traced:broadcast
@test "S5: a key deleted while a node was down stays deleted" {
    start_cluster 3
    ctl --node node1 put doomed x
    ctl --node node1 put kept y
    wait_for node3 key doomed
    wait_for node3 key kept
    kill_node node3
    expect 0 ctl --node node2 delete doomed
    eventually lacks node1 doomed
    start_node node3
    wait_for node3 synced
    wait_for node3 members=3
    expect 1 ctl --node node3 get doomed
    expect 0 ctl --node node3 sync
    for node in node1 node2 node3; do
        lacks "$node" doomed
        holds "$node" kept y
    done
    eventually have_one_state node1 node2 node3
}

# bats test_tags=traced:broadcast
@test "S5: a deletion is a state of its own, synced to who joins" {
    start_cluster 2
    ctl --node node1 put doomed x
    ctl --node node1 delete doomed
    start_node node3 --join "$(address node1)"
    wait_for node3 synced
    eventually have_one_state node1 node3
    [ "$(of node3 status tombstones)" = 1 ]
}

@test "S1: a node that joins while writes go on has all of them" {
    start_cluster 3
    fill node1 10000
    eventually have_one_state node1 node2 node3
    background eval 'for i in {1..400}; do echo "put during$i $i"; done | ctl --node node2 batch >/dev/null'
    writer=$helper
    start_node node4 --join "$(address node3)"
    ctl --node node1 put meanwhile here
    wait_for node4 synced
    [ "$(ctl --node node4 list key --count)" = 10000 ]
    wait "$writer"
    eventually have_one_state node1 node2 node3 node4
    [ "$(ctl --node node4 list during --count)" = 400 ]
    [ "$(ctl --node node4 get meanwhile)" = here ]
}

@test "S11: values of a mebibyte are synced too" {
    start_single
    for i in {1..8}; do
        head -c 1048576 /dev/urandom | tee "value$i" | ctl --node node1 put "big$i"
    done
    start_node node2 --join "$(address node1)"
    wait_for node2 synced
    for i in {1..8}; do
        ctl --node node2 get "big$i" -o raw | cmp - "value$i"
    done
    have_one_state node1 node2
}

# bats test_tags=traced:broadcast
@test "S2: all nodes restart at once, and serve again" {
    start_cluster 3
    restart_cluster 3
    ctl --node node2 put name alice
    wait_for node3 key name
}

@test "S3: a node whose donor dies takes another" {
    start_cluster 3
    fill node1 5000
    eventually have_one_state node1 node2 node3
    spawn_node node4 --join "$(address node1),$(address node2),$(address node3)"
    kill_node node3
    eventually answers node4
    wait_for node4 synced
    [ "$(ctl --node node4 list --count)" = 5000 ]
    have_one_state node1 node4
}

@test "batch: a line of result for each line, over one connection" {
    start_single
    printf '%s\n' 'put a 1' 'get a' "put 'b c' \"two words\"" 'get "b c"' '# a comment' '' 'delete a' \
        'get a' >commands
    expect 1 ctl batch -f commands
    [ "${#lines[@]}" = 6 ]
    [[ ${lines[1]} == *1 ]]
    [[ ${lines[3]} == *"two words" ]]
    echo '{"id":"x","op":"get","key":"b c"}' | ctl batch >reply
    [ "$(jq -r .result.value reply)" = 'two words' ]
    [ "$(jq -r .id reply)" = x ]
}

@test "bench runs and says how fast it was" {
    start_single
    for op in put get list; do
        expect 0 ctl bench --op $op --clients 2 --duration 100ms --value-size 64 --keys 10
        [ -n "$output" ]
        expect 0 ctl bench --op $op --clients 2 --duration 100ms --value-size 64 --keys 10 -o json
        jq -e 'type == "object"' <<<"$output"
    done
}

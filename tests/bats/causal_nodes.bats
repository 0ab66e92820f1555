#!/usr/bin/env bats
# Nodes in causal mode that are killed, stopped, cut off one way, whose clocks are wrong, and
# that join: what they say of themselves and each other, and what becomes of keys.

load common
load causal

mode=causal

# Of a peer as a node sees it: `suspicion node1 node2 suspected`.
suspicion() {
    told ".result.peers[] | select(.name == \"$2\").suspicion.$3" "$1" status
}

suspects() {
    [ "$(suspicion "$1" "$2" suspected)" = true ]
}

trusts() {
    [ "$(suspicion "$1" "$2" suspected)" = false ]
}

# bats test_tags=traced:causal
@test "L1: what was answered is there after all nodes are killed at once" {
    start_cluster 3
    for node in node1 node2 node3; do
        seq -f "put $node/%.0f x" 1 100 | ctl --node $node batch >/dev/null
        ctl --node $node put last/$node x
    done
    kill -KILL "${pids[@]}"
    for node in node1 node2 node3; do
        reap $node
    done
    # Each alone has what it has answered, and serves.
    for node in node1 node2 node3; do
        start_node $node
        expect 0 ctl --node $node get last/$node
        [ "$(ctl --node $node list $node/ --count)" = 100 ]
        kill_node $node
    done
    for node in node1 node2 node3; do
        spawn_node $node
    done
    for node in node1 node2 node3; do
        eventually answers $node
        wait_for $node members=3
    done
    eventually have_one_state node1 node2 node3
    [ "$(ctl --node node2 list --count)" = 303 ]
}

@test "every node takes writes while all others are dead" {
    start_cluster 3
    kill_node node1
    kill_node node2
    expect 0 ctl --node node3 put alone x
    expect 0 ctl --node node3 get alone
    expect 0 ctl --node node3 explain alone --for write
    expect 74 ctl --node node3 --timeout 300ms put alone y --acks 2
    expect 0 ctl --node node3 ready
    start_node node1
    eventually holds node1 alone y
}

@test "S8: a node that joins serves when it has what the others have" {
    start_cluster 1
    seq -f 'put key%05.0f value' 1 2000 | ctl --node node1 batch >/dev/null
    spawn_node node2 --join "$(address node1)"
    # From its first answer on: either it says that it has not got it, or it has.
    has_come() {
        run --separate-stderr ctl --node node2 --timeout 100ms -o json get key02000
        [ "$status" = 0 ] || [ "$status" = 68 ] || [ "$status" = 69 ] || echo "exit $status" >>wrong
        [ "$status" = 0 ]
    }
    eventually has_come
    [ ! -e wrong ]
    [ "$(ctl --node node2 list --count)" = 2000 ]
}

@test "wait key, and a watch, see what is written here and what is delivered" {
    start_cluster 2
    background ctl --node node2 watch w/ --prefix >seen
    events() { grep -v warm seen; }
    has_begun() { ctl --node node2 put w/warm x && [ -s seen ]; }
    eventually has_begun
    background ctl --node node2 wait key w/a >waited
    waiter=$helper
    ctl --node node1 put w/a one
    wait "$waiter"
    eventually grep -q one seen
    ctl --node node2 put w/a two
    eventually holds node1 w/a two
    ctl --node node1 put w/b three
    eventually grep -q three seen
    # What is put again is an event as well.
    ctl --node node1 put w/b three
    ctl --node node1 delete w/a
    eventually grep -q delete seen
    diff <(events) - <<EVENTS
put	w/a	one
put	w/a	two
put	w/b	three
put	w/b	three
delete	w/a
EVENTS
}

@test "L12: a node that stands still for 2 s is suspected once, and trusted once it goes on" {
    start_cluster 2
    eventually trusts node1 node2
    ctl --node node1 put before x --acks all
    kill -STOP "${pids[node2]}"
    stopped=$(now_ms)
    eventually suspects node1 node2
    [ "$(suspicion node1 node2 'since_ms != null')" = true ]
    expect 0 ctl --node node1 put meanwhile x
    flips=0 before=true
    while [ $(($(now_ms) - stopped)) -lt 2000 ]; do
        now=$(suspicion node1 node2 suspected)
        [ "$now" = "$before" ] || flips=$((flips + 1))
        before=$now
    done
    [ $flips = 0 ]
    kill -CONT "${pids[node2]}"
    eventually trusts node1 node2
    eventually holds node2 meanwhile x
    # Who stood still suspects nobody for it.
    [ "$(suspicion node2 node1 suspected)" = false ]
}

@test "L10, T3: a clock that is an hour fast, or slow, hides no later write and makes nobody suspect" {
    start_cluster 3 --enable-faults
    ctl --node node1 fault clock +1h >/dev/null
    ctl --node node1 put k fast --acks all
    ctl --node node2 put k later --acks all
    for node in node1 node2 node3; do
        expect 0 ctl --node $node get k
        [ "$output" = later ]
    done
    ctl --node node1 fault clock 0s >/dev/null
    ctl --node node1 put k back --acks all
    ctl --node node1 fault clock -1h >/dev/null
    ctl --node node3 put k other --acks all
    ctl --node node1 put k slow --acks all
    for node in node1 node2 node3; do
        expect 0 ctl --node $node get k
        [ "$output" = slow ]
        for peer in node1 node2 node3; do
            [ $node = $peer ] || trusts $node $peer
        done
    done
}

@test "L10: of concurrent writes that of a clock an hour fast does not win for ever" {
    start_cluster 3 --enable-faults
    set_mode lww/ causal lww
    ctl --node node1 fault clock +1h >/dev/null
    # Its peers have told it the time.
    ctl --node node1 put lww/warm x --acks all
    ctl --node node1 fault isolate >/dev/null
    ctl --node node1 put lww/k wrong
    ctl --node node1 fault heal >/dev/null
    eventually holds node2 lww/k wrong
    # A write that has seen it takes its place, whatever the clocks say.
    ctl --node node2 put lww/k right
    for node in node1 node2 node3; do
        eventually holds $node lww/k right
    done
    # And it moves no other's clock: what others write is of now.
    ctl --node node1 fault isolate >/dev/null
    ctl --node node1 put k one
    ctl --node node2 put k two
    ctl --node node1 fault heal >/dev/null
    eventually all_have k one,two
    now=$(date +%s%3N)
    told '.result.siblings[] | select(.value == "two").time_ms' node3 get '{"key":"k"}' >written
    [ "$(<written)" -lt $((now + 600000)) ]
    [ "$(<written)" -gt $((now - 600000)) ]
}

@test "L14: a link that works one way only is told as such, also once it is given up" {
    start_cluster 3 --enable-faults
    eventually trusts node2 node1
    hears_not() { [ "$(suspicion "$1" "$2" hears_us)" = false ]; }
    is_down() { [ "$(told ".result.peers[] | select(.name == \"$2\").state" "$1" status)" = down ]; }
    ctl --node node1 fault partition node2 --out >/dev/null
    eventually hears_not node1 node2
    eventually suspects node2 node1
    eventually is_down node1 node2
    hears_not node1 node2
    run ctl --node node1 explain k
    [[ $output == *node2*'does not hear this node'* ]]
    run ctl --node node2 explain k
    [[ $output == *node1*suspected* && $output != *'does not hear this node'* ]]
    # Writes go round by node3.
    ctl --node node1 put k v
    eventually holds node2 k v
    ctl --node node1 fault heal >/dev/null
    eventually trusts node2 node1
    hears() { [ "$(suspicion "$1" "$2" hears_us)" = true ]; }
    eventually hears node1 node2
    eventually hears node2 node1
    ctl --node node1 fault partition node2 --in >/dev/null
    eventually hears_not node2 node1
    eventually suspects node1 node2
    eventually is_down node2 node1
    run ctl --node node2 explain k
    [[ $output == *node1*'does not hear this node'* ]]
}

@test "nodes and status show who is suspected, and what is not acknowledged" {
    start_cluster 2 --enable-faults
    cut_off node2
    eventually suspects node1 node2
    is_down() { [ "$(told '.result.peers[0].state' "$1" status)" = down ]; }
    eventually is_down node1
    for number in 1 2 3; do
        ctl --node node1 put "k$number" x
    done
    [ "$(told '.result.peers[0].unacked' node1 status)" = 3 ]
    run ctl --node node1 nodes
    [ "$status" = 7 ]
    [[ $output == *node2*suspected* ]]
    [ "$(causal_status node1 log_writes)" = 3 ]
    heal node2
    is_empty() { [ "$(causal_status node1 log_writes)" = 0 ]; }
    eventually is_empty
    eventually trusts node1 node2
}

@test "sync tells what differs, and brings it" {
    start_cluster 2 --enable-faults
    eventually ctl --node node1 sync --dry-run >differing
    [ ! -s differing ]
    ctl --node node1 fault drop node2 1 --out >/dev/null
    ctl --node node1 put a/k v
    ctl --node node1 put b/k v
    ctl --node node1 fault heal >/dev/null
    expect 0 ctl --node node2 repair a/
    holds node2 a/k v
    eventually holds node2 b/k v
    eventually have_one_state node1 node2
}

# bats test_tags=traced:causal
@test "L6: a node that has lost its disk is another one, and takes nothing back" {
    start_cluster 2
    ctl --node node2 put k one --acks all
    ctl --node node2 delete k --acks all
    ctl --node node2 put kept two --acks all
    id=$(of node2 status id)
    kill_node node2
    rm -r data-node2
    start_node node2 --join "$(address node1)"
    wait_for node2 synced
    [ "$(of node2 status id)" != "$id" ]
    ctl --node node2 put k three --acks all
    for node in node1 node2; do
        holds $node k three
        holds $node kept two
    done
    have_one_state node1 node2
}

#!/usr/bin/env bats
# What each resolver makes of writes on both sides of a partition.

load common
load causal

mode=causal

# bats test_tags=traced:causal
@test "counters: incr on both sides adds up, and nothing is counted twice" {
    start_cluster 2 --enable-faults
    set_mode n/ causal counter
    expect 0 ctl --node node1 incr n/a
    [ "$output" = 1 ]
    expect 0 ctl --node node1 incr n/a 5
    [ "$output" = 6 ]
    eventually holds node2 n/a 6
    cut_off node2
    ctl --node node1 incr n/a -10
    ctl --node node2 incr n/a 100
    heal node2
    for node in node1 node2; do
        eventually holds $node n/a 96
        expect 0 ctl --node $node get n/a
    done
    ctl --node node1 fault duplicate node2 1 >/dev/null
    for _ in {1..20}; do
        ctl --node node1 incr n/b
    done >counts
    [ "$(tail -1 counts)" = 20 ]
    eventually holds node2 n/b 20
    expect 65 ctl --node node1 incr other
    # No count leaves the range of 64 bits.
    expect 65 ctl --node node1 incr n/a 9223372036854775807
    expect 0 ctl --node node1 get n/a
    expect 1 ctl --node node1 get n/c
}

# bats test_tags=traced:causal
@test "sets: add wins over a concurrent remove, and elements are printed a line each" {
    start_cluster 2 --enable-faults
    set_mode s/ causal set
    expect 0 ctl --node node1 add s/a one two three
    eventually holds node2 s/a $'one\nthree\ntwo'
    expect 0 ctl --node node2 get s/a
    cut_off node2
    expect 0 ctl --node node1 remove s/a two
    expect 0 ctl --node node2 add s/a two
    expect 0 ctl --node node1 remove s/a one
    expect 0 ctl --node node2 add s/a four
    heal node2
    for node in node1 node2; do
        eventually holds $node s/a $'four\nthree\ntwo'
        expect 0 ctl --node $node get s/a
    done
    expect 0 ctl --node node1 remove s/a two three four
    expect 1 ctl --node node1 get s/a
}

@test "the resolver of a prefix is told, and what becomes of concurrent values" {
    start_cluster 2 --enable-faults
    for resolver in lww max min siblings; do
        expect 0 ctl --node node1 mode set $resolver/ causal --resolver $resolver
    done
    expect 0 ctl --node node2 mode list -o json
    jq -e '.modes | map(select(.prefix == "max/").resolver) == ["max"]' <<<"$output"
    eventually goes_by node2 siblings/ causal
    expect 2 ctl --node node1 mode set x/ causal --resolver best
    run ctl --node node1 mode set x/ raft --resolver lww
    [ "$status" = 2 ] || [ "$status" = 65 ]
    cut_off node2
    for resolver in lww max min; do
        ctl --node node1 put $resolver/k 9
        ctl --node node2 put $resolver/k 10
    done
    heal node2
    eventually have_one_state node1 node2
    for node in node1 node2; do
        expect 0 ctl --node $node get max/k
        [ "$output" = 10 ]
        expect 0 ctl --node $node get min/k
        [ "$output" = 9 ]
        # By time, and node2 wrote later.
        expect 0 ctl --node $node get lww/k
        [ "$output" = 10 ]
        expect 0 ctl --node $node conflicts list
    done
    expect 65 ctl --node node1 put max/k 'no number'
}

@test "values of other resolvers are refused, and none of them loses what it had" {
    start_cluster 1
    for resolver in max min counter set lww; do
        set_mode $resolver/ causal $resolver
    done
    for prefix in max min counter; do
        [ "$(told .error.code node1 put "{\"key\":\"$prefix/k\",\"value\":\"x\"}")" = bad_request ]
        expect 0 ctl put $prefix/k 7
        expect 0 ctl get $prefix/k
        [ "$output" = 7 ]
    done
    expect 65 ctl put set/k x
    expect 65 ctl add counter/k x
    expect 65 ctl incr set/k
    expect 65 ctl incr max/k
    # A counter that was put goes on from there.
    expect 0 ctl incr counter/k 3
    [ "$output" = 10 ]
    # Values may be seen otherwise later; a counter is none.
    expect 0 ctl mode set max/ causal --resolver lww
    expect 3 ctl mode set counter/ causal --resolver lww
    expect 0 ctl add set/k x
    expect 3 ctl mode set set/ raft
    expect 0 ctl get set/k
}

#!/usr/bin/env bats
# Who belongs to a cluster in raft mode: joining, leaving, and who leads.

load common

mode=raft

roles() {
    ctl --node "$1" members -o json | jq -r .role | sort | paste -sd' '
}

has_members() {
    [ "$(of "$1" members 'members | length')" = "$2" ]
}

leads() {
    [ "$(leader "$1")" = "$2" ]
}

is_led_by_other_than() {
    local now
    now=$(leader "$1")
    [ -n "$now" ] && [ "$now" != "$2" ]
}

# bats test_tags=traced:raft
@test "a cluster of three has one leader, and lists it on every node" {
    start_cluster 3
    for node in node1 node2 node3; do
        [ "$(roles $node)" = 'follower follower leader' ]
    done
    [ "$(ctl --node node2 member list)" = "$(ctl --node node2 members)" ]
    [ "$(leader node1)" = "$(leader node3)" ]
}

@test "a cluster grows from one to three without a pause in writing" {
    start_single
    ctl put before 1
    start_node node2 --join "$(address node1)"
    eventually has_voters node1 2
    ctl --node node2 put between 2
    start_node node3 --join "$(address node2)"
    eventually has_voters node1 3
    for key in before between; do
        expect 0 ctl --node node3 get $key
    done
    # Two of three are a majority.
    kill_node node2
    expect 0 ctl --node node3 put after 3
}

# bats test_tags=traced:raft
@test "M5: a dry run of a removal tells what would be, and changes nothing" {
    start_cluster 3
    expect 0 ctl --node node1 member remove node3 --dry-run
    [ -n "$output" ]
    ctl --node node1 -o json member remove node3 --dry-run >reply
    [ "$(jq -r .member reply)" = node3 ]
    [ "$(jq .changed reply)" = false ]
    [ "$(jq .safe reply)" = true ]
    [ "$(jq -c '[.voters_before, .voters_after, .quorum_after]' reply)" = '[3,2,2]' ]
    has_voters node1 3
    expect 0 ctl --node node3 put still there
}

# bats test_tags=traced:raft
@test "M5: a removal that would stop writes is refused, and its dry run is exit code 7" {
    start_cluster 3
    kill_node node3
    is_unsafe() { run ctl --node node1 -o json member remove node2 --dry-run && [ "$status" = 7 ]; }
    eventually is_unsafe
    [ "$(jq .safe <<<"$output")" = false ]
    run ctl --node node1 member remove node2
    [ "$status" != 0 ]
    has_voters node1 3
    # The dead one may go.
    expect 0 ctl --node node1 member remove node3
    eventually has_members node1 2
    expect 0 ctl --node node2 put key value
}

# bats test_tags=traced:raft
@test "R14: a removed node learns it and ends with 0, and the others go on" {
    start_cluster 3
    gone=$(other_than "$(leader node1)")
    stays=$(other_than "$gone")
    expect 0 ctl --node "$stays" member remove "$gone"
    [ -n "$output" ]
    reap "$gone"
    [ "$status" = 0 ]
    eventually has_members "$stays" 2
    expect 0 ctl --node "$stays" put key value
    expect 68 ctl --node "$gone" get key
}

# bats test_tags=traced:raft
@test "M4: who was removed comes back with an empty directory, as somebody new" {
    start_cluster 3
    gone=$(other_than "$(leader node1)")
    stays=$(other_than "$gone")
    id=$(of "$gone" status id)
    ctl --node "$stays" member remove "$gone"
    reap "$gone"
    rm -r "data-$gone"
    start_node "$gone" --join "$(address "$stays")"
    eventually has_voters "$stays" 3
    [ "$(of "$gone" status id)" != "$id" ]
    ctl --node "$stays" put key value
    [ "$(ctl --node "$gone" get key)" = value ]
}

# bats test_tags=traced:raft
@test "M5: a leader that is removed hands over first" {
    start_cluster 3
    old=$(leader node1)
    stays=$(other_than "$old")
    expect 0 ctl --node "$stays" member remove "$old"
    eventually is_led_by_other_than "$stays" "$old"
    eventually has_members "$stays" 2
    expect 0 ctl --node "$stays" put key value
}

@test "nobody is removed or promoted by a name that nobody has" {
    start_cluster 2
    for change in remove promote transfer; do
        run ctl --node node1 member $change nobody
        [ "$status" = 1 ] || [ "$status" = 65 ]
    done
    has_voters node1 2
}

# bats test_tags=traced:raft
@test "leadership moves to who is named, and without a name away from who has it" {
    start_cluster 3
    target=$(other_than "$(leader node1)")
    expect 0 ctl --node node1 member transfer "$target"
    [ "$output" = "$target" ]
    for node in node1 node2 node3; do
        eventually leads $node "$target"
    done
    expect 0 ctl --node node1 member transfer
    [ "$output" != "$target" ]
    expect 0 ctl --node "$target" put key value
}

# bats test_tags=traced:raft
@test "M7: members are the same after all have restarted" {
    start_cluster 3
    before=$(ctl --node node1 members -o json | jq -r '.name + " " + .id' | sort)
    restart_cluster 3
    for node in node1 node2 node3; do
        [ "$(ctl --node $node members -o json | jq -r '.name + " " + .id' | sort)" = "$before" ]
    done
    expect 0 ctl --node node2 put key value
}

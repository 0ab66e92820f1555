#!/usr/bin/env bats
# What distdbctl has for causal mode: the commands, what they print, and how they end.

load common

mode=causal

# Two values of a key that have not seen each other.
write_siblings() {
    ctl put "$1" first --context ''
    ctl put "$1" second --context ''
}

@test "5: get prints the winner, and says that others stand beside it" {
    start_single
    write_siblings key
    expect 5 ctl get key
    [ "$output" = second ]
    [[ $stderr == *"2 siblings"*"conflicts show key"* ]]
    expect 5 ctl -q get key
    [ -z "$stderr" ]
    expect 5 ctl -o json get key
    jq -e '.conflict and (.siblings | length == 2) and .value == "second"' <<<"$output"
    expect 5 ctl get key -o raw
    expect 1 ctl get nope --siblings
    [ -z "$output" ]
}

@test "--siblings and conflicts show print a line each: value, write, time" {
    start_single
    ctl put key $'a\tb' --context ''
    ctl put key later --context ''
    expect 5 ctl get key --siblings
    shown=$output
    grep -qxE 'later	[0-9a-f]{16}:2	20[0-9T:.-]{21}Z' <<<"${lines[0]}"
    [[ ${lines[1]} == 'a\tb'$'\t'*:1$'\t'*Z ]]
    expect 5 ctl conflicts show key
    [ "$output" = "$shown" ]
    ctl put other value
    expect 0 ctl conflicts show other
    [ "$output" = $'value\t-\t-' ]
}

@test "conflicts list prints keys and how many siblings they have; 5 if there are any" {
    start_single
    expect 0 ctl conflicts list
    [ -z "$output" ]
    write_siblings a/key
    write_siblings b/key
    ctl put b/key third --context ''
    expect 5 ctl conflicts list
    [ "$output" = $'a/key\t2\nb/key\t3' ]
    expect 5 ctl conflicts list b/ -o json
    jq -e '.key == "b/key" and .siblings == 3' <<<"$output"
    expect 0 ctl conflicts list c/
}

@test "a conflict is resolved by a value, by stdin, or by one of the siblings" {
    start_single
    write_siblings key
    expect 0 ctl conflicts resolve key both
    [ "$(ctl get key)" = both ]
    write_siblings key
    printf 'from\nstdin' | ctl conflicts resolve key
    ctl get key -o raw | cmp - <(printf 'from\nstdin')
    write_siblings key
    dot=$(ctl conflicts show key | tail -n 1 | cut -f 2)
    expect 0 ctl -v conflicts resolve key --take "$dot"
    [ -n "$output" ]
    expect 0 ctl get key
    expect 1 ctl conflicts resolve key --take "$dot"
    [[ $stderr == *"$dot"*"conflicts show"* ]]
    expect 2 ctl conflicts resolve key value --take "$dot"
    expect 0 ctl conflicts resolve key -- -
    [ "$(ctl get key)" = - ]
}

@test "counters count, and print what they are at" {
    start_single
    ctl mode set hits/ causal --resolver counter
    expect 0 ctl incr hits/a
    [ "$output" = 1 ]
    expect 0 ctl incr hits/a 41
    expect 0 ctl incr hits/a -2
    [ "$output" = 40 ]
    [ "$(ctl get hits/a)" = 40 ]
    expect 0 ctl -o json incr hits/a 0
    jq -e '.value == 40 and .acks == ["node1"] and (.context | length > 0)' <<<"$output"
    expect 65 ctl incr plain
    [[ $stderr == *counter* ]]
    expect 2 ctl incr hits/a many
}

@test "sets have elements, each printed on a line of its own" {
    start_single
    ctl mode set tags/ causal --resolver set
    expect 0 ctl add tags/a red 'two words' $'with\nnewline' -5
    [ -z "$output" ]
    expect 0 ctl get tags/a
    [ "$output" = $'-5\nred\ntwo words\nwith\\nnewline' ]
    expect 0 ctl -v add tags/a red -- --help
    [ "${#lines[@]}" = 2 ]
    expect 0 ctl remove tags/a red -5 'two words' nothing
    [ "$(ctl get tags/a)" = $'--help\nwith\\nnewline' ]
    ctl remove tags/a -- --help $'with\nnewline'
    expect 1 ctl get tags/a
    expect 2 ctl add tags/a
    expect 65 ctl add plain x
}

@test "74: a write that too few have is there, and stderr says who has it" {
    start_cluster 3
    expect 0 ctl --node node1 -o json put key all --acks all
    jq -e '.acks == ["node1", "node2", "node3"]' <<<"$output"
    kill_node node3
    expect 74 ctl --node node1 --timeout 500ms put key two --acks all
    [[ $stderr == *"acknowledged by node1, node2"* ]]
    expect 74 ctl --node node1 --timeout 500ms -o json put key three --acks 3
    [ -z "$output" ]
    jq -e '.code == "timeout" and .applied == "yes" and .acks == ["node1", "node2"]' <<<"$stderr"
    [ "$(ctl --node node2 get key)" = three ]
    expect 0 ctl --node node1 put key majority --acks majority
    expect 0 ctl --node node1 delete key --acks 2
    expect 65 ctl --node node1 put key four --acks 4
    expect 2 ctl --node node1 put key none --acks 0
    suspects() { ctl --node node1 nodes | grep -q $'^node3\tdown\t.* suspected '; }
    eventually suspects
}

@test "L8: puts of one key in a session, through all nodes and in batches, make no sibling" {
    start_cluster 3
    export DISTDB_SESSION=$dir/session
    for i in {1..60}; do
        ctl --node node$((i % 3 + 1)) put key "$i"
        [ "$(ctl --node node$((i * 2 % 3 + 1)) get key)" = "$i" ]
    done
    yes 'put key again' | head -100 | ctl --node node2 batch >/dev/null
    ctl --node node3 put key last
    for node in node1 node2 node3; do
        expect 0 ctl --node $node get key
        [ "$output" = last ]
        expect 0 ctl --node $node conflicts list
    done
    jq -e '(.context | split(",") | length == 3) and .revision == 0' "$DISTDB_SESSION"
}

@test "69: a session that a node is behind is waited for, then the node says behind" {
    start_cluster 2 --enable-faults
    export DISTDB_SESSION=$dir/session
    ctl --node node2 fault isolate >/dev/null
    ctl --node node1 put key value
    expect 69 ctl --node node2 --timeout 500ms -o json get key
    [ "$(jq -r .code <<<"$stderr")" = behind ]
    expect 69 ctl --node node2 --timeout 500ms put key other
    expect 1 ctl --node node2 get key --read stale
    ctl --node node2 fault heal >/dev/null
    expect 0 ctl --node node2 get key
}

@test "the lines of a batch may count, collect, and look for conflicts" {
    start_single
    ctl mode set hits/ causal --resolver counter
    ctl mode set tags/ causal --resolver set
    write_siblings key
    cat >input <<'END'
incr hits/a 5
incr hits/a
add tags/a red
add tags/a 'two words'
remove tags/a red
get tags/a
get key
conflicts list
conflicts resolve key one
get key
put other v --acks all
END
    expect 5 ctl batch -f input
    [ "${lines[0]}" = $'ok\t5' ]
    [ "${lines[1]}" = $'ok\t6' ]
    [ "${lines[5]}" = $'ok\ttwo words' ]
    [ "${lines[6]}" = $'conflict\tsecond' ]
    [ "${lines[7]}" = $'conflict\tkey\t2' ]
    [ "${lines[9]}" = $'ok\tone' ]
}

@test "sync, or repair, takes a prefix, and a dry run prints keys" {
    start_cluster 2
    ctl --node node1 put a/key value --acks all
    # Whom it can take keys from it hears with the next heartbeat.
    eventually ctl --node node1 sync >/dev/null
    expect 0 ctl --node node1 sync a/
    [ "$output" = 0 ]
    expect 0 ctl --node node1 repair --dry-run
    [ -z "$output" ]
    expect 0 ctl --node node1 -v sync a/ --dry-run
    [[ $stderr == *"compared with the state of node2"* ]]
    expect 0 ctl --node node1 -o json sync --dry-run
    jq -e '.changed == 0 and .differing == []' <<<"$output"
}

@test "a clock is fast or slow until healed" {
    start_single --enable-faults
    expect 0 ctl fault clock -1h
    [ "$output" = $'fault\tpeer\tdirection\tamount\nclock\t*\tboth\t-3600000' ]
    expect 0 ctl fault clock 250ms
    [ "${lines[1]}" = $'clock\t*\tboth\t250' ]
    expect 0 ctl fault clock 0s
    [ "${#lines[@]}" = 1 ]
    ctl fault clock +1h
    expect 0 ctl fault heal
    [ "${#lines[@]}" = 1 ]
    expect 2 ctl fault clock soon
}

@test "bench measures the mode of its keys" {
    start_single
    ctl mode set strong/ raft
    for prefix in strong/ weak/; do
        expect 0 ctl -o json bench --op put --key-prefix $prefix --acks majority --clients 4 \
            --keys 10 --duration 200ms
        jq -e '.failures == {} or .failures == 0 or (.failures | length) == 0' <<<"$output"
        [ "$(ctl list $prefix --count)" -gt 0 ]
    done
    [ "$(ctl list --count)" = "$(($(ctl list strong/ --count) + $(ctl list weak/ --count)))" ]
}
